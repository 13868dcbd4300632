"""Rules in whole runs: both processes, as users start them."""

import textwrap

import pytest
import yaml

from stream.config import ConfigError
from stream.load import load_config
from stream.pipeline import Supervisor
from stream.record.run import open_run
from stream.rules.server import NOT_LIVE

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def configured(settings, tmp_path):
    """Configuration of a replay of the sample with rules, as from a YAML."""

    def configure(rules, **more):
        path = tmp_path / "rules.yaml"
        path.write_text(yaml.safe_dump({"rules": rules}), encoding="utf-8")
        return load_config(path, options=settings(**more))

    return configure


def run(config, transport):
    return Supervisor(config, transport=transport).run()


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
def test_a_replay_marks_calls_and_says_what_it_cannot_do(configured, tmp_path, transport):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent(
            f"""
            from pathlib import Path
            def note(event):
                with Path({str(tmp_path / "noted.txt")!r}).open("a") as file:
                    print(event["track_id"], event["frame"], file=file)
                return "noted"
            """
        )
    )
    rules = [
        {"when": "track confirmed with photons > 1", "name": "seen"},
        {"when": "track confirmed", "do": "call", "value": f"{tmp_path / 'mine.py'}:note", "name": "note"},
        {"when": "track confirmed", "do": "stop", "name": "stop", "at_most": 1},
        {"when": "calcium event with snr > 1e6", "name": "never"},
    ]
    outcome = run(configured(rules, engine__name="wavelet"), transport)
    assert outcome.problem == ""
    opened = open_run(outcome.folder)
    triggers, tracks = opened.triggers(), opened.tracks()
    by_rule = {name: triggers[triggers["rule"] == name] for name in ("seen", "note", "stop", "never")}
    assert (
        sorted(by_rule["seen"]["track_id"])
        == sorted(by_rule["note"]["track_id"])
        == tracks["track_id"].tolist()
    )
    assert set(by_rule["seen"]["outcome"]) == {"marked"} and set(by_rule["note"]["outcome"]) == {"noted"}
    assert by_rule["stop"]["outcome"].tolist() == [NOT_LIVE]
    assert triggers["latency_ms"].isna().all()  # of a recording nobody can say
    assert opened.info["counts"]["frames_out"] == 60
    noted = [line.split() for line in (tmp_path / "noted.txt").read_text().splitlines()]
    assert noted == [[str(t), str(f)] for t, f in by_rule["note"][["track_id", "frame"]].to_numpy()]
    rules_info = opened.info["rules"]
    assert rules_info["stop"] == {"fired": 1, "done": 0, "not_done": 1, "rested": len(tracks) - 1}
    assert rules_info["never"] == {"fired": 0, "done": 0, "not_done": 0, "rested": 0}
    assert f"rule 'stop' fired 1 times, but nothing was done: {NOT_LIVE}" in opened.info["warnings"]
    assert sorted(p.name for p in outcome.folder.iterdir() if p.suffix not in (".csv", ".parquet")) == [
        "run.json"
    ]


def test_a_function_that_kills_its_process_leaves_a_readable_run(configured, tmp_path):
    (tmp_path / "mine.py").write_text("import os\ndef leave(event): os._exit(7)\n")
    rules = [{"when": "track confirmed", "do": "call", "value": f"{tmp_path / 'mine.py'}:leave"}]
    outcome = run(configured(rules, engine__name="wavelet", source__speed=1.0), "ipc")
    assert "exit code 7" in outcome.problem
    opened = open_run(outcome.folder)
    assert len(opened.frames()) > 2
    assert "the source was gone" in set(opened.triggers()["outcome"])


def test_a_function_that_asks_for_input_is_told_that_nobody_answers(configured, tmp_path):
    (tmp_path / "mine.py").write_text("def ask(event): return input('really?')\n")
    rules = [{"when": "track confirmed", "do": "call", "value": f"{tmp_path / 'mine.py'}:ask", "at_most": 1}]
    outcome = run(configured(rules, engine__name="wavelet", source__speed=1.0), "ipc")
    assert outcome.problem == ""
    assert "lost sys.stdin" in open_run(outcome.folder).triggers()["outcome"][0]
    assert "Fatal Python error" not in (outcome.folder / "source.log").read_text()


def test_a_function_that_cannot_be_imported_ends_the_run_before_it_begins(configured, tmp_path):
    rules = [{"when": "wave", "do": "call", "value": "nowhere.py:f"}]
    outcome = run(configured(rules), "inproc")
    assert "there is no file nowhere.py" in outcome.problem
    assert not outcome.folder.exists()


def test_a_wrong_rule_is_refused_before_anything_starts(configured, tmp_path):
    with pytest.raises(ConfigError, match="nothing that can happen is called 'calcium evnt'"):
        configured([{"when": "calcium evnt"}])
    assert not (tmp_path / "runs").exists()

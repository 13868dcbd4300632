"""Rules from frame to action: real sockets, the real analysis, and a microscope that only pretends."""

import sys
import time
from collections import deque
from contextlib import contextmanager
from datetime import datetime
from threading import Event, Thread

import numpy as np
import pytest
import zmq

from acquire.frame import Frame, SourceError, SourceInfo
from acquire.source import open_source
from model.camera import Camera
from model.localizations import Localizations
from model.optics import add_gaussians
from stream import wire
from stream.analyser import analyse
from stream.calcium.detector import CalciumDetector
from stream.conditions import Conditions
from stream.config import CalciumConfig, ConfigError, RunConfig
from stream.job import Job
from stream.process import job_endpoints
from stream.record.complete import recover
from stream.record.provenance import RunStart
from stream.record.recorder import Recorder
from stream.record.run import create_run_folder, open_run, read_info, write_info
from stream.results import NO_IDS, CalciumUpdate, FrameResult, TrackUpdate
from stream.rules import server as server_module
from stream.rules import triggering as triggering_module
from stream.rules.functions import load_functions
from stream.rules.server import NOT_LIVE, TriggerServer
from stream.rules.triggering import GONE, NO_LINE, SILENT, Triggering
from stream.rules.worker import WAITING
from stream.status import Done, StatusReceiver
from stream.transport.results import ResultPublisher
from stream.transport.sender import FrameSender
from stream.transport.triggers import TriggerLine

pytestmark = pytest.mark.timeout(60)

ALWAYS = "frame with puncta >= 0"  # fires on the first frame


class Microscope:
    """A live source that shows the frames of a movie at a pace, and does as it is told."""

    def __init__(self, movie, interval_s=0.02, n_frames=10_000):
        source = open_source(movie)
        self.info, self._frames = source.info, list(source.frames())
        source.close()
        self.interval_s, self.n_frames = interval_s, n_frames
        self.losses, self.figures = {}, {}
        self.acts = []
        self._stop, self._arrived = Event(), deque(maxlen=1024)

    def frames(self):
        for seq in range(self.n_frames):
            if self._stop.wait(self.interval_s):
                return
            shown = self._frames[seq % len(self._frames)]
            self._arrived.append((seq, time.time_ns()))
            yield Frame(seq, seq * self.interval_s, shown.pixels, {}, self._arrived[-1][1])

    def stop(self):
        self._stop.set()

    def act(self, action):
        self.acts.append((action.kind, action.value))
        if action.kind == "stop":
            self.stop()
            return "stopped"
        if action.kind == "interval":
            raise SourceError("this mode has no interval")
        if action.kind == "burst":
            raise ZeroDivisionError("a bug in the microscope")
        return f"{action.kind} is {action.value} now"

    def arrived_ns(self, seq):
        return next((at for number, at in list(self._arrived) if number == seq), None)

    def close(self):
        self.stop()


class Recording:
    """The same movie as a recording: it cannot be acted on."""

    def __init__(self, movie, n_frames=20):
        source = open_source(movie, max_frames=n_frames)
        self.info, self.losses, self._frames = source.info, {}, list(source.frames())
        source.close()

    def frames(self):
        return iter(self._frames)

    def close(self):
        pass


def configured(sample, tmp_path, *rules, **sections):
    return RunConfig.model_validate(
        {
            "camera": {"offset": 100.0},
            "engine": {"name": "wavelet"},
            "source": {"delivery": "live"},
            "output": {"folder": tmp_path / "runs"},
            "rules": [{"when": ALWAYS, **rule} for rule in rules],
            **sections,
        }
    )


def run(config, source, tmp_path, transport="inproc", serve=True):
    """The finished run of a source: both sides in threads, as the processes of a run do it."""
    context = zmq.Context()
    endpoints = job_endpoints(transport, str(tmp_path))
    status = StatusReceiver(context, endpoints.status)
    folder = create_run_folder(config.output, "movie", datetime.now())
    job = Job.of(config, str(folder), endpoints).at(status=status.endpoint)
    sender = FrameSender(context, job.endpoints.stream(), config.source.delivery)
    bound = {"frames": sender.endpoints.frames, "control": sender.endpoints.control, "triggers": ""}
    server = TriggerServer(context, endpoints.triggers, config.rules, source) if serve else None
    if server is not None:
        bound["triggers"] = server.endpoint
    analysis = Thread(target=analyse, args=(job.at(**bound), context, Event()))
    analysis.start()
    n = 0
    try:
        assert sender.start(source.info, Event())
        for frame in source.frames():
            sender.send(frame, Event())
            n = frame.seq + 1
        sender.finish(n, {}, "end")
    finally:
        if server is not None:
            server.close()
        sender.close()
        source.close()
        analysis.join()
        said = []
        while (message := status.receive(1000)) is not None:
            said.append(message)
            if isinstance(message, Done):
                break
        status.close()
        context.term()
    assert [s.problem for s in said if isinstance(s, Done)] == [""]
    opened = open_run(folder)
    assert opened.info["state"] == "finished" and opened.info["counts"]["triggers"] == len(opened.triggers())
    return opened


def only(opened):
    rows = opened.triggers()
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
def test_an_exposure_is_set_while_it_images_and_the_latency_is_recorded(transport, sample, tmp_path):
    config = configured(sample, tmp_path, {"do": "exposure", "value": 7, "name": "brighter"})
    microscope = Microscope(sample / "movie.tif", n_frames=30)
    opened = run(config, microscope, tmp_path, transport)
    assert microscope.acts == [("exposure", 7.0)]
    row = only(opened)
    assert (row["rule"], row["frame"], row["what"], row["track_id"]) == ("brighter", 0, "frame", -1)
    assert (row["action"], row["value"], row["outcome"]) == ("exposure", "7", "exposure is 7.0 now")
    assert row["ok"] == 1 and 0 < row["latency_ms"] < 5000
    assert row["newest_latency_ms"] <= row["latency_ms"]
    assert "puncta=" in row["measured"] and np.isnan(row["x_nm"])
    assert opened.info["rules"] == {"brighter": {"fired": 1, "done": 1, "not_done": 0, "rested": 0}}
    assert (opened.path / "triggers.csv").exists()


def test_a_stop_ends_the_acquisition_at_once(sample, tmp_path):
    config = configured(sample, tmp_path, {"when": "frame with puncta > 0", "do": "stop"})
    microscope = Microscope(sample / "movie.tif")
    began = time.monotonic()
    opened = run(config, microscope, tmp_path)
    assert time.monotonic() - began < 30  # 10 000 frames would take 200 s
    assert only(opened)["outcome"] == "stopped"
    assert 1 <= opened.info["counts"]["frames_in"] < 500


def test_what_the_microscope_refuses_or_fails_at_is_recorded_and_imaging_goes_on(sample, tmp_path):
    rules = (
        {"do": "interval", "value": 5, "name": "i"},
        {"do": "burst", "value": 9, "name": "b"},
        {"name": "m"},
    )
    microscope = Microscope(sample / "movie.tif", n_frames=20)
    opened = run(configured(sample, tmp_path, *rules), microscope, tmp_path)
    rows = opened.triggers().set_index("rule")
    assert rows.loc["i", "outcome"] == "this mode has no interval"
    assert "ZeroDivisionError: a bug in the microscope" in rows.loc["b", "outcome"]
    assert rows.loc["m", "outcome"] == "marked"
    assert rows["ok"].to_dict() == {"i": 0, "b": 0, "m": 1}
    assert np.isnan(rows.loc["i", "latency_ms"]) and rows.loc["m", "latency_ms"] > 0
    assert opened.info["counts"]["frames_in"] == 20
    assert [text for text in opened.info["warnings"] if "nothing was done" in text] == [
        "rule 'i' fired 1 times, but nothing was done: this mode has no interval",
        f"rule 'b' fired 1 times, but nothing was done: {rows.loc['b', 'outcome']}",
    ]


def test_a_recording_is_marked_and_functions_are_called_but_nothing_else(sample, tmp_path):
    (tmp_path / "mine.py").write_text("def f(event): return f\"saw frame {event['frame']}\"\n")
    rules = [
        {"do": "stop", "name": "s"},
        {"do": "exposure", "value": 3, "name": "e"},
        {"name": "m"},
        {"do": "call", "value": f"{tmp_path / 'mine.py'}:f", "name": "c"},
    ]
    config = configured(sample, tmp_path, *rules, source={"delivery": "lossless"})
    opened = run(config, Recording(sample / "movie.tif"), tmp_path)
    rows = opened.triggers().set_index("rule")
    assert rows["outcome"].to_dict() == {"s": NOT_LIVE, "e": NOT_LIVE, "m": "marked", "c": "saw frame 0"}
    assert rows["latency_ms"].isna().all()
    assert opened.info["counts"]["frames_out"] == 20


FUNCTIONS = """
import sys, time
from threading import Event
calls = []
def good(event):
    calls.append(event)
def text(event): return "line one\\nline two \\ud800"
def failing(event): raise ValueError("no such\\nvalve")
def leaving(event): sys.exit(3)
def mute(event):
    class Odd(Exception):
        def __str__(self): raise RuntimeError
    raise Odd
gate, gated_calls = Event(), []
def gated(event):
    gated_calls.append(event["frame"])
    gate.wait(20)
def endless(event):
    while True: time.sleep(.01)
"""


@pytest.fixture
def functions(tmp_path):
    path = tmp_path / "my_rules.py"
    path.write_text(FUNCTIONS)
    return path


def test_whatever_a_users_function_does_the_run_goes_on_and_says_so(functions, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "PATIENCE_S", 0.3)
    names = ("good", "text", "failing", "leaving", "mute", "endless")
    rules = [{"do": "call", "value": f"{functions}:{name}", "name": name} for name in names]
    rules.append({"when": "frame with puncta >= 0", "do": "exposure", "value": 5, "name": "beside"})
    microscope = Microscope(sample / "movie.tif", n_frames=60)
    opened = run(configured(sample, tmp_path, *rules), microscope, tmp_path)
    outcome = opened.triggers().set_index("rule")["outcome"].str.replace(str(functions), "F").to_dict()
    assert outcome == {
        "good": "called",
        "text": "line one line two ?",
        "failing": "F:failing failed: ValueError: no such valve",
        "leaving": "F:leaving failed: SystemExit: 3",
        "mute": "F:mute failed: Odd: (it cannot be printed)",
        "endless": "F:endless has not come back for 0 s",
        "beside": "exposure is 5.0 now",
    }
    assert opened.info["counts"]["frames_in"] == 60
    assert opened.triggers().set_index("rule")["latency_ms"].notna().to_dict() == {
        name: name in ("good", "text", "beside") for name in outcome
    }
    (event,) = sys.modules["piezo1_rules_my_rules"].calls
    row = opened.triggers().iloc[0]
    assert event["frame"] == row["frame"] == 0 and event["rule"] == "good" and event["track_id"] is None
    assert event["puncta"] == float(row["measured"].split()[0].removeprefix("puncta="))


@contextmanager
def a_server(rules, source, transport, tmp_path):
    """A server and the analysis' end of its line."""
    context = zmq.Context()
    endpoint = job_endpoints(transport, str(tmp_path)).triggers
    server = TriggerServer(context, endpoint, RunConfig(rules=rules).rules, source)
    line = TriggerLine(context, server.endpoint, listens=False)
    line.say(wire.TriggersBegin())
    try:
        yield server, line
    finally:
        line.say(wire.TriggersEnd())
        server.close()
        line.close()
        context.term()


def trigger(trigger_id, rule, seq=0):
    return wire.Trigger(trigger_id, rule, seq, seq, 0.0, "frame", -1, None, None, {})


def hear(line, n, within_s=10.0):
    heard, until = {}, time.monotonic() + within_s
    while len(heard) < n and time.monotonic() < until:
        message = line.hear(50)
        if isinstance(message, wire.Acted):
            heard[message.trigger_id] = message
    return heard


def test_triggers_behind_one_that_hangs_are_passed_over(functions, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "PATIENCE_S", 0.3)
    rules = [{"when": "wave", "do": "call", "value": f"{functions}:endless", "name": "e"}]
    with a_server(rules, Recording(sample / "movie.tif"), "inproc", tmp_path) as (_, line):
        for k in range(WAITING + 10):
            line.say(trigger(k, "e", seq=40 + k))
        heard = hear(line, WAITING + 10)
        line.say(trigger(WAITING + 10, "e", seq=9999))
        heard |= hear(line, 1)
    outcomes = [heard[k].outcome.replace(str(functions), "F") for k in range(WAITING + 11)]
    assert outcomes[0] == "F:endless has not come back for 0 s"
    waited = "passed over: F:endless has not come back from the trigger of frame 40"
    full = f"passed over: {WAITING} triggers were waiting for F:endless already"
    assert set(outcomes[1:-1]) == {waited, full} and outcomes[-1] == waited
    assert not any(acted.ok for acted in heard.values())


def test_what_was_passed_over_is_not_done_later(functions, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "PATIENCE_S", 0.2)
    rules = [{"when": "wave", "do": "call", "value": f"{functions}:gated", "name": "g"}]
    with a_server(rules, Recording(sample / "movie.tif"), "inproc", tmp_path) as (server, line):
        for k in range(5):
            line.say(trigger(k, "g", seq=k))
        assert not any(acted.ok for acted in hear(line, 5).values())
        module = sys.modules["piezo1_rules_my_rules"]
        module.gate.set()
        while server._functions["g"].busy_with(0.0) is not None:
            time.sleep(0.01)
        line.say(trigger(5, "g", seq=5))
        assert hear(line, 1)[5].ok
        assert module.gated_calls == [0, 5]


def test_what_is_under_way_when_a_run_ends_is_told_of(functions, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "LAST_S", 0.2)
    monkeypatch.setattr(server_module, "FAREWELL_S", 30.0)  # it is not waited for: the analysis says its end
    rule = {"do": "call", "value": f"{functions}:endless"}
    opened = run(configured(sample, tmp_path, rule), Microscope(sample / "movie.tif", n_frames=3), tmp_path)
    assert only(opened)["outcome"].endswith("endless had not come back when the run ended")


def test_a_stop_does_not_wait_for_an_exposure(sample, tmp_path):
    free = Event()

    class Slow(Microscope):
        def act(self, action):
            if action.kind == "exposure":
                free.wait(20)
            return super().act(action)

    rules = [
        {"when": "wave", "do": "exposure", "value": 5, "name": "e"},
        {"when": ALWAYS, "do": "stop", "name": "s"},
    ]
    with a_server(rules, Slow(sample / "movie.tif"), "inproc", tmp_path) as (_, line):
        line.say(trigger(0, "e"))
        line.say(trigger(1, "s"))
        assert set(hear(line, 1)) == {1}
        free.set()
        assert hear(line, 1)[0].ok


def test_all_tracks_of_a_field_may_fire_in_one_frame(sample, tmp_path):
    microscope = Microscope(sample / "movie.tif")
    rules = [{"when": "track confirmed", "do": "exposure", "value": 5, "name": "e"}]
    with a_server(rules, microscope, "ipc", tmp_path) as (_, line):
        for k in range(400):
            assert line.say(trigger(k, "e"))
        assert all(acted.ok for acted in hear(line, 400).values())
    assert len(microscope.acts) == 400


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_a_server_whose_analysis_is_gone_does_not_wait_for_it(transport, sample, tmp_path):
    context = zmq.Context()
    endpoint = job_endpoints(transport, str(tmp_path)).triggers
    server = TriggerServer(
        context, endpoint, RunConfig(rules=[{"when": "wave"}]).rules, Recording(sample / "movie.tif")
    )
    line = TriggerLine(context, server.endpoint, listens=False)
    line.say(wire.TriggersBegin())
    line.say(trigger(0, "wave"))
    assert hear(line, 1)[0].ok
    line.close()
    began = time.monotonic()
    server.close()
    server.close()
    assert time.monotonic() - began < server_module.FAREWELL_S / 2
    context.term()


def test_a_rule_that_the_source_does_not_know_is_not_done(sample, tmp_path):
    with a_server([{"when": "wave"}], Microscope(sample / "movie.tif"), "ipc", tmp_path) as (_, line):
        line.say(trigger(0, "frame with puncta > 3"))
        (acted,) = hear(line, 1).values()
    assert not acted.ok and "has no rule of this name" in acted.outcome


def test_latency_is_that_of_the_frames_on_the_sources_own_clock(sample, tmp_path):
    microscope = Microscope(sample / "movie.tif")
    now = time.time_ns()
    microscope._arrived.extend([(3, now - 80_000_000), (4, now - 20_000_000)])
    with a_server([{"when": "wave"}], microscope, "tcp", tmp_path) as (_, line):
        line.say(wire.Trigger(0, "wave", 3, 4, 0.0, "wave", -1, None, None, {}))
        acted = hear(line, 1)[0]
        line.say(wire.Trigger(1, "wave", 900, 901, 0.0, "wave", -1, None, None, {}))
        forgotten = hear(line, 1)[1]
    assert 80 <= acted.latency_ms < 3000
    assert acted.latency_ms - acted.newest_latency_ms == pytest.approx(60)
    assert forgotten.ok and forgotten.latency_ms is None


def test_from_trigger_to_action_takes_milliseconds(sample, tmp_path):
    microscope = Microscope(sample / "movie.tif")
    rules = [{"when": "wave", "do": "exposure", "value": 5}]
    with a_server(rules, microscope, "ipc", tmp_path) as (_, line):
        took = []
        for k in range(50):
            microscope._arrived.append((k, time.time_ns()))
            line.say(wire.Trigger(k, "wave", k, k, 0.0, "wave", -1, None, None, {}))
            took.append(hear(line, 1)[k].latency_ms)
            time.sleep(0.002)
    assert np.median(took) < 20  # a busy computer; 1 ms on a quiet one


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("nowhere.py:f", r"there is no file nowhere\.py for do: call"),
        ("{}:nothing", "has no function 'nothing'"),
        ("{}:calls", "has no function 'calls'"),
        ("no_such_module:f", "no_such_module cannot be imported for do: call: ModuleNotFoundError"),
        ("broken.py:f", "broken.py cannot be imported for do: call: SystemExit: 3"),
    ],
)
def test_a_function_that_is_not_there_is_told_before_anything_starts(
    functions, value, sentence, sample, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("import sys; sys.exit(3)\n")
    rules = RunConfig(rules=[{"when": "wave", "do": "call", "value": value.format(functions)}]).rules
    context = zmq.Context()
    with pytest.raises(ConfigError, match=sentence):
        TriggerServer(context, "inproc://triggers", rules, Recording(sample / "movie.tif"))
    context.term()


def test_rules_that_name_one_file_share_its_variables_and_modules_are_imported(
    functions, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "a_module_of_mine.py").write_text("def f(event): pass\n")
    values = [f"{functions}:good", f"{functions}:failing", "a_module_of_mine:f"]
    rules = [{"when": "wave", "do": "call", "value": v, "name": str(k)} for k, v in enumerate(values)]
    loaded = load_functions(RunConfig(rules=[*rules, {"when": "wave"}]).rules)
    assert list(loaded) == ["0", "1", "2"]
    assert loaded["0"].__globals__ is loaded["1"].__globals__
    assert loaded["2"] is sys.modules["a_module_of_mine"].f


def test_a_source_that_does_not_listen_answer_or_live_is_recorded_as_such(sample, tmp_path, monkeypatch):
    monkeypatch.setattr(triggering_module, "LAST_ANSWERS_S", 0.3)
    config = configured(sample, tmp_path, {})
    deaf = run(config, Microscope(sample / "movie.tif", n_frames=5), tmp_path, serve=False)
    assert only(deaf)["outcome"] == NO_LINE and only(deaf)["ok"] == 0
    assert any("nothing was done: the source takes no triggers" in text for text in deaf.info["warnings"])

    def say_nothing(self, *_):
        time.sleep(0)

    with monkeypatch.context() as patch:
        patch.setattr(TriggerServer, "_take", say_nothing)
        silent = run(config, Microscope(sample / "movie.tif", n_frames=5), tmp_path, "ipc")
    assert only(silent)["outcome"] == SILENT


def test_a_source_that_is_gone_before_it_answers_is_recorded_as_such(sample, tmp_path, monkeypatch):
    def until_the_first(self):
        while not isinstance(self._line.hear(100), wire.Trigger):
            pass

    monkeypatch.setattr(TriggerServer, "_until_over", until_the_first)
    config = configured(sample, tmp_path, {}, source={"delivery": "lossless"})
    opened = run(config, Microscope(sample / "movie.tif", n_frames=30), tmp_path, "tcp")
    assert only(opened)["outcome"] == GONE
    assert opened.info["counts"]["frames_out"] == 30


def test_what_fires_on_the_last_frame_is_still_acted_on(sample, tmp_path):
    config = configured(
        sample, tmp_path, {"when": "frame with missing = 0", "name": "first"}, source={"delivery": "lossless"}
    )
    opened = run(config, Microscope(sample / "movie.tif", n_frames=1), tmp_path)
    assert only(opened)["outcome"] == "marked"


def a_result(seq, n=0):
    localizations = Localizations.from_table(np.ones((n, 9), np.float32))
    return FrameResult(seq, seq / 10, 0, localizations, TrackUpdate.none(n), CalciumUpdate.off(n, 0))


def test_subscribers_hear_of_triggers_and_of_what_came_of_them(tmp_path):
    context = zmq.Context()
    publisher = ResultPublisher(context, f"ipc://{tmp_path}/results")
    subscriber = context.socket(zmq.SUB)
    subscriber.setsockopt(zmq.SUBSCRIBE, wire.TRIGGER_TOPIC)
    subscriber.connect(publisher.endpoint)
    triggering = Triggering(RunConfig(rules=[{"when": "frame with puncta = 0"}]), context, "", publisher)
    triggering.begin(Conditions(100.0, 0.1, 1.3, ()))
    deadline = time.monotonic() + 10
    fired, seq = [], 0
    while not subscriber.poll(20) and time.monotonic() < deadline:  # until the subscription is there
        fired += triggering.step(a_result(seq, n=seq % 2), seq).fired
        publisher.publish(a_result(seq))
        seq += 1
    heard = [wire.decode_trigger(subscriber.recv_multipart()) for _ in range(2)]
    assert heard[0] in fired
    assert heard[1] == wire.Acted(heard[0].trigger_id, False, NO_LINE)
    triggering.close()
    publisher.close()
    subscriber.close(linger=0)
    context.term()


def test_a_killed_run_keeps_its_triggers(tmp_path):
    config = RunConfig(rules=[{"when": "wave", "name": "w"}, {"when": "calcium event", "name": "never"}])
    info = SourceInfo("movie", (2, 8, 8), None, 0.1, 100.0, 16, "")
    folder = tmp_path / "run"
    folder.mkdir()
    recorder = Recorder(folder, RunStart(config, info, "none", Camera(), 100.0, 0.1))
    recorder.append(a_result(0))
    recorder.append_triggers([trigger(0, "w"), trigger(1, "w", seq=1)], [])
    recorder.flush()
    recorder.append_triggers([], [wire.Acted(0, True, "marked", 12.5, 10.5)])
    recorder.flush()
    recorder._journal.close()  # killed here
    left = read_info(folder)
    write_info(folder, {**left, "process": {**left["process"], "started": 0.0}})
    recover(folder)
    opened = open_run(folder)
    rows = opened.triggers()
    assert rows["outcome"].tolist() == ["marked", "not known: the run was cut off before the answer came"]
    assert rows["ok"].tolist() == [1, 0] and rows["latency_ms"].tolist()[0] == 12.5
    assert opened.info["rules"] == {
        "w": {"fired": 2, "done": 1, "not_done": 1},
        "never": {"fired": 0, "done": 0, "not_done": 0},
    }


def test_a_run_without_rules_has_an_empty_table_and_no_files_of_it(tmp_path):
    info = SourceInfo("movie", (2, 8, 8), None, 0.1, 100.0, 16, "")
    recorder = Recorder(tmp_path, RunStart(RunConfig(), info, "none", Camera(), 100.0, 0.1))
    recorder.append(a_result(0))
    with pytest.raises(ValueError, match="has no rules"):
        recorder.append_triggers([trigger(0, "w")])
    recorder.finish()
    opened = open_run(tmp_path)
    assert opened.triggers().empty and "latency_ms" in opened.triggers()
    assert "rules" not in opened.info and not list(tmp_path.glob("triggers*"))


def test_an_event_under_way_keeps_its_name_and_is_none_when_it_lasts_too_long():
    rng = np.random.default_rng(5)
    detector = CalciumDetector(CalciumConfig(max_duration_frames=20))
    place = np.full(1, 20.0)
    spot = np.zeros((40, 40), np.float32)
    add_gaussians(spot, place, place, np.array([1.5 * 2 * np.pi * 4]), np.array([2.0]))
    puncta = Localizations.from_table(np.array([[20, 20, 0.2, 0.2, 500, 1, 1, 1, np.nan]], np.float32))
    opened = {}
    for seq in range(90):
        light = rng.poisson(60 * (1 + spot * (seq >= 30))).astype(np.float32)
        confirmed = np.arange(int(seq == 0))
        none = np.empty(0, np.float32)
        tracks = TrackUpdate(np.zeros(1, np.int64), NO_IDS, none, none, NO_IDS, confirmed, NO_IDS, NO_IDS)
        on = detector.step(seq, seq * 0.05, light, puncta, tracks).under_way
        if len(on):
            assert on.track_id.tolist() == [0] and on.confirmed.all() and on.snr[0] > 3.5
            opened[seq] = int(on.opened_frame[0])
    assert set(opened.values()) == {30}
    assert min(opened) == 30 and 45 <= max(opened) <= 55


class Events:
    """Puncta that stay, and calcium events at some of them: (punctum, onset)."""

    def __init__(self, n_frames=90, size=72, seed=11):
        rng = np.random.default_rng(seed)
        x, y = (c.ravel() + rng.uniform(-2, 2, 16) for c in np.meshgrid(*[np.arange(9, size, 18)] * 2))
        self.xy, self.n_frames = np.stack([x, y], 1), n_frames
        self.events = [(k, int(rng.integers(25, 70))) for k in range(0, 16, 2)]
        self.info = SourceInfo("events", (2, size, size), n_frames, 0.05, 110.0, 16, "simulated")
        self.losses = {}
        self._rng, self._size = rng, size

    def frames(self):
        ones = np.ones(16)
        for seq in range(self.n_frames):
            puncta, rise = np.zeros((2, self._size, self._size), np.float32)
            add_gaussians(puncta, *self.xy.T, 900.0 * ones, 1.35 * ones)
            up = np.zeros(16)
            for k, onset in self.events:
                up[k] = np.exp(-(seq - onset) / 5) if seq >= onset else 0
            add_gaussians(rise, *self.xy.T, up * 2 * np.pi * 4, 2 * ones)
            light = self._rng.poisson(np.stack([puncta + 15, 60 * (1 + rise)])) + 100
            yield Frame(seq, seq * 0.05, light.astype(np.uint16))

    def close(self):
        pass


def test_events_fire_once_and_at_their_onset_through_the_whole_analysis(tmp_path):
    movie = Events()
    rules = [
        {"when": "calcium event at a confirmed track with snr > 6", "name": "begins"},
        {"when": "calcium event ended with duration_s > 0", "name": "ends"},
    ]
    config = configured(None, tmp_path, *rules, source={"delivery": "lossless"})
    opened = run(config, movie, tmp_path)
    rows, puncta = opened.triggers(), opened.puncta()
    begins = rows[rows["rule"] == "begins"]
    assert len(begins) == len(movie.events)
    late = []
    for k, onset in movie.events:
        away = np.hypot(*(begins[["x_nm", "y_nm"]].to_numpy() - movie.xy[k] * 110.0).T)
        assert np.sum(away < 150) == 1  # once
        row = begins.iloc[int(np.argmin(away))]
        late.append(row["frame"] - onset)
        seen = puncta[(puncta["frame"] == row["frame"]) & (puncta["track_id"] == row["track_id"])]
        assert np.hypot(seen["x_nm"] - row["x_nm"], seen["y_nm"] - row["y_nm"]).item() < 1
        assert 6 < float(row["measured"].split()[0].removeprefix("snr=")) < 60
    assert min(late) >= 0 and max(late) <= 2
    ends = rows[rows["rule"] == "ends"]
    assert sorted(ends["track_id"]) == sorted(begins["track_id"])
    both = begins.merge(ends, on="track_id", suffixes=("_begin", "_end"))
    assert (both["frame_end"] > both["frame_begin"]).all()

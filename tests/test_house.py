"""The house itself: packages, configuration file, README and exit codes."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console

import piezo1 as command_line
from dashboard.terminal import RunBar, report
from stream.config import ConfigError, RunConfig
from stream.job import Job, JobEndpoints
from stream.load import load_config
from stream.rules.fields import markdown
from stream.status import Progress

ROOT = Path(__file__).parents[1]
PACKAGES = ("acquire", "model", "stream", "train", "dashboard", "bench", "commands", "piezo1")


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_is_the_one_of_this_repository(name):
    assert ROOT in Path(import_module(name).__file__).parents


LIVE_SECTIONS = ("microscope", "rules", "network")


def test_the_shipped_configurations_hold_every_key_at_its_default():
    assert load_config(ROOT / "configs" / "replay.yaml") == RunConfig()
    live = load_config(ROOT / "configs" / "live.yaml")
    assert live == load_config(overrides=["source.delivery=live"])
    for section, field in RunConfig.model_fields.items():
        name = "live.yaml" if section in LIVE_SECTIONS else "replay.yaml"
        text = (ROOT / "configs" / name).read_text(encoding="utf-8")
        assert f"\n{section}:" in text
        (entry,) = get_args(field.annotation)[:1] or (field.annotation,)
        for key in entry.model_fields:
            # An entry of a list is shown as a comment.
            assert re.search(rf"\n[# -]+ {key}:", text), f"{section}.{key} is not in {name}"


def test_the_page_on_rules_holds_the_table_of_what_can_be_asked():
    assert markdown() in (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")


@pytest.fixture
def piezo1(capsys, monkeypatch):
    """Run the command line in this process; gives its exit code and what it printed."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["piezo1", *arguments])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


COMMANDS = (
    "demo",
    "simulate",
    "replay",
    "train",
    "export",
    "evaluate",
    "refine",
    "cooccurrence",
    "recover",
    "register",
    "doctor",
    "bench",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(piezo1, command):
    code, out, _ = piezo1(command, "--help")
    assert code == 0
    assert "Example: piezo1" in out or command == "bench"


def test_doctor_names_what_it_found_and_the_engine(piezo1):
    code, out, _ = piezo1("doctor")
    assert code == 0
    for subject in ("CPU", "GPU", "TensorRT", "Qt", "Micro-Manager", "network", "engine"):
        assert f"\n{subject} " in out
    assert "auto: " in out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["replay"], 2, "no movie is given"),
        (["replay", "nowhere.tif"], 1, "nowhere.tif"),
        (
            ["replay", "x.tif", "--set", "camera.ofset=1"],
            2,
            "camera.ofset is not a known key; known here: offset,",
        ),
        (["replay", "x.tif", "--set", "camera.offset=dark"], 2, "camera.offset is 'dark'"),
        (["replay", "x.tif", "--set", "camera"], 2, "is not section.key=value"),
        (["replay", "x.tif", "--config", "nowhere.yaml"], 2, "cannot read configuration nowhere.yaml"),
        (["replay", "x.tif", "--speed", "fast"], 2, "source.speed is 'fast'"),
        (["replay", "x.tif", "--layout", "diagonal"], 2, "channels.layout is 'diagonal'"),
        (["replay", "x.tif", "--engine", "magic"], 2, "engine.name is 'magic'"),
        (["replay", "x.tif", "--set", "engine.threshold=1"], 2, "engine.threshold is 1"),
        (["replay", "--no-such-option"], 2, "No such option"),
        (["recover", "nowhere"], 1, "nowhere is not a run folder"),
        (["evaluate", "nowhere", "--truth", "x"], 1, "nowhere is not a run folder"),
        (["cooccurrence", "nowhere"], 1, "nowhere is not a run folder"),
        (["simulate", "-o", "x", "--set", "foton=3"], 2, "known: image_size"),
        (["simulate", "-o", "x", "--psf-type", "square"], 2, "psf_type is 'square'"),
        (["simulate", "-o", "x", "--set", "drift_nm_s=3"], 2, "drift_nm_s is 3"),
        (
            ["simulate", "-o", "x.png", "--card-of", "nowhere.yaml"],
            2,
            "cannot read configuration nowhere.yaml",
        ),
        (["train", "-o", "x", "--set", "model.size=huge"], 2, "model.size is 'huge'"),
        (["train", "-o", "x", "--resume"], 1, "nothing to resume"),
        (["train", "-o", "x", "--overfit", "--resume"], 2, "--overfit starts afresh"),
        (["train", "-o", "x", "--checkpoint", "no.pth"], 1, "cannot read checkpoint no.pth"),
        (["export", "no.pth", "-o", "x.onnx"], 1, "cannot read checkpoint no.pth"),
        (["bench", "localization", "--figure", "x.xyz"], 2, "x.xyz: its name must end in .png or .svg"),
        (["bench", "localization", "--condition", "nonsense"], 2, "contains 'nonsense'; there are: isolated"),
        (["bench", "pipeline", "--json", "no/x.json"], 2, "no/x.json: there is no folder no"),
        (["bench", "calcium", "--model", "no.onnx"], 1, "there is no no.onnx"),
        (["bench", "frames", "--data", "no"], 2, "--data must be a folder that holds it"),
    ],
)
def test_a_mistake_gives_one_sentence_and_an_exit_code(
    piezo1, arguments, code, sentence, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    ended, _, err = piezo1(*arguments)
    assert ended == code
    assert sentence in err
    assert not list(tmp_path.iterdir())  # nothing is left behind


def test_a_null_leaves_the_default_that_is_known(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("optics: {pixel_size_nm: null, psf_sigma_nm: 140}")
    defaults = {"optics.pixel_size_nm": 108.0, "optics.psf_sigma_nm": 150.0}
    optics = load_config(path, defaults=defaults).optics
    assert (optics.pixel_size_nm, optics.psf_sigma_nm) == (108, 140)


def test_a_run_that_has_only_a_name_reaches_its_processes():
    config = load_config(options={"output.name": "cell_1"})
    job = Job.of(config, "runs/cell_1", JobEndpoints("", "", "", ""))
    assert Job.from_json(job.to_json()).run_config() == config


def test_the_terminal_says_what_became_of_raw_images_and_rules():
    info = {
        "rules": {"wave": {"fired": 2}},
        "configuration": load_config(
            options={"source.kind": "microscope", "microscope.save": "raw"}
        ).model_dump(mode="json"),
    }
    console = Console(record=True, width=80)
    report(console, Path("runs/x"), info, "")
    assert "2 triggers of rules" in (text := console.export_text())
    assert "raw images in raw" in text


def test_a_narrow_terminal_shows_every_cause_of_loss():
    console = Console(record=True, width=80)
    causes = {"hook queue was full": 3, "passed over for a newer frame": 18, "lost on the way": 7}
    with RunBar(console, "live") as bar:
        for n in (1, 2):
            bar.update(Progress(n, 30, 95.0, 67, 28, causes))
    text = console.export_text()
    assert all(f"{n} {cause}" in text for cause, n in causes.items())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"camera:\n  offset: 100\n  offset: 200\n", "'offset' stands there twice"),
        (b"camera:\n", None),
        (b"", None),
        (b"- a list", "must hold sections"),
        (b"camera: 3", "camera in"),
        (b"? [a]\n: 2", "is not valid YAML"),
        (b"{{ offset }}: 2", "is not valid YAML"),
        (b"camera:\n\toffset: 2", "line 2: there is a tab: indent with spaces"),
        (b"camera:\n  offset: 2\n gain: 1", "line 3: indent with spaces, alike within a section"),
        (b'microscope:\n  folder: "C:\\Users\\me"', "line 2: a backslash in double quotes"),
        (b"microscope: {exposure_ms: 20 ms}", "it must be a number, with a decimal point and no unit"),
        (b"microscope: {roi: [1, 2, 3]}", "a value is missing (it is: [x, y, width, height]"),
        (b"source: {speed: 0}", "max, realtime, or a multiple of the recorded speed"),
        (b"optics: {pixel_size_nm: 0.108 um}", "optics.pixel_size_nm in"),
        (b"camera: {offset: \xff}", "not a text in UTF-8"),
        (b"[" * 20_000, "nested too deeply"),
        (b"camera: [", "not valid YAML"),
        (b"calcium: {off_z: 9}", "off_z must be smaller than on_z"),
        (b"output: {name: ..}", "output.name in"),
        (b"engine: {name: wavelet, model: a.onnx}", "model and threshold are a network's"),
    ],
)
def test_a_wrong_configuration_is_explained_in_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "run.yaml"
    path.write_bytes(text)
    if sentence is None:
        assert load_config(path) == RunConfig()
    else:
        with pytest.raises(ConfigError, match=re.escape(sentence)) as error:
            load_config(path)
        assert "\n" not in str(error.value) and len(str(error.value)) < 1000


def test_a_mistake_shows_no_traceback(tmp_path):
    command = [sys.executable, "-m", "piezo1", "replay", "nowhere.tif"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: ") and answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("trackpy", ["bench", "localization"], "bench"),
        ("torch", ["bench", "calcium"], "train"),
        ("torch", ["simulate", "-o", "x"], "train"),
        ("lightning", ["train", "-o", "x"], "train"),
        ("torch", ["export", "x.pth", "-o", "x.onnx"], "train"),
    ],
)
def test_an_extra_that_is_missing_is_named(tmp_path, missing, arguments, extra):
    program = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv[1:] = {arguments!r}; "
        "import piezo1; piezo1.main()"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    sentence = f"error: this needs {missing}: pip install -c constraints.txt -e '.[{extra}]'\n"
    assert (answer.returncode, answer.stderr) == (1, sentence)


def test_every_extra_brings_what_it_is_said_to():
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    for package, extra in command_line.EXTRAS.items():
        names = [re.split("[><=]", requirement)[0].replace("-", "_") for requirement in extras[extra]]
        assert any(name == package or name.startswith(package + "_") for name in names), (
            package
        )  # PySide6_Essentials


def test_the_guides_spelling_of_options_works(piezo1, tmp_path):
    code, _, _ = piezo1(
        "simulate", "--output", str(tmp_path / "set"), "--num_samples", "2", "--frames_per_sample", "4",
        "--image_size", "32", "48", "--num_puncta_mean", "5", "--psf_type", "gaussian",
    )  # fmt: skip
    assert code == 0
    for name in ("movie.tif", "ground_truth.csv", "calcium_events.csv", "metadata.json"):
        assert (tmp_path / "set" / "sample_00001" / name).exists()


def test_the_readme_names_the_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("demo", "tests"):
        assert f"<!-- command: {name} -->\n```" in text

"""What goes wrong in a live run is contained and told, and the run finished; in one process, to break it."""

import time
from pathlib import Path

import pytest
import yaml
import zmq

from stream.load import load_config
from stream.pipeline import Supervisor
from stream.record.journal import JournalWriter
from stream.record.run import open_run

pytest.importorskip("pymmcore", reason="Micro-Manager is not installed (extra: live)")
pytestmark = pytest.mark.timeout(90)

SCENE = Path(__file__).parents[2] / "dashboard" / "demo_sample" / "movie.tif"


@pytest.fixture
def live(tmp_path):
    """Run the demo cameras in this process; gives the outcome and the readable run."""

    def run(rules=(), **more):
        path = tmp_path / "live.yaml"
        path.write_text(yaml.safe_dump({"rules": list(rules)}), encoding="utf-8")
        options = {
            "source.kind": "microscope",
            "source.delivery": "live",
            "source.max_frames": 120,
            "microscope.camera": "demo",
            "microscope.scene": SCENE,
            "microscope.exposure_ms": 20.0,
            "optics.pixel_size_nm": 108.0,
            "camera.offset": 100.0,
            "engine.name": "wavelet",
            "output.folder": tmp_path / "runs",
            **{key.replace("__", "."): value for key, value in more.items()},
        }
        outcome = Supervisor(load_config(path, options=options), transport="inproc").run()
        return outcome, open_run(outcome.folder)

    return run


def check_failed(outcome, run, words, at_least=1):
    """The run failed with that sentence, is readable, and accounts for every frame."""
    assert words in outcome.problem and "\n" not in outcome.problem
    assert run.info["state"] == f"failed: {outcome.problem}"
    counts = run.info["counts"]
    assert len(run.frames()) == counts["frames_out"] >= at_least
    assert counts["frames_in"] == counts["frames_out"] + sum(counts["missing_by_cause"].values())


def test_an_overflow_of_the_cameras_buffer(live, monkeypatch):
    from acquire.micromanager.engine_images import EngineImages

    pop = EngineImages.pop

    def slow(self):
        time.sleep(0.03 if max(self._newest.values(), default=0) >= 10 else 0)
        return pop(self)

    monkeypatch.setattr(EngineImages, "pop", slow)
    settings = {f"Demo camera {i}-FastImage": 1 for i in (1, 2)}
    outcome, run = live(
        microscope__exposure_ms=2.0,
        microscope__buffer_mb=1,
        microscope__settings=settings,
        source__max_frames=2000,
    )
    check_failed(outcome, run, "overflowed")


def test_a_hook_that_fails(live, monkeypatch):
    from acquire.micromanager.hook import Hook

    take = Hook._take

    def failing(self, pixels, tags):
        if self.n_images == 80:
            raise ZeroDivisionError("a bug")
        return take(self, pixels, tags)

    monkeypatch.setattr(Hook, "_take", failing)
    outcome, run = live()
    check_failed(outcome, run, "the hook failed: ZeroDivisionError")


def test_an_engine_that_fails(live, monkeypatch):
    from stream.analysis import Analysis

    step = Analysis.step

    def failing(self, arrival):
        if arrival.frame.seq >= 30:
            raise MemoryError("the engine has no memory")
        return step(self, arrival)

    monkeypatch.setattr(Analysis, "step", failing)
    outcome, run = live()
    check_failed(outcome, run, "the engine has no memory")


def test_a_socket_that_fails(live, monkeypatch):
    from stream.transport.sender import FrameSender

    send = FrameSender.send

    def failing(self, frame, stop):
        if frame.seq >= 30:
            raise zmq.ZMQError(zmq.ENOTSOCK)
        return send(self, frame, stop)

    monkeypatch.setattr(FrameSender, "send", failing)
    outcome, run = live()
    check_failed(outcome, run, "ZMQError")


def test_a_disk_that_is_full(live, monkeypatch):
    write = JournalWriter.write

    def full(self, batches):
        if any(name == "frames" and len(batch) for name, batch in batches.items()) and full.n > 1:
            raise OSError(28, "No space left on device")
        full.n += 1
        return write(self, batches)

    full.n = 0
    monkeypatch.setattr(JournalWriter, "write", full)
    outcome, run = live()
    check_failed(outcome, run, "No space left on device")


def test_a_users_function_that_fails_touches_nothing(live, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def fail(trigger):\n    raise KeyError('no stage')\n", encoding="utf-8"
    )
    rule = {"when": "track confirmed", "do": "call", "value": f"{tmp_path / 'mine.py'}:fail", "at_most": 3}
    outcome, run = live([rule])
    assert outcome.problem == "" and run.info["state"] == "finished"
    triggers = run.triggers()
    assert len(triggers) == 3 and not triggers["ok"].any()
    assert triggers["outcome"].str.contains("KeyError").all()


def test_a_rule_changes_the_exposure_and_stops_the_camera(live):
    rules = [
        {"when": "track confirmed", "do": "exposure", "value": 40, "at_most": 1, "name": "longer"},
        {
            "when": "calcium event at a confirmed track with snr > 8 and track_age_s > 1",
            "do": "stop",
            "at_most": 1,
        },
    ]
    outcome, run = live(rules, source__max_frames=2000)
    assert outcome.problem == "" and run.info["state"] == "finished"
    assert run.info["source"]["ended"] == "end of the acquisition"
    triggers = run.triggers()
    assert triggers["ok"].all() and set(triggers["action"]) == {"exposure", "stop"}
    assert (triggers["latency_ms"] > 0).all()
    assert len(run.frames()) < 1000

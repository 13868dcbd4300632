"""Whole live runs on Micro-Manager's demo cameras: real devices, processes, sockets and files; no Java."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from stream.load import load_config
from stream.pipeline import Supervisor
from stream.record.complete import recover
from stream.record.run import open_run

pytest.importorskip("pymmcore", reason="Micro-Manager is not installed (extra: live)")
pytestmark = pytest.mark.timeout(120)

SCENE = Path(__file__).parents[2] / "dashboard" / "demo_sample" / "movie.tif"
N_SCENE = 100
NOTICED_S = 2.0


@pytest.fixture
def live(tmp_path):
    def options(**more):
        return {
            "source.kind": "microscope",
            "source.delivery": "live",
            "microscope.camera": "demo",
            "microscope.scene": SCENE,
            "microscope.roi": [0, 0, 128, 128],
            "microscope.exposure_ms": 20.0,
            "optics.pixel_size_nm": 108.0,
            "camera.offset": 100.0,
            "engine.name": "wavelet",
            "output.folder": tmp_path / "runs",
            **{key.replace("__", "."): value for key, value in more.items()},
        }

    return options


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """The puncta of the scene itself."""
    options = {
        "source.path": SCENE,
        "optics.pixel_size_nm": 108.0,
        "camera.offset": 100.0,
        "engine.name": "wavelet",
        "output.folder": tmp_path_factory.mktemp("replayed"),
    }
    outcome = Supervisor(load_config(options=options), transport="inproc").run()
    return open_run(outcome.folder).puncta()


@pytest.mark.parametrize("backend", ["python", "sequence"])
def test_every_pair_of_two_cameras_gets_its_result(live, replayed, backend):
    """The scene tells which frame each image is; lossless, so that a slow machine loses none either."""
    settings = live(
        microscope__backend=backend,
        source__max_frames=300,
        source__delivery="lossless",
        microscope__queue_frames=300,
    )
    outcome = Supervisor(load_config(options=settings)).run()
    assert outcome.problem == ""
    opened = open_run(outcome.folder)
    assert opened.info["state"] == "finished"
    assert opened.info["counts"]["frames_in"] == opened.info["counts"]["frames_out"] == 300
    assert opened.info["counts"]["missing_by_cause"] == {}
    assert opened.frames()["frame"].tolist() == list(range(300))
    puncta = opened.puncta()
    columns = ["x_nm", "y_nm", "photons"]
    for seq in (0, 1, 57, 100, 173, 299):
        pd.testing.assert_frame_equal(
            puncta.loc[puncta["frame"] == seq, columns].reset_index(drop=True),
            replayed.loc[replayed["frame"] == seq % N_SCENE, columns].reset_index(drop=True),
        )
    steps = np.diff(opened.frames()["time_s"])
    assert 0.015 < np.median(steps) < 0.04


def test_a_slow_analysis_leaves_the_camera_alone_and_losses_are_counted_exactly(live):
    child = (sys.executable, "-m", "bench.slow_child", "0.03")
    settings = live(microscope__exposure_ms=10.0, source__max_frames=200)
    outcome = Supervisor(load_config(options=settings), child=child).run()
    opened = open_run(outcome.folder)
    counts, frames = opened.info["counts"], opened.frames()
    assert opened.info["state"] == "finished" and counts["frames_in"] == 200
    assert len(frames) < 120
    assert sum(counts["missing_by_cause"].values()) == 200 - len(frames)
    assert (np.diff(frames["frame"], prepend=-1) - 1 == frames["missing_before"]).all()
    # The camera went on at its own pace: 200 frames took about 2 s, not 6.
    assert frames["time_s"].iloc[-1] < 4.0


def started(tmp_path, *more):
    command = [sys.executable, "-m", "piezo1", "live", "--camera", "demo", "--engine", "wavelet"]
    return subprocess.Popen(
        [*command, "-o", str(tmp_path / "runs"), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def results_in(folder):
    """The run folder, as soon as its journal holds results."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for journal in folder.glob("*/journal/frames.arrow"):
            if journal.stat().st_size > 3000:
                return journal.parents[1]
        time.sleep(0.05)
    raise AssertionError("no results within 60 s")


def parts(process):
    found = {}
    for child in psutil.Process(process.pid).children():
        found.update({role: child for role in ("source", "analysis") if role in child.cmdline()})
    return found


def test_ctrl_c_ends_a_live_run_finished_and_readable(tmp_path):
    with started(tmp_path) as process:
        folder = results_in(tmp_path / "runs")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    opened = open_run(folder)
    assert opened.info["state"] == "interrupted" and len(opened.frames()) > 0
    assert opened.info["counts"]["frames_in"] == len(opened.frames()) + sum(
        opened.info["counts"]["missing_by_cause"].values()
    )


def test_a_killed_camera_process_is_noticed_and_leaves_a_finished_run(tmp_path):
    with started(tmp_path) as process:
        folder = results_in(tmp_path / "runs")
        others = parts(process)
        others["source"].kill()
        began = time.monotonic()
        others["analysis"].wait(NOTICED_S)
        output, _ = process.communicate(timeout=30)
        assert time.monotonic() - began < NOTICED_S + 1
    assert process.returncode == 1
    assert "the source disappeared after" in output
    opened = open_run(folder)
    assert opened.info["state"].startswith("failed: the source disappeared") and len(opened.frames()) > 0


def test_a_killed_analysis_releases_the_camera_and_the_run_recovers(tmp_path):
    with started(tmp_path) as process:
        folder = results_in(tmp_path / "runs")
        others = parts(process)
        others["analysis"].kill()
        others["source"].wait(NOTICED_S)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the analysis was killed by signal 9" in output and f"piezo1 recover {folder}" in output
    recover(folder)
    assert len(open_run(folder).frames()) > 0


def test_a_killed_supervisor_leaves_no_camera_running_and_a_finished_run(tmp_path):
    with started(tmp_path) as process:
        folder = results_in(tmp_path / "runs")
        others = list(parts(process).values())
        process.kill()
        process.communicate()
    _, alive = psutil.wait_procs(others, timeout=NOTICED_S + 3)
    assert not alive
    assert open_run(folder).info["state"] == "interrupted"

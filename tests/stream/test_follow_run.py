"""Whole runs beside an acquisition that another process writes as NDTiff, without any hook."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stream.load import load_config
from stream.pipeline import Supervisor
from stream.record.run import open_run

pytest.importorskip("ndstorage", reason="ndstorage is not installed (extra: live)")
pytestmark = pytest.mark.timeout(90)

WRITER = Path(__file__).parents[1] / "acquire" / "write_ndtiff.py"
WHOLE = 1 << 32


def writing(folder, n_frames, per_s):
    command = [sys.executable, str(WRITER), str(folder), str(n_frames), str(per_s), "named", str(WHOLE)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def options(tmp_path, **more):
    return {
        "source.path": tmp_path / "raw" / "cell_1",
        "source.follow": True,
        "camera.offset": 100.0,
        "engine.name": "wavelet",
        "output.folder": tmp_path / "runs",
        **more,
    }


@pytest.mark.parametrize("transport", ["inproc", None])
def test_a_data_set_is_analysed_while_it_is_written_and_misses_nothing(tmp_path, transport):
    with writing(tmp_path / "raw", 100, 25) as writer:
        outcome = Supervisor(load_config(options=options(tmp_path)), transport=transport).run()
        written_ns = [int(line) for line in writer.communicate(timeout=30)[0].split()]
    assert outcome.problem == "" and outcome.info["state"] == "finished"
    frames = open_run(outcome.folder).frames()
    assert frames["frame"].tolist() == list(range(100)) == list(range(len(written_ns)))
    assert outcome.folder.name.endswith("_cell_1")
    # The same frames as the finished data set replayed.
    replayed = Supervisor(
        load_config(options=options(tmp_path, **{"source.follow": False})), transport="inproc"
    ).run()
    live, again = open_run(outcome.folder).puncta(), open_run(replayed.folder).puncta()
    assert len(live) == len(again) > 0
    np.testing.assert_array_equal(live[["frame", "x_nm", "photons"]], again[["frame", "x_nm", "photons"]])


def test_ctrl_c_while_it_waits_for_the_data_set_is_no_failure(tmp_path):
    command = [sys.executable, "-m", "piezo1", "replay", str(tmp_path / "raw" / "cell_1"), "--follow"]
    with subprocess.Popen(
        [*command, "-o", str(tmp_path / "runs")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        deadline = time.monotonic() + 30
        while not (tmp_path / "runs").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert "waiting for" in output and "error" not in output and "Traceback" not in output


def test_a_writer_that_dies_leaves_a_readable_run_that_says_so(tmp_path):
    with writing(tmp_path / "raw", 1000, 25) as writer:
        settings = options(tmp_path, **{"source.interval_ms": 40.0})
        for _ in range(40):
            writer.stdout.readline()
        writer.kill()
        outcome = Supervisor(load_config(options=settings)).run()
    assert "was not ended by its writer" in outcome.problem
    assert 30 < len(open_run(outcome.folder).frames()) <= 41

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stream.record.complete import recover
from stream.record.run import open_run, read_info
from stream.results import StreamError

PUNCTA = 100

# Begins a run in argv[1].
BEGIN = """
import sys, time
from pathlib import Path
import numpy as np
from acquire.frame import SourceInfo
from model.camera import Camera
from model.localizations import Localizations
from stream.config import RunConfig
from stream.record.provenance import RunStart
from stream.record.recorder import Recorder
from stream.results import NO_IDS, CalciumUpdate, FrameResult, TrackUpdate

folder = Path(sys.argv[1])
source = SourceInfo("m", (2, 8, 8), None, 0.1, 110, 16, "")
start = RunStart(RunConfig(), source, "none", Camera(), 110.0, 0.1)
recorder = Recorder(folder, start)
"""

# Records frames of 100 puncta each into argv[1]: argv[2] of them, with argv[3] seconds between them, and
# tells of each when it is recorded. Then finishes the run and tells how much memory it took at most.
CHILD = f"""{BEGIN}
n_frames, pause_s = int(sys.argv[2]), float(sys.argv[3])
rng = np.random.default_rng(0)
ids = np.arange({PUNCTA})
nothing = np.empty(0, np.float32)
for seq in range(n_frames):
    puncta = Localizations.from_table(rng.uniform(0, 64, ({PUNCTA}, 9)).astype(np.float32))
    confirmed = ids if seq == 2 else NO_IDS
    tracks = TrackUpdate(ids, NO_IDS, nothing, nothing, NO_IDS, confirmed, NO_IDS, NO_IDS)
    result = FrameResult(seq, seq / 10, 0, puncta, tracks, CalciumUpdate.off({PUNCTA}, 0))
    recorder.append(result)
    if pause_s:
        print(seq, time.monotonic(), flush=True)
        time.sleep(pause_s)
recorder.flush()
print("folding", flush=True)
recorder.finish(frames_in=n_frames)
for line in Path("/proc/self/status").read_text().splitlines():
    if line.startswith("VmHWM"):
        print(line.split()[1])
"""


def record(folder: Path, n_frames: int, pause_s: float = 0.0) -> "subprocess.Popen[str]":
    folder.mkdir()
    command = [sys.executable, "-c", CHILD, str(folder), str(n_frames), str(pause_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def assert_whole(run: Path, n_frames: int) -> None:
    """All frames are there, with all of their puncta, and nothing but the results is left."""
    opened = open_run(run)
    assert opened.frames().frame.tolist() == list(range(n_frames))
    assert opened.puncta().groupby("frame").size().tolist() == [PUNCTA] * n_frames
    assert len(opened.trajectories()) == n_frames * PUNCTA
    assert opened.tracks().n_observed.tolist() == [n_frames] * PUNCTA
    assert not [path.name for path in run.iterdir() if path.suffix not in (".parquet", ".csv", ".json")]


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_run_is_recovered_but_for_its_last_second(tmp_path, seed):
    run = tmp_path / "run"
    with record(run, 10**6, 0.002) as child:
        child.stdout.readline()
        time.sleep(random.Random(seed).uniform(0.6, 1.4))
        child.kill()
        told = [line.split() for line in child.stdout.read().splitlines()]
    with pytest.raises(StreamError, match="piezo1 recover"):
        open_run(run)
    last_s = float(told[-1][1])
    owed = [int(seq) for seq, time_s in told if float(time_s) < last_s - 1.0]
    recovery = recover(run)
    assert recovery.changed
    assert recovery.info["state"] == "recovered"
    last_frame = recovery.info["counts"]["last_frame"]
    assert last_frame >= max(owed, default=0)
    assert last_frame <= int(told[-1][0])
    assert_whole(run, last_frame + 1)


@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.2, 0.3])
def test_a_run_killed_while_folding_loses_nothing(tmp_path, delay_s):
    run = tmp_path / "run"
    with record(run, 600) as child:
        assert child.stdout.readline() == "folding\n"
        time.sleep(delay_s)
        child.kill()
    recovery = recover(run)  # which finds a finished run when the child was fast
    assert recovery.info["state"] == ("recovered" if recovery.changed else "finished")
    assert_whole(run, 600)


def test_recovering_twice_changes_nothing(tmp_path):
    run = tmp_path / "run"
    with record(run, 10**6, 0.01) as child:
        child.stdout.readline()
        time.sleep(0.6)
        child.kill()
    recover(run)
    content = {path.name: path.read_bytes() for path in run.iterdir()}
    again = recover(run)
    assert not again.changed
    assert "nothing to recover" in again.message
    assert {path.name: path.read_bytes() for path in run.iterdir()} == content


def test_a_run_that_is_still_recorded_is_left_alone(tmp_path):
    run = tmp_path / "run"
    with record(run, 10**6, 0.01) as child:
        child.stdout.readline()
        with pytest.raises(StreamError, match=f"still being recorded by process {child.pid}"):
            recover(run)
        child.kill()
        while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:  # dead, but not waited for
            time.sleep(0.01)
        assert recover(run).changed


def test_a_process_that_got_the_same_number_later_is_not_the_recorder(tmp_path):
    run = tmp_path / "run"
    with record(run, 10**6, 0.01) as child:
        child.stdout.readline()
        info = read_info(run)
        info["process"]["started"] -= 3600
        (run / "run.json").write_text(json.dumps(info))
        assert recover(run).changed
        child.kill()


def test_the_journal_of_another_machine_is_kept(tmp_path):
    run = tmp_path / "run"
    with record(run, 10**6, 0.01) as child:
        child.stdout.readline()
        time.sleep(0.6)
        child.kill()
    info = read_info(run)
    info["process"]["host"] = "elsewhere"
    (run / "run.json").write_text(json.dumps(info))
    assert recover(run).info["counts"]["frames_out"] > 0
    assert len(open_run(run).puncta()) > 0
    assert (run / "journal").is_dir()


def test_torn_journals_are_recovered_and_the_run_says_so(tmp_path):
    run = tmp_path / "run"
    with record(run, 10**6, 0.002) as child:
        child.stdout.readline()
        time.sleep(1.2)
        child.kill()
    puncta = run / "journal" / "puncta.arrow"
    content = puncta.read_bytes()
    puncta.write_bytes(content[: 2 * len(content) // 3] + b"\xff" * 100)
    info = recover(run).info
    assert info["counts"]["frames_out"] > 0
    assert any("torn or missing (puncta" in warning for warning in info["warnings"])
    assert (run / "journal").is_dir()  # it holds more than could be read
    shutil.rmtree(run / "journal")
    assert_whole(run, info["counts"]["frames_out"])


def test_a_journal_that_lacks_a_table_is_kept(tmp_path):
    run = tmp_path / "run"
    with record(run, 10**6, 0.002) as child:
        child.stdout.readline()
        time.sleep(1.2)
        child.kill()
    (run / "journal" / "calcium_transients.arrow").unlink()
    info = recover(run).info
    assert any("torn or missing" in warning for warning in info["warnings"])
    assert (run / "journal" / "puncta.arrow").is_file()


@pytest.mark.parametrize("journal", ["empty", "not yet made"])
def test_a_run_killed_before_its_first_frame_is_recovered_empty(tmp_path, journal):
    (tmp_path / "analysis.log").write_text("Killed")
    command = [sys.executable, "-c", BEGIN + "print(flush=True); time.sleep(60)", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        child.stdout.readline()
        child.kill()
    if journal == "not yet made":
        shutil.rmtree(tmp_path / "journal")
    recovery = recover(tmp_path)
    assert recovery.changed
    assert recovery.message == (f"{tmp_path} is recovered: 0 frames, 0 puncta, 0 tracks, 0 calcium events")
    run = open_run(tmp_path)
    assert run.info["state"] == "recovered"
    assert run.frames().empty and run.tracks().empty
    assert not (tmp_path / "journal").exists()
    assert (tmp_path / "analysis.log").read_text() == "Killed"


def test_what_is_no_run_cannot_be_recovered(tmp_path):
    with pytest.raises(StreamError, match="not a run folder"):
        recover(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_run(tmp_path):
    peak_kib = []
    for n_frames in (500, 5000):
        with record(tmp_path / str(n_frames), n_frames) as child:
            peak_kib.append(int(child.stdout.read().split()[-1]))
    assert peak_kib[1] < 1.2 * peak_kib[0]

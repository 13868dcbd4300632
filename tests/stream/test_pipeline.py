import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import psutil
import pytest
import tifffile

from acquire.frame import SourceError
from acquire.source import MovieSource
from bench.measure import children
from model.engines.base import ModelError
from stream.analysis import Analysis
from stream.config import ConfigError
from stream.job import Job
from stream.load import load_config
from stream.pipeline import Supervisor
from stream.process import CHILD, ProcessWorker, job_endpoints
from stream.record.complete import recover
from stream.record.run import open_run
from stream.status import Note, Progress


def run(options, **kwargs):
    return Supervisor(load_config(options=options), **kwargs).run()


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
def test_every_transport_gives_the_same_finished_run(settings, transport):
    outcome = run(settings(), transport=transport)
    assert outcome.problem == ""
    opened = open_run(outcome.folder)
    assert opened.info["state"] == "finished"
    assert opened.info["source"]["longest_wait_ms"] > 0
    assert set(opened.info["source"]["cpu_ms"]) == {"read", "send"}
    assert opened.frames()["frame"].tolist() == list(range(60))
    assert len(opened.puncta()) > 300 and len(opened.tracks()) > 5
    # The same recording and configuration give the same tables, whatever carried the frames.
    reference = open_run(run(settings(), transport="inproc").folder)
    for table in ("puncta", "trajectories", "tracks", "events"):
        pd.testing.assert_frame_equal(getattr(opened, table)(), getattr(reference, table)())
    assert sorted(p.name for p in outcome.folder.iterdir() if p.suffix not in (".csv", ".parquet")) == [
        "run.json"
    ]


def test_progress_and_notes_are_told(settings):
    heard = []
    options = settings()
    del options["camera.offset"]
    run(options, transport="inproc", on_status=heard.append)
    last = [s for s in heard if isinstance(s, Progress)][-1]
    assert (last.n_out, last.n_total, last.missing) == (60, 60, 0)
    assert any(isinstance(s, Note) and "camera.offset is not given" in s.text for s in heard)


def test_one_channel_switches_the_calcium_stage_off_and_says_so(settings, sample, tmp_path):
    single = tmp_path / "single.tif"
    tifffile.imwrite(single, tifffile.imread(sample / "movie.tif")[:20, 0], photometric="minisblack")
    options = settings(source__path=single, optics__pixel_size_nm=108.0)
    outcome = run(options, transport="inproc")
    assert outcome.info["source"]["shape"][0] == 1
    assert any("calcium stage is off" in text for text in outcome.info["warnings"])
    assert any("frame interval is not recorded" in text for text in outcome.info["warnings"])
    opened = open_run(outcome.folder)
    assert len(opened.puncta()) > 100
    assert opened.events().empty and opened.puncta()["calcium_dff"].isna().all()


def test_a_truncated_movie_is_analysed_to_its_last_good_frame(settings, sample, tmp_path):
    cut = tmp_path / "cut.tif"
    whole = (sample / "movie.tif").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    options = settings(source__path=cut, optics__pixel_size_nm=108.0, channels__layout="interleaved")
    outcome = run(options, transport="inproc")
    counts = outcome.info["counts"]
    assert outcome.info["state"] == "finished"
    assert counts["frames_in"] == 60 and 20 <= counts["frames_out"] < 40
    assert counts["missing_by_cause"] == {"file is truncated": 60 - counts["frames_out"]}


def test_live_counts_what_a_slow_analysis_misses(settings):
    child = (sys.executable, "-m", "bench.slow_child", "0.03")
    outcome = run(
        settings(source__delivery="live", source__speed="realtime", source__interval_ms=10.0), child=child
    )
    counts = outcome.info["counts"]
    assert outcome.info["state"] == "finished"
    assert counts["frames_out"] < 40
    assert sum(counts["missing_by_cause"].values()) == 60 - counts["frames_out"]
    frames = open_run(outcome.folder).frames()
    assert (np.diff(frames["frame"], prepend=-1) - 1 == frames["missing_before"]).all()


def test_realtime_replay_takes_as_long_as_the_recording(settings):
    began = time.monotonic()
    run(settings(source__speed=4.0), transport="inproc")
    assert time.monotonic() - began > 59 * 0.05 / 4


def slow_run(tmp_path, sample, *more):
    """A replay in a process of its own that takes 15 s if nobody ends it."""
    command = [
        sys.executable,
        "-m",
        "piezo1",
        "replay",
        str(sample / "movie.tif"),
        "-o",
        str(tmp_path / "runs"),
    ]
    return subprocess.Popen(
        [*command, "--speed", "0.2", *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for_results(folder: Path) -> Path:
    """The run folder, as soon as its journal holds results."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for journal in folder.glob("*/journal/frames.arrow"):
            if journal.stat().st_size > 3000:
                return journal.parents[1]
        time.sleep(0.05)
    raise AssertionError("no results within 60 s")


def test_ctrl_c_ends_a_run_finished_and_readable(tmp_path, sample):
    with slow_run(tmp_path, sample) as process:
        folder = wait_for_results(tmp_path / "runs")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    opened = open_run(folder)
    assert opened.info["state"] == "interrupted"
    assert 0 < len(opened.frames()) < 60
    assert "Traceback" not in output


def test_a_killed_analysis_is_told_and_the_run_recovers(tmp_path, sample):
    with slow_run(tmp_path, sample) as process:
        folder = wait_for_results(tmp_path / "runs")
        (analysis,) = [c for c in psutil.Process(process.pid).children() if "analysis" in c.cmdline()]
        analysis.kill()
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the analysis was killed by signal 9" in output and f"piezo1 recover {folder}" in output
    recover(folder)
    assert len(open_run(folder).frames()) > 0


def test_a_killed_source_leaves_a_finished_run(tmp_path, sample):
    with slow_run(tmp_path, sample) as process:
        folder = wait_for_results(tmp_path / "runs")
        (source,) = [c for c in psutil.Process(process.pid).children() if "source" in c.cmdline()]
        source.kill()
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the source disappeared after" in output
    opened = open_run(folder)
    assert opened.info["state"].startswith("failed: the source disappeared") and len(opened.frames()) > 0


def test_a_killed_supervisor_does_not_leave_children_behind(tmp_path, sample):
    with slow_run(tmp_path, sample) as process:
        folder = wait_for_results(tmp_path / "runs")
        parts = psutil.Process(process.pid).children()
        process.kill()
        process.communicate()
    _, alive = psutil.wait_procs(parts, timeout=20)
    assert not alive
    assert open_run(folder).info["state"] == "interrupted"


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_an_analysis_that_fails_before_its_first_frame_ends_the_run(
    settings, transport, monkeypatch, tmp_path
):
    dead = tmp_path / "dead_child.py"
    dead.write_text(
        "import os, sys\n"
        "from stream import child\n"
        "from stream.job import Job\n"
        "if sys.argv[1] == 'analysis': os._exit(3)\n"
        "child.run_part(child.part('source'), Job.from_json(sys.argv[2]))\n"
    )

    def fail(name):
        raise ModelError("no engine here")

    monkeypatch.setattr("stream.analyser.warm_up", fail)
    began = time.monotonic()
    outcome = run(settings(), transport=transport, child=(sys.executable, str(dead)))
    assert time.monotonic() - began < 30
    expected = "no engine here" if transport == "inproc" else "the analysis ended with exit code 3"
    assert expected in outcome.problem
    assert outcome.info == {} and not outcome.folder.exists()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("end", "problem"),
    [("killed", "the source was killed by signal 9"), ("ctrl-c", ""), ("twice", "by a second Ctrl-C")],
)
def test_an_engine_in_preparation_is_not_waited_for_when_no_frame_will_come(settings, tmp_path, end, problem):
    slow, preparing = tmp_path / "slow_child.py", tmp_path / "preparing"
    slow.write_text(
        "import sys, time\n"
        "from stream import child\n"
        "from stream.analyser import analyse\n"
        "from stream.job import Job\n"
        "def prepare(*settings):\n"
        f"    open({str(preparing)!r}, 'w').close()\n"
        "    time.sleep(50)\n"
        "def slow(job, context, stop): analyse(job, context, stop, prepare)\n"
        "role = sys.argv[1]\n"
        "child.run_part(slow if role == 'analysis' else child.part(role), Job.from_json(sys.argv[2]))\n"
    )
    supervisor = Supervisor(load_config(options=settings()), child=(sys.executable, str(slow)))

    def break_off():
        while not preparing.exists():
            time.sleep(0.05)
        if end == "killed":
            supervisor._workers["source"].kill()
        for _ in range({"ctrl-c": 1, "twice": 2}.get(end, 0)):
            supervisor._count_signal()
            time.sleep(0.3)

    thread = Thread(target=break_off)
    thread.start()
    began = time.monotonic()
    outcome = supervisor.run()
    thread.join()
    assert time.monotonic() - began < 35
    assert problem in outcome.problem if problem else not outcome.problem
    assert outcome.info == {} and not outcome.folder.exists()


def test_a_source_that_fails_in_the_middle_ends_the_run_with_what_it_gave(settings, monkeypatch):
    real = MovieSource.frames

    def frames(self):
        for frame in real(self):
            if frame.seq == 20:
                raise MemoryError("no memory for frame 20")
            yield frame

    monkeypatch.setattr(MovieSource, "frames", frames)
    outcome = run(settings(), transport="inproc")
    assert "MemoryError: no memory for frame 20" in outcome.problem
    assert outcome.info["state"].startswith("failed: ") and outcome.info["counts"]["frames_out"] == 20


def test_a_slow_source_hears_of_a_failed_analysis(settings, monkeypatch):
    """Over inproc nothing but the analysis' word tells; the source sleeps between frames when it comes."""

    def step(self, arrival):
        if arrival.frame.seq == 3:
            raise MemoryError("no memory for frame 3")
        return real(self, arrival)

    real = Analysis.step
    monkeypatch.setattr(Analysis, "step", step)
    outcome = run(settings(source__speed=0.5), transport="inproc")
    assert "no memory for frame 3" in outcome.problem
    assert outcome.info["counts"]["frames_out"] == 3


def test_losses_beyond_the_last_frame_sent_do_not_count(settings, monkeypatch):
    """A source that is stopped while it passes over lost frames has not lost them for the run."""
    real = MovieSource.frames

    def frames(self):
        for frame in real(self):
            if frame.seq == 10:
                self._losses["never written"] += 5
                raise OSError("the disk is gone")
            yield frame

    monkeypatch.setattr(MovieSource, "frames", frames)
    info = run(settings(), transport="inproc").info
    assert info["counts"]["frames_in"] == info["counts"]["frames_out"] == 10
    assert info["counts"]["missing_by_cause"] == {} and info["counts"]["frames_missing"] == 0


def test_nohup_lets_a_run_outlive_its_terminal(tmp_path, sample):
    command = [
        sys.executable,
        "-m",
        "piezo1",
        "replay",
        str(sample / "movie.tif"),
        "-o",
        str(tmp_path / "runs"),
    ]
    with subprocess.Popen(["nohup", *command, "--speed", "2"], stdout=subprocess.PIPE, text=True) as process:
        folder = wait_for_results(tmp_path / "runs")
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=30)
    assert open_run(folder).info["state"] == "finished"


def test_a_source_without_a_supervisor_ends(settings, tmp_path):
    job = Job.of(load_config(options=settings()), str(tmp_path), job_endpoints("ipc", str(tmp_path)))
    worker = ProcessWorker(CHILD, "source", job, tmp_path / "source.log")
    time.sleep(1.5)
    assert worker.alive()
    worker.stop()
    deadline = time.monotonic() + 10
    while worker.alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not worker.alive()
    worker.close(1)


@pytest.mark.parametrize("after_s", [0.5, 1.0, 1.5, 2.5])
def test_an_early_ctrl_c_is_no_failure_and_leaves_nothing_half_made(tmp_path, sample, after_s):
    runs = tmp_path / "runs"
    with slow_run(tmp_path, sample) as process:
        deadline = time.monotonic() + 30
        while not runs.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(after_s - 0.5)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert "error" not in output and "Traceback" not in output
    for folder in runs.iterdir():
        assert open_run(folder).info["state"] == "interrupted"


def test_a_polite_kill_ends_a_run_like_ctrl_c(tmp_path, sample):
    with slow_run(tmp_path, sample, "--one-process") as process:
        folder = wait_for_results(tmp_path / "runs")
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert open_run(folder).info["state"] == "interrupted"


def test_a_dead_terminal_does_not_end_a_run(tmp_path, sample):
    command = f"{sys.executable} -m piezo1 replay {sample / 'movie.tif'} -o {tmp_path / 'runs'}"
    subprocess.run(
        ["bash", "-c", f"{command} --speed 2 | head -1"], check=True, capture_output=True, timeout=60
    )
    (folder,) = (tmp_path / "runs").iterdir()
    assert open_run(folder).info["state"] == "finished"
    full = subprocess.run(
        ["bash", "-c", f"{command} > /dev/full"], capture_output=True, text=True, timeout=60
    )
    assert full.returncode == 0 and "Traceback" not in full.stderr


def test_an_engine_that_fails_ends_the_run_with_what_was_found(settings, tmp_path):
    failing = tmp_path / "failing_child.py"
    failing.write_text(
        "import sys\n"
        "from stream import child\n"
        "from stream.analyser import analyse\n"
        "from stream.job import Job\n"
        "from model.engines.choose import choose_engine\n"
        "class Failing:\n"
        "    def __init__(self, *a): self.engine = choose_engine(*a); self.description = 'failing'\n"
        "    def prepare(self, height, width): self.engine.prepare(height, width)\n"
        "    def use_camera(self, camera): self.engine.use_camera(camera)\n"
        "    window, uses_gpu = 1, False\n"
        "    threshold = property(lambda self: self.engine.threshold)\n"
        "    def use_threshold(self, value): self.engine.use_threshold(value)\n"
        "    def step(self, frame):\n"
        "        if frame.seq == 30: raise MemoryError('out of memory on frame 30')\n"
        "        return self.engine.step(frame)\n"
        "    def flush(self): return []\n"
        "def slow(job, context, stop): analyse(job, context, stop, Failing)\n"
        "role = sys.argv[1]\n"
        "child.run_part(slow if role == 'analysis' else child.part(role), Job.from_json(sys.argv[2]))\n"
    )
    outcome = run(settings(engine__name="wavelet"), child=(sys.executable, str(failing)))
    assert "MemoryError: out of memory on frame 30" in outcome.problem
    opened = open_run(outcome.folder)
    assert opened.info["state"] == f"failed: {outcome.problem}"
    assert len(opened.frames()) == 30
    counts = opened.info["counts"]
    assert counts["missing_by_cause"] == {"not analysed, as the run failed": 1}
    assert counts["frames_in"] == 31 and counts["frames_missing"] == 1
    assert "Traceback" in (outcome.folder / "analysis.log").read_text()


def test_a_network_whose_answers_come_late_loses_no_frame(settings, exported):
    options = settings(engine__model=exported, engine__threshold=0.97, source__max_frames=8)
    heard = []
    outcome = Supervisor(load_config(options=options), transport="inproc", on_status=heard.append).run()
    assert outcome.problem == ""
    assert outcome.info["counts"]["frames_out"] == 8
    assert outcome.info["engine"].startswith("untrained network")
    assert any(isinstance(s, Note) and "engine: untrained network" in s.text for s in heard)
    puncta = open_run(outcome.folder).puncta()
    assert set(puncta["frame"]) == set(range(8)) and puncta["calcium_probability"].notna().all()


def test_a_network_that_is_missing_is_told_before_anything_starts(settings, tmp_path):
    with pytest.raises(ModelError, match=r"there is no nowhere\.onnx"):
        Supervisor(load_config(options=settings(engine__model=Path("nowhere.onnx"))))
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(not hasattr(__import__("os"), "geteuid"), reason="file size limits are POSIX")
def test_a_full_disk_is_told_and_what_was_written_is_kept(settings, tmp_path):
    limited = tmp_path / "limited_child.py"
    limited.write_text(
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from stream import child\n"
        "from stream.job import Job\n"
        "role = sys.argv[1]\n"
        "if role == 'analysis': resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "child.run_part(child.part(role), Job.from_json(sys.argv[2]))\n"
    )
    outcome = run(settings(source__speed=1.0), child=(sys.executable, str(limited)))
    assert "cannot write" in outcome.problem and "MB are free" in outcome.problem
    assert recover(outcome.folder).info["counts"]["frames_out"] > 0


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("optics__psf_sigma_nm", 5000.0, "which no PSF is"),
        ("optics__pixel_size_nm", 0.108, "which no PSF is"),
        ("camera__offset_map", Path("nowhere.tif"), "camera.offset_map: cannot read nowhere.tif"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_starts(settings, tmp_path, key, value, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Supervisor(load_config(options=settings(**{key: value})))
    assert not (tmp_path / "runs").exists()


def test_what_looks_wrong_is_said(settings):
    warnings = run(settings(camera__offset=60_000.0), transport="inproc").info["warnings"]
    assert any("darker than the camera's offset" in text for text in warnings)
    assert any("no punctum was found" in text for text in warnings)
    assert any("camera.e_per_adu = 1" in text and "optics.psf_sigma_nm" in text for text in warnings)


def test_bad_input_is_refused_before_anything_starts(settings, tmp_path):
    with pytest.raises(SourceError, match=r"nowhere\.tif"):
        Supervisor(load_config(options=settings(source__path=tmp_path / "nowhere.tif")))
    plain = tmp_path / "plain.tif"
    tifffile.imwrite(plain, np.zeros((4, 32, 32), np.uint16), photometric="minisblack")
    with pytest.raises(ConfigError, match="does not record its pixel size"):
        Supervisor(load_config(options=settings(source__path=plain)))
    assert not (tmp_path / "runs").exists()


def test_an_existing_run_folder_is_not_overwritten(settings):
    run(settings(output__name="mine", source__max_frames=3), transport="inproc")
    with pytest.raises(ConfigError, match="mine exists"):
        run(settings(output__name="mine"), transport="inproc")


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_two_runs_at_once_do_not_meet(settings, transport):
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run, settings(), transport=transport) for _ in range(2)]
        first, second = (future.result() for future in runs)
    assert first.problem == second.problem == ""
    assert first.folder != second.folder
    assert first.info["counts"] == second.info["counts"] and first.info["counts"]["frames_out"] == 60
    assert not children()

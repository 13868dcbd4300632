"""What a run does for whoever watches it: desk, pictures, health, announcement; and that it never suffers."""

import json
import os
import stat
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zmq

from acquire.frame import Frame, SourceInfo
from model.engines.base import Threshold
from stream import wire
from stream.config import RunConfig
from stream.load import load_config
from stream.process import job_endpoints
from stream.record.remarks import Remarks
from stream.record.run import open_run
from stream.status import EndWish, Note
from stream.transport.keys import load_host_keys, make_keys
from stream.transport.sockets import connect, make_socket
from stream.watch.announce import announcements
from stream.watch.desk import Desk
from stream.watch.health import GPU_EVERY_S, Gauges, gpu_memory
from stream.watch.outlets import ON_THIS_COMPUTER, open_outlets
from stream.watch.pictures import PictureSender
from stream.watch.service import KEPT_FRAMES, Watching
from stream.watch.session import kind_of, text

pytestmark = pytest.mark.timeout(60)

# --- a whole run -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
def test_a_run_tells_all_about_itself_from_beginning_to_end(live_run, transport, announced):
    run = live_run(transport)
    desk = run.bound().desk
    (announcement,) = [a for a in announcements(announced) if a.desk == desk]
    over = run.connect(zmq.SUB, run.bound().results)
    over.subscribe(b"")
    told = [run.say(wire.Ask)]
    report = run.running()
    session, health = report.session, report.health
    assert report.stage == "running" and "analysing movie" in report.doing
    assert (session.name, session.kind, session.shape) == ("movie", "simulation", (2, 64, 64))
    assert (session.n_frames, session.delivery, session.has_calcium) == (60, "lossless", True)
    assert Path(session.folder) == Path(announcement.folder) and "wavelet" in session.engine
    assert any("optics.psf_sigma_nm" in note for note in session.notes)
    assert health.disk_free_bytes > 1e6 and health.gpu is None and health.log == []
    assert (health.detection.value, health.calcium.value) == (1.0, 3.5)
    reports = [run.past(seq) for seq in (10, 25, 40)]
    for report in reports:
        health = report.health
        assert health.n_out <= health.n_sent <= 60 and health.missing == {}
        # What was sent is through, waits, or came after the source spoke: a quarter second's worth.
        assert 0 <= health.n_sent - health.n_out - health.waiting <= 8
    assert 0 < reports[-1].health.recorded <= reports[-1].health.n_out
    assert reports[-1].health.run_bytes > 1000
    assert reports[-1].run_id == told[0].run_id and len(reports[-1].run_id) > 10
    outcome = run.end()
    assert outcome.problem == "" and outcome.info["counts"]["frames_out"] == 60
    assert outcome.info["adjustments"] == outcome.info["annotations"] == []
    assert not [a for a in announcements(announced) if a.desk == desk]
    words = []
    while over.poll(200):
        words.append(over.recv_multipart())
    ended = wire.decode_over(words[-1])
    assert (ended.state, ended.problem) == ("finished", "")
    assert Path(ended.folder) == outcome.folder


def test_pictures_are_the_raw_frames_of_results_that_are_out(live_run, sample):
    import tifffile

    run = live_run()
    report = run.running()
    pictures = run.connect(zmq.SUB, report.pictures)
    pictures.subscribe(wire.FRAME_TOPIC)
    results = run.connect(zmq.SUB, report.results)
    results.subscribe(wire.RESULT_TOPIC)
    frames = []
    while len(frames) < 8:
        assert pictures.poll(5000)
        parts = pictures.recv_multipart()
        if len(parts) > 1:  # a greeting has one
            frames.append(wire.decode_frame(parts)[0])
    movie = tifffile.imread(sample / "movie.tif")
    for frame in frames:
        assert np.array_equal(frame.pixels, movie[frame.seq])
    assert [f.seq for f in frames] == sorted({f.seq for f in frames})
    seen = [wire.decode_result(results.recv_multipart()).seq for _ in range(4)]
    assert seen == list(range(seen[0], seen[0] + 4))
    assert run.end().info["counts"]["frames_out"] == 60


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_a_dashboard_ends_a_run_as_ctrl_c_does(live_run, transport):
    run = live_run(transport, source__speed=0.2)
    run.past(5)
    answer = run.say(wire.EndRun)
    assert answer.ok and answer.text == "the run is ending"
    began = time.monotonic()
    outcome = run.end()
    assert time.monotonic() - began < 10
    assert outcome.problem == "" and outcome.info["state"] == "interrupted"
    n_out = outcome.info["counts"]["frames_out"]
    assert 5 < n_out < 60 and len(open_run(outcome.folder).frames()) == n_out
    assert EndWish() in run.heard


SLOW_TO_PREPARE = """
import sys, time
from stream import child
from stream.analyser import analyse
from stream.job import Job
def slow(job, context, stop): analyse(job, context, stop, lambda *_: time.sleep(50))
role = sys.argv[1]
child.run_part(slow if role == "analysis" else child.part(role), Job.from_json(sys.argv[2]))
"""


def test_a_dashboard_ends_a_run_whose_engine_is_being_built(live_run, tmp_path, monkeypatch):
    monkeypatch.setattr("stream.pipeline.PREPARING_S", 0.5)
    child = tmp_path / "child.py"
    child.write_text(SLOW_TO_PREPARE)
    run = live_run("ipc", child=(sys.executable, str(child)))
    run.until(lambda: run.say(wire.Ask).stage == "preparing")
    refused = run.say(wire.Adjust, "detection", 2.0)
    assert not refused.ok and "not begun yet: preparing the engine for 64 × 64" in refused.text
    assert run.say(wire.EndRun).ok
    outcome = run.end()
    assert (outcome.problem, outcome.info) == ("", {}) and not outcome.folder.exists()


def test_a_dashboard_ends_a_run_that_waits_for_its_source(live_run):
    options = {"network__role": "analysis", "network__address": f"tcp://127.0.0.1:{free_port()}"}
    run = live_run("ipc", source__path=None, **options)
    assert "waiting for the source" in run.say(wire.Ask).doing
    assert run.say(wire.EndRun).ok
    outcome = run.end()
    assert (outcome.problem, outcome.info) == ("", {})


def free_port():
    """The first of seven ports that nobody uses."""
    import socket

    while True:
        sockets = []
        try:
            first = socket.socket()
            sockets.append(first)
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            for i in range(1, 7):
                sockets.append(socket.socket())
                sockets[-1].bind(("127.0.0.1", port + i))
            return port
        except (OSError, OverflowError):
            continue
        finally:
            for one in sockets:
                one.close()


def test_a_dashboard_ends_a_run_of_two_computers(live_run, tmp_path):
    address = f"tcp://127.0.0.1:{free_port()}"
    two = {"network__address": address, "source__speed": 0.2}
    source = live_run("ipc", network__role="source", output__folder=tmp_path / "source", **two)
    analysis = live_run(
        "ipc", network__role="analysis", output__folder=tmp_path / "analysis", source__path=None, **two
    )
    report = analysis.past(3)
    assert report.session.kind == "replay"  # what lies beside the movie is on the other computer
    assert analysis.say(wire.EndRun).ok
    assert analysis.end().info["state"] == "interrupted"
    outcome = source.end()
    assert outcome.problem == "" and 3 < outcome.info["sent"] < 60


def test_a_slow_live_analysis_knows_its_losses_while_it_goes_on(live_run):
    child = (sys.executable, "-m", "bench.slow_child", "0.15")
    run = live_run("ipc", child=child, source__delivery="live", source__interval_ms=50.0)
    over = run.connect(zmq.SUB, run.bound().results)
    over.subscribe(wire.OVER_TOPIC)
    health = run.past(8).health
    assert health.missing.keys() == {"passed over for a newer frame"}
    n_missing = sum(health.missing.values())
    assert n_missing > 5
    assert abs(health.n_sent - health.n_out - health.waiting - n_missing) <= 8
    counts = run.end().info["counts"]
    assert counts["frames_out"] + sum(counts["missing_by_cause"].values()) == 60
    assert counts["missing_by_cause"].keys() == {"passed over for a newer frame"}
    assert over.poll(2000)
    last = wire.decode_over(over.recv_multipart()).health  # what dashboards show when the run is over
    assert (last.n_out, last.missing) == (counts["frames_out"], counts["missing_by_cause"])
    assert last.waiting == 0 and last.recorded == last.n_out


# --- trouble -----------------------------------------------------------------------------------------------


def test_a_desk_that_cannot_be_opened_is_told_and_nothing_else(live_run, monkeypatch):
    def taken(*_):
        raise OSError("no sockets left")

    monkeypatch.setattr("stream.watch.outlets.Desk", taken)
    run = live_run(source__speed="max")
    outcome = run.end()
    assert outcome.problem == "" and outcome.info["state"] == "finished"
    assert any("no dashboard can watch this run" in note and "no sockets left" in note for note in run.notes)


@pytest.mark.parametrize("what", ["wishes", "update", "begin", "doing"])
def test_a_desk_that_fails_is_left_alone(live_run, monkeypatch, what):
    def fail(*_):
        raise RuntimeError("the desk is broken")

    monkeypatch.setattr(Desk, what, fail)
    run = live_run(source__speed="max")
    outcome = run.end()
    assert outcome.problem == "" and outcome.info["counts"]["frames_out"] == 60
    told = [note for note in run.notes if "the desk is broken" in note]
    assert len(told) == 1 and "the run goes on" in told[0]


def test_an_address_that_is_taken_leaves_dashboards_of_this_computer(live_run):
    port = free_port()
    context = zmq.Context()
    other = context.socket(zmq.ROUTER)
    other.bind(f"tcp://127.0.0.1:{port}")
    try:
        run = live_run("ipc", dashboards__address=f"tcp://127.0.0.1:{port}", source__speed=2.0)
        assert run.running().health is not None
        assert any("only dashboards on this computer can watch" in note for note in run.notes)
        assert run.end().problem == ""
    finally:
        other.close()
        context.term()


def test_a_configured_address_is_where_dashboards_call(live_run):
    port = free_port()
    run = live_run("ipc", dashboards__address=f"tcp://127.0.0.1:{port}", source__speed=2.0)
    assert run.bound().desk == f"tcp://127.0.0.1:{port}"
    report = run.running()
    assert report.results.endswith(f":{port + 1}") and report.pictures.endswith(f":{port + 2}")
    assert run.end().problem == ""


def test_who_has_no_keys_hears_nothing_and_changes_nothing(live_run, tmp_path):
    make_keys(tmp_path / "keys", "here")
    port = free_port()
    run = live_run(
        dashboards__address=f"tcp://0.0.0.0:{port}", dashboards__keys=tmp_path / "keys", source__speed=2.0
    )
    run.bound()
    own = make_socket(run.context, zmq.DEALER)
    connect(own, f"tcp://127.0.0.1:{port}", load_host_keys(tmp_path / "keys").to_itself)
    own.send_multipart(wire.encode_desk(wire.Ask(1)))
    desk, results, pictures = (
        run.connect(kind, f"tcp://127.0.0.1:{port + i}")
        for i, kind in enumerate((zmq.DEALER, zmq.SUB, zmq.SUB))
    )
    for spy in (results, pictures):
        spy.subscribe(b"")
    wishes = wire.EndRun(1), wire.Adjust(2, "detection", 3.0), wire.Annotate(3, "x", 0)
    for wish in wishes:
        desk.send_multipart(wire.encode_desk(wish))
    outcome = run.end()
    assert outcome.problem == "" and outcome.info["state"] == "finished"
    assert outcome.info["adjustments"] == outcome.info["annotations"] == []
    assert not any(spy.poll(0) for spy in (desk, results, pictures))
    assert own.poll(0)  # with them one is answered
    own.close(0)


@pytest.mark.skipif(sys.platform != "linux", reason="where this process may have as many itself")
def test_hundreds_of_connections_take_no_file_from_the_recorder(live_run):
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        run = live_run("ipc", source__speed=1.5)
        desk = run.bound().desk
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        run.context.max_sockets = 2000
        callers = [run.connect(zmq.DEALER, desk) for _ in range(400)]
        for caller in callers:
            caller.send_multipart(wire.encode_desk(wire.Ask(1)))
        assert all(caller.poll(10_000) for caller in callers)
        outcome = run.end()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert outcome.problem == "" and outcome.info["counts"]["frames_out"] == 60


# --- the parts ---------------------------------------------------------------------------------------------

THRESHOLD = Threshold(0.5, 0.02, 0.99, "probability")


@pytest.fixture
def watching(tmp_path):
    """The service with a run that is made up."""
    context, heard = zmq.Context(), []
    outlets = open_outlets(RunConfig(), context, job_endpoints("inproc", str(tmp_path)), None, heard.append)
    service = Watching(outlets, tmp_path, None, SimpleNamespace(say=heard.append))
    remarks = Remarks(tmp_path, {})
    analysis = SimpleNamespace(
        uses_gpu=False, detection=THRESHOLD, calcium=None, first_open_seq=0, use_detection=lambda value: None
    )
    recorder = SimpleNamespace(folder=tmp_path, remarks=remarks, n_recorded=0)
    receiver = SimpleNamespace(
        sent=0, n_came=0, waiting=0, skipped=0, damaged=0, lost=0, source_losses={}
    )  # fmt: skip
    session = wire.Session(
        "a", "b", "live", "c", "d", (1, 8, 8), None, 0.1, 100.0, 16, "live", False, None, "e", "", []
    )
    service.begin(session, analysis, recorder, receiver)
    yield SimpleNamespace(service=service, outlets=outlets, heard=heard, context=context)
    service.close()
    remarks.close()
    outlets.close()
    context.term()


def a_frame(seq):
    return Frame(seq, seq / 10, np.full((1, 8, 8), seq, np.uint16))


def test_frames_whose_results_never_come_are_let_go(watching):
    service = watching.service
    for seq in range(1000):
        service.take(a_frame(seq))
    assert len(service._frames) == KEPT_FRAMES
    assert min(service._frames) == 1000 - KEPT_FRAMES
    service.show(3)  # gone: no picture, no harm
    service.show(999)
    assert 999 not in service._frames and not watching.heard


def test_a_late_subscriber_gets_pictures_soon(watching):
    service = watching.service
    for seq in range(30):
        service.take(a_frame(seq))
        service.show(seq)
    line = watching.context.socket(zmq.SUB)
    line.linger = 0
    line.connect(watching.outlets.pictures.endpoint)
    line.subscribe(wire.FRAME_TOPIC)
    began, seq, pictures = time.monotonic(), 30, []
    while not pictures:
        service.take(a_frame(seq))
        service.show(seq)
        seq += 1
        if line.poll(10):
            pictures = [parts for parts in [line.recv_multipart()] if len(parts) > 1]
        assert time.monotonic() - began < 3
    frame, _ = wire.decode_frame(pictures[0])
    assert 30 <= frame.seq < seq and np.all(frame.pixels == frame.seq)
    line.close()


def test_pictures_that_fail_are_left_alone(watching, monkeypatch):
    def fail(*_):
        raise RuntimeError("no picture")

    monkeypatch.setattr(PictureSender, "wanted", fail)
    for seq in range(3):
        watching.service.take(a_frame(seq))
        watching.service.show(seq)
        watching.service.serve(seq)
    assert [type(status) for status in watching.heard] == [Note]


def test_watching_costs_the_loop_next_to_nothing(watching):
    service = watching.service
    frames = [a_frame(seq) for seq in range(3000)]
    began = time.thread_time()
    for frame in frames:
        service.take(frame)
        service.show(frame.seq)
        service.serve(frame.seq)
    assert (time.thread_time() - began) / len(frames) < 100e-6  # 1 % of a frame of 10 ms


def info(name="movie"):
    return SourceInfo(name, (1, 8, 8), None, 0.1, 100.0, 16, "")


@pytest.mark.parametrize(
    ("options", "name", "arrived_ns", "kind"),
    [
        ({"source.kind": "microscope"}, "scope", 5, "live"),
        ({"source.kind": "microscope", "microscope.camera": "demo"}, "demo", 5, "simulation"),
        ({"source.path": "simulated/movie.tif"}, "movie", None, "simulation"),
        ({"source.path": "recorded/movie.tif"}, "movie", None, "replay"),
        ({"source.path": "half/movie.tif"}, "movie", None, "replay"),
        ({"source.path": "recorded", "source.follow": True}, "demo", 5, "live"),
        ({"network.role": "analysis", "network.address": "tcp://127.0.0.1:5600"}, "scope", 5, "live"),
        ({"network.role": "analysis", "network.address": "tcp://127.0.0.1:5600"}, "demo", 5, "simulation"),
        ({"network.role": "analysis", "network.address": "tcp://127.0.0.1:5600"}, "x", None, "replay"),
    ],
)
def test_the_badge_tells_what_is_watched(options, name, arrived_ns, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, files in {
        "simulated": ["metadata.json", "ground_truth.csv"],
        "half": ["metadata.json"],
        "recorded": [],
    }.items():
        Path(folder).mkdir()
        for file in ("movie.tif", *files):
            (Path(folder) / file).touch()
    options = {key: Path(value) if key == "source.path" else value for key, value in options.items()}
    config = load_config(options=options)
    assert kind_of(config, info(name), Frame(0, 0.0, np.zeros((1, 8, 8), np.uint16), {}, arrived_ns)) == kind


def test_texts_fit_and_can_travel():
    assert len(text("x" * 100_000)) == wire.MAX_TEXT
    assert text(os.fsdecode(b"run\xff") if os.name == "posix" else "run\udcff") == "run?"


# --- health ------------------------------------------------------------------------------------------------


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A stand-in that answers with the lines it is given, and writes down how it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script, asked = folder / "answer.py", folder / "asked.json"

    def answers(lines, code=0):
        script.write_text(
            f"import json, sys\nopen({str(asked)!r}, 'w').write(json.dumps(sys.argv[1:]))\n"
            f"print({lines!r})\nsys.exit({code})\n"
        )

    if os.name == "nt":
        (folder / "nvidia-smi.bat").write_text(f'@"{sys.executable}" "{script}" %*\n')
    else:
        program = folder / "nvidia-smi"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder) + os.pathsep + os.environ["PATH"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return SimpleNamespace(answers=answers, asked=lambda: json.loads(asked.read_text()))


def test_the_memory_of_the_gpu_that_works_is_told(nvidia_smi, monkeypatch):
    nvidia_smi.answers("NVIDIA T400, 10, 2048\nNVIDIA H100 80GB HBM3, 1024, 81559")
    assert gpu_memory("torch 2.13 on NVIDIA H100 80GB HBM3, fp16") == wire.Gpu(
        "NVIDIA H100 80GB HBM3", 1024 * 2**20, 81559 * 2**20
    )
    assert gpu_memory("another").name == "NVIDIA T400"
    assert not any(argument.startswith("--id") for argument in nvidia_smi.asked())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    gpu_memory("another")
    assert "--id=3" in nvidia_smi.asked()


@pytest.mark.parametrize("lines", ["", "no devices were found", "GPU, [N/A], [N/A]", "a, b", "\udcff"])
def test_a_driver_that_talks_nonsense_tells_nothing(nvidia_smi, lines):
    nvidia_smi.answers(lines.encode("utf-8", "replace").decode(), code=9)
    assert gpu_memory("any") is None


def test_without_the_program_there_is_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_memory("any") is None


def test_gauges_follow_disk_and_gpu_and_never_wait(tmp_path, monkeypatch):
    calls = []

    def slow(engine):
        calls.append(engine)
        time.sleep(0.5)
        return wire.Gpu("slow", 1, 2)

    monkeypatch.setattr("stream.watch.health.gpu_memory", slow)
    monkeypatch.setattr("stream.watch.health.DISK_EVERY_S", 0.05)
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "puncta.arrow").write_bytes(bytes(5000))
    gauges = Gauges(tmp_path, "an engine")
    deadline = time.monotonic() + 5
    while not gauges.is_known:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert gauges.run_bytes == 5000 and gauges.disk_free_bytes > 0 and gauges.gpu is None
    gauges.uses_gpu = True
    (tmp_path / "journal" / "frames.arrow").write_bytes(bytes(1000))
    while gauges.gpu is None or gauges.run_bytes != 6000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert calls == ["an engine"] and GPU_EVERY_S > 1  # it is not asked again at once
    gauges.uses_gpu = False
    while gauges.gpu is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    gauges.close()
    gone = Gauges(tmp_path / "nowhere")
    while not gone.is_known:
        time.sleep(0.01)
    assert (gone.disk_free_bytes, gone.run_bytes) == (0, 0)
    gone.close()


def test_nothing_is_told_of_a_disk_that_has_not_answered(tmp_path, monkeypatch, live_run):
    def hang(folder):
        time.sleep(3)
        raise OSError

    monkeypatch.setattr("stream.watch.health.shutil.disk_usage", hang)
    run = live_run(source__speed=2.0)
    run.until(lambda: run.say(wire.Ask).session is not None)
    assert run.say(wire.Ask).health is None
    began = time.monotonic()
    assert run.end().info["counts"]["frames_out"] == 60
    assert time.monotonic() - began < 8


def test_local_endpoints_stand_for_any_port():
    assert ON_THIS_COMPUTER == "tcp://127.0.0.1:*"

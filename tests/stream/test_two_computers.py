"""Source and analysis as two runs of the command line, as on two computers, joined by tcp and keys."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pandas as pd
import psutil
import pytest
import zmq

from acquire.frame import Frame, SourceInfo
from stream import wire
from stream.load import load_config
from stream.pipeline import Supervisor
from stream.record.complete import recover
from stream.record.run import open_run
from stream.relay import ResultRelay
from stream.results import CalciumUpdate, FrameResult, StreamError, TrackUpdate
from stream.status import Progress, StatusReceiver
from stream.transport.gate import Gate
from stream.transport.keys import load_keys, make_keys
from stream.transport.receiver import FrameReceiver
from stream.transport.results import ResultPublisher
from stream.transport.sender import FrameSender
from stream.transport.sockets import Endpoints

pytestmark = pytest.mark.timeout(120)

NOTICED_S = 2.0
INFO = SourceInfo("test", (2, 8, 10), None, 0.01, 100.0, 16, "made by the test")


def own_address() -> str:
    """This computer's number in its network, or that of every computer for itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return probe.getsockname()[0]
    return "127.0.0.1"


def free_port() -> int:
    """The first of four ports that nobody uses."""
    while True:
        with ExitStack() as stack, suppress(OSError, OverflowError):
            sockets = [stack.enter_context(socket.socket()) for _ in range(4)]
            sockets[0].bind(("", 0))
            port = sockets[0].getsockname()[1]
            for i, other in enumerate(sockets[1:], 1):
                other.bind(("", port + i))
            return port


class Run:
    """One computer's `piezo1 replay`; collects what it prints."""

    def __init__(self, role, args):
        self.role = role
        self.process = subprocess.Popen(
            [sys.executable, "-m", "piezo1", "replay", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.lines = []
        self.reader = Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def output(self) -> str:
        return "".join(self.lines)

    def says(self, text, within_s):
        deadline = time.monotonic() + within_s
        while not re.search(text, self.output()):
            assert time.monotonic() < deadline, f"the {self.role} did not say {text!r}:\n{self.output()}"
            assert self.process.poll() is None or self.reader.is_alive(), self.output()
            time.sleep(0.02)

    def ends(self, within_s) -> int:
        code = self.process.wait(within_s)
        self.reader.join(5)
        return code

    def part(self) -> psutil.Process:
        """The process that does the work, under the one of the command line."""
        (part,) = psutil.Process(self.process.pid).children()
        return part


class TwoComputers:
    def __init__(self, folder: Path, movie: Path):
        self.folder, self.movie = folder, movie
        for name in ("microscope", "server", "stranger"):
            make_keys(folder / name, name)
            other = "server" if name == "microscope" else "microscope"
            for public in folder.glob(f"{other}/{other}.public"):
                shutil.copy(public, folder / name)
        shutil.copy(folder / "server" / "server.public", folder / "microscope")
        self.host = own_address()
        self.address = f"tcp://{self.host}:{free_port()}"
        self.runs: list[Run] = []

    def start(self, role, *more, keys=None, speed="0.2") -> Run:
        args = {
            "network.role": role,
            "network.address": self.address,
            "network.keys": self.folder / (keys or {"source": "microscope", "analysis": "server"}[role]),
            "output.folder": self.folder / role,
        }
        sets = [part for key, value in args.items() for part in ("--set", f"{key}={value}")]
        here = [str(self.movie), "--speed", speed] if role == "source" else ["--engine", "wavelet"]
        run = Run(role, [*here, *sets, "--set", "camera.offset=100", *more])
        self.runs.append(run)
        return run

    def meet(self, **options) -> tuple[Run, Run]:
        """Both, when the analysis has its first results."""
        source, analysis = self.start("source", **options), self.start("analysis", **options)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for journal in self.folder.glob("analysis/*/journal/frames.arrow"):
                if journal.stat().st_size > 3000:
                    return source, analysis
            time.sleep(0.05)
        raise AssertionError(f"no results within 60 s:\n{source.output()}\n{analysis.output()}")

    def run_folder(self) -> Path:
        (folder,) = (self.folder / "analysis").iterdir()
        return folder


@pytest.fixture
def two(tmp_path, sample):
    computers = TwoComputers(tmp_path, sample / "movie.tif")
    yield computers
    for run in computers.runs:
        if run.process.poll() is None:
            for child in psutil.Process(run.process.pid).children(recursive=True):
                child.kill()
            run.process.kill()
        run.process.wait(10)
        run.reader.join(5)
        run.process.stdout.close()


@pytest.mark.parametrize("first", ["source", "analysis"])
def test_a_whole_run_whoever_starts_first(two, settings, first):
    second = {"source": "analysis", "analysis": "source"}[first]
    runs = {first: two.start(first, speed="max")}
    runs[first].says(f"waiting for the {second}", 30)
    time.sleep(0.5)
    runs[second] = two.start(second, speed="max")
    assert [runs[role].ends(60) for role in ("source", "analysis")] == [0, 0], runs["analysis"].output()
    assert "60 frames sent; the run is where the analysis is" in runs["source"].output()
    run = open_run(two.run_folder())
    assert run.info["state"] == "finished" and len(run.frames()) == 60
    assert run.info["source"]["name"] == "movie" and run.info["counts"]["missing_by_cause"] == {}
    reference = Supervisor(load_config(options=settings(engine__name="wavelet")), transport="inproc").run()
    for table in ("puncta", "tracks", "events"):
        pd.testing.assert_frame_equal(getattr(run, table)(), getattr(open_run(reference.folder), table)())
    assert not list((two.folder / "source").iterdir())  # the source's computer records nothing
    if two.host == "127.0.0.1":
        assert "clock" not in run.info["source"]
    else:
        clock = run.info["source"]["clock"]
        assert abs(clock["offset_ms"]) <= clock["uncertainty_ms"] + 1


@pytest.mark.parametrize("what", ["part", "supervisor"])
def test_a_killed_analysis_is_noticed_by_the_other_computer(two, what):
    source, analysis = two.meet()
    victim = analysis.part() if what == "part" else psutil.Process(analysis.process.pid)
    victim.kill()
    if what == "part":
        source.says(r"the analysis disappeared after \d+ frames", NOTICED_S)
        assert (source.ends(10), analysis.ends(20)) == (1, 1)
        assert "the analysis was killed by signal 9" in analysis.output()
        recover(two.run_folder())
    else:  # the part sees that it is alone, and ends the run in order
        source.says("frames sent", NOTICED_S)
        assert (source.ends(10), analysis.ends(20)) == (0, -9)
        deadline = time.monotonic() + 10
        while open_run(two.run_folder()).info["state"] != "interrupted" and time.monotonic() < deadline:
            time.sleep(0.1)
    run = open_run(two.run_folder())
    assert run.info["state"] == ("recovered" if what == "part" else "interrupted")
    assert len(run.frames()) > 0


@pytest.mark.parametrize("what", ["part", "supervisor"])
def test_a_killed_source_leaves_a_finished_run_on_the_other_computer(two, what):
    source, analysis = two.meet()
    victim = source.part() if what == "part" else psutil.Process(source.process.pid)
    victim.kill()
    if what == "part":
        analysis.says(r"the source disappeared after \d+ frames", NOTICED_S)
        assert (source.ends(10), analysis.ends(20)) == (1, 1)
        assert "the source was killed by signal 9" in source.output()
    else:
        analysis.says("the source has ended .stopped by the user.; finishing the run", NOTICED_S)
        assert (source.ends(10), analysis.ends(20)) == (-9, 0)
    run = open_run(two.run_folder())
    expected = "failed: the source disappeared" if what == "part" else "interrupted"
    assert run.info["state"].startswith(expected) and 0 < len(run.frames()) < 60


@pytest.mark.parametrize("who", ["source", "analysis"])
def test_ctrl_c_on_either_computer_ends_the_run_on_both(two, who):
    runs = dict(zip(("source", "analysis"), two.meet(), strict=True))
    runs[who].process.send_signal(signal.SIGINT)
    for run in runs.values():
        assert run.ends(10) == 0, run.output()
        assert "error" not in run.output() and "Traceback" not in run.output()
    opened = open_run(two.run_folder())
    assert opened.info["state"] == "interrupted" and 0 < len(opened.frames()) < 60
    assert opened.info["counts"]["missing_by_cause"] == {}
    sent = int(re.search(r"(\d+) frames sent", runs["source"].output())[1])
    assert len(opened.frames()) == sent
    assert ("the analysis was ended by its user" in runs["source"].output()) == (who == "analysis")


@pytest.mark.parametrize("role", ["source", "analysis"])
def test_ctrl_c_ends_the_wait(two, role):
    run = two.start(role)
    run.says("waiting for the", 30)
    time.sleep(0.2)
    run.process.send_signal(signal.SIGINT)
    assert run.ends(8) == 0, run.output()
    assert "error" not in run.output() and not list((two.folder / role).iterdir())


def test_a_wrong_key_is_told_on_both_computers(two):
    source = two.start("source")
    source.says("waiting for the analysis", 30)
    analysis = two.start("analysis", keys="stranger")
    assert analysis.ends(30) == 1
    assert "does not know this computer's key" in analysis.output()
    source.says(f"a connection from {two.host} was refused: its key .* is not the one in network.keys", 2)
    assert source.process.poll() is None  # a stranger is no reason to give up
    right = two.start("analysis")
    right.says("engine: ", 30)
    source.process.send_signal(signal.SIGINT)
    assert source.ends(20) == 0 and right.ends(20) == 0


def test_a_port_that_is_taken_is_told(two):
    with socket.socket() as other:
        other.bind((two.host, int(two.address.rpartition(":")[2]) + 1))
        other.listen()
        source = two.start("source")
        assert source.ends(30) == 1
    assert "error: cannot listen on tcp://" in source.output() and "in use" in source.output()
    assert not list((two.folder / "source").iterdir())


# --- the same without command lines ---


@pytest.fixture
def keys(tmp_path) -> SimpleNamespace:
    two = TwoComputers(tmp_path, tmp_path)
    return SimpleNamespace(
        microscope=load_keys(two.folder / "microscope"), server=load_keys(two.folder / "server")
    )


class Cable(Thread):
    """A proxy in front of a port, which can be cut: then nothing passes any more, and nobody is told."""

    def __init__(self, endpoint):
        super().__init__(daemon=True)
        self.target = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.is_cut, self.ends = Event(), []
        self.start()

    def run(self):
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
                self.ends += [near, far]
                for pair in ((near, far), (far, near)):
                    Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source, target):
        with suppress(OSError):
            while data := source.recv(65536):
                if not self.is_cut.is_set():
                    target.sendall(data)

    def close(self):
        for end in (self.listener, *self.ends):
            end.close()


@contextmanager
def a_pair(keys, delivery="lossless", through=lambda endpoints: endpoints):
    """Sender and receiver with keys, each in a context of its own as on two computers."""
    near, far = zmq.Context(), zmq.Context()
    gate = Gate(near, keys.microscope)
    sender = FrameSender(near, Endpoints("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", ""), delivery, gate)
    stop = Event()
    receiver = FrameReceiver(far, through(sender.endpoints), delivery, stop, keys.server)
    try:
        yield sender, receiver, stop
    finally:
        receiver.close()
        far.term()
        sender.close()
        gate.close()
        near.term()


def start_source(sender, stop, seqs=(), pause_s=0.01):
    """A source in a thread; what went wrong is appended to the list that is given back."""
    problems = []

    def run():
        try:
            if sender.start(INFO, stop, 10):
                for seq in seqs:
                    sender.send(Frame(seq, seq * 0.01, np.zeros((2, 8, 10), np.uint16)), stop)
                    time.sleep(pause_s)
                stop.wait(30)
                sender.finish(len(seqs), {}, "end")
        except StreamError as error:
            problems.append(str(error))

    thread = Thread(target=run)
    thread.start()
    return thread, problems


def test_a_cable_that_is_pulled_is_noticed_at_both_ends(keys, monkeypatch):
    monkeypatch.setattr("stream.transport.sockets.DEAD_AFTER_MS", 3000)
    cables = []

    def through(endpoints):
        cables.extend(Cable(e) for e in (endpoints.frames, endpoints.control))
        return Endpoints(cables[0].endpoint, cables[1].endpoint, "")

    with a_pair(keys, "live", through) as (sender, receiver, _):
        stop = Event()
        source, problems = start_source(sender, stop, range(5000))
        receiver.start()
        for _ in range(5):
            receiver.receive()
        for cable in cables:
            cable.is_cut.set()
        cut = time.monotonic()
        with pytest.raises(StreamError, match=r"the source disappeared after \d+ frames"):
            while receiver.receive() is not None:
                pass
        assert stop.wait(5)
        source.join(60)
        assert time.monotonic() - cut < 5 + NOTICED_S
        assert re.match(r"the analysis disappeared after \d+ frames", problems[0])
    for cable in cables:
        cable.close()


def test_a_source_without_frames_hears_at_once_that_the_analysis_is_gone(keys):
    """A camera may be asked for an image a minute; it must be stopped now."""
    with a_pair(keys) as (sender, receiver, _):
        stop = Event()
        source, problems = start_source(sender, stop)
        receiver.start()
        Thread(target=receiver.receive, daemon=True)  # never started: the analysis prepares itself below
        receiver._say(wire.Prepared())
        time.sleep(0.5)
        assert not stop.is_set()
        receiver.close()
        assert stop.wait(NOTICED_S)
        source.join(10)
    assert problems == ["the analysis disappeared after 0 frames"]


def test_a_source_without_frames_hears_at_once_that_the_user_wants_an_end(keys):
    with a_pair(keys) as (sender, receiver, wish):
        stop = Event()
        source, problems = start_source(sender, stop, range(3))
        receiver.start()
        assert [receiver.receive().frame.seq for _ in range(3)] == [0, 1, 2]
        wish.set()
        began = time.monotonic()
        assert receiver.receive() is None
        assert time.monotonic() - began < NOTICED_S
        source.join(10)
    assert problems == [] and receiver.end.n_sent == 3


def a_result(seq: int) -> FrameResult:
    from model.localizations import Localizations

    nothing = Localizations.empty()
    return FrameResult(seq, seq * 0.1, 0, nothing, TrackUpdate.none(), CalciumUpdate.off(0, 0))


def test_results_come_home_to_the_microscope(keys):
    """A dashboard beside the microscope subscribes there, in the clear on its own computer."""
    here, there = zmq.Context(), zmq.Context()
    status = StatusReceiver(here, "tcp://127.0.0.1:*")
    port = free_port()
    relay = ResultRelay(
        here, f"tcp://127.0.0.1:{port}", "tcp://127.0.0.1:*", status.endpoint, keys.microscope
    )
    publisher = ResultPublisher(there, "tcp://127.0.0.1:*", f"tcp://127.0.0.1:{port}", keys.server)
    dashboard = here.socket(zmq.SUB)
    dashboard.setsockopt(zmq.SUBSCRIBE, wire.RESULT_TOPIC)
    dashboard.connect(relay.endpoint)
    deadline = time.monotonic() + 10
    seq = 0
    while not dashboard.poll(50) and time.monotonic() < deadline:
        publisher.publish(a_result(seq))
        seq += 1
    assert wire.decode_result(dashboard.recv_multipart()).seq < seq
    assert isinstance(status.receive(2000), Progress)
    publisher.close()
    there.term()
    dashboard.close(0)
    relay.close()
    status.close()
    here.term()


def test_a_relay_that_cannot_listen_leaves_nothing_behind(keys):
    context = zmq.Context()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StreamError, match="cannot listen on"):
            ResultRelay(context, f"tcp://127.0.0.1:{port}", "inproc://r", "inproc://s", keys.microscope)
    context.term()  # waits for ever when a socket or the gate was left open

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread, Timer
from types import SimpleNamespace

import numpy as np
import pytest
import zmq

from acquire.frame import Frame, SourceInfo
from stream import wire
from stream.process import job_endpoints
from stream.publisher import STOPPED, Publisher
from stream.results import StreamError
from stream.transport.clock_offset import ClockOffset
from stream.transport.receiver import FrameReceiver
from stream.transport.results import ResultPublisher
from stream.transport.sender import FrameSender

INFO = SourceInfo("test", (2, 8, 10), None, 0.01, 100.0, 16, "made by the test")


def a_frame(seq: int) -> Frame:
    return Frame(seq, seq * 0.01, np.full((2, 8, 10), seq % 65536, np.uint16))


@contextmanager
def a_pair(kind, folder, delivery) -> Iterator[tuple[FrameSender, FrameReceiver]]:
    context = zmq.Context()
    sender = FrameSender(context, job_endpoints(kind, str(folder)).stream(), delivery)
    receiver = FrameReceiver(context, sender.endpoints, delivery, Event())
    try:
        yield sender, receiver
    finally:
        sender.close()
        receiver.close()
        context.term()


class Source(Thread):
    """Sends in a thread of its own and keeps what went wrong."""

    def __init__(self, sender, seqs, *, pause_s=0.0, n_frames=None, losses=None):
        super().__init__()
        self.sender, self.seqs, self.pause_s = sender, seqs, pause_s
        self.n_frames, self.losses = n_frames, losses or {}
        self.stop, self.error = Event(), None
        self.start()

    def run(self):
        try:
            self.sender.start(INFO, self.stop, timeout_s=10)
            last = -1
            for last in self.seqs:
                self.sender.send(a_frame(last), self.stop)
                time.sleep(self.pause_s)
            self.sender.finish(self.n_frames or last + 1, self.losses, "end")
        except StreamError as error:
            self.error = str(error)


def drain(receiver, pause_s=0.0) -> list:
    arrivals = []
    while (arrival := receiver.receive()) is not None:
        assert np.all(arrival.frame.pixels == arrival.frame.seq % 65536)
        arrivals.append(arrival)
        time.sleep(pause_s)
    return arrivals


@pytest.fixture(params=["ipc", "tcp", "inproc"])
def kind(request):
    return request.param


def test_lossless_delivers_every_frame_in_order(kind, tmp_path):
    with a_pair(kind, tmp_path, "lossless") as (sender, receiver):
        source = Source(sender, range(500))
        assert receiver.start() == INFO
        arrivals = drain(receiver)
        source.join()
    assert source.error is None
    assert [a.frame.seq for a in arrivals] == list(range(500))
    assert receiver.frames_in == receiver.end.n_sent == 500


def test_lossless_makes_the_source_wait(tmp_path):
    with a_pair("inproc", tmp_path, "lossless") as (sender, receiver):
        source = Source(sender, range(60))
        receiver.start()
        receiver.receive()
        time.sleep(0.3)  # nobody receives: only the queues' worth may be under way
        assert 4 < sender.n_sent <= 2 * 4 + 2
        assert len(drain(receiver)) == 59
        source.join()


def test_what_the_source_lost_is_counted_as_missing(kind, tmp_path):
    with a_pair(kind, tmp_path, "lossless") as (sender, receiver):
        source = Source(sender, [0, 1, 5, 6], n_frames=10, losses={"never written": 6})
        receiver.start()
        arrivals = drain(receiver)
        source.join()
    assert [a.missing_before for a in arrivals] == [0, 0, 3, 0]
    assert receiver.frames_in == 10
    assert receiver.end.losses == {"never written": 6}


def test_live_never_waits_and_counts_every_missing_frame(kind, tmp_path):
    with a_pair(kind, tmp_path, "live") as (sender, receiver):
        source = Source(sender, range(120), pause_s=0.005)
        receiver.start()
        arrivals = drain(receiver, pause_s=0.03)
        source.join()
    assert source.error is None
    seqs = [a.frame.seq for a in arrivals]
    assert seqs == sorted(set(seqs)) and len(seqs) < 60
    assert receiver.frames_in == 120
    assert sum(a.missing_before for a in arrivals) == seqs[-1] + 1 - len(seqs)
    assert receiver.end is not None and receiver.end.n_sent == 120


def test_live_gives_the_newest_frame(tmp_path):
    with a_pair("ipc", tmp_path, "live") as (sender, receiver):
        source = Source(sender, range(6))
        receiver.start()
        first = receiver.receive().frame.seq
        source.join(1.0)
        assert receiver.receive().frame.seq == 5 > first
        assert receiver.skipped == 4
        assert receiver.receive() is None
        source.join()


def test_the_end_arrives_even_when_live_drops_every_frame_before_it(tmp_path):
    with a_pair("ipc", tmp_path, "live") as (sender, receiver):
        source = Source(sender, range(300))
        receiver.start()
        receiver.receive()
        source.join(1.0)
        arrivals = drain(receiver)
        source.join()
    assert receiver.frames_in == 300 and receiver.end.n_sent == 300
    assert len(arrivals) < 290  # more are sent than a queue holds


@pytest.mark.parametrize("stopped", [True, False])
def test_a_source_that_leaves_before_its_announcement(tmp_path, stopped):
    """Stopped by the user it is no problem, even when its sockets close first; otherwise it is."""
    context, stop = zmq.Context(), Event()
    sender = FrameSender(context, job_endpoints("ipc", str(tmp_path)).stream(), "lossless")
    receiver = FrameReceiver(context, sender.endpoints, "lossless", stop)
    time.sleep(0.2)
    sender.close()
    if stopped:
        Timer(0.5, stop.set).start()
        assert receiver.start() is None
    else:
        with pytest.raises(StreamError, match="the source disappeared"):
            receiver.start()
    receiver.close()
    context.term()


def test_nothing_is_sent_before_the_analysis_is_prepared(kind, tmp_path):
    with a_pair(kind, tmp_path, "live") as (sender, receiver):
        source = Source(sender, range(3))
        assert receiver.start() == INFO
        time.sleep(0.5)  # an engine is built meanwhile
        assert sender.n_sent == 0
        drain(receiver)
        source.join()
        assert (receiver.n_received + receiver.skipped, source.error) == (3, None)


def test_a_source_stopped_while_the_analysis_prepares_ends_in_peace(tmp_path):
    with a_pair("ipc", tmp_path, "lossless") as (sender, receiver):
        stop, recording = Event(), SimpleNamespace(info=INFO, frames=lambda: iter([]), losses={})
        problems = []
        publisher = Publisher(recording, sender, "max", SimpleNamespace(say=lambda status: None), stop)
        source = Thread(target=lambda: problems.append(publisher.run()))
        source.start()
        assert receiver.start() == INFO
        stop.set()
        time.sleep(0.3)
        assert receiver.receive() is None
        source.join()
        assert problems == [""] and (receiver.end.reason, receiver.end.n_frames) == (STOPPED, 0)


def test_an_analysis_that_fails_to_prepare_stops_the_source(kind, tmp_path):
    with a_pair(kind, tmp_path, "lossless") as (sender, receiver):
        source = Source(sender, range(3))
        receiver.start()
        receiver.fail("no engine works here")
        source.join()
        assert (source.error, sender.n_sent) == ("no engine works here", 0)


def test_an_empty_source_ends(kind, tmp_path):
    with a_pair(kind, tmp_path, "lossless") as (sender, receiver):
        source = Source(sender, [])
        receiver.start()
        assert receiver.receive() is None
        source.join()


def test_a_failed_analysis_stops_the_source(tmp_path):
    with a_pair("ipc", tmp_path, "lossless") as (sender, receiver):
        source = Source(sender, range(1000))
        receiver.start()
        receiver.receive()
        receiver.fail("no space left in runs/")
        source.join(10)
    assert source.error == "no space left in runs/"


def frames_then_noise(sender, n):
    yield from range(n)
    sender._frames.send_multipart([wire.FRAME_TOPIC, b"noise", b"", b""])


def test_a_damaged_frame_fails_a_lossless_run(tmp_path):
    with a_pair("inproc", tmp_path, "lossless") as (sender, receiver):
        source = Source(sender, frames_then_noise(sender, 2))
        receiver.start()
        with pytest.raises(StreamError, match="damaged message arrived after 2 frames"):
            while True:
                receiver.receive()
        receiver.fail("damaged")
        source.join(5)


def test_a_damaged_frame_is_counted_in_a_live_run(tmp_path):
    with a_pair("inproc", tmp_path, "live") as (sender, receiver):
        source = Source(sender, frames_then_noise(sender, 2), pause_s=0.1, n_frames=3)
        receiver.start()
        arrivals = drain(receiver)
        source.join(5)
    assert [a.frame.seq for a in arrivals] == [0, 1]
    assert (receiver.damaged, receiver.frames_in) == (1, 3)


def test_an_image_of_another_shape_is_refused_in_words(tmp_path):
    with a_pair("inproc", tmp_path, "lossless") as (sender, receiver):

        def wrong_shape():
            yield 0
            sender.send(Frame(1, 0.0, np.zeros((1, 8, 10), np.uint16)), Event())

        source = Source(sender, wrong_shape(), n_frames=2)
        receiver.start()
        receiver.receive()
        with pytest.raises(StreamError, match=r"shape \(1, 8, 10\), the source announced \(2, 8, 10\)"):
            receiver.receive()
        assert receiver.n_received == receiver.frames_in == 2
        receiver.fail("shape")
        source.join(5)


def test_metadata_that_is_too_large_is_refused_where_it_is_sent(tmp_path):
    with a_pair("inproc", tmp_path, "lossless") as (sender, _):
        frame = Frame(0, 0.0, np.zeros((2, 8, 10), np.uint16), {"note": "x" * 2_000_000})
        with pytest.raises(StreamError, match="metadata of frame 0 has"):
            sender.send(frame, Event())


CHILD = """
import sys, time, zmq
from threading import Event
import numpy as np
from acquire.frame import Frame, SourceInfo
from stream.transport.receiver import FrameReceiver
from stream.transport.sender import FrameSender
from stream.transport.sockets import Endpoints
role, frames, control = sys.argv[1:]
endpoints = Endpoints(frames, control, "")
if role == "analysis":
    receiver = FrameReceiver(zmq.Context(), endpoints, "lossless", Event())
    receiver.start()
    for _ in range(5):
        receiver.receive()
    print("five", flush=True)
else:
    sender = FrameSender(zmq.Context(), endpoints, "lossless")
    sender.start(SourceInfo("c", (1, 4, 4), None, 0.01, 100.0, 16, ""), Event())
    for seq in range(5):
        sender.send(Frame(seq, 0.0, np.zeros((1, 4, 4), np.uint16)), Event())
time.sleep(60)
"""


def test_a_second_analysis_is_refused_and_takes_nothing_from_the_first(kind, tmp_path):
    """Both are there before the source listens to them; each hello, ping and end has one address only."""
    with a_pair(kind, tmp_path, "lossless") as (sender, receiver):
        late = FrameReceiver(
            receiver._control.context, sender.endpoints, "lossless", Event(), None, ClockOffset()
        )
        refused = []

        def come_late():
            with pytest.raises(StreamError) as error:
                late.start(timeout_s=5)
            refused.append(str(error.value))

        second = Thread(target=come_late)
        receiver.clock = ClockOffset()
        receiver._say(wire.Hello(wire.VERSION))
        time.sleep(0.2)
        second.start()
        time.sleep(0.2)
        source = Source(sender, range(20))
        receiver.start()
        assert len(drain(receiver)) == 20
        source.join(10)
        second.join(10)
        late.close()
    assert source.error is None
    assert refused == ["the source is busy with another analysis"]


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_a_killed_analysis_is_noticed_by_the_source(transport, tmp_path):
    context = zmq.Context()
    sender = FrameSender(context, job_endpoints(transport, str(tmp_path)).stream(), "lossless")
    command = [sys.executable, "-c", CHILD, "analysis", sender.endpoints.frames, sender.endpoints.control]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        source = Source(sender, range(10_000))
        assert child.stdout.readline() == b"five\n"
        child.kill()
        killed = time.monotonic()
        source.join(10)
    assert "the analysis disappeared" in source.error
    assert time.monotonic() - killed < 5
    sender.close()
    context.term()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot hold a process up")
@pytest.mark.timeout(60)
def test_a_process_that_is_held_up_for_seconds_is_not_taken_for_dead(tmp_path):
    context = zmq.Context()
    sender = FrameSender(context, job_endpoints("ipc", str(tmp_path)).stream(), "live")
    command = [sys.executable, "-c", CHILD.replace("lossless", "live"), "analysis"]
    with subprocess.Popen(
        [*command, sender.endpoints.frames, sender.endpoints.control], stdout=subprocess.PIPE
    ) as child:
        source = Source(sender, range(100_000), pause_s=0.01)
        assert child.stdout.readline() == b"five\n"
        child.send_signal(signal.SIGSTOP)
        time.sleep(7)
        child.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        assert source.is_alive() and not source.stop.is_set()
        child.kill()
        source.join(10)
    assert "the analysis disappeared" in source.error
    sender.close()
    context.term()


def test_a_killed_source_is_noticed_by_the_analysis(tmp_path):
    context = zmq.Context()
    stream = job_endpoints("ipc", str(tmp_path)).stream()
    command = [sys.executable, "-c", CHILD, "source", stream.frames, stream.control]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        receiver = FrameReceiver(context, stream, "lossless", Event())
        receiver.start()
        assert [receiver.receive().frame.seq for _ in range(5)] == [0, 1, 2, 3, 4]
        child.kill()  # not before all five are here: what it has not yet sent dies with it
        with pytest.raises(StreamError, match="the source disappeared after 5 frames"):
            receiver.receive()
    receiver.close()
    context.term()


def test_only_this_machine_can_be_bound(tmp_path):
    context = zmq.Context()
    with pytest.raises(StreamError, match="is not on this machine"):
        ResultPublisher(context, "tcp://0.0.0.0:*")
    context.destroy()


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_a_consumer_that_stalls_for_longer_than_heartbeats_are_waited_for_loses_nothing(
    transport, tmp_path, monkeypatch
):
    monkeypatch.setattr("stream.transport.sockets.HEARTBEAT_MS", 300)
    monkeypatch.setattr("stream.transport.sockets.DEAD_AFTER_MS", 1500)
    with a_pair(transport, tmp_path, "lossless") as (sender, receiver):
        source = Source(sender, range(60))
        receiver.start()
        receiver.receive()
        time.sleep(2.5)
        assert len(drain(receiver)) == 59
        source.join()
    assert source.error is None

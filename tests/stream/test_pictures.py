"""Pictures for dashboards: only while somebody looks, only so many, and never at the analysis' cost."""

import time

import numpy as np
import pytest
import zmq

from acquire.frame import Frame
from stream import wire
from stream.results import StreamError
from stream.transport.sockets import LAST_WORD_MS
from stream.watch.pictures import MAX_BYTES_PER_S, MAX_PER_S, READ_AT_ONCE, PictureSender

pytestmark = pytest.mark.timeout(60)


def a_frame(seq=0, side=64, value=None):
    pixels = np.full((2, side, side), seq if value is None else value, np.uint16)
    return Frame(seq, seq * 0.01, pixels, {"ImageNumber": seq})


class Stage:
    """A sender, and subscribers that are closed in the end."""

    def __init__(self):
        self.here, self.there = zmq.Context(), zmq.Context()
        self.sender = PictureSender(self.here, "tcp://127.0.0.1:*", run_id="run-1")
        self.subscribers = []

    def subscriber(self, topic=wire.FRAME_TOPIC):
        socket = self.there.socket(zmq.SUB)
        socket.rcvhwm = 1
        socket.subscribe(topic)
        socket.connect(self.sender.endpoint)
        self.subscribers.append(socket)
        return socket

    def is_wanted(self, expected, timeout_s=5.0):
        """Whether the sender comes to think so."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.sender.wanted(time.monotonic()) == expected:
                return True
            time.sleep(0.01)
        return False


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    for socket in stage.subscribers:
        socket.close(0)
    stage.there.term()
    stage.sender.close()
    stage.here.term()


def receive(socket):
    assert socket.poll(5000), "no picture came"
    return wire.decode_frame(socket.recv_multipart())[0]


def test_nobody_looks_nothing_is_wanted(stage):
    assert not stage.sender.wanted(time.monotonic())
    stage.subscriber(b"something else")
    time.sleep(0.2)
    assert not stage.sender.wanted(time.monotonic())


def test_a_picture_arrives_as_it_was_even_when_its_memory_is_used_again(stage):
    socket = stage.subscriber()
    assert stage.is_wanted(True)
    sent = a_frame(7, side=512)
    stage.sender.send(sent)
    sent.pixels[:] = 9999
    received = receive(socket)
    assert (received.seq, received.time_s, received.metadata) == (7, sent.time_s, sent.metadata)
    np.testing.assert_array_equal(received.pixels, a_frame(7, side=512).pixels)


def test_subscribers_are_counted(stage):
    first, second = stage.subscriber(), stage.subscriber(b"")
    assert stage.is_wanted(True)
    first.close(0)
    time.sleep(0.2)
    assert stage.is_wanted(True)
    second.close(0)
    assert stage.is_wanted(False)
    stage.subscriber()
    assert stage.is_wanted(True)


def test_a_subscriber_that_never_stops_talking_is_not_listened_to_for_long(stage):
    """ZeroMQ hands on whatever a subscriber sends, not its subscriptions only."""
    wild = stage.there.socket(zmq.XSUB)
    stage.subscribers.append(wild)
    wild.connect(stage.sender.endpoint)
    for _ in range(5 * READ_AT_ONCE):
        wild.send(b"\x05nonsense")
    wild.send(b"\x01" + wire.FRAME_TOPIC)
    assert stage.sender._socket.poll(5000)
    time.sleep(0.2)
    assert not stage.sender.wanted(time.monotonic()) and stage.sender._socket.poll(0)
    assert stage.is_wanted(True)


def test_a_subscriber_is_greeted_with_the_run(stage):
    socket = stage.subscriber(b"")
    assert stage.is_wanted(True)
    assert socket.poll(5000)
    assert wire.decode_greeting(socket.recv_multipart()) == "run-1"


@pytest.mark.parametrize("side", [64, 1024])
def test_there_are_only_so_many_pictures_and_bytes(stage, side):
    """2 × 1024² pixels have 4 MiB: bytes limit them, not the rate."""
    stage.subscriber()
    assert stage.is_wanted(True)
    now, n, n_bytes = time.monotonic(), 0, 0
    end = now + 0.5
    while (now := time.monotonic()) < end:
        if stage.sender.wanted(now):
            frame = a_frame(n, side)
            stage.sender.send(frame)
            n, n_bytes = n + 1, n_bytes + frame.pixels.nbytes
        time.sleep(0.001)
    assert 2 <= n <= 0.5 * MAX_PER_S + 1
    assert n_bytes <= 0.5 * MAX_BYTES_PER_S + frame.pixels.nbytes
    if side == 64:
        assert n >= 0.5 * MAX_PER_S / 2


def test_a_subscriber_that_does_not_read_holds_nobody_up(stage):
    """A stopped dashboard: pictures are dropped, those that come later are new ones."""
    socket = stage.subscriber()
    assert stage.is_wanted(True)
    n, longest_s = 60, 0.0
    for seq in range(n):
        frame = a_frame(seq, side=512)
        began = time.perf_counter()
        stage.sender.send(frame)
        longest_s = max(longest_s, time.perf_counter() - began)
    assert longest_s < 0.5
    seqs = []
    while socket.poll(300):
        seqs.append(receive(socket).seq)
    assert len(seqs) < n / 2 and seqs == sorted(set(seqs))


def test_metadata_too_large_to_travel_costs_only_that_picture(stage):
    socket = stage.subscriber()
    assert stage.is_wanted(True)
    stage.sender.send(Frame(0, 0.0, a_frame().pixels, {"x": "y" * (wire.MAX_HEADER_BYTES + 1)}))
    stage.sender.send(a_frame(1))
    assert receive(socket).seq == 1


def test_a_broken_connection_does_not_wait_for_its_queue_for_ever(stage):
    """It takes `linger` from its listener as that was bound; ZeroMQ's default let runs hang at their end."""
    assert stage.sender._socket.linger == LAST_WORD_MS


def test_pictures_never_leave_in_the_clear():
    context = zmq.Context()
    with pytest.raises(StreamError, match="in the clear"):
        PictureSender(context, "tcp://0.0.0.0:*")
    context.term()

"""The source tells how far it is, so that missing frames are known by cause while the run goes on."""

import time
from collections import deque
from contextlib import contextmanager
from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from acquire.frame import Frame, SourceInfo
from stream import wire
from stream.missing import LOST, PASSED_OVER, Missing
from stream.process import job_endpoints
from stream.publisher import Publisher
from stream.status import SourceProgress
from stream.transport import sender as sender_module
from stream.transport.receiver import FrameReceiver
from stream.transport.sender import FrameSender

pytestmark = pytest.mark.timeout(60)

INFO = SourceInfo("test", (1, 4, 6), None, 0.01, 100.0, 16, "made by the test")


def a_frame(seq):
    return Frame(seq, seq * 0.01, np.full((1, 4, 6), seq, np.uint16))


class Movie:
    """A source that a test feeds: a number is a frame, None the end; what it lost is said by the test."""

    info = INFO

    def __init__(self):
        self.feed = deque()
        self.losses = {}

    def frames(self):
        while True:
            if not self.feed:
                time.sleep(0.005)
                continue
            seq = self.feed.popleft()
            if seq is None:
                return
            yield a_frame(seq)

    def close(self):
        pass


@contextmanager
def published(kind, folder, delivery):
    """A source with its publisher, and the analysis' receiver, over tcp in another context."""
    here = zmq.Context()
    there = here if kind == "inproc" else zmq.Context()
    movie, heard, stop, problems = Movie(), [], Event(), []
    sender = FrameSender(here, job_endpoints(kind, str(folder)).stream(), delivery)
    receiver = FrameReceiver(there, sender.endpoints, delivery, Event())

    def publish():
        try:
            Publisher(movie, sender, "max", SimpleNamespace(say=heard.append), stop).run()
        except Exception as error:
            problems.append(error)

    thread = Thread(target=publish)
    thread.start()
    try:
        assert receiver.start() == INFO
        yield SimpleNamespace(movie=movie, sender=sender, receiver=receiver, heard=heard, problems=problems)
    finally:
        movie.feed.append(None)
        while receiver.receive() is not None:
            pass
        receiver.close()
        thread.join(20)
        sender.close()
        here.term()
        there.term()
        assert not thread.is_alive()


def until(receiver, is_so, within_s=5.0):
    """Listen without taking frames, as in a pause, until something is so."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, vars(receiver)
        if receiver._control.poll(20):
            receiver._hear()


@pytest.mark.parametrize("kind", ["inproc", "tcp"])
@pytest.mark.parametrize("delivery", ["lossless", "live"])
def test_it_is_known_what_was_sent_lost_and_still_waits(kind, delivery, tmp_path):
    with published(kind, tmp_path, delivery) as run:
        movie, receiver = run.movie, run.receiver
        movie.feed.append(0)
        assert receiver.receive().frame.seq == 0
        until(receiver, lambda: receiver.sent == 1)
        assert (receiver.waiting, receiver.lost, receiver.source_losses) == (0, 0, {})
        movie.losses = {"camera buffer": 2}
        movie.feed.extend([3, 4, 5])
        until(receiver, lambda: receiver.sent == 4)
        assert (receiver.waiting, receiver.source_losses) == (3, {"camera buffer": 2})
        arrival = receiver.receive()
        until(receiver, lambda: receiver.end is not None or not movie.feed.append(None))
        while receiver.receive() is not None:
            pass
        skipped = receiver.skipped
        assert arrival.frame.seq == (3 if delivery == "lossless" else 5)
        assert skipped == (0 if delivery == "lossless" else 2)
        assert (receiver.sent, receiver.waiting, receiver.lost) == (4, 0, 0)
        counts = Missing(receiver)
        told = {"camera buffer": 2, **({PASSED_OVER: 2} if skipped else {})}
        assert counts.so_far() == counts.at_the_end(receiver.n_received) == told
        assert receiver.frames_in == receiver.n_received + sum(told.values()) == 6
    assert not run.problems
    assert SourceProgress(4, {"camera buffer": 2}) in run.heard


def test_frames_that_never_come_are_lost_on_the_way(tmp_path):
    with published("tcp", tmp_path, "live") as run:
        receiver = run.receiver
        run.movie.feed.append(0)
        receiver.receive()
        run.sender.n_sent += 3  # ZeroMQ dropped three
        run.movie.feed.append(4)
        assert receiver.receive().missing_before == 3
        until(receiver, lambda: receiver.sent == 5)
        assert (receiver.lost, receiver.waiting) == (3, 0)
        assert Missing(receiver).so_far() == {LOST: 3}
        run.movie.feed.append(None)
        assert receiver.receive() is None
        assert Missing(receiver).so_far() == Missing(receiver).at_the_end(receiver.n_received) == {LOST: 3}


def test_nothing_is_said_where_there_is_no_news(tmp_path):
    with published("inproc", tmp_path, "lossless") as run:
        run.movie.feed.append(0)
        run.receiver.receive()
        until(run.receiver, lambda: run.receiver.sent == 1)
        said, run.sender._say = [], lambda message: said.append(message)
        time.sleep(0.8)
        assert not said
        del run.sender._say


def test_the_end_is_said_again_where_it_found_no_room(tmp_path, monkeypatch):
    monkeypatch.setattr(sender_module, "END_EVERY_S", 0.2)
    with published("tcp", tmp_path, "lossless") as run:
        say, dropped = run.sender._say, []

        def full_at_first(message):
            if isinstance(message, wire.End) and not dropped:
                dropped.append(message)
            else:
                say(message)

        run.sender._say = full_at_first
        run.movie.feed.extend([0, None])
        assert run.receiver.receive().frame.seq == 0
        assert run.receiver.receive() is None
        assert run.receiver.end == dropped[0]


class Way:
    """Source, way and analysis as a model: what was really lost is known."""

    def __init__(self):
        self.seq = self.n_sent = self.n_dropped = self.n_source_lost = 0
        self.frames, self.words = deque(), deque()
        self.receiver = FrameReceiver.__new__(FrameReceiver)
        vars(self.receiver).update(
            n_received=0, skipped=0, damaged=0, lost=0, sent=0, waiting=0, source_losses={}, _next_seq=0
        )
        self.dropped_seqs = []

    def do(self, what):
        receiver = self.receiver
        match what:
            case "lose":  # counted when the frame is missed, which may be before earlier ones are sent
                self.n_source_lost += 1
                self.seq += 1
            case "send" | "drop":
                if what == "drop":
                    self.dropped_seqs.append(self.seq)
                else:
                    self.frames.append(self.seq)
                self.seq += 1
                self.n_sent += 1
            case "say":
                self.words.append((self.n_sent, {"lost": self.n_source_lost} if self.n_source_lost else {}))
            case "take" | "skip" if self.frames:
                seq = self.frames.popleft()
                if what == "take":
                    receiver.n_received += 1
                    receiver._next_seq = seq + 1
                else:
                    receiver.skipped += 1
            case "hear" if self.words:
                receiver._take_stock(*self.words.popleft())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["lose", "send", "send", "drop", "say", "take", "skip", "hear", "hear"]), max_size=60
    )
)
def test_no_frame_is_ever_said_to_be_lost_that_was_not(actions):
    way = Way()
    receiver = way.receiver
    for action in actions:
        way.do(action)
        assert receiver.lost <= len(way.dropped_seqs)
        assert receiver.sent <= way.n_sent and receiver.waiting >= 0
    while way.frames:
        way.do("take")
    way.do("say")
    while way.words:
        way.do("hear")
    # In the end all frames that were sent add up; those after the last that came may still be under way.
    assert receiver.sent == receiver.n_came + receiver.lost + receiver.waiting
    assert receiver.lost + receiver.waiting == len(way.dropped_seqs)

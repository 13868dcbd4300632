import time
from threading import Event, Thread

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from acquire.frame import Frame, SourceInfo
from stream import wire
from stream.config_live import NetworkConfig
from stream.network import clocks_differ
from stream.process import job_endpoints
from stream.transport.clock_offset import AGAIN_AFTER_NS, DRIFT, FIRST_PINGS, ClockOffset
from stream.transport.receiver import FrameReceiver
from stream.transport.sender import FrameSender

MS = 1_000_000
INFO = SourceInfo("test", (2, 8, 10), None, 0.01, 100.0, 16, "made by the test")


class TwoComputers:
    """The clocks of an analysis and, `ahead_ns` behind, of a source, over a network that takes time."""

    def __init__(self, ahead_ns, rate=1.0):
        self.now_ns, self.ahead_ns, self.rate = 1_000 * MS, ahead_ns, rate
        self.clock = ClockOffset(lambda: self.now_ns + 17_000 * MS, lambda: self.now_ns)

    def source_ns(self):
        return round(self.now_ns * self.rate) + 17_000 * MS - self.ahead_ns

    def true_offset_ns(self):
        return self.now_ns + 17_000 * MS - self.source_ns()

    def exchange(self, there_ns, back_ns):
        ping = self.clock.ping()
        self.now_ns += there_ns
        pong = wire.Pong(ping.number, self.source_ns(), 1)
        self.now_ns += back_ns
        self.clock.pong(pong)

    def error_ns(self):
        return abs(self.clock.offset_ns - self.true_offset_ns())


ways = st.lists(st.tuples(st.integers(0, 50 * MS), st.integers(0, 50 * MS)), min_size=1, max_size=30)


@given(st.integers(-(10**18), 10**18), ways)
def test_the_offset_is_right_to_its_bound_however_unequal_the_ways_are(ahead_ns, delays):
    two = TwoComputers(ahead_ns)
    for there_ns, back_ns in delays:
        two.exchange(there_ns, back_ns)
    assert two.error_ns() <= two.clock.uncertainty_ns
    shortest = min(there_ns + back_ns for there_ns, back_ns in delays)
    assert two.clock.uncertainty_ns <= shortest // 2 + 10 + DRIFT * 30 * 100 * MS


@given(st.floats(1 - DRIFT, 1 + DRIFT), ways)
def test_clocks_that_drift_apart_are_followed(rate, delays):
    two = TwoComputers(5_000 * MS, rate)
    for _ in range(FIRST_PINGS):
        two.exchange(MS, MS)
    for there_ns, back_ns in delays:
        two.now_ns += AGAIN_AFTER_NS
        two.exchange(there_ns, back_ns)
        since_ns = two.now_ns - two.clock._measured_ns
        # One round trip's drift is far below the ns that integers round to.
        assert two.error_ns() <= two.clock.uncertainty_ns + DRIFT * since_ns + DRIFT * 100 * MS + 2


def test_a_clock_that_is_set_in_the_run_is_believed_at_the_next_answer():
    two = TwoComputers(0)
    for _ in range(FIRST_PINGS):
        two.exchange(MS, MS)
    two.ahead_ns += 3_000 * MS  # someone corrected it by 3 s
    two.now_ns += AGAIN_AFTER_NS
    two.exchange(20 * MS, MS)
    assert two.error_ns() <= two.clock.uncertainty_ns == pytest.approx(10.5 * MS, abs=10)
    assert two.clock.summary()["moved_ms"] == pytest.approx(3000, abs=15)


def test_an_answer_to_an_old_question_is_not_believed():
    two = TwoComputers(0)
    old = two.clock.ping()
    two.exchange(MS, MS)
    known = two.clock.offset_ns
    two.now_ns += 500 * MS
    two.clock.pong(wire.Pong(old.number, two.source_ns(), 1))
    assert two.clock.offset_ns == known


def test_a_coarse_clock_is_no_better_than_its_steps():
    """Windows' steps are 16 ms long; the round trip says nothing of that."""
    two = TwoComputers(0)
    ping = two.clock.ping()
    two.now_ns += MS
    two.clock.pong(wire.Pong(ping.number, two.source_ns() - 15 * MS, 16 * MS))
    assert two.error_ns() <= two.clock.uncertainty_ns <= 17 * MS


def test_a_source_that_never_answers_leaves_the_offset_unknown():
    assert ClockOffset().summary() == {"offset_ms": None}


@pytest.mark.parametrize(
    ("network", "differ"),
    [
        (NetworkConfig(), False),
        (NetworkConfig(role="analysis", address="tcp://127.0.0.1:5600"), False),
        (NetworkConfig(role="analysis", address="tcp://192.168.1.20:5600"), True),
    ],
)
def test_one_computer_has_one_clock(network, differ):
    assert clocks_differ(network) == differ


@pytest.mark.timeout(60)
def test_times_of_frames_arrive_on_the_clock_of_the_analysis(tmp_path):
    """This analysis' clock is an hour ahead of the source's, over real sockets."""
    hour_ns = 3600 * 1000 * MS
    clock = ClockOffset(lambda: time.time_ns() + hour_ns)
    context, stop = zmq.Context(), Event()
    sender = FrameSender(context, job_endpoints("tcp", str(tmp_path)).stream(), "lossless")
    receiver = FrameReceiver(context, sender.endpoints, "lossless", stop, clock=clock)
    arrived_ns = time.time_ns()

    def send():
        sender.start(INFO, stop, 10)
        for seq, at_ns in enumerate((arrived_ns, None)):
            pixels = np.zeros((2, 8, 10), np.uint16)
            sender.send(Frame(seq, seq * 0.01, pixels, arrived_ns=at_ns), stop)
        sender.finish(2, {}, "end")

    source = Thread(target=send)
    source.start()
    assert receiver.start() == INFO
    first, second = receiver.receive(), receiver.receive()
    assert receiver.receive() is None
    source.join(10)
    summary = clock.summary()
    assert summary["offset_ms"] == pytest.approx(3600e3, abs=summary["uncertainty_ms"] + 1)
    assert summary["uncertainty_ms"] < 50  # on a busy computer; 0.1 on a quiet one
    assert first.frame.arrived_ns == first.origin_ns == arrived_ns + clock.offset_ns
    assert second.frame.arrived_ns is None
    now_ns = time.time_ns() + hour_ns
    assert 0 < now_ns - second.sent_ns < 10_000 * MS
    sender.close()
    receiver.close()
    context.term()

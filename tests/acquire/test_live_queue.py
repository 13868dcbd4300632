from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquire.frame import Frame, SourceError
from acquire.live import RECENT, NewestQueue

PIXELS = np.zeros((1, 2, 2), np.uint16)


def frame(seq):
    return Frame(seq, seq / 10, PIXELS, arrived_ns=1000 + seq)


@given(st.integers(1, 5), st.lists(st.integers(0, 3), max_size=30))
def test_what_is_dropped_is_the_oldest_and_counted(size, takes):
    queue, seq, given_out = NewestQueue(size), 0, []
    reader = iter(queue)
    for n_takes in takes:
        queue.put(frame(seq))
        seq += 1
        waiting = seq - len(given_out) - queue.lost
        given_out += [next(reader).seq for _ in range(min(n_takes, waiting))]
    queue.close()
    given_out += [left.seq for left in reader]
    assert given_out == sorted(set(given_out))
    assert len(given_out) + queue.lost == seq
    assert not takes or given_out[-1] == seq - 1  # the newest frame always wins


def test_a_problem_is_raised_after_the_last_frame():
    queue = NewestQueue(4)
    for seq in range(3):
        queue.put(frame(seq))
    queue.close(SourceError("the camera is unplugged"))
    queue.close()
    queue.put(frame(3))  # too late
    taken = []
    with pytest.raises(SourceError, match="unplugged"):
        for given_out in queue:
            taken.append(given_out.seq)
    assert taken == [0, 1, 2] and queue.lost == 0


@pytest.mark.timeout(20)
def test_a_waiting_reader_gets_the_next_frame_and_the_end():
    queue, taken = NewestQueue(4), []
    reader = Thread(target=lambda: taken.extend(f.seq for f in queue))
    reader.start()
    queue.put(frame(0))
    queue.close()
    reader.join(10)
    assert taken == [0] and not reader.is_alive()


def test_arrivals_are_remembered_for_a_while():
    queue = NewestQueue(2)
    for seq in range(RECENT + 10):
        queue.put(frame(seq))
    assert queue.arrived_ns(9) is None
    assert queue.arrived_ns(RECENT + 9) == 1000 + RECENT + 9

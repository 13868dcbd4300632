import numpy as np
import pytest

from stream.clock import LONGEST_PAUSE, Clock


def test_a_steady_clock_is_taken_as_it_is():
    clock = Clock(0.1, 5)
    for seq in range(20):
        clock.advance(seq, 7.0 + 0.3 * seq)  # three times slower than was said
    assert clock.now_s == pytest.approx(7.0 + 0.3 * 19)
    assert clock.interval_s == pytest.approx(0.3)


def test_missing_frames_are_no_longer_interval():
    clock = Clock(0.1, 5)
    for seq in (0, 1, 2, 40, 41):
        clock.advance(seq, 0.1 * seq)
    assert clock.interval_s == pytest.approx(0.1)
    assert clock.now_s == pytest.approx(4.1)


@pytest.mark.parametrize("leap_s", [3600.0, -3600.0, -0.1])
def test_a_leap_is_one_interval(leap_s):
    clock = Clock(0.1, 5)
    told = [(seq, 0.1 * seq + leap_s * (seq >= 10)) for seq in range(20)]
    assert np.diff([clock.advance(*t) * 0 + clock.now_s for t in told]) == pytest.approx(0.1)


def test_a_pause_counts():
    clock = Clock(0.1, 0)
    clock.advance(0, 0.0)
    assert clock.advance(1, 0.1 * LONGEST_PAUSE) == pytest.approx(0.1 * LONGEST_PAUSE)


def test_frames_come_in_order():
    clock = Clock(0.1, 5)
    clock.advance(3, 0.3)
    with pytest.raises(ValueError, match="frame 3 came to the tracker after frame 3"):
        clock.advance(3, 0.4)

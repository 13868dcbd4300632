"""The window, with a session that says which step its answers are of."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.engines.base import ModelError
from model.engines.session import Table
from model.engines.window import Shown, Tag, Window
from model.localizations import COLUMNS


class Counting:
    """Its table holds one punctum, whose every number is how many steps there were before."""

    description = "counting"

    def __init__(self, max_under_way: int) -> None:
        self.max_under_way = max_under_way
        self.shown: list[tuple[int, bool, float]] = []
        self._under_way: deque[int] = deque()

    def submit(self, counts: np.ndarray, present: bool, threshold: float) -> None:
        self._under_way.append(len(self.shown))
        assert len(self._under_way) <= self.max_under_way
        self.shown.append((int(counts.flat[0]), present, threshold))

    def collect(self) -> Table:
        return np.full((1, len(COLUMNS)), self._under_way.popleft(), np.float32)

    def restart(self, keep_baseline: bool) -> None:
        assert not self._under_way


class Wild(Counting):
    def collect(self) -> Table:
        table = super().collect()
        table[0, :-1] = np.nan
        return table


def shown(k: int) -> Shown:
    return Shown(np.full((1, 2, 2, 2), k, np.uint8), Tag(10 + k, k % 2 == 0))


under_way = pytest.mark.parametrize("max_under_way", [1, 2])
windows = st.sampled_from([1, 3, 5])


@under_way
@given(n_frames=windows, n_shown=st.integers(0, 9))
def test_every_frame_is_answered_once_and_in_order(max_under_way: int, n_frames: int, n_shown: int) -> None:
    """Each by the step that sees as many frames after it as before; then all begins anew."""
    session = Counting(max_under_way)
    window = Window(session, n_frames)
    late = n_frames // 2
    for _ in range(2):
        before = len(session.shown)
        found = []
        for k in range(n_shown):
            found += window.show(shown(k), 0.4)
            answered = max(0, k + 1 - late - (max_under_way - 1))
            assert len(found) == answered
            assert window.owed() == {shown(j).tag for j in range(answered, k + 1)}
        found += window.finish(0.4)
        assert [tag for tag, _ in found] == [shown(k).tag for k in range(n_shown)]
        assert [table[0, 0] for _, table in found] == [before + k + late for k in range(n_shown)]
        assert window.owed() == set() and window.finish(0.4) == []
        session.restart(keep_baseline=True)
        real = session.shown[before : before + n_shown]
        assert real == [(k, True, 0.4) for k in range(n_shown)]
        after = session.shown[before + n_shown :]
        assert len(after) == min(late, n_shown) + max(0, late - n_shown) * bool(n_shown)
        assert not any(present for _, present, _ in after)


@under_way
@given(n_frames=windows, n_shown=st.integers(1, 9))
def test_what_is_recent_is_enough_to_answer_what_is_owed(
    max_under_way: int, n_frames: int, n_shown: int
) -> None:
    """Shown to a new window, each owed frame has the frames before it that its answer depends on."""
    window = Window(Counting(max_under_way), n_frames)
    for k in range(n_shown):
        window.show(shown(k), 0.4)
    recent = [frame.tag.seq for frame in window.recent]
    assert recent == list(range(recent[0], 10 + n_shown))
    needed = min(tag.seq for tag in window.owed() | {shown(n_shown).tag}) - n_frames // 2
    assert recent[0] <= max(needed, 10)


@under_way
def test_numbers_that_are_none_are_refused(max_under_way: int) -> None:
    window = Window(Wild(max_under_way), 3)
    with pytest.raises(ModelError, match="answers are not finite numbers"):
        for k in range(3):
            window.show(shown(k), 0.4)

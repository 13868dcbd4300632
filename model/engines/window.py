"""Which frame a step answers for, and what to show again when a session fails."""

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.engines.session import Session, Table, check_numbers


class Tag(NamedTuple):
    """A frame that an answer is owed for: its number, and whether it has a calcium channel."""

    seq: int
    has_calcium: bool


class Shown(NamedTuple):
    """What a session is shown in one step: counts (C, H, W, 2), and the frame they are, None if absent."""

    counts: NDArray[np.uint8]
    tag: Tag | None


Found = list[tuple[Tag, Table]]


class Window:
    """The frames of a movie in one piece, shown to a session one by one.

    Parameters
    ----------
    session
        Newly opened or restarted.
    n_frames
        Frames that the network sees; the answer for a frame comes `n_frames // 2` steps later.
    """

    def __init__(self, session: Session, n_frames: int) -> None:
        self._session = session
        self._late = n_frames // 2
        self._line: deque[Tag | None] = deque()  # shown, their answer has not been computed
        self._under_way: deque[Tag | None] = deque()  # the answers of the steps under way
        # All that the answers owed depend on.
        self.recent: deque[Shown] = deque(maxlen=2 * self._late + 1 + session.max_under_way)

    def owed(self) -> set[Tag]:
        """Frames that have not been answered."""
        return {tag for tag in (*self._under_way, *self._line) if tag is not None}

    def show(self, shown: Shown, threshold: float) -> Found:
        """Take a step; give the answers that are ready."""
        self.recent.append(shown)
        self._line.append(shown.tag)
        self._session.submit(shown.counts, shown.tag is not None, threshold)
        self._under_way.append(self._line.popleft() if len(self._line) > self._late else None)
        return self._collect(self._session.max_under_way - 1)

    def finish(self, threshold: float) -> Found:
        """Show that nothing follows until every frame is answered."""
        found: Found = []
        while any(tag is not None for tag in self._line):
            found += self.show(Shown(self.recent[-1].counts, None), threshold)
        found += self._collect(0)
        self._line.clear()
        return found

    def _collect(self, left: int) -> Found:
        """Answers of the oldest steps, until `left` are under way."""
        found: Found = []
        while len(self._under_way) > left:
            table = self._session.collect()
            check_numbers(table)
            tag = self._under_way.popleft()
            if tag is not None:
                found.append((tag, table))
        return found

"""Which calcium events a rule has fired on already: each only once, whichever tracks see it."""

import math
from collections import deque
from dataclasses import dataclass

from stream.calcium.detector import HEIR_PX
from stream.calcium.handover import SAME_EVENT_FRAMES, SAME_EVENT_PX
from stream.results import TrackUpdate


@dataclass(frozen=True, slots=True)
class _Fired:
    """An event that a rule fired on: the frame in which it opened, and where it was then, pixels."""

    opened: int
    x: float
    y: float


class FiredEvents:
    """The events that one rule fired on.

    Parameters
    ----------
    longest_frames
        An event that opened longer ago cannot be on any more.
    """

    def __init__(self, longest_frames: int) -> None:
        self._longest = longest_frames
        self._of_track: dict[int, int] = {}  # frame in which the last one of a living track opened
        self._recent: deque[_Fired] = deque()

    def is_new(self, track_id: int, opened: int, x: float, y: float) -> bool:
        """Whether the event of a track, now at x, y (pixels), is a new one; from now on it is not."""
        last = self._of_track.get(track_id)
        self._of_track[track_id] = opened
        if last is not None:
            return last != opened
        if any(self._is_same(other, opened, x, y) for other in self._recent):
            return False
        self._recent.append(_Fired(opened, x, y))
        return True

    def forget(self, seq: int, tracks: TrackUpdate) -> None:
        """Go on to frame `seq`: what is long over, or at tracks that have ended, is not needed any more."""
        for track_id in (*tracks.died.tolist(), *tracks.dropped.tolist()):
            self._of_track.pop(track_id, None)
        while self._recent and self._recent[0].opened < seq - self._longest:
            self._recent.popleft()

    def _is_same(self, other: _Fired, opened: int, x: float, y: float) -> bool:
        """As the calcium stage judges: an event that an heir took over, or one that two tracks see."""
        away = math.hypot(other.x - x, other.y - y)
        if other.opened == opened:
            return away < HEIR_PX
        return away < SAME_EVENT_PX and abs(other.opened - opened) < SAME_EVENT_FRAMES

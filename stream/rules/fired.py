"""Which calcium events a rule has fired on already: each only once, whichever tracks see it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from stream.calcium.detector import HEIR_PX
from stream.calcium.handover import SAME_EVENT_FRAMES, SAME_EVENT_PX
from stream.results import TrackUpdate


@dataclass(frozen=True, slots=True)
class _Fired:
    """An event that a rule fired on: its track, and where it was then, pixels."""

    track_id: int
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
        self._recent: dict[int, list[_Fired]] = {}  # by the frame in which they opened

    def is_new(self, track_id: int, opened: int, x: float, y: float) -> bool:
        """Whether the event of a track, now at x, y (pixels), is a new one; from now on it is not."""
        last = self._of_track.get(track_id)
        self._of_track[track_id] = opened
        if last == opened or any(
            math.hypot(other.x - x, other.y - y) < near
            for other, near in self._candidates(opened)
            # What one track sees, one after the other, are different events.
            if other.track_id != track_id
        ):
            return False
        self._recent.setdefault(opened, []).append(_Fired(track_id, x, y))
        return True

    def forget(self, seq: int, tracks: TrackUpdate) -> None:
        """Go on to frame `seq`: what is long over, or at tracks that have ended, is not needed any more."""
        for track_id in (*tracks.died.tolist(), *tracks.dropped.tolist()):
            self._of_track.pop(track_id, None)
        while self._recent and (first := next(iter(self._recent))) < seq - self._longest:
            del self._recent[first]

    def _candidates(self, opened: int) -> Iterator[tuple[_Fired, float]]:
        """What may be an event that opened then, and how near it must be for that, pixels.

        As the calcium stage judges: an event that an heir took over, or one that two tracks see.
        """
        for frame in range(opened - SAME_EVENT_FRAMES + 1, opened + SAME_EVENT_FRAMES):
            for other in self._recent.get(frame, ()):
                yield other, HEIR_PX if frame == opened else SAME_EVENT_PX

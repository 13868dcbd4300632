"""Events over time, a row for each track that had one."""

import numpy as np
from numpy.typing import NDArray

from dashboard.models.panels import Array, RasterView
from stream.results import FrameResult, Ids

MOST_EVENTS = 5_000
MOST_ROWS = 200  # more cannot be told apart on a screen


class Raster:
    """Keeps when events were.

    A track's place among the rows is that of its first event, so that rows move up as others leave the window
    but never change their order.

    Parameters
    ----------
    most_events
        Events kept; the oldest make room.
    most_rows
        Rows shown; the tracks with the newest events get them.
    """

    def __init__(self, most_events: int = MOST_EVENTS, most_rows: int = MOST_ROWS) -> None:
        self._most_events, self._most_rows = most_events, most_rows
        self.clear()

    def clear(self) -> None:
        """Forget everything: another run."""
        n = self._most_events
        self._onset: Array = np.zeros(n)
        self._end: Array = np.zeros(n)
        self._track: Ids = np.zeros(n, np.int64)
        self._first: NDArray[np.int64] = np.zeros(n, np.int64)  # number of the track's first event
        self._n = 0
        self._known: dict[int, list[int]] = {}  # by track: number of its first event, and of events kept

    def add(self, result: FrameResult) -> None:
        """Take in the events that ended."""
        for event in result.calcium.events:
            at = self._n % self._most_events
            if self._n >= self._most_events:
                lost = self._known[int(self._track[at])]
                lost[1] -= 1
                if not lost[1]:
                    del self._known[int(self._track[at])]
            known = self._known.setdefault(event.track_id, [self._n, 0])
            known[1] += 1
            self._onset[at], self._end[at] = event.onset_s, event.end_s
            self._track[at], self._first[at] = event.track_id, known[0]
            self._n += 1

    def view(self, seconds: float, now_s: float) -> RasterView:
        """Events of the last `seconds` before the moment `now_s` (both on the camera's clock)."""
        kept = slice(0, min(self._n, self._most_events))
        onset, end, track, first = self._onset[kept], self._end[kept], self._track[kept], self._first[kept]
        here = np.flatnonzero((end >= now_s - seconds) & (onset <= now_s))
        firsts, row = np.unique(first[here], return_inverse=True)
        if len(firsts) > self._most_rows:
            newest = np.full(len(firsts), -np.inf)
            np.maximum.at(newest, row, end[here])
            stays = np.zeros(len(firsts), np.bool_)
            stays[np.argsort(newest, kind="stable")[-self._most_rows :]] = True
            here = here[stays[row]]
            firsts, row = np.unique(first[here], return_inverse=True)
        tracks = np.zeros(len(firsts), np.int64)
        tracks[row] = track[here]
        return RasterView(onset[here], end[here], row.astype(np.int64), tracks, now_s)

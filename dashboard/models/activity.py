"""How active tracks are, and which of them are shown: traces that jump about cannot be read.

A track is more active than another if it had more events lately (each counts less as it gets older, one that
is on counts in full); without events, if its ΔF/F0 reached farther above its noise lately.
"""

import math

import numpy as np
from numpy.typing import NDArray

from stream.results import Ids

Mask = NDArray[np.bool_]
Values = NDArray[np.float32]

RECENT_S = 20.0  # time constant of "lately": the length of the traces that is shown at first
EVENT = 100.0  # standard deviations that an event counts for …
HIGHEST_Z = 50.0  # … more than any height without one
# Noise: below zero there is nothing else, whatever calcium does (so does the detector).
NOISE_RATE = 0.02  # of the exponential mean of the squares below zero
MIN_BELOW = 8  # values below zero that tell the noise: to a quarter of it
MIN_FRAMES = 5  # measured, before a track is shown: most tentative tracks that are none have fewer
# A trace keeps its place for so many redraws, two seconds of them, …
HOLD_DRAWS = 60
# … and after that gives way only to one that is so much more active.
AHEAD = 1.5


# What is known of a row: frames measured, those below zero, mean square of these, events that ended (faded),
# whether one is on, and the highest ΔF/F0 over noise (faded).
FRAMES, BELOW, SQUARE, EVENTS, OPEN, HEIGHT = range(6)


class Activity:
    """Noise and recent activity of `n` rows."""

    def __init__(self, n: int) -> None:
        self._of: Values = np.zeros((6, n), np.float32)

    def grow(self, n: int) -> None:
        """Make room for rows up to `n`."""
        more = np.zeros((6, n - self._of.shape[1]), np.float32)
        self._of = np.concatenate([self._of, more], axis=1)

    def begin(self, rows: NDArray[np.intp]) -> None:
        """These rows have new tracks."""
        self._of[:, rows] = 0

    def add(self, rows: NDArray[np.intp], dff: Values, is_open: Mask, elapsed_s: float) -> None:
        """Take in a frame, `elapsed_s` after the last: ΔF/F0 of some rows, and whether an event is on."""
        of = self._of
        of[EVENTS : HEIGHT + 1] *= np.float32(math.exp(-elapsed_s / RECENT_S))
        of[OPEN] = 0
        of[OPEN, rows] = is_open
        of[FRAMES, rows] += 1
        quiet = dff < 0
        below = of[BELOW, rows] + quiet
        square = of[SQUARE, rows]
        square += quiet * np.maximum(1 / np.maximum(below, 1), NOISE_RATE) * (dff * dff - square)
        of[BELOW, rows], of[SQUARE, rows] = below, square
        z = np.minimum(dff / np.sqrt(np.maximum(square, np.float32(1e-12))), HIGHEST_Z)
        of[HEIGHT, rows] = np.maximum(of[HEIGHT, rows], z * (below >= MIN_BELOW))

    def count_event(self, row: int) -> None:
        """An event of this row has ended."""
        self._of[EVENTS, row] += 1

    def noise(self, rows: NDArray[np.intp]) -> Values:
        """Standard deviation of ΔF/F0 at rest, NaN where too little was seen, (n,)."""
        known, square = self._of[BELOW, rows] >= MIN_BELOW, self._of[SQUARE, rows]
        noise: Values = np.where(known, np.sqrt(square), np.float32(np.nan))
        return noise

    def is_known(self) -> Mask:
        """Whether each row was measured often enough to be shown, (rows,)."""
        known: Mask = self._of[FRAMES] >= MIN_FRAMES
        return known

    def value(self) -> Values:
        """How active each row is, (rows,)."""
        value: Values = np.float32(EVENT) * (self._of[EVENTS] + self._of[OPEN]) + self._of[HEIGHT]
        return value


class Places:
    """Which tracks are shown, and in which order; each keeps its place as long as it can."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._held: list[int] = []  # redraws

    def clear(self) -> None:
        """Nothing is shown."""
        self._ids, self._held = [], []

    def settle(self, n: int, ids: Ids, value: Values) -> list[int]:
        """Choose for a redraw.

        Parameters
        ----------
        n
            Tracks to show at most.
        ids, value
            Tracks that could be shown, and how active they are, (m,).

        Returns
        -------
        list
            Tracks from top to bottom. One that is no longer among `ids` is replaced where it was.
        """
        best = min(2 * n + len(self._ids), len(ids))  # more than that cannot come into question
        order = np.argpartition(-value, best - 1)[:best] if best else np.empty(0, np.intp)
        order = order[np.argsort(-value[order], kind="stable")]
        worth = dict(zip(ids[order].tolist(), value[order].tolist(), strict=True))
        shown = set(self._ids)
        waiting = [i for i in worth if i not in shown]  # the most active first
        for track in shown - worth.keys():
            at = np.flatnonzero(ids == track)
            if len(at):
                worth[track] = float(value[at[0]])
        self._held = [held + 1 for held in self._held]
        for place, track in enumerate(self._ids):
            if track not in worth:
                self._put(place, waiting.pop(0) if waiting else None)
        self._ids, self._held = self._without_empty()
        while len(self._ids) > n:
            least = min(range(len(self._ids)), key=lambda k: worth[self._ids[k]])
            del self._ids[least], self._held[least]
        while len(self._ids) < n and waiting:
            self._ids.append(waiting.pop(0))
            self._held.append(0)
        # The least active ones first give way to the most active that wait.
        for place in sorted(range(len(self._ids)), key=lambda k: worth[self._ids[k]]):
            if not waiting or worth[waiting[0]] <= AHEAD * worth[self._ids[place]]:
                break
            if self._held[place] >= HOLD_DRAWS:
                self._put(place, waiting.pop(0))
        return list(self._ids)

    def current(self) -> list[int]:
        """Those chosen last."""
        return list(self._ids)

    def _put(self, place: int, track: int | None) -> None:
        self._ids[place], self._held[place] = -1 if track is None else track, 0

    def _without_empty(self) -> tuple[list[int], list[int]]:
        kept = [(i, h) for i, h in zip(self._ids, self._held, strict=True) if i >= 0]
        return [i for i, _ in kept], [h for _, h in kept]

"""The likelihoods of all tracks: filters while a track lives, a few numbers when it is long gone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.motion.confinement import RELAXATION, SPREAD_UM, WELL_SD_SCALE, WELL_STATES, advance_confined
from stream.motion.diffusion import (
    CHI2,
    DIFFUSION_UM2_S,
    SCORES,
    SD_SCALE,
    STATES,
    WEIGHT,
    Array,
    Index,
    Single,
    advance_free,
)

FREE_SHAPE = (len(SD_SCALE), len(DIFFUSION_UM2_S))
WELL_SHAPE = (len(WELL_SD_SCALE), len(SPREAD_UM))
# Filters take 9 kB a track, what is left of them 1 kB. A track may be unseen for this many frames before
# its filters are given up; it may come back, and has then lost one step.
RETIRED_AFTER = 500
NO_SLOT = -1

FREE_GRID = DIFFUSION_UM2_S.astype(np.float32), (SD_SCALE**2).astype(np.float32)
WELL_GRID = tuple(a.astype(np.float32) for a in (SPREAD_UM**2, RELAXATION, WELL_SD_SCALE**2))


class Likelihoods:
    """Log-likelihoods of tracks under free and confined diffusion; tracks are numbered from 0.

    Memory grows by filters for the tracks of the last frames, and by little for those before.

    Parameters
    ----------
    pull
        How far positions are drawn towards those in the frames beside, see `stream.motion.diffusion`.
    """

    def __init__(self, pull: float = 0.0) -> None:
        self._pull = np.float32(pull)
        self._n = 0
        self._slot = np.empty(0, np.intp)  # of each track, NO_SLOT where it is retired
        self._free_kept: Single = np.empty((0, *FREE_SHAPE), np.float32)  # of filters that are gone
        self._well_kept: Single = np.empty((0, *WELL_SHAPE), np.float32)
        self._track = np.empty(0, np.intp)  # of each slot, −1 where it is empty
        self._steps = np.empty(0, np.int64)
        self._used = np.empty(0, np.int64)  # call in which each slot was last used
        self._free: Single = np.empty((0, STATES, *FREE_SHAPE), np.float32)
        self._well: Single = np.empty((0, WELL_STATES, *WELL_SHAPE), np.float32)
        self._free_scores: Array = np.empty((0, SCORES, *FREE_SHAPE))
        self._well_scores: Array = np.empty((0, SCORES, *WELL_SHAPE))
        self._calls = 0

    def add(self, track: Index, seen: Single, elapsed_s: Single, interval_s: float) -> None:
        """Take in sightings, at most one a track.

        Parameters
        ----------
        track
            (m,) Numbers of the tracks; new ones follow on from those there are.
        seen
            (m, 3) x, y (µm) and their variance an axis (µm²).
        elapsed_s
            (m,) Time since each was seen; 0 where that is unknown, which begins its filters anew.
        interval_s
            The frame interval.
        """
        self._calls += 1
        self._make_room(int(track.max(initial=-1)) + 1)
        slot = self._slots_of(track)
        self._steps[slot[elapsed_s == 0]] = 0
        steps = self._steps[slot]
        steady = elapsed_s, interval_s, self._pull
        advance_free(self._free, self._free_scores, slot, steps, seen, *steady, *FREE_GRID)
        gaps, gap = np.unique(elapsed_s, return_inverse=True)
        kept = np.exp(-gaps[:, None] / interval_s / RELAXATION).astype(np.float32)
        advance_confined(self._well, self._well_scores, slot, steps, seen, kept, gap, *WELL_GRID)
        self._steps[slot] += 1
        self._used[slot] = self._calls

    @property
    def n_filters(self) -> int:
        """Tracks that there are filters for, and room for more."""
        return len(self._track)

    def of(self, track: Index) -> tuple[Array, Array]:
        """Log-likelihoods, up to a constant a track: free (m, C, D) and confined (m, C, G)."""
        free = self._free_kept[track].astype(np.float64)
        well = self._well_kept[track].astype(np.float64)
        slot = self._slot[track]
        alive = slot != NO_SLOT
        free[alive] += _log_likelihood(self._free_scores, slot[alive])
        well[alive] += _log_likelihood(self._well_scores, slot[alive])
        return free, well

    def _slots_of(self, track: Index) -> Index:
        """Slots of these tracks; those that have none get one, if need be of tracks long gone."""
        bare = track[self._slot[track] == NO_SLOT]
        if len(bare):
            if np.count_nonzero(self._track < 0) < len(bare):
                self._retire()
            vacant = np.flatnonzero(self._track < 0)
            if len(vacant) < len(bare):
                self._grow(len(bare) - len(vacant))
                vacant = np.flatnonzero(self._track < 0)
            taken = vacant[: len(bare)]
            self._slot[bare], self._track[taken] = taken, bare
            self._steps[taken] = 0
            for scores in (self._free_scores, self._well_scores):
                scores[taken, CHI2], scores[taken, WEIGHT] = 0.0, 1.0
        return self._slot[track]

    def _retire(self) -> None:
        gone = np.flatnonzero((self._track >= 0) & (self._used < self._calls - RETIRED_AFTER))
        track = self._track[gone]
        free, well = self.of(track)
        # A constant a track is lost, and nobody asks for it; so single precision is enough.
        self._free_kept[track] = free - free.max(axis=(1, 2), keepdims=True, initial=-np.inf)
        self._well_kept[track] = well - free.max(axis=(1, 2), keepdims=True, initial=-np.inf)
        self._slot[track], self._track[gone] = NO_SLOT, -1

    def _grow(self, n: int) -> None:
        more = max(n, len(self._track))
        self._track = np.concatenate([self._track, np.full(more, -1, np.intp)])
        self._steps = _longer(self._steps, more)
        self._used = _longer(self._used, more)
        self._free, self._well = _longer(self._free, more), _longer(self._well, more)
        self._free_scores = _longer(self._free_scores, more)
        self._well_scores = _longer(self._well_scores, more)

    def _make_room(self, n: int) -> None:
        """Have rows for `n` tracks; the arrays grow by doubling."""
        if n <= self._n:
            return
        if n > len(self._slot):
            more = max(n, 2 * len(self._slot)) - len(self._slot)
            self._slot = np.concatenate([self._slot, np.full(more, NO_SLOT, np.intp)])
            self._free_kept, self._well_kept = _longer(self._free_kept, more), _longer(self._well_kept, more)
        self._n = n


def _log_likelihood(scores: Array, slot: Index) -> Array:
    found: Array = np.log(scores[slot, WEIGHT]) - 0.5 * scores[slot, CHI2]
    return found


def _longer(array: NDArray[Any], n: int) -> NDArray[Any]:
    """The array with n rows of zeros behind it."""
    return np.concatenate([array, np.zeros((n, *array.shape[1:]), array.dtype)])

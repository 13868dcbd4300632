"""Open or closed, frame by frame, for spots of an indicator that is tethered to the channel (JF646-BAPTA).

A hidden Markov model of each spot's photons is filtered forward, so every frame's answer is there with the
frame. A dark spot says nothing about its channel: it is uncertain, as is a spot dimmed by part of its
fluorophores, the frame in which something changes, and whatever the light cannot decide.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stream.calcium.photometry import SHOT_FACTOR, Array, Spots, measure_spots
from stream.calcium.survivors import survivors
from stream.config import CalciumConfig
from stream.gating.filter import DRIFT_FRAMES, N_GRID, N_SINGLE, N_STATES, Weights, filter_frame
from stream.gating.model import never_opening, prior, transitions
from stream.gating.surroundings import AROUND, brightening
from stream.results import CLOSED, OPEN, UNCERTAIN, Ids

States = NDArray[np.int8]

STAYS_AT = 0.9  # posterior at which a state is told as before …
CHANGES_AT = 0.95  # … and at which another one is: no blink was then told as a change on development seeds
MAY_BE_OPEN = 0.02  # closed is only told below this posterior of open: dim openings are rather left uncertain
LIT_Z = 5.0  # a spot shines if its photons, or their recent mean, exceed this many standard deviations
RECENT = 0.8  # leak of that mean, a frame
# The first lit frame may hold part of a spot's light; what shines brighter by a third in the first five sets
# the scale anew. Too high a scale mends itself, one too low takes rest for an opening.
SETTLING_FRAMES = 5
BRIGHTER = 1.3
LOST_FRAMES = 50  # lit frames in a row that fit neither level: the scale was wrong, or a fluorophore bleached
DIM_Z = 1.5  # resting light below this many standard deviations of one frame is too dim to tell
LONGEST_STEP = 64  # frames missing beyond this say no more than 64

SPOT = np.dtype(
    [
        ("id", np.int64),
        ("scale", np.float64),  # photons of the grid's centre, 0 until the spot has shone
        ("rest", np.float64),  # mean F0, photons
        *AROUND,
        ("recent", np.float64),  # leaky sum of photons …
        ("recent_frames", np.float64),  # … and its weight
        ("lit", np.int64),  # frames in which it shone
        ("open_frames", np.int64),  # taken for open without ever having been closed
        ("was_closed", np.bool_),
        ("lost_frames", np.int64),  # lit, but neither closed nor open
        ("state", np.int8),  # the last certain one
    ]
)


class Gating:
    """Follows the channels of all living tracks.

    Parameters
    ----------
    config
        `core_sigma_px` is the σ of the spots; what is open for longer than `max_duration_frames` and
        was never closed is at rest.
    """

    def __init__(self, config: CalciumConfig) -> None:
        self._config = config
        self._prior = prior().astype(np.float32)
        self._spots = np.zeros(0, SPOT)  # of living tracks, by ascending id
        self._slot = np.zeros(0, np.int64)  # where their weights are
        self._single = np.zeros((0, N_SINGLE, N_GRID), np.float32)
        self._several = np.zeros((0, N_STATES, N_GRID), np.float32)
        self._free: list[int] = []
        self._frame = 0

    def step(self, ids: Ids, elapsed: int, image: NDArray[np.float32], x_px: Array, y_px: Array) -> States:
        """States of the tracks in one frame.

        Parameters
        ----------
        ids
            Living tracks, ascending (n,); others are forgotten.
        elapsed
            Frames since the last one, 1 if none is missing.
        image
            Calcium channel in photons, float32 (H, W).
        x_px, y_px
            Positions of the tracks, float64 (n,).

        Returns
        -------
        ndarray
            int8 (n,): 0 closed, 1 open, −1 uncertain.
        """
        config = self._config
        annulus = (config.annulus_inner_px, config.annulus_outer_px)
        measured = measure_spots(image, x_px, y_px, config.core_sigma_px, annulus)
        return self.follow(ids, elapsed, measured)

    def follow(self, ids: Ids, elapsed: int, measured: Spots) -> States:
        """As `step`, from measured photons."""
        self._keep(ids)
        self._frame += 1
        spots = self._spots
        lamp = brightening(spots, measured)
        photons, variance = measured.photons / lamp, measured.dark_variance / lamp**2
        seen = np.isfinite(photons) & (variance > 0)
        self._light_up(np.where(seen, photons, 0.0), np.where(seen, variance, 1.0), seen)

        rows = np.flatnonzero(seen & (spots["scale"] > 0))
        states = np.full(len(ids), UNCERTAIN, np.int8)
        if not len(rows):
            return states
        posterior = np.empty((len(rows), 2))
        slots = self._slot[rows]
        scale, rest = np.zeros(len(self._single)), np.zeros(len(self._single))
        scale[slots], rest[slots] = spots["scale"][rows], spots["rest"][rows]
        drifts = (slots + self._frame) % DRIFT_FRAMES == 0
        filter_frame(
            slots,
            drifts,
            photons[rows],
            variance[rows],
            SHOT_FACTOR * measured.excess,
            self._single,
            self._several,
            scale,
            rest,
            *_chances(min(elapsed, LONGEST_STEP)),
            posterior,
        )
        spots["scale"][rows], spots["rest"][rows] = scale[slots], rest[slots]
        states[rows] = self._tell(rows, posterior, np.sqrt(variance[rows]))
        return states

    def _tell(self, rows: NDArray[np.intp], posterior: Array, dark_sd: Array) -> States:
        """States of these spots from their posterior (n, 2)."""
        spots = self._spots
        last = spots["state"][rows]
        told = np.full(len(rows), UNCERTAIN, np.int8)
        for state in (CLOSED, OPEN):
            enough = np.where(last == state, STAYS_AT, CHANGES_AT)
            told[posterior[:, state] > enough] = state
        told[(told == CLOSED) & (posterior[:, OPEN] > MAY_BE_OPEN)] = UNCERTAIN
        told[spots["rest"][rows] < DIM_Z * dark_sd] = UNCERTAIN
        spots["state"][rows] = np.where(told == UNCERTAIN, last, told)
        spots["was_closed"][rows] |= told == CLOSED
        spots["open_frames"][rows] += told == OPEN
        spots["lost_frames"][rows] = np.where(posterior.sum(axis=1) < 0.5, spots["lost_frames"][rows], 0)
        return told

    def _light_up(self, photons: Array, variance: Array, seen: NDArray[np.bool_]) -> None:
        """Begin the filters of spots that shine for the first time, or whose level was taken wrongly."""
        spots = self._spots
        spots["recent"] = np.where(seen, RECENT * spots["recent"] + photons, spots["recent"])
        spots["recent_frames"] = np.where(seen, RECENT * spots["recent_frames"] + 1, spots["recent_frames"])
        mean = spots["recent"] / np.maximum(spots["recent_frames"], 1)
        bright = seen & (photons > LIT_Z * np.sqrt(variance))
        lit = bright | (seen & (spots["recent"] > LIT_Z * np.sqrt(variance * spots["recent_frames"])))
        level = np.where(bright, photons, mean)
        first = lit & (spots["scale"] == 0)
        brighter = lit & (spots["lit"] < SETTLING_FRAMES) & (level > BRIGHTER * spots["scale"])
        spots["lit"] += lit
        endless = ~spots["was_closed"] & (spots["open_frames"] > self._config.max_duration_frames)
        spots["lost_frames"] += lit
        lost = spots["lost_frames"] > LOST_FRAMES
        begin = np.flatnonzero(first | brighter | (lit & (endless | lost)))
        if len(begin):
            spots["scale"][begin] = spots["rest"][begin] = level[begin]
            spots["open_frames"][begin] = spots["lost_frames"][begin] = 0
            spots["was_closed"][begin], spots["state"][begin] = False, UNCERTAIN
            self._single[self._slot[begin]] = self._prior[:N_SINGLE]
            self._several[self._slot[begin]] = self._prior[N_SINGLE:]

    def _keep(self, ids: Ids) -> None:
        """Bring the spots to the living tracks `ids`, ascending."""
        old = self._spots["id"]
        if len(old) == len(ids) and (old == ids).all():
            return
        stays, rows = survivors(old, ids)
        self._free.extend(np.delete(self._slot, rows).tolist())
        n_new = len(ids) - len(rows)
        missing = n_new - len(self._free)
        if missing > 0:
            n = len(self._single)
            more = max(missing, n)  # doubled, so that growing costs little
            self._free.extend(range(n, n + more))
            room = np.zeros((more, N_SINGLE + N_STATES, N_GRID), np.float32)
            self._single = np.concatenate([self._single, room[:, :N_SINGLE]])
            self._several = np.concatenate([self._several, room[:, N_SINGLE:]])
        spots, slot = np.zeros(len(ids), SPOT), np.empty(len(ids), np.int64)
        spots["id"], spots["state"] = ids, UNCERTAIN
        spots[stays], slot[stays] = self._spots[rows], self._slot[rows]
        slot[~stays] = [self._free.pop() for _ in range(n_new)]
        self._spots, self._slot = spots, slot


def event_states(is_open: NDArray[np.bool_], dff: NDArray[np.floating]) -> States:
    """States under a cytosolic indicator, (n,): open while an event is on, uncertain without ΔF/F0."""
    return np.where(is_open, OPEN, np.where(np.isfinite(dff), CLOSED, UNCERTAIN)).astype(np.int8)


@lru_cache(LONGEST_STEP)
def _chances(frames: int) -> tuple[tuple[Weights, Weights], tuple[Weights, Weights]]:
    """Chances over several frames of lone and of several fluorophores, if the channel opens and if never."""

    def power(chances: Array) -> Weights:
        return np.linalg.matrix_power(chances, frames).astype(np.float32)

    single, several = transitions(several=False), transitions(several=True)
    return (
        (power(single), power(never_opening(single))),
        (power(several), power(never_opening(several))),
    )

"""Statistics of each track, gathered while frames go by: diffusion, confinement, mobility, brightness.

All of it can be asked for at any moment, and a track costs the same memory however long it lasts.
"""

import math
from collections import deque
from statistics import median

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stream.motion.diffusion import DIFFUSION_UM2_S, NEIGHBOUR_PULL, Array, Index
from stream.motion.displacements import FAR_PAST, SUMS, Sums, alpha, take_in
from stream.motion.estimate import Motion, motion_of
from stream.motion.likelihoods import Likelihoods
from stream.motion.mobility import CLASSES, Share, class_shares
from stream.results import Ids

Floats = NDArray[np.floating]

MIN_STEPS = 10  # for mobility: D is then known to a factor of 1.4 at best (one standard deviation)
CONFINED = 0.9  # probability from which a radius is given: up to 4 % of free tracks reach it
RECENT = 31  # frames whose median distance is the interval
# α of motion that is hardly resolved is noise: the ends of D's 95 % interval must be closer than this, and
# the lower one away from the end of the grid.
RESOLVED_RATIO, RESOLVED_ABOVE_UM2_S = 16.0, 1.5 * DIFFUSION_UM2_S[0]

# Confinement is told where σ²/Δt is more than this many times the lowest D; at 10 every fifth punctum at rest
# would be called confined (simulations).
REST_NOISE = 14.0


class TrackStatistics:
    """Accumulates what is known of each track from its observed positions.

    Parameters
    ----------
    window
        Frames that each position was made from, see `Engine.window`.
    """

    def __init__(self, window: int = 1) -> None:
        self._rows: dict[int, int] = {}
        self._sums: Sums = np.zeros(0, SUMS)
        self._likelihoods = Likelihoods(NEIGHBOUR_PULL if window > 1 else 0.0)
        self._frame, self._time_s = FAR_PAST, 0.0
        self._intervals: deque[float] = deque(maxlen=RECENT)

    def add(
        self,
        frame: int,
        time_s: float,
        track_id: Ids,
        x_nm: Floats,
        y_nm: Floats,
        x_sd_nm: Floats,
        y_sd_nm: Floats,
        photons: Floats,
    ) -> None:
        """Add one frame's observed tracks, each at most once; bridged gaps are left out.

        Parameters
        ----------
        frame, time_s
            Index and time (s) of the frame. Frames may come in any order that is increasing for each
            track, so tracks that are confirmed late can be added late.
        track_id, x_nm, y_nm, x_sd_nm, y_sd_nm, photons
            The tracks seen in it, where, with which uncertainty (NaN where there is none), and how bright,
            (n,) each.

        Raises
        ------
        ValueError
            If a track has already been added at this or a later frame.
        """
        row = self._rows_of(track_id, frame)
        last = self._sums["frame"][row, 0]
        if (last >= frame).any():
            late = int(np.flatnonzero(last >= frame)[0])
            raise ValueError(
                f"track {track_id[late]} was added at frame {frame} after frame {last[late]}; "
                "a track's frames must increase"
            )
        interval_s = self._interval_s(frame, time_s)
        found = np.empty((5, len(row)))
        found[:] = x_nm, y_nm, x_sd_nm, y_sd_nm, photons
        seen, elapsed_s = np.empty((len(row), 3), np.float32), np.empty(len(row), np.float32)
        take_in(self._sums, row, frame, time_s, interval_s, found, seen, elapsed_s)
        self._likelihoods.add(row, seen, elapsed_s, interval_s)

    def table(self) -> pd.DataFrame:
        """What the tracks were like, one row a track by ascending `track_id`.

        Columns
        -------
        track_id, first_frame, last_frame, n_observed, mean_photons
            What they say.
        diffusion_um2_s, diffusion_low_um2_s, diffusion_high_um2_s
            Diffusion coefficient, the median of its posterior under Jeffreys' prior, and the 95 % interval,
            from 2e-5 to 5 µm²/s: a punctum at rest has the low end. NaN after a single sighting. It is
            that of free motion, so it is too small for a confined track.
        mobility, mobility_probability
            "mobile" above .0173 µm²/s, "immobile" below .0055, "intermediate" between, whichever is the
            most probable where all ln D are equally so beforehand, and how probable; "unknown" and NaN
            below 10 steps.
        alpha
            Exponent of the MSD over lags 1–4 after the localization error has been taken off; NaN below
            40 steps of one frame, where nothing is left, or where D is uncertain by more than a factor of
            16 between the ends of its interval.
        confinement_probability, confinement_nm
            Probability of diffusion in a well against free diffusion, the two being equally probable
            beforehand, and the radius of the disk; NaN below a probability of .9. Both NaN below 10 steps,
            and where frames are so slow that even the lowest D of the grid is not rest.
        localization_sd_nm
            Uncertainty an axis: the root mean square of what was claimed, times the scale that the motion
            of this track and of all others says; NaN after a single sighting.
        """
        sums, motion = self._sums[: len(self._rows)], self._motion()
        low, diffusion, high = motion.diffusion_um2_s.T
        moved, classed = sums["steps"] > 0, sums["steps"] >= MIN_STEPS
        resolved = (high < RESOLVED_RATIO * low) & (low > RESOLVED_ABOVE_UM2_S)
        mobility = np.array(CLASSES)[motion.class_probability.argmax(axis=1)]
        # Where the lowest D is not rest, a well would be the better description of rest.
        told = classed & (self._noise() > REST_NOISE * DIFFUSION_UM2_S[0])
        confined = told & (motion.confined >= CONFINED)
        claimed_nm = 1000 * np.sqrt(sums["variance"] / sums["observed"])
        table = pd.DataFrame(
            {
                "track_id": sums["id"],
                "first_frame": sums["first_frame"],
                "last_frame": sums["frame"][:, 0],
                "n_observed": sums["observed"],
                "mean_photons": sums["photons"] / sums["observed"],
                "diffusion_um2_s": np.where(moved, diffusion, np.nan),
                "diffusion_low_um2_s": np.where(moved, low, np.nan),
                "diffusion_high_um2_s": np.where(moved, high, np.nan),
                "localization_sd_nm": np.where(moved, claimed_nm * motion.scale, np.nan),
                "alpha": np.where(resolved, alpha(sums), np.nan),
                "mobility": np.where(classed, mobility, "unknown"),
                "mobility_probability": np.where(classed, motion.class_probability.max(axis=1), np.nan),
                "confinement_probability": np.where(told, motion.confined, np.nan),
                "confinement_nm": np.where(confined, 1000 * motion.radius_um, np.nan),
            }
        )
        return table.iloc[np.argsort(sums["id"])].reset_index(drop=True)

    def mobility_shares(self) -> dict[str, Share]:
        """Share of the run's tracks that is mobile, intermediate and immobile, with 95 % intervals.

        Tracks count once each, from two sightings on, and however uncertain their class; see
        `stream.motion.mobility.class_shares`.
        """
        moved = self._sums["steps"][: len(self._rows)] > 0
        return class_shares(self._motion().evidence[moved])

    def _motion(self) -> Motion:
        return motion_of(self._likelihoods, self._noise())

    def _noise(self) -> Array:
        """Mean σ²/Δt of each track in µm²/s, (n,)."""
        sums = self._sums[: len(self._rows)]
        steps = np.maximum(sums["steps"], 1)
        # A track without steps says nothing, whatever noise it is given.
        interval_s = np.where(sums["steps"] > 0, sums["interval"] / steps, 1.0)
        noise: Array = sums["variance"] / sums["observed"] / interval_s
        return noise

    def _interval_s(self, frame: int, time_s: float) -> float:
        """The frame interval by the last frames; NaN while it is unknown."""
        elapsed_s = time_s - self._time_s
        if frame > self._frame > FAR_PAST and elapsed_s > 0:
            self._intervals.append(elapsed_s / (frame - self._frame))
        self._frame, self._time_s = frame, time_s
        return median(self._intervals) if self._intervals else math.nan

    def _rows_of(self, track_id: Ids, frame: int) -> Index:
        """Rows of the tracks in the sums; new tracks get new rows, the arrays grow by doubling."""
        known = len(self._rows)
        row = np.array([self._rows.setdefault(i, len(self._rows)) for i in track_id.tolist()], np.intp)
        n = len(self._rows)
        if n > len(self._sums):
            empty = np.zeros(max(n, 2 * len(self._sums)) - len(self._sums), SUMS)
            empty["frame"] = FAR_PAST
            self._sums = np.concatenate([self._sums, empty])
        new = row >= known
        self._sums["id"][row[new]] = track_id[new]
        self._sums["first_frame"][row[new]] = frame
        return row

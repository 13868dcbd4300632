"""Diffusion coefficients of many tracks at once, from sums over the steps between their sightings.

The covariance-based estimate of Vestergaard, Blainey & Flyvbjerg, Phys. Rev. E 89, 022726 (2014), for two
axes: D = (⟨|Δr|²⟩ + 2 ⟨Δr · Δr′⟩) / (4 ⟨Δt⟩), where Δr and Δr′ are steps that follow each other. Their
covariance takes off the localization error and the motion blur, whatever they are. A step may last a few
frames, where some are missing or the punctum was unseen: only the mean Δt changes, what error and blur add
does not, so the estimate stays unbiased. It scatters around the truth, so it may be negative at rest.
"""

import numpy as np
from numpy.typing import NDArray

from stream.config import TrackerConfig
from stream.motion.displacements import LAGS
from stream.motion.mobility import CLASSES, IMMOBILE_BELOW_UM2_S, MOBILE_ABOVE_UM2_S
from stream.motion.statistics import MIN_STEPS

MOBILITY = (*CLASSES, "unknown")  # names of the class indices, as in `MOBILITY_COLOURS`
UNKNOWN = len(CLASSES)
BORDERS_UM2_S = (IMMOBILE_BELOW_UM2_S, MOBILE_ABOVE_UM2_S)
CONFIRM_SIGHTINGS = TrackerConfig().confirm_detections

# Columns of a table of tracks, all float64, since whole rows are then moved quickly.
FIRST_SEQ, SEQ = 0, 1  # frames of its first sighting here, and of its last one
SIGHTINGS, CONFIRMED, WHOLE = 2, 3, 4  # …, and whether it was seen from its birth on
X, Y = 5, 6  # of the last sighting, µm
HAS_STEP, STEP_X, STEP_Y = 7, 8, 9  # whether a step ends there, and it (µm, 0 where there is none)
STEPS, PAIRS = 10, 11  # how many, and how many that follow each other
SQUARE, ELAPSED, COVARIANCE = 12, 13, 14  # summed: µm² and s over steps, scalar products in µm² over pairs
COLUMNS = 15
Rows = NDArray[np.float64]


def take_in(rows: Rows, seq: int, position_um: NDArray[np.floating], since: int, interval_s: float) -> None:
    """Add a sighting to each of some tracks, in place.

    Steps of more than `LAGS` frames count as none: a few of them would outweigh all others, and they are
    those that are most often linked wrongly.

    Parameters
    ----------
    rows
        (n, COLUMNS).
    seq, interval_s
        The frame, and the frame interval.
    position_um
        (n, 2).
    since
        First frame after the last pause of the camera, across which nothing counts as a step.
    """
    lag = seq - rows[:, SEQ]
    stepped = ((lag <= LAGS) & (rows[:, SEQ] >= since)).astype(np.float64)
    step = (position_um - rows[:, X : Y + 1]) * stepped[:, None]
    rows[:, STEPS] += stepped
    rows[:, PAIRS] += stepped * rows[:, HAS_STEP]
    rows[:, SQUARE] += step[:, 0] ** 2 + step[:, 1] ** 2
    rows[:, ELAPSED] += stepped * lag * interval_s
    rows[:, COVARIANCE] += step[:, 0] * rows[:, STEP_X] + step[:, 1] * rows[:, STEP_Y]
    rows[:, HAS_STEP], rows[:, STEP_X : STEP_Y + 1] = stepped, step
    rows[:, X : Y + 1], rows[:, SEQ] = position_um, seq
    rows[:, SIGHTINGS] += 1
    rows[(rows[:, WHOLE] == 0) & (rows[:, SIGHTINGS] >= CONFIRM_SIGHTINGS), CONFIRMED] = 1


def diffusion_um2_s(rows: Rows) -> NDArray[np.float64]:
    """Diffusion coefficients in µm²/s, (n,); NaN where no steps follow each other."""
    with np.errstate(divide="ignore", invalid="ignore"):
        per_step = rows[:, SQUARE] + 2 * rows[:, COVARIANCE] / rows[:, PAIRS] * rows[:, STEPS]
        found: NDArray[np.float64] = per_step / (4 * rows[:, ELAPSED])
    return found


def mobility(rows: Rows) -> NDArray[np.int8]:
    """Classes (n,), indices into `MOBILITY`; "unknown" below 10 steps."""
    found = np.searchsorted(BORDERS_UM2_S, diffusion_um2_s(rows), side="right")
    told = (rows[:, STEPS] >= MIN_STEPS) & (rows[:, PAIRS] > 0)
    return np.where(told, found, UNKNOWN).astype(np.int8)

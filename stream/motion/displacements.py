"""Sums over each track's sightings and displacements, and the exponent of its mean squared displacement."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream.motion.diffusion import MOTION_BLUR, Array, Counts, Index

LAGS = 4
FAR_PAST = -(2**40)
MIN_STEPS_ALPHA = 40
# Believed uncertainties, as the tracker's at 108 nm pixels; and that of a punctum which comes without one.
SD_NM, SD_UNKNOWN_NM = (2.0, 220.0), 25.0
# Cameras run evenly and their time stamps jitter, so frames are counted; only what is later than this many
# times their number was a pause.
PAUSE = 2.0

SUMS = np.dtype(
    [
        ("id", np.int64),
        ("first_frame", np.int64),
        ("observed", np.int64),
        ("steps", np.int64),  # from one sighting to the next, where the time between them is known
        ("photons", np.float64),  # summed
        ("variance", np.float64),  # summed claimed variance an axis, µm²
        ("interval", np.float64),  # frame interval, summed over steps, s
        ("seen_s", np.float64),  # when last
        ("frame", np.int64, (LAGS,)),  # of the last positions, newest first; FAR_PAST where there is none
        ("position", np.float64, (LAGS, 2)),  # µm
        ("square", np.float64, (LAGS,)),  # summed squared displacement over each lag, µm²
        ("count", np.int64, (LAGS,)),
        ("covariance", np.float64),  # summed scalar product of successive steps, µm²
        ("pairs", np.int64),
    ]
)
Sums = NDArray[np.void]


@njit(cache=True, nogil=True)
def take_in(
    sums: Sums,
    rows: Index,
    frame: int,
    time_s: float,
    interval_s: float,
    found: Array,
    seen: NDArray[np.float32],
    elapsed_s: NDArray[np.float32],
) -> None:
    """Add one frame's sightings to the sums of the tracks `rows` (n,), in place.

    `found` (5, n) holds x and y, their uncertainties (all nm) and the photons of each. Fills `seen` (n, 3),
    x, y (µm) and their variance an axis (µm²), and `elapsed_s` (n,), the time since each track was seen, 0
    where that is unknown.
    """
    for i in range(len(rows)):
        track = sums[rows[i]]
        x, y = found[0, i] / 1000, found[1, i] / 1000
        variance = 0.0
        for sd_nm in (found[2, i], found[3, i]):
            believed_nm = min(max(sd_nm, SD_NM[0]), SD_NM[1]) if np.isfinite(sd_nm) else SD_UNKNOWN_NM
            variance += believed_nm * believed_nm / 2e6
        counted_s, waited_s = (frame - track.frame[0]) * interval_s, time_s - track.seen_s
        timed = track.observed > 0 and counted_s > 0
        elapsed_s[i] = (waited_s if waited_s > PAUSE * counted_s else counted_s) if timed else 0.0
        seen[i, 0], seen[i, 1], seen[i, 2] = x, y, variance
        if timed:
            track.steps += 1
            track.interval += interval_s
        for k in range(LAGS):
            lag = frame - track.frame[k]
            if lag <= LAGS:
                off_x, off_y = x - track.position[k, 0], y - track.position[k, 1]
                track.square[lag - 1] += off_x * off_x + off_y * off_y
                track.count[lag - 1] += 1
        if frame - track.frame[0] == 1 and frame - track.frame[1] == 2:
            before_x = track.position[0, 0] - track.position[1, 0]
            before_y = track.position[0, 1] - track.position[1, 1]
            track.covariance += (x - track.position[0, 0]) * before_x
            track.covariance += (y - track.position[0, 1]) * before_y
            track.pairs += 1
        for k in range(LAGS - 1, 0, -1):
            track.frame[k] = track.frame[k - 1]
            track.position[k, 0], track.position[k, 1] = track.position[k - 1, 0], track.position[k - 1, 1]
        track.frame[0], track.position[0, 0], track.position[0, 1] = frame, x, y
        track.observed += 1
        track.photons += found[4, i]
        track.variance += variance
        track.seen_s = time_s


def alpha(sums: Sums) -> Array:
    """Exponent of the MSD over lags 1–4 after the localization error has been taken off, (n,).

    The error is had from the covariance of successive steps (Vestergaard, Blainey & Flyvbjerg, Phys. Rev. E
    89, 022726 (2014)). NaN below 40 steps of one frame, or where nothing is left of the MSD.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        msd = sums["square"] / sums["count"]  # (n, LAGS), both axes together
        covariance = sums["covariance"] / sums["pairs"]
        # MSD(n) = 4 D n Δt + 4 σ² − 8 R D Δt, and the last two terms are −2 × the covariance. What blur
        # alone can't cause is no error but directed motion.
        error = np.minimum(covariance, MOTION_BLUR / (1 - 2 * MOTION_BLUR) * msd[:, 0])
        log_msd = np.log(msd + 2 * error[:, None])
        log_lag = np.log(np.arange(1, LAGS + 1))
        log_lag -= log_lag.mean()
        slope: Array = log_msd @ log_lag / (log_lag @ log_lag)
    steps: Counts = sums["count"][:, 0]
    slope[(steps < MIN_STEPS_ALPHA) | ~np.isfinite(slope)] = np.nan
    return slope

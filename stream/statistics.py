"""Statistics of each track, gathered while frames go by: diffusion, MSD exponent, mobility, brightness.

The diffusion coefficient and the localization error come from the covariance-based estimator of
Vestergaard, Blainey & Flyvbjerg, Phys. Rev. E 89, 022726 (2014), which is unbiased, needs no fit and
only sums over successive frames; so a track costs the same memory however long it lasts.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stream.results import Ids

Array = NDArray[np.float64]

MOTION_BLUR = 1 / 6  # R of an exposure that lasts the whole frame interval
LAGS = 4
# The lab's manual gives D = .029 µm²/s for mobile and .003 for immobile puncta; their geometric mean is
# .009, and what lies within a factor of 1.5 of it is called neither.
IMMOBILE_BELOW_UM2_S = 0.006
MOBILE_ABOVE_UM2_S = 0.014
MIN_STEPS = 20  # for mobility: relative error of D about √(6/20) = 55 % and less for well localized puncta
MIN_STEPS_ALPHA = 40

SUMS = np.dtype(
    [
        ("id", np.int64),
        ("first_frame", np.int64),
        ("observed", np.int64),
        ("photons", np.float64),  # summed
        ("frame", np.int64, LAGS),  # of the last positions, newest first; FAR_PAST where there is none
        ("position", np.float64, (LAGS, 2)),  # µm
        ("square", np.float64, LAGS),  # summed squared displacement over each lag, µm²
        ("count", np.int64, LAGS),
        ("time", np.float64),  # summed duration of single steps, s
        ("covariance", np.float64),  # summed scalar product of successive steps, µm²
        ("pairs", np.int64),
    ]
)
FAR_PAST = -(2**40)


class TrackStatistics:
    """Accumulates what is known of each track from its observed positions."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._sums: NDArray[np.void] = np.zeros(0, SUMS)
        self._last_s: Array = np.zeros(0)

    def add(
        self,
        frame: int,
        time_s: float,
        track_id: Ids,
        x_nm: NDArray[np.floating],
        y_nm: NDArray[np.floating],
        photons: NDArray[np.floating],
    ) -> None:
        """Add one frame's observed tracks, each at most once; bridged gaps are left out.

        Parameters
        ----------
        frame, time_s
            Index and time (s) of the frame. Frames may come in any order that is increasing for each
            track, so tracks that are confirmed late can be added late.
        track_id, x_nm, y_nm, photons
            The tracks seen in it, where, and how bright, (n,) each.

        Raises
        ------
        ValueError
            If a track has already been added at this or a later frame.
        """
        row = self._rows_of(track_id, frame)
        sums = self._sums[row]
        back = frame - sums["frame"]
        if (back[:, 0] <= 0).any():
            late = int(np.flatnonzero(back[:, 0] <= 0)[0])
            raise ValueError(
                f"track {track_id[late]} was added at frame {frame} after frame {sums['frame'][late, 0]}; "
                "a track's frames must increase"
            )
        now = np.stack([x_nm, y_nm], axis=1).astype(np.float64) / 1000.0
        moved = now[:, None] - sums["position"]
        for lag in range(1, LAGS + 1):
            here = back == lag  # at most one of the last positions is that old
            sums["square"][:, lag - 1] += ((moved**2).sum(axis=2) * here).sum(axis=1)
            sums["count"][:, lag - 1] += here.any(axis=1)
        step = back[:, 0] == 1
        successive = step & (back[:, 1] == 2)
        before = sums["position"][:, 0] - sums["position"][:, 1]
        sums["covariance"] += np.where(successive, (moved[:, 0] * before).sum(axis=1), 0.0)
        sums["pairs"] += successive
        sums["time"] += np.where(step, time_s - self._last_s[row], 0.0)

        sums["frame"] = np.column_stack([np.full(len(row), frame), sums["frame"][:, :-1]])
        sums["position"] = np.concatenate([now[:, None], sums["position"][:, :-1]], axis=1)
        sums["observed"] += 1
        sums["photons"] += photons
        self._sums[row] = sums
        self._last_s[row] = time_s

    def table(self) -> pd.DataFrame:
        """What the tracks were like, one row a track by ascending `track_id`.

        Columns: `track_id, first_frame, last_frame, n_observed, mean_photons, diffusion_um2_s`
        (unbiased, so it may be below 0 for a still punctum), `localization_sd_nm` per axis (NaN where the
        estimate of its square is negative), `alpha` (exponent of the MSD over lags 1–4 after the
        localization error has been taken off; NaN below 40 steps or where nothing is left) and
        `mobility`: "mobile" above .014 µm²/s, "immobile" below .006, "intermediate" between, "unknown"
        below 20 steps.
        """
        sums = self._sums[: len(self._rows)]
        sums = sums[np.argsort(sums["id"])]
        with np.errstate(divide="ignore", invalid="ignore"):
            msd = sums["square"] / sums["count"]  # (n, LAGS), both axes together
            covariance = sums["covariance"] / sums["pairs"]
            interval_s = sums["time"] / sums["count"][:, 0]
            diffusion = (msd[:, 0] / 4 + covariance / 2) / interval_s
            variance = (MOTION_BLUR * msd[:, 0] + (2 * MOTION_BLUR - 1) * covariance) / 2
            localization_sd_nm = 1000 * np.sqrt(variance)
            # MSD(n) = 4 D n Δt + 4 σ² − 8 R D Δt, and the last two terms are −2 × the covariance. What
            # blur alone can't cause is no error but directed motion.
            error = np.minimum(covariance, MOTION_BLUR / (1 - 2 * MOTION_BLUR) * msd[:, 0])
            alpha = _slope(np.log(msd + 2 * error[:, None]))
        steps = sums["count"][:, 0]
        alpha[(steps < MIN_STEPS_ALPHA) | ~np.isfinite(alpha)] = np.nan
        mobility = np.select(
            [
                (steps < MIN_STEPS) | ~np.isfinite(diffusion),
                diffusion > MOBILE_ABOVE_UM2_S,
                diffusion < IMMOBILE_BELOW_UM2_S,
            ],
            ["unknown", "mobile", "immobile"],
            "intermediate",
        )
        return pd.DataFrame(
            {
                "track_id": sums["id"],
                "first_frame": sums["first_frame"],
                "last_frame": sums["frame"][:, 0],
                "n_observed": sums["observed"],
                "mean_photons": sums["photons"] / sums["observed"],
                "diffusion_um2_s": diffusion,
                "localization_sd_nm": localization_sd_nm,
                "alpha": alpha,
                "mobility": mobility,
            }
        )

    def _rows_of(self, track_id: Ids, frame: int) -> NDArray[np.intp]:
        """Rows of the tracks in the sums; new tracks get new rows, the arrays grow by doubling."""
        known = len(self._rows)
        row = np.array([self._rows.setdefault(i, len(self._rows)) for i in track_id.tolist()], np.intp)
        n = len(self._rows)
        if n > len(self._sums):
            more = max(n, 2 * len(self._sums)) - len(self._sums)
            empty = np.zeros(more, SUMS)
            empty["frame"] = FAR_PAST
            self._sums = np.concatenate([self._sums, empty])
            self._last_s = np.concatenate([self._last_s, np.zeros(more)])
        new = row >= known
        self._sums["id"][row[new]] = track_id[new]
        self._sums["first_frame"][row[new]] = frame
        return row


def _slope(log_msd: Array) -> Array:
    """Least-squares slope of each row against the logarithm of the lag, (n,)."""
    log_lag = np.log(np.arange(1, LAGS + 1))
    log_lag -= log_lag.mean()
    slope: Array = log_msd @ log_lag / (log_lag @ log_lag)
    return slope

"""Simulated tracks for the diffusion benchmark, and what other methods make of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
INTERVAL_S = 0.05
MISSED = 0.1  # share of the frames in which a track is not seen
WELL_SUBSTEPS = 50


@dataclass(frozen=True, slots=True)
class Walks:
    """Tracks of one run: positions (F, N, 2) in µm, seen (F, N), their true error, true D (N,)."""

    position: Array
    seen: NDArray[np.bool_]
    sd_um: float
    diffusion: Array


def free_walks(rng: np.random.Generator, diffusion: Array, n_frames: int, sd_nm: float) -> Walks:
    """Brownian walks seen by exposures that fill the interval.

    Between its ends a walk is a Brownian bridge: its mean is normal about the middle of the step, with a
    twelfth of the step's variance. So the blur is exact.
    """
    step_sd = np.sqrt(2 * diffusion * INTERVAL_S)[None, :, None]
    step = rng.normal(size=(n_frames, len(diffusion), 2)) * step_sd
    mean = step.cumsum(axis=0) - step / 2 + rng.normal(size=step.shape) * step_sd / np.sqrt(12)
    return _seen(rng, mean, diffusion, sd_nm)


def walks_in_wells(
    rng: np.random.Generator, diffusion: Array, radius_nm: float, n_frames: int, sd_nm: float
) -> Walks:
    """Walks in harmonic wells that spread as much as a disk of this radius; the blur is by sub-steps."""
    spread = radius_nm / 2000
    kept = np.exp(-diffusion / spread**2 * INTERVAL_S / WELL_SUBSTEPS)[:, None]
    x = rng.normal(0, spread, (len(diffusion), 2))
    mean = np.zeros((n_frames, len(diffusion), 2))
    for frame in range(n_frames):
        for _ in range(WELL_SUBSTEPS):
            x = kept * x + rng.normal(size=x.shape) * spread * np.sqrt(1 - kept**2)
            mean[frame] += x / WELL_SUBSTEPS
    return _seen(rng, mean, diffusion, sd_nm)


def covariance_estimate(walks: Walks) -> Array:
    """D of each track by the covariance of successive steps, µm²/s, (N,); NaN without such steps.

    Vestergaard, Blainey & Flyvbjerg, Phys. Rev. E 89, 022726 (2014).
    """
    step = np.diff(walks.position, axis=0)
    one = walks.seen[1:] & walks.seen[:-1]
    two = one[1:] & one[:-1]
    square = _mean((step**2).sum(axis=2), one)
    product = _mean((step[1:] * step[:-1]).sum(axis=2), two)
    estimate: Array = (square / 4 + product / 2) / INTERVAL_S
    return estimate


def msd_estimate(walks: Walks, lags: int = 4) -> Array:
    """D of each track by a line through its MSD at four lags, as is done with trackpy's, µm²/s, (N,)."""
    lag = np.arange(1, lags + 1)
    msd = np.stack(
        [
            _mean(
                ((walks.position[n:] - walks.position[:-n]) ** 2).sum(axis=2),
                walks.seen[n:] & walks.seen[:-n],
            )
            for n in lag.tolist()
        ]
    )
    centred = lag - lag.mean()
    slope: Array = centred @ msd / (centred @ centred) / (4 * INTERVAL_S)
    return slope


def covariance(frames: NDArray[np.intp], diffusion: float, sd_um: float) -> Array:
    """Covariance (F, F) of a free walk's positions an axis, from a fixed start, with error and blur."""
    time_s = frames * INTERVAL_S
    blurred: Array = 2 * diffusion * np.minimum.outer(time_s, time_s)
    blurred += (sd_um**2 - diffusion * INTERVAL_S / 3) * np.eye(len(frames))
    return blurred


def log_likelihood(walks: Walks, diffusion: float) -> Array:
    """Exact log-likelihood (N,) of this D with the true error: what nobody knows, so the ceiling."""
    found = np.empty(walks.seen.shape[1])
    for i in range(len(found)):
        frames = np.flatnonzero(walks.seen[:, i])
        difference = np.diff(np.eye(len(frames)), axis=0)
        step = np.diff(walks.position[frames, i], axis=0)
        spread = difference @ covariance(frames, diffusion, walks.sd_um) @ difference.T
        log_volume = 2 * float(np.linalg.slogdet(spread)[1])
        found[i] = -0.5 * (float((step * np.linalg.solve(spread, step)).sum()) + log_volume)
    return found


def bound_sd(n_frames: int, diffusion: float, sd_um: float) -> float:
    """Cramér–Rao bound of the relative error of D where the localization error is known."""
    frames = np.arange(n_frames)
    difference = np.diff(np.eye(n_frames), axis=0)
    spread = difference @ covariance(frames, diffusion, sd_um) @ difference.T
    change = difference @ (covariance(frames, 1.0, 0.0)) @ difference.T  # by dD
    relative = np.linalg.solve(spread, change) * diffusion
    return float(1 / np.sqrt(np.trace(relative @ relative)))  # two axes


def _seen(rng: np.random.Generator, mean: Array, diffusion: Array, sd_nm: float) -> Walks:
    position = mean + rng.normal(0, sd_nm / 1000, mean.shape)
    return Walks(position, rng.random(mean.shape[:2]) >= MISSED, sd_nm / 1000, diffusion)


def _mean(values: Array, where: NDArray[np.bool_]) -> Array:
    """Mean over frames (F, N) → (N,); NaN where there are none."""
    n = where.sum(axis=0)
    mean: Array = np.where(n > 0, (values * where).sum(axis=0) / np.maximum(n, 1), np.nan)
    return mean

"""What the likelihoods of all tracks say about each: error scale, diffusion coefficient, confinement.

How far the claimed localization errors are off is mostly the same for a whole recording, so the tracks
learn it from each other; what a track says of its own motion it says alone.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp

from stream.motion.confinement import RELAXATIONS, SPREADS_UM, WELL_SD_SCALE
from stream.motion.diffusion import DIFFUSION_UM2_S, SD_SCALE, Array

# Of the claimed errors' scale: how far off recordings are (ours by up to 30 %, network and fits alike), and
# how far tracks of one recording differ in it.
LN_SCALE_SD, LN_SCALE_SPREAD = 0.2, 0.1
# A confined track's disk is the one in which a uniform distribution has the same variance, R = 2 σ.
RADIUS_OF_SPREAD = 2.0


def _spline(nodes: Array, points: Array) -> Array:
    """Matrix (points, nodes) that interpolates by a cubic spline."""
    matrix: Array = CubicSpline(nodes, np.eye(len(nodes)))(points)
    return matrix


# Log-likelihoods are smooth, so a coarse grid of filters and splines do for a fine grid.
LN_D = np.log(DIFFUSION_UM2_S)
LN_D_FINE = np.linspace(LN_D[0], LN_D[-1], 8 * (len(LN_D) - 1) + 1)
TO_FINE_D = _spline(LN_D, LN_D_FINE)
LN_SCALE = np.linspace(np.log(SD_SCALE[0]), np.log(SD_SCALE[-1]), 25)
TO_LN_SCALE = _spline(np.log(SD_SCALE), LN_SCALE)
LN_SPREAD = np.linspace(np.log(SPREADS_UM[0]), np.log(SPREADS_UM[-1]), 21)
LN_RELAXATION = np.linspace(np.log(RELAXATIONS[0]), np.log(RELAXATIONS[-1]), 21)
TO_FINE_WELL = np.kron(
    _spline(np.log(SPREADS_UM), LN_SPREAD), _spline(np.log(RELAXATIONS), LN_RELAXATION)
)  # (spread and relaxation, G)
# Which of the wells' error scales stands for each of the fine ones, (S, C).
STANDS_FOR = np.eye(len(WELL_SD_SCALE))[np.abs(LN_SCALE[:, None] - np.log(WELL_SD_SCALE)).argmin(axis=1)]


def log_prior(noise: Array) -> Array:
    """Log of Jeffreys' prior of ln D on the grid, (n, D), for `noise` = σ²/Δt in µm²/s, (n,).

    It weighs D by how well a long track tells it from its neighbours, so that intervals cover as they
    should and the median is nearly unbiased; the information about ln D that a step of a random walk seen
    with white noise holds is ½ √q (q + 2) / (q + 4)^1.5 with q = 2 D Δt / σ² (from Whittle's likelihood).
    """
    q = 2 * DIFFUSION_UM2_S / noise[:, None]
    prior: Array = 0.25 * np.log(q) + 0.5 * np.log(q + 2) - 0.75 * np.log(q + 4)
    return prior


def scale_evidence(free: Array, prior: Array) -> Array:
    """Log-likelihood of each error scale (`LN_SCALE`), whatever D is, (n, S), from (n, C, D) and (n, D)."""
    found: Array = logsumexp(TO_LN_SCALE @ free + prior[:, None], axis=2)
    return found


def scale_prior(evidence: Array) -> Array:
    """Log-probability of each error scale for each track, by what the other tracks say, (n, S)."""
    between = _normal(LN_SCALE[:, None] - LN_SCALE[None], LN_SCALE_SPREAD)  # (of the track, of the run)
    likelihood = np.exp(evidence - evidence.max(axis=1, keepdims=True)) @ between
    each = np.log(np.maximum(likelihood, np.finfo(float).tiny))
    others = np.log(_normal(LN_SCALE, LN_SCALE_SD)) + each.sum(axis=0) - each
    others -= logsumexp(others, axis=1, keepdims=True)
    prior: Array = np.log(np.exp(others) @ between.T)
    return prior


def diffusion_evidence(free: Array, scale: Array) -> Array:
    """Log-likelihood of each D, whatever the error scale is, (n, D), from (n, C, D) and (n, S)."""
    found: Array = logsumexp(TO_LN_SCALE @ free + scale[:, :, None], axis=1)
    return found


@dataclass(frozen=True, slots=True)
class Posterior:
    """D of each track: probability (n, F) of each ln D of `LN_D_FINE`."""

    probability: Array

    @classmethod
    def of(cls, log_posterior: Array) -> Self:
        """Take its logarithm on the grid of D, (n, D), up to a constant a track."""
        fine = log_posterior @ TO_FINE_D.T
        fine = np.exp(fine - fine.max(axis=1, keepdims=True))
        return cls(fine / fine.sum(axis=1, keepdims=True))

    def quantile(self, share: float) -> Array:
        """D below which this share of the probability lies, µm²/s, (n,)."""
        below = np.cumsum(self.probability, axis=1)
        first = (below >= share).argmax(axis=1)
        row = np.arange(len(below))
        here = self.probability[row, first]
        part = np.clip((share - (below[row, first] - here)) / np.maximum(here, 1e-300), 0, 1)
        step = LN_D_FINE[1] - LN_D_FINE[0]  # each point stands for the cell about it
        ln_d = np.clip(LN_D_FINE[first] + (part - 0.5) * step, LN_D_FINE[0], LN_D_FINE[-1])
        d: Array = np.exp(ln_d)
        return d


def confinement(free: Array, well: Array, scale: Array) -> tuple[Array, Array]:
    """Probability that each track is confined, and the radius of the disk (µm), (n,) each.

    Confined and free are equally probable beforehand, and so are all D, spreads and relaxation times of
    the grids in their logarithms; the error scales are those that both have filters for.
    """
    log_weight = np.log(np.maximum(np.exp(scale) @ STANDS_FOR, np.finfo(float).tiny))[:, :, None]
    # The likelihoods are narrow in D = spread²/relaxation, which a coarse grid would miss: so fine ones.
    shared = free[:, np.isin(SD_SCALE, WELL_SD_SCALE)] @ TO_FINE_D.T
    for_free = logsumexp(shared + log_weight, axis=(1, 2)) - np.log(len(LN_D_FINE))
    for_each = logsumexp(well @ TO_FINE_WELL.T + log_weight, axis=1)
    for_confined = logsumexp(for_each, axis=1)
    by_spread = np.exp(for_each - for_confined[:, None]).reshape(-1, len(LN_SPREAD), len(LN_RELAXATION))
    ln_spread = by_spread.sum(axis=2) @ LN_SPREAD
    for_confined -= np.log(for_each.shape[1])
    probability: Array = 1 / (1 + np.exp(np.clip(for_free - for_confined, -500, 500)))
    return probability, RADIUS_OF_SPREAD * np.exp(ln_spread)


def _normal(x: Array, sd: float) -> Array:
    """Normal distribution on a grid, summing to 1 along the first axis."""
    density = np.exp(-0.5 * (x / sd) ** 2)
    normal: Array = density / density.sum(axis=0)
    return normal

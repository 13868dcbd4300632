"""How each track moves, by the likelihoods of all of them."""

from dataclasses import dataclass

import numpy as np

from stream.motion.diffusion import DIFFUSION_UM2_S, Array
from stream.motion.likelihoods import Likelihoods
from stream.motion.mobility import CLASSES, class_probability
from stream.motion.posterior import (
    LN_SCALE,
    Posterior,
    confinement,
    diffusion_evidence,
    log_prior,
    scale_evidence,
    scale_prior,
)

QUANTILES = (0.025, 0.5, 0.975)
CHUNK = 2000  # tracks worked on at once, so that many need little memory


@dataclass(frozen=True, slots=True)
class Motion:
    """Struct of arrays, one row a track, in the order of the likelihoods.

    Attributes
    ----------
    evidence
        (n, D) Log-likelihood of each D of the grid, up to a constant a track.
    diffusion_um2_s
        (n, 3) Low end of the 95 % interval, median, high end.
    class_probability
        (n, 3) Of `stream.motion.mobility.CLASSES`.
    scale
        (n,) Of the claimed localization errors: true over claimed.
    confined, radius_um
        (n,) Probability of confinement, and the radius of the disk in µm.
    """

    evidence: Array
    diffusion_um2_s: Array
    class_probability: Array
    scale: Array
    confined: Array
    radius_um: Array


def motion_of(likelihoods: Likelihoods, noise: Array) -> Motion:
    """Motion of all n tracks; `noise` is each one's mean σ²/Δt in µm²/s, (n,)."""
    n = len(noise)
    parts = [np.arange(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]
    of_scale = np.empty((n, len(LN_SCALE)))
    for rows in parts:
        of_scale[rows] = scale_evidence(likelihoods.of(rows)[0], log_prior(noise[rows]))
    log_scale = scale_prior(of_scale)
    motion = Motion(
        evidence=np.empty((n, len(DIFFUSION_UM2_S))),
        diffusion_um2_s=np.empty((n, len(QUANTILES))),
        class_probability=np.empty((n, len(CLASSES))),
        scale=_mean_scale(of_scale + log_scale),
        confined=np.empty(n),
        radius_um=np.empty(n),
    )
    for rows in parts:
        free, well = likelihoods.of(rows)
        evidence = diffusion_evidence(free, log_scale[rows])
        posterior = Posterior.of(evidence + log_prior(noise[rows]))
        motion.evidence[rows] = evidence
        motion.diffusion_um2_s[rows] = np.stack([posterior.quantile(q) for q in QUANTILES], axis=1)
        motion.class_probability[rows] = class_probability(Posterior.of(evidence))
        motion.confined[rows], motion.radius_um[rows] = confinement(free, well, log_scale[rows])
    return motion


def _mean_scale(log_posterior: Array) -> Array:
    """Geometric mean of the error scale, (n,), from the logarithm of its posterior, (n, S)."""
    weight = np.exp(log_posterior - log_posterior.max(axis=1, keepdims=True, initial=-np.inf))
    scale: Array = np.exp(weight @ LN_SCALE / weight.sum(axis=1))
    return scale

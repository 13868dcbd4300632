"""Mobile, intermediate or immobile: the class of each track, and the share of each in a run.

The lab's manual gives D = .029 µm²/s for mobile and .003 for immobile puncta. A third population lies
between them, so the borders are the geometric means of .003, .01 and .03.
"""

from dataclasses import dataclass

import numpy as np

from stream.motion.diffusion import Array
from stream.motion.posterior import LN_D_FINE, TO_FINE_D, Posterior

CLASSES = ("immobile", "intermediate", "mobile")
IMMOBILE_BELOW_UM2_S = 0.0055
MOBILE_ABOVE_UM2_S = 0.0173
CLASS_OF_D = np.searchsorted(np.log([IMMOBILE_BELOW_UM2_S, MOBILE_ABOVE_UM2_S]), LN_D_FINE)
IS_CLASS = (CLASS_OF_D[:, None] == np.arange(len(CLASSES))).astype(np.float64)  # (F, 3)

EVERY = 4  # a coarser grid is enough for the population, whose sampler pays for every point
IS_CLASS_COARSE = IS_CLASS[::EVERY]
SWEEPS, BURN_IN = 500, 100
# Of the Dirichlet prior, in tracks over all D: what three classes of equal standing get.
PRIOR_TRACKS = 3.0


@dataclass(frozen=True, slots=True)
class Share:
    """Share of a class among a run's tracks, and its 95 % interval."""

    share: float
    low: float
    high: float


def class_probability(posterior: Posterior) -> Array:
    """Probability of each of `CLASSES` for each track, (n, 3)."""
    found: Array = np.minimum(posterior.probability @ IS_CLASS, 1.0)  # rounding goes beyond 1
    return found


def class_shares(evidence: Array, seed: int = 0) -> dict[str, Share]:
    """Share of each class among tracks, each track counting once.

    Counting labels is biased: more tracks of a large class are taken for one of a small class than the
    other way round. So the distribution of D over the tracks is estimated, with each track's class left
    open: a state array (Heckert et al., eLife 11, e70169 (2022)) whose posterior is sampled by Gibbs'
    method.

    Parameters
    ----------
    evidence
        (n, D) Log-likelihoods of D by `stream.motion.posterior.diffusion_evidence`.
    seed
        Of the sampler.

    Returns
    -------
    dict
        By class, posterior means; all NaN without tracks.
    """
    if not len(evidence):
        return dict.fromkeys(CLASSES, Share(np.nan, np.nan, np.nan))
    rng = np.random.default_rng(seed)
    fine = (evidence @ TO_FINE_D.T)[:, ::EVERY]
    likelihood = np.exp(fine - fine.max(axis=1, keepdims=True))
    n_points = likelihood.shape[1]
    share = np.full(n_points, 1 / n_points)
    samples = np.empty((SWEEPS, len(CLASSES)))
    for sweep in range(SWEEPS):
        below = np.cumsum(likelihood * share, axis=1)
        point = (below < rng.random((len(below), 1)) * below[:, -1:]).sum(axis=1)
        counts = np.bincount(point, minlength=n_points)
        share = rng.dirichlet(counts + PRIOR_TRACKS / n_points)
        samples[sweep] = share @ IS_CLASS_COARSE
    low, high = np.quantile(samples[BURN_IN:], (0.025, 0.975), axis=0)
    mean = samples[BURN_IN:].mean(axis=0)
    return {name: Share(float(mean[i]), float(low[i]), float(high[i])) for i, name in enumerate(CLASSES)}

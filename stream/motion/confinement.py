"""Confinement: the likelihood of each track under diffusion about a centre, as its sightings come.

The alternative to free diffusion is an Ornstein–Uhlenbeck process, a walk in a harmonic well of unknown
centre, which at long times spreads about it with a fixed variance (Uhlenbeck & Ornstein, Phys. Rev. 36, 823
(1930); compared by likelihood for tracks: Monnier et al., Biophys. J. 103, 616 (2012)). The state of its
Kalman filter is the position and the centre of the well; there is one for each spread, relaxation time and
scale of the claimed errors on a grid. Motion blur is that of a free walk of the same local diffusion
coefficient, so relaxation takes two frames or more; what is faster looks like localization error.
"""

import numpy as np
from numba import njit

from stream.motion.diffusion import (
    CHI2,
    FOLD_EVERY,
    MOTION_BLUR,
    SD_SCALE,
    WEIGHT,
    Array,
    Counts,
    Index,
    Single,
)

# Standard deviation an axis about the centre: less is localization error, more is beyond most tracks.
SPREADS_UM: Array = np.geomspace(0.03, 0.3, 5)
RELAXATIONS: Array = np.geomspace(2.0, 32.0, 4)  # in frame intervals
SPREAD_UM, RELAXATION = (a.ravel() for a in np.meshgrid(SPREADS_UM, RELAXATIONS, indexing="ij"))
WELL_SD_SCALE: Array = SD_SCALE[2:5]  # fewer than of free diffusion: a filter costs more, and gains less

X, Y, CENTRE_X, CENTRE_Y, VARIANCE, COVARIANCE, CENTRE_VARIANCE = range(7)
WELL_STATES = 7


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def advance_confined(
    states: Single,
    scores: Array,
    slots: Index,
    steps: Counts,
    seen: Single,
    kept: Single,
    gap: Index,
    spread2: Single,
    relaxation: Single,
    scale2: Single,
) -> None:
    """Take in one sighting for each of some tracks, in place.

    Parameters
    ----------
    states
        (n, WELL_STATES, C, G) Expected position and centre (µm), their variances and covariance an axis,
        for C scales of the error and G wells.
    scores, slots, steps, seen
        As of `stream.motion.diffusion.advance_free`.
    kept, gap
        (U, G) Share of the distance to the centre that is left after each of U gaps, and (m,) which of
        them each track has had.
    spread2, relaxation, scale2
        (G,) µm² and frame intervals, and (C,) squared scales of the error.
    """
    one = np.float32(1)  # keeps the arithmetic single
    n_c, n_g = len(scale2), len(spread2)
    blur = np.float32(2 * MOTION_BLUR) * spread2 / relaxation
    for i in range(len(slots)):
        state, score = states[slots[i]], scores[slots[i]]
        x, y, claimed = seen[i, 0], seen[i, 1], seen[i, 2]
        if steps[i] == 0:
            state[X], state[Y], state[CENTRE_X], state[CENTRE_Y] = x, y, x, y
            for c in range(n_c):
                state[VARIANCE, c] = scale2[c] * claimed - blur
                state[COVARIANCE, c] = state[VARIANCE, c]
                state[CENTRE_VARIANCE, c] = state[VARIANCE, c] + spread2
            continue
        left = kept[gap[i]]
        for c in range(n_c):
            at_x, at_y, centre_x, centre_y = state[X, c], state[Y, c], state[CENTRE_X, c], state[CENTRE_Y, c]
            variance, covariance, centre = state[VARIANCE, c], state[COVARIANCE, c], state[CENTRE_VARIANCE, c]
            chi2, weight = score[CHI2, c], score[WEIGHT, c]
            error = scale2[c] * claimed
            for g in range(n_g):
                a = left[g]
                b = one - a
                noise = error - blur[g]
                with_centre = a * covariance[g] + b * centre[g]
                ahead = a * a * variance[g] + b * (a * covariance[g] + with_centre)
                ahead += spread2[g] * (one - a * a)
                off_x = x - a * at_x[g] - b * centre_x[g]
                off_y = y - a * at_y[g] - b * centre_y[g]
                w = one / (ahead + noise)
                chi2[g] += (off_x * off_x + off_y * off_y) * w
                weight[g] *= w
                at_x[g] = x - noise * w * off_x
                at_y[g] = y - noise * w * off_y
                gain = with_centre * w
                centre_x[g] += gain * off_x
                centre_y[g] += gain * off_y
                variance[g] = ahead * noise * w
                covariance[g] = noise * gain
                centre[g] -= with_centre * gain
        if steps[i] % FOLD_EVERY == 0:
            for c in range(n_c):
                for g in range(n_g):
                    score[CHI2, c, g] -= 2 * np.log(score[WEIGHT, c, g])
                    score[WEIGHT, c, g] = 1.0

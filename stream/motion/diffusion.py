"""Free diffusion: the likelihood of each track for a grid of diffusion coefficients, as its sightings come.

A diffusing punctum is a random walk seen with errors, so its likelihood comes from a scalar Kalman filter
for each axis, which share their variance, as a localization's errors hardly differ between axes. There is
one filter for each diffusion coefficient D and each scale of the claimed localization errors; every
sighting counts with its own error, and a gap is simply a longer step.

An exposure averages over the walk. Positions seen through it have the variances and covariances of a walk
with white noise of variance s² = σ² − 2 D R Δt, R = 1/6 for an exposure of the whole frame interval Δt
(Berglund, Phys. Rev. E 82, 011917 (2010); Michalet & Berglund, Phys. Rev. E 85, 061916 (2012)). s² may be
negative; the filter stays valid, as the variance of what comes next never is.

A network that looks at the frames beside draws a position towards those there, the more so the smaller the
step is against the error: x̂ = x + a/2 · (x₋₁ − 2x + x₊₁) on average, where a = pull · σ² / (σ² + 2DΔt / 16)
describes the network that ships. It acts like more blur, and s² is taken to be less by a (1 − a) D Δt,
which leaves D unbiased in simulations (docs/decisions/0015-pull.md).

Claimed errors are often wrong by tens of per cent, which a slow punctum would show as too much or too
little motion: hence the grid over their scale, as over D and σ by Heckert, Dahal, Tjian & Darzacq, eLife
11, e70169 (2022).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Single = NDArray[np.float32]
Index = NDArray[np.intp]
Counts = NDArray[np.int64]

MOTION_BLUR = 1 / 6  # R of an exposure that lasts the whole frame interval
NEIGHBOUR_PULL, PULL_STEP = 0.4, 1 / 16
# From what minutes cannot tell from rest (45 nm in 50 s) to more than any membrane protein.
DIFFUSION_UM2_S: Array = np.geomspace(2e-5, 5.0, 32)
SD_SCALE: Array = np.geomspace(0.5, 2.0, 7)

MEAN_X, MEAN_Y, VARIANCE = range(3)
STATES = 3
CHI2, WEIGHT = range(2)
SCORES = 2
FOLD_EVERY = 8  # sightings whose weights are multiplied before their logarithm is taken: it is what costs


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def advance_free(
    states: Single,
    scores: Array,
    slots: Index,
    steps: Counts,
    seen: Single,
    elapsed_s: Single,
    interval_s: float,
    pull: np.float32,
    diffusion: Single,
    scale2: Single,
) -> None:
    """Take in one sighting for each of some tracks, in place.

    Single precision is enough for the filters, which forget; the scores only grow.

    Parameters
    ----------
    states
        (n, STATES, C, D) Expected positions (µm) and their variance an axis, for C scales of the error
        and D diffusion coefficients.
    scores
        (n, SCORES, C, D) −2 × the log-likelihood up to a constant is `CHI2` − 2 ln `WEIGHT`.
    slots, steps
        (m,) Which of them, and how many sightings each has had; those with none start here.
    seen
        (m, 3) x, y (µm) and their claimed variance an axis (µm²).
    elapsed_s, interval_s
        (m,) Time since the sighting before, and the frame interval.
    pull
        How far positions of resting puncta are drawn towards those in the frames beside.
    diffusion, scale2
        (D,) µm²/s, and (C,) squared scales of the error.
    """
    one, half = np.float32(1), np.float32(0.5)  # keep the arithmetic single
    step_share = np.float32(PULL_STEP)
    n_c, n_d = len(scale2), len(diffusion)
    frame = np.float32(2 * interval_s)
    blur = np.float32(MOTION_BLUR) * frame
    for i in range(len(slots)):
        state, score = states[slots[i]], scores[slots[i]]
        x, y, claimed = seen[i, 0], seen[i, 1], seen[i, 2]
        if steps[i] == 0:
            state[MEAN_X], state[MEAN_Y] = x, y
            for c in range(n_c):
                state[VARIANCE, c] = scale2[c] * claimed
            continue
        walked = elapsed_s[i] + elapsed_s[i]
        if steps[i] == 1:  # the first sighting's blur, as the interval may not have been known then
            walked -= blur
        for c in range(n_c):
            mean_x, mean_y, variance = state[MEAN_X, c], state[MEAN_Y, c], state[VARIANCE, c]
            chi2, weight = score[CHI2, c], score[WEIGHT, c]
            error = scale2[c] * claimed
            for d in range(n_d):
                ahead = variance[d] + diffusion[d] * walked
                step2 = diffusion[d] * frame
                drawn = pull * claimed / (claimed + step_share * step2)
                noise = error - diffusion[d] * blur - half * step2 * drawn * (one - drawn)
                w = one / (ahead + noise)
                gain = ahead * w
                off_x, off_y = x - mean_x[d], y - mean_y[d]
                chi2[d] += (off_x * off_x + off_y * off_y) * w
                weight[d] *= w
                mean_x[d] += gain * off_x
                mean_y[d] += gain * off_y
                variance[d] = gain * noise
        if steps[i] % FOLD_EVERY == 0:
            for c in range(n_c):
                for d in range(n_d):
                    score[CHI2, c, d] -= 2 * np.log(score[WEIGHT, c, d])
                    score[WEIGHT, c, d] = 1.0

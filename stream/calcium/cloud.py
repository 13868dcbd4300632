"""Where the calcium of an event comes from, and how far it spreads: a Gaussian fitted to its mean image."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream.calcium.sampling import RADIUS_PX, SIDE, Image

Array = NDArray[np.float64]

SIGMA_PX = (0.8, 5.0)  # believable clouds
START_SIGMA_PX = 2.0
N_PARAMETERS = 7  # height, x, y, σ; level and its slopes
HEIGHT, X, Y, SIGMA = range(4)
DAMPING = 0.02  # of the Gauss–Newton steps, relative (Levenberg, 1944; Marquardt, 1963)
MAX_STEP_PX = 1.5


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def fit_cloud(total: Image, weight: float, offset: Array, cloud: Array, steps: int) -> float:
    """Improve a Gaussian on a sloping level in place; gives the variance of its centre per unit of noise.

    Parameters
    ----------
    total
        Weighted sum of patches (SIDE, SIDE), NaN where there is none.
    weight
        Sum of the weights.
    offset
        Mean position of the track within the patch's middle pixel, (2,).
    cloud
        Parameters (N_PARAMETERS,): height, place in x and y relative to the track, σ, level and slopes.
    steps
        Gauss–Newton steps.

    Returns
    -------
    variance
        Variance of x and y (the larger of both) for pixels of variance 1; infinite if it cannot be told.
    """
    hessian, gradient = np.zeros((N_PARAMETERS, N_PARAMETERS)), np.zeros(N_PARAMETERS)
    # By pixel, zero where there is none: rows of one length make vector instructions.
    slope, rest = np.empty((N_PARAMETERS, SIDE * SIDE)), np.empty(SIDE * SIDE)
    across = np.empty(SIDE)
    for step in range(steps + 1):
        pixels = 0
        height, sigma = cloud[HEIGHT], cloud[SIGMA]
        for c in range(SIDE):
            across[c] = math.exp(-0.5 * ((c - RADIUS_PX - offset[0] - cloud[X]) / sigma) ** 2)
        for r in range(SIDE):
            dy = r - RADIUS_PX - offset[1] - cloud[Y]
            down = math.exp(-0.5 * (dy / sigma) ** 2)
            for c in range(SIDE):
                at = r * SIDE + c
                value = total[r, c] / weight
                if math.isnan(value):
                    rest[at] = 0.0
                    slope[:, at] = 0.0
                    continue
                dx = c - RADIUS_PX - offset[0] - cloud[X]
                spot = down * across[c]
                slope[HEIGHT, at] = spot
                slope[X, at] = height * spot * dx / sigma**2
                slope[Y, at] = height * spot * dy / sigma**2
                slope[SIGMA, at] = height * spot * (dx * dx + dy * dy) / sigma**3
                slope[4, at] = 1.0
                slope[5, at] = (c - RADIUS_PX) / RADIUS_PX
                slope[6, at] = (r - RADIUS_PX) / RADIUS_PX
                level = cloud[4] + cloud[5] * slope[5, at] + cloud[6] * slope[6, at]
                rest[at] = value - height * spot - level
                pixels += 1
        for i in range(N_PARAMETERS):
            gradient[i] = 0.0
            for at in range(SIDE * SIDE):
                gradient[i] += slope[i, at] * rest[at]
            for j in range(i + 1):
                product = 0.0
                for at in range(SIDE * SIDE):
                    product += slope[i, at] * slope[j, at]
                hessian[i, j] = product
        if pixels < 3 * N_PARAMETERS:
            return np.inf
        for i in range(N_PARAMETERS):
            hessian[:i, i] = hessian[i, :i]
            hessian[i, i] = hessian[i, i] * (1 + DAMPING) + 1e-9
        if step == steps:
            break
        move = np.linalg.solve(hessian, gradient)
        cloud[HEIGHT] += move[HEIGHT]
        for i in (X, Y):
            cloud[i] += min(max(move[i], -MAX_STEP_PX), MAX_STEP_PX)
            cloud[i] = min(max(cloud[i], -RADIUS_PX), RADIUS_PX)
        cloud[SIGMA] = min(max(cloud[SIGMA] + min(max(move[SIGMA], -0.5), 0.5), SIGMA_PX[0]), SIGMA_PX[1])
        for i in range(4, N_PARAMETERS):
            cloud[i] += move[i]
    covariance = np.linalg.inv(hessian)
    variance = max(covariance[X, X], covariance[Y, Y])
    return variance if variance > 0 else np.inf

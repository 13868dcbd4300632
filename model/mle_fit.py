"""Maximum-likelihood fit of integrated Gaussians to puncta whose pixels are known roughly.

Each punctum has five parameters (x, y, σ, photons, background) in a small window. Noise is Poisson with
the camera's read noise folded in: counts + v follow Poisson(expected + v), v the read variance of the
pixel (Huang et al., Nat. Methods 10, 653 (2013)). Steps are Levenberg–Marquardt with the Fisher matrix as
curvature, whose inverse is also the Cramér–Rao bound of the fit (Smith et al., Nat. Methods 7, 373 (2010)).
"""

import math

import numpy as np
from numba import njit

from model.optics import Array, gaussian_profile

# Parameters of a fit; a fitted row holds them and then their standard deviations.
X, Y, SIGMA, PHOTONS, BACKGROUND = range(5)
N_PARAMETERS = 5

FAILED, UNFINISHED, CONVERGED = range(3)

TOLERANCE = 5e-3  # px, of the last step; what it leaves is far below any bound reached in practice
MAX_STEP = 1.0  # px; a longer step leaves the region where the curvature means something
SIGMA_RANGE = (0.4, 2.5)  # of the expected σ; a fit that ends at a limit describes no punctum
MIN_BACKGROUND = 1e-2  # photo-electrons; keeps the expectation positive


@njit(cache=True, nogil=True, error_model="numpy")
def _likelihood(
    theta: Array, counts: Array, known: Array, x0: int, y0: int, profiles: Array, slope: Array, fisher: Array
) -> float:
    """Negative log-likelihood of `theta` in a window; fills its slope (uphill) and Fisher matrix.

    `counts` and `known` (h, w) are the data and the light of everything else, both with the read
    variance added; (x0, y0) is the window's first pixel, `profiles` (6, max(h, w)) is scratch.
    """
    h, w = counts.shape
    px, dx, sx = profiles[0, :w], profiles[1, :w], profiles[2, :w]
    py, dy, sy = profiles[3, :h], profiles[4, :h], profiles[5, :h]
    gaussian_profile(theta[X], theta[SIGMA], x0, px, dx, sx)
    gaussian_profile(theta[Y], theta[SIGMA], y0, py, dy, sy)
    n, background = theta[PHOTONS], theta[BACKGROUND]
    slope[:] = 0.0
    fisher[:] = 0.0
    cost = 0.0
    for r in range(h):
        for c in range(w):
            shape = px[c] * py[r]
            expected = background + n * shape + known[r, c]
            weight = 1.0 / expected
            cost += expected - counts[r, c] * math.log(expected)
            residual = counts[r, c] * weight - 1.0
            gx, gy = n * dx[c] * py[r], n * px[c] * dy[r]
            gs = n * (sx[c] * py[r] + px[c] * sy[r])
            slope[0] += residual * gx
            slope[1] += residual * gy
            slope[2] += residual * gs
            slope[3] += residual * shape
            slope[4] += residual
            wx, wy, ws, wn = weight * gx, weight * gy, weight * gs, weight * shape
            fisher[0, 0] += wx * gx
            fisher[1, 0] += wx * gy
            fisher[1, 1] += wy * gy
            fisher[2, 0] += wx * gs
            fisher[2, 1] += wy * gs
            fisher[2, 2] += ws * gs
            fisher[3, 0] += wx * shape
            fisher[3, 1] += wy * shape
            fisher[3, 2] += ws * shape
            fisher[3, 3] += wn * shape
            fisher[4, 0] += wx
            fisher[4, 1] += wy
            fisher[4, 2] += ws
            fisher[4, 3] += wn
            fisher[4, 4] += weight
    return cost


@njit(cache=True, nogil=True, error_model="numpy")
def _factor(matrix: Array, damping: float, factor: Array) -> bool:
    """Cholesky factor of `matrix` (lower half) with its diagonal raised; False if not positive definite."""
    for i in range(N_PARAMETERS):
        for j in range(i + 1):
            total = matrix[i, j] * (1.0 + damping) if i == j else matrix[i, j]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i != j:
                factor[i, j] = total / factor[j, j]
            elif total > 0.0:
                factor[i, i] = math.sqrt(total)
            else:
                return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(factor: Array, right: Array, solution: Array) -> None:
    """Solve L Lᵀ solution = right."""
    for i in range(N_PARAMETERS):
        total = right[i]
        for k in range(i):
            total -= factor[i, k] * solution[k]
        solution[i] = total / factor[i, i]
    for i in range(N_PARAMETERS - 1, -1, -1):
        total = solution[i]
        for k in range(i + 1, N_PARAMETERS):
            total -= factor[k, i] * solution[k]
        solution[i] = total / factor[i, i]


@njit(cache=True, nogil=True, error_model="numpy")
def fit_window(
    row: Array, counts: Array, known: Array, x0: int, y0: int, sigma: float, max_iterations: int
) -> int:
    """Fit one punctum in its window.

    Parameters
    ----------
    row
        (10,): the start; receives the parameters and, if not FAILED, their standard deviations.
    counts, known
        (h, w): pixels, and the light in them that is not the punctum's or its background's, both with
        the read variance added, in photo-electrons of unit excess noise.
    x0, y0
        First pixel of the window.
    sigma
        Expected σ in pixels; the fit must stay within `SIGMA_RANGE` of it.
    max_iterations
        Fits that need more are UNFINISHED.

    Returns
    -------
    FAILED (left its window or the range of σ, or has no curvature), UNFINISHED or CONVERGED.
    """
    h, w = counts.shape
    slope, trial_slope = np.empty(N_PARAMETERS), np.empty(N_PARAMETERS)
    fisher, trial_fisher = np.empty((N_PARAMETERS, N_PARAMETERS)), np.empty((N_PARAMETERS, N_PARAMETERS))
    factor = np.zeros((N_PARAMETERS, N_PARAMETERS))
    step, trial = np.empty(N_PARAMETERS), np.empty(N_PARAMETERS)
    profiles = np.empty((6, max(h, w)))
    theta = row[:N_PARAMETERS]
    low, high = SIGMA_RANGE[0] * sigma, SIGMA_RANGE[1] * sigma
    cost = _likelihood(theta, counts, known, x0, y0, profiles, slope, fisher)
    damping = 0.01
    status = UNFINISHED
    for _ in range(max_iterations):
        if not _factor(fisher, damping, factor):
            return FAILED
        _solve(factor, slope, step)
        longest = max(abs(step[X]), abs(step[Y]))
        scale = MAX_STEP / longest if longest > MAX_STEP else 1.0
        for i in range(N_PARAMETERS):
            trial[i] = theta[i] + scale * step[i]
        trial[SIGMA] = min(max(trial[SIGMA], low), high)
        trial[PHOTONS] = max(trial[PHOTONS], 0.2 * theta[PHOTONS])
        trial[BACKGROUND] = max(trial[BACKGROUND], MIN_BACKGROUND)
        if not (x0 - 0.5 <= trial[X] < x0 + w - 0.5 and y0 - 0.5 <= trial[Y] < y0 + h - 0.5):
            return FAILED
        trial_cost = _likelihood(trial, counts, known, x0, y0, profiles, trial_slope, trial_fisher)
        if not trial_cost <= cost + 1e-9 * abs(cost):
            damping *= 10.0
            continue
        moved = max(abs(trial[X] - theta[X]), abs(trial[Y] - theta[Y]), abs(trial[SIGMA] - theta[SIGMA]))
        theta[:], slope[:], fisher[:], cost = trial, trial_slope, trial_fisher, trial_cost
        damping *= 0.1
        if moved < TOLERANCE:
            status = CONVERGED
            break
    if not low < theta[SIGMA] < high or not _factor(fisher, 0.0, factor):
        return FAILED
    for i in range(N_PARAMETERS):
        slope[:] = 0.0
        slope[i] = 1.0
        _solve(factor, slope, step)
        row[N_PARAMETERS + i] = math.sqrt(step[i])
    return status

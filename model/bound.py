"""The Cramér–Rao bound of a position, alone and beside neighbours whose positions are unknown too."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.spatial import KDTree

from model.camera import Camera
from model.optics import Array, gaussian_profile

REACH_SIGMA = 6.0  # neighbours farther away share no light
MAX_EMITTERS = 16  # taken into one Fisher matrix, the nearest ones

Index = NDArray[np.intp]


@njit(cache=True, nogil=True)
def _bound_of(
    xs: Array, ys: Array, photons: Array, sigma: float, background: float, excess: float, read_variance: float
) -> tuple[float, float]:
    """Bound (px) on x and y of emitter 0 with x, y, N of every emitter and one background unknown."""
    k = len(xs)
    size = 3 * k + 1
    margin = math.ceil(4.0 * sigma) + 1
    x0, x1 = math.floor(xs.min()) - margin, math.ceil(xs.max()) + margin
    y0, y1 = math.floor(ys.min()) - margin, math.ceil(ys.max()) + margin
    w, h = x1 - x0 + 1, y1 - y0 + 1
    px, dx, py, dy = np.empty((k, w)), np.empty((k, w)), np.empty((k, h)), np.empty((k, h))
    unused_w, unused_h = np.empty(w), np.empty(h)
    for j in range(k):
        gaussian_profile(xs[j], sigma, x0, px[j], dx[j], unused_w)
        gaussian_profile(ys[j], sigma, y0, py[j], dy[j], unused_h)
    fisher = np.zeros((size, size))
    gradient = np.empty(size)
    gradient[size - 1] = 1.0
    for r in range(h):
        for c in range(w):
            mean = background
            for j in range(k):
                mean += photons[j] * py[j, r] * px[j, c]
                gradient[3 * j] = photons[j] * py[j, r] * dx[j, c]
                gradient[3 * j + 1] = photons[j] * dy[j, r] * px[j, c]
                gradient[3 * j + 2] = py[j, r] * px[j, c]
            weight = 1.0 / (excess * mean + read_variance)
            for a in range(size):
                ga = gradient[a] * weight
                for b in range(a, size):
                    fisher[a, b] += ga * gradient[b]
    for a in range(size):
        for b in range(a):
            fisher[a, b] = fisher[b, a]
        # Coincident emitters make the matrix singular; this keeps the inverse finite (and huge).
        fisher[a, a] *= 1.0 + 1e-9
    inverse = np.linalg.inv(fisher)
    return math.sqrt(max(inverse[0, 0], 0.0)), math.sqrt(max(inverse[1, 1], 0.0))


@njit(cache=True, nogil=True)
def _bounds(
    x: Array,
    y: Array,
    photons: Array,
    sigma: Array,
    background: Array,
    neighbours: Index,
    excess: float,
    read_variance: float,
) -> Array:
    """Bounds (N, 2) beside `neighbours` (N, K): rows in ascending distance, which may hold the emitter."""
    result = np.empty((len(x), 2))
    for i in range(len(x)):
        chosen = np.append(i, neighbours[i][neighbours[i] != i])[:MAX_EMITTERS]
        for k in range(1, len(chosen)):
            if not math.hypot(x[chosen[k]] - x[i], y[chosen[k]] - y[i]) < REACH_SIGMA * sigma[i]:
                chosen = chosen[:k]
                break
        result[i] = _bound_of(
            x[chosen], y[chosen], photons[chosen], sigma[i], background[i], excess, read_variance
        )
    return result


def crlb(
    x_px: Array,
    y_px: Array,
    photons: Array,
    sigma_px: Array,
    background: Array,
    camera: Camera,
    *,
    joint: bool = False,
) -> NDArray[np.float64]:
    """Cramér–Rao bound on the positions of emitters of one frame.

    Noise is taken as Gaussian of the camera's variance at the expected signal, which for pure shot
    noise is the Poisson bound (Ober, Ram & Ward, Biophys. J. 86, 1185 (2004)).

    Parameters
    ----------
    x_px, y_px, photons, sigma_px, background
        One value per emitter, shape (N,); background in photo-electrons per pixel.
    camera
        Gives excess noise and read noise (the mean of a read-noise map).
    joint
        False: each emitter alone in its window. True: neighbours within 6 σ have unknown position
        and photons too, which is what a fitter of overlapping emitters is up against.

    Returns
    -------
    Bounds in pixels, shape (N, 2): standard deviation of x and of y.
    """
    x, y, n, sigma, level = (
        np.ascontiguousarray(c, dtype=np.float64) for c in (x_px, y_px, photons, sigma_px, background)
    )
    read_variance = float(np.mean(camera.read_variance))
    neighbours = np.empty((len(x), 0), np.intp)
    if joint and len(x) > 1:
        xy = np.stack([x, y], axis=1)
        neighbours = np.asarray(KDTree(xy).query(xy, k=min(len(x), MAX_EMITTERS))[1])
    return _bounds(x, y, n, sigma, level, neighbours, camera.excess, read_variance)

"""The Cramér–Rao bound of a position, alone and beside neighbours whose positions are unknown too."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from model.camera import Camera
from model.optics import Array, gaussian_profile

MAX_NEIGHBOURS = 16


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
    excess: float,
    read_variance: float,
    reach_sigma: float,
) -> Array:
    n = len(x)
    result = np.empty((n, 2))
    for i in range(n):
        reach = reach_sigma * sigma[i]
        distance = np.hypot(x - x[i], y - y[i])
        distance[i] = -1.0  # the emitter itself comes first
        order = np.argsort(distance)
        count = 1
        while count < min(n, MAX_NEIGHBOURS) and distance[order[count]] < reach:
            count += 1
        chosen = order[:count]
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
    return _bounds(x, y, n, sigma, level, camera.excess, read_variance, 6.0 if joint else 0.0)

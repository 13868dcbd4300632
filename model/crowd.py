"""Puncta of one image, close neighbours included: find maxima, fit each beside the light of the others.

The method is ThunderSTORM's (wavelet maxima, then maximum-likelihood fits; Ovesný et al., Bioinformatics
30, 2389 (2014)) with two steps for crowded images from stellar photometry (DAOPHOT; Stetson, Publ.
Astron. Soc. Pac. 99, 191 (1987)): every fit knows the light of all other puncta, and after a first rough
round the image less that light is searched again, for puncta that had no maximum of their own.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from model.cells import candidates, empty_cells, put
from model.mle_fit import (
    BACKGROUND,
    CONVERGED,
    FAILED,
    MIN_BACKGROUND,
    N_PARAMETERS,
    PHOTONS,
    SIGMA,
    X,
    Y,
    fit_window,
)
from model.optics import Array, add_gaussians, gaussian_profile
from model.wavelet import Image, local_maxima, smooth, wavelet_planes

WINDOW_SIGMA = 3 / 1.6  # window radius in σ: ThunderSTORM fits 3 px around puncta of 1.6 px
SEPARATION_SIGMA = 1.2  # of two fits closer than this, one describes noise of the other
SPLIT_SIGMA = 2.25  # wider pairs have two maxima in the wavelet plane
STAND_INS = 4  # fits of the expected width
ROUGH_ITERATIONS = 1  # one step a round: neighbours settle together instead of one eating the other
FINE_ITERATIONS = 30


def locate_puncta(image: Image, variance: Image, sigma: float, threshold: float) -> Array:
    """Find and fit the puncta of one image.

    Parameters
    ----------
    image
        Photo-electrons (H, W), divided by the excess-noise factor so that shot noise is Poisson.
    variance
        Read variance (H, W) in the square of that unit.
    sigma
        Expected standard deviation of the PSF in pixels; it need not be exact, as σ is fitted.
    threshold
        Detection threshold on the second wavelet plane in units of std(Wave.F1).

    Returns
    -------
    Fits (N, 10), brightest first: x, y, σ (pixels), photons, background (unit of `image`), and their
    standard deviations from the Fisher matrix, which takes the neighbours' light as known.
    """
    radius = max(2, math.ceil(WINDOW_SIGMA * sigma - 0.1))
    separation = SEPARATION_SIGMA * sigma
    noise, plane = wavelet_planes(image)
    level = threshold * float(noise.std())
    response = _response(sigma)

    fits = _starts(plane, level, sigma, response)
    surroundings = _render(fits, image.shape), np.zeros_like(image)
    _sweep(image, variance, surroundings, fits, radius, sigma, ROUGH_ITERATIONS)
    fits = _distinct(_brightest_first(fits), separation)

    # What the sharpest puncta that fit under these leave over. Merged neighbours fit broad, so the width
    # of a lone punctum is the lower quartile, no less than expected; a few fits as expected stand in for
    # the images that hold too few.
    widths = np.append(fits[:, SIGMA], np.full(STAND_INS, sigma))
    lone = max(sigma, float(np.quantile(widths, 0.25)))
    fits[:, PHOTONS] *= np.minimum(lone / fits[:, SIGMA], 1.0) ** 2
    fits[:, SIGMA] = np.minimum(fits[:, SIGMA], lone)
    residual = wavelet_planes(image - _render(fits, image.shape))[1]
    left_over = _starts(residual, level, sigma, response)
    fits = _distinct(np.concatenate([_split(fits, left_over, SPLIT_SIGMA * sigma), left_over]), separation)
    surroundings = _surroundings(image, fits)
    _sweep(image, variance, surroundings, fits, radius, sigma, ROUGH_ITERATIONS)
    fits = _distinct(_brightest_first(fits), separation)
    surroundings = _surroundings(image, fits)
    converged = _sweep(image, variance, surroundings, fits, radius, sigma, FINE_ITERATIONS)
    fits = _distinct(_brightest_first(fits[converged]), separation)
    # A position less certain than the PSF is wide is none.
    certain = np.maximum(fits[:, N_PARAMETERS + X], fits[:, N_PARAMETERS + Y]) < fits[:, SIGMA]
    return fits[certain & np.isfinite(fits).all(axis=1)]


def _response(sigma: float) -> float:
    """Second wavelet plane at the centre of a punctum of one photon."""
    half = math.ceil(4 + 5 * sigma)
    spot = np.zeros((1, N_PARAMETERS))
    spot[0, [X, Y, PHOTONS, SIGMA]] = half, half, 1.0, sigma
    return float(wavelet_planes(_render(spot, (2 * half + 1, 2 * half + 1)))[1][half, half])


def _starts(plane: Image, level: float, sigma: float, response: float) -> Array:
    """Fits to start from, at the maxima of a wavelet plane; background 0 says that it is unknown."""
    rows, columns = local_maxima(plane, level)
    fits = np.zeros((len(rows), 2 * N_PARAMETERS))
    fits[:, X], fits[:, Y], fits[:, SIGMA] = columns, rows, sigma
    fits[:, PHOTONS] = plane[rows, columns] / response
    return fits


def _render(fits: Array, shape: tuple[int, ...]) -> Image:
    """Light (H, W) of the puncta without their backgrounds."""
    light = np.zeros(shape, np.float32)
    add_gaussians(light, fits[:, X], fits[:, Y], fits[:, PHOTONS], fits[:, SIGMA])
    return light


def _surroundings(image: Image, fits: Array) -> tuple[Image, Image]:
    """Light of all puncta, and what is left of the image smoothed over about 5 px: its slow background."""
    light = _render(fits, image.shape)
    return light, smooth(smooth(smooth(image - light, 1), 2), 4)


def _brightest_first(fits: Array) -> Array:
    """Successful fits in descending order of photons."""
    order = np.argsort(-fits[:, PHOTONS], kind="stable")
    return fits[order][: np.count_nonzero(fits[:, PHOTONS] > 0)]


def _distinct(fits: Array, separation: float) -> Array:
    """Fits without those closer than `separation` pixels to an earlier one."""
    return fits[_is_distinct(fits, separation)]


@njit(cache=True, nogil=True)
def _split(fits: Array, left_over: Array, reach: float) -> Array:
    """Fits without those that have two or more starts left over within `reach`, to which their light goes.

    One fit to two puncta of similar brightness lies between them and leaves light on both sides.
    """
    cells = empty_cells(left_over[:, X], left_over[:, Y], reach)
    for j in range(len(left_over)):
        put(cells, j, left_over[j, X], left_over[j, Y])
    whole = np.ones(len(fits), np.bool_)
    near = np.empty(len(left_over), np.int64)
    for i in range(len(fits)):
        parts = 0
        for j in near[: candidates(cells, fits[i, X], fits[i, Y], near)]:
            if math.hypot(left_over[j, X] - fits[i, X], left_over[j, Y] - fits[i, Y]) < reach:
                near[parts] = j  # never ahead of the candidates still to be read
                parts += 1
        if parts >= 2:
            whole[i] = False
            for j in near[:parts]:
                left_over[j, PHOTONS] += fits[i, PHOTONS] / parts
    return fits[whole]


@njit(cache=True, nogil=True)
def _is_distinct(fits: Array, separation: float) -> NDArray[np.bool_]:
    cells = empty_cells(fits[:, X], fits[:, Y], separation)
    keep = np.ones(len(fits), np.bool_)
    near = np.empty(len(fits), np.int64)
    for i in range(len(fits)):
        for j in near[: candidates(cells, fits[i, X], fits[i, Y], near)]:
            dx, dy = fits[i, X] - fits[j, X], fits[i, Y] - fits[j, Y]
            if dx * dx + dy * dy < separation * separation:
                keep[i] = False
                break
        if keep[i]:
            put(cells, i, fits[i, X], fits[i, Y])
    return keep


@njit(cache=True, nogil=True, error_model="numpy")
def _sweep(
    image: Image,
    variance: Image,
    surroundings: tuple[Image, Image],
    fits: Array,
    radius: int,
    sigma: float,
    max_iterations: int,
) -> NDArray[np.bool_]:
    """Fit each punctum once, in place, beside the light of all less its own; say which converged.

    The background of a fit is one number, at its centre; around it, it is taken to rise and fall with the
    slow background in `surroundings`, as a slope would pull the position. Failed fits get 0 photons.
    """
    height, width = image.shape
    light, slow = surroundings
    side = 2 * radius + 1
    counts_buffer, known_buffer = np.empty((side, side)), np.empty((side, side))
    converged = np.zeros(len(fits), np.bool_)
    px, py, unused_a, unused_b = np.empty(side), np.empty(side), np.empty(side), np.empty(side)
    for i in range(len(fits)):
        fit = fits[i]
        row, column = round(fit[Y]), round(fit[X])
        x0, x1 = max(column - radius, 0), min(column + radius + 1, width)
        y0, y1 = max(row - radius, 0), min(row + radius + 1, height)
        gaussian_profile(fit[X], fit[SIGMA], x0, px, unused_a, unused_b)
        gaussian_profile(fit[Y], fit[SIGMA], y0, py, unused_a, unused_b)
        counts, known = counts_buffer[: y1 - y0, : x1 - x0], known_buffer[: y1 - y0, : x1 - x0]
        lowest = slow[y0:y1, x0:x1].min()
        rise = float(slow[row, column] - lowest)
        for r in range(y1 - y0):
            own = fit[PHOTONS] * py[r]
            for c in range(x1 - x0):
                read = float(variance[y0 + r, x0 + c])
                counts[r, c] = max(image[y0 + r, x0 + c] + read, 0.0)
                others = max(light[y0 + r, x0 + c] - own * px[c], 0.0)
                known[r, c] = others + (slow[y0 + r, x0 + c] - lowest) + read
        if fit[BACKGROUND] == 0.0:  # the darkest side of the window is the least disturbed
            free = counts - known
            sides = min(free[0].mean(), free[-1].mean(), free[:, 0].mean(), free[:, -1].mean())
            fit[BACKGROUND] = sides + rise
        fit[BACKGROUND] = max(fit[BACKGROUND] - rise, MIN_BACKGROUND)
        status = fit_window(fit, counts, known, x0, y0, sigma, max_iterations)
        fit[BACKGROUND] += rise
        converged[i] = status == CONVERGED
        if status == FAILED:
            fit[PHOTONS] = 0.0
    return converged

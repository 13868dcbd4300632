"""Reads the calcium channel at tracks: the height of a Gaussian spot over its surroundings.

Weighted least squares of a spot of given width, of the level around it and of other sources nearby, whose
shapes are known: what a neighbour's cloud adds is explained away. A wave, bleaching or lamp flicker lifts
the level, not the spot.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Index = NDArray[np.intp]

RADIUS_PX = 9  # of the disc that is read: 2¼ σ of the widest cloud expected, half the front of a wave
SIDE = 2 * RADIUS_PX + 1
REACH = 3.2  # times √(σ² + σ²) of both: a source farther off adds less than 1 % of its height to a spot
MAX_TERMS = 8  # spot, level, and other sources
MIN_PIXELS = 60  # a quarter of the disc, as in a corner of the image
# The image is bright if its mean is this many of its standard errors above zero: it is then known to 15 %,
# noise about zero does not pass for light.
BRIGHT_Z = 7.0
# Other sources are given this many pixels' worth of doubt, lest two that coincide share the light as ±∞.
RIDGE_PIXELS = 0.5


def sample(
    image: Image,
    reference: Image,
    position: tuple[Array, Array],
    sigma_px: float,
    sources: tuple[Array, Array, Array, Index],
) -> tuple[Array, Array, Array, Image]:
    """Fit a spot at each of n positions, with sub-pixel precision.

    Parameters
    ----------
    image, reference
        Photons, and what a pixel would have at rest, float32 (H, W); `reference` > 0.
    position
        x and y, float64 (n,); discs are clipped at the image's border.
    sigma_px
        σ of the spot.
    sources
        x, y and σ of other sources, and the position (0 … n − 1) whose own each is (−1: nobody's), (m,)
        each. A position's own sources are left out at it.

    Returns
    -------
    height, level
        Height of the spot and level around it in units of the reference, (n,); NaN where less than a
        quarter of the disc is in the image, or it is not bright (shutter closed, indicator too dim).
    sd
        Standard deviation that the photons alone give the height, (n,).
    patch
        What remains of image / reference without level and other sources, float32 (n, SIDE, SIDE), around
        the pixel nearest to the position; NaN outside the disc.
    """
    n = len(position[0])
    height, level, sd = (np.full(n, np.nan) for _ in range(3))
    patch = np.full((n, SIDE, SIDE), np.nan, np.float32)
    x, y, sigma, owner = sources
    _sample(image, reference, *position, sigma_px, x, y, sigma, owner, height, level, sd, patch)
    return height, level, sd, patch


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _sample(
    image: Image,
    reference: Image,
    x_px: Array,
    y_px: Array,
    sigma: float,
    source_x: Array,
    source_y: Array,
    source_sigma: Array,
    owner: Index,
    height: Array,
    level: Array,
    sd: Array,
    patch: Image,
) -> None:
    n_rows, n_columns = image.shape
    across, down = np.ones((MAX_TERMS, SIDE)), np.ones((MAX_TERMS, SIDE))  # terms are separable
    matrix, right = np.empty((MAX_TERMS, MAX_TERMS)), np.empty((MAX_TERMS, 2))
    photons, weight, row = np.empty(SIDE), np.empty(SIDE), np.empty(SIDE)
    for i in range(len(x_px)):
        x, y = x_px[i], y_px[i]
        if not (-1.0 <= x <= n_columns and -1.0 <= y <= n_rows):
            continue
        left, top = round(x) - RADIUS_PX, round(y) - RADIUS_PX
        _spot(across[0], down[0], x - left, y - top, sigma)
        n = 2
        for j in range(len(source_x)):
            reach = min(REACH * math.hypot(source_sigma[j], sigma), RADIUS_PX + source_sigma[j])
            near = (source_x[j] - x) ** 2 + (source_y[j] - y) ** 2 < reach**2
            if near and owner[j] != i and n < MAX_TERMS:
                _spot(across[n], down[n], source_x[j] - left, source_y[j] - top, source_sigma[j])
                n += 1
        matrix[:] = 0.0
        right[:] = 0.0
        light, light2, pixels = 0.0, 0.0, 0
        first_row, last_row = max(0, -top), min(SIDE, n_rows - top)
        for r in range(first_row, last_row):
            half = int(math.sqrt((RADIUS_PX + 0.5) ** 2 - (r - RADIUS_PX) ** 2))
            first = max(RADIUS_PX - half, -left)
            width = min(RADIUS_PX + half + 1, n_columns - left) - first
            if width <= 0:
                continue
            # Rows of one length, zero outside the disc, are what compilers turn into vector instructions.
            photons[:] = 0.0
            weight[:] = 0.0
            for c in range(first, first + width):
                photons[c] = image[top + r, left + c]
                weight[c] = reference[top + r, left + c]
                patch[i, r, c] = photons[c] / weight[c]
            pixels += width
            for c in range(SIDE):
                light += photons[c]
                light2 += photons[c] * photons[c]
            for k in range(n):
                found = 0.0
                for c in range(SIDE):
                    found += photons[c] * across[k, c]
                    row[c] = weight[c] * across[k, c]
                right[k, 0] += found * down[k, r]
                for m in range(k + 1):
                    shared = 0.0
                    for c in range(SIDE):
                        shared += row[c] * across[m, c]
                    matrix[k, m] += shared * down[k, r] * down[m, r]
        error2 = max(light2 - light * light / max(pixels, 1), 0.0)
        if pixels < MIN_PIXELS or light <= 0.0 or light * light < BRIGHT_Z**2 * error2:
            patch[i] = np.nan
            continue
        for k in range(n):
            for m in range(k):
                matrix[m, k] = matrix[k, m]
            if k >= 2:
                matrix[k, k] += RIDGE_PIXELS * matrix[1, 1] / pixels
        right[0, 1] = 1.0
        if not _solve(matrix, right, n):
            patch[i] = np.nan
            continue
        height[i], level[i] = right[0, 0], right[1, 0]
        # Noise of the surroundings, and the spot's own: of a Gaussian's pixels, weighted, two thirds.
        sd[i] = math.sqrt(right[0, 1] * max(level[i] + 2 / 3 * max(height[i], 0.0), 0.0))
        for r in range(SIDE):
            for c in range(SIDE):
                rest = right[1, 0]
                for k in range(2, n):
                    rest += right[k, 0] * across[k, c] * down[k, r]
                patch[i, r, c] -= rest


@njit(cache=True, nogil=True)
def _spot(across: Array, down: Array, x: float, y: float, sigma: float) -> None:
    for k in range(SIDE):
        across[k] = math.exp(-0.5 * ((k - x) / sigma) ** 2)
        down[k] = math.exp(-0.5 * ((k - y) / sigma) ** 2)


@njit(cache=True, nogil=True)
def _solve(matrix: Array, right: Array, n: int) -> bool:
    """Solve for both right-hand sides in place, n unknowns; False if the matrix is singular."""
    for i in range(n):
        pivot = matrix[i, i]  # symmetric and positive: no exchange of rows is needed
        if not pivot > 1e-9 * matrix[1, 1] and not (i == 1 and pivot > 0):
            return False
        for r in range(i + 1, n):
            factor = matrix[r, i] / pivot
            for c in range(i, n):
                matrix[r, c] -= factor * matrix[i, c]
            for c in range(2):
                right[r, c] -= factor * right[i, c]
    for i in range(n - 1, -1, -1):
        for c in range(2):
            for k in range(i + 1, n):
                right[i, c] -= matrix[i, k] * right[k, c]
            right[i, c] /= matrix[i, i]
    return True

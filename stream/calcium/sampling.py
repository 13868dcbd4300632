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
DISC = (
    np.hypot(*np.mgrid[-RADIUS_PX : RADIUS_PX + 1, -RADIUS_PX : RADIUS_PX + 1]) <= RADIUS_PX + 0.5
).astype(float)
N_PIXELS = int(DISC.sum())
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
    now = np.zeros(len(position[0]), np.intp)
    return sample_frames(image[None], np.ones(1, np.float32), now, reference, position, sigma_px, sources)


def sample_frames(
    images: Image,
    lamps: Image,
    frame: Index,
    reference: Image,
    position: tuple[Array, Array],
    sigma_px: float,
    sources: tuple[Array, Array, Array, Index],
) -> tuple[Array, Array, Array, Image]:
    """As `sample`, each position in a frame of its own.

    Parameters
    ----------
    images
        Photons, float32 (F, H, W).
    lamps
        What a pixel of each frame would have at rest, as a multiple of `reference`, float32 (F,).
    frame
        Frame of each position (n,).
    reference, position, sigma_px, sources
        As for `sample`.
    """
    n = len(position[0])
    height, level, sd = (np.full(n, np.nan) for _ in range(3))
    patch = np.full((n, SIDE, SIDE), np.nan, np.float32)
    x, y, sigma, owner = sources
    _sample(
        images, lamps, frame, reference, *position, sigma_px, x, y, sigma, owner, height, level, sd, patch
    )
    return height, level, sd, patch


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _sample(
    images: Image,
    lamps: Image,
    frame: Index,
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
    n_rows, n_columns = reference.shape
    across, down = np.ones((MAX_TERMS, SIDE)), np.ones((MAX_TERMS, SIDE))  # terms are separable
    matrix, right = np.empty((MAX_TERMS, MAX_TERMS)), np.empty((MAX_TERMS, 2))
    # Sums over rows, column by column: of light, its square, and of spot and level with both; then of other
    # sources. One array, rows of one length and no branch are what compilers make vector instructions of.
    sums = np.empty(6 * SIDE)
    shared, found = np.empty((MAX_TERMS, MAX_TERMS, SIDE)), np.empty((MAX_TERMS, SIDE))
    beyond = np.empty((2, SIDE, SIDE), np.float32)
    rest = np.empty(SIDE)
    reach2 = np.minimum(REACH * np.hypot(source_sigma, sigma), RADIUS_PX + source_sigma) ** 2
    for i in range(len(x_px)):
        x, y = x_px[i], y_px[i]
        image, lamp = images[frame[i]], lamps[frame[i]]
        if not (-1.0 <= x <= n_columns and -1.0 <= y <= n_rows):
            continue
        left, top = round(x) - RADIUS_PX, round(y) - RADIUS_PX
        _spot(across[0], down[0], x - left, y - top, sigma)
        n = 2
        for j in range(len(source_x)):
            near = (source_x[j] - x) ** 2 + (source_y[j] - y) ** 2 < reach2[j]
            if near and owner[j] != i and n < MAX_TERMS:
                _spot(across[n], down[n], source_x[j] - left, source_y[j] - top, source_sigma[j])
                n += 1
        sums[:] = 0.0
        for k in range(2, n):
            shared[k] = 0.0
            found[k] = 0.0
        pixels = N_PIXELS
        inside = left >= 0 and top >= 0 and left + SIDE <= n_columns and top + SIDE <= n_rows
        if not inside:
            pixels = _clip(image, reference, left, top, beyond)
        for r in range(SIDE):
            if inside:
                light, expected = image[top + r, left : left + SIDE], reference[top + r, left : left + SIDE]
            else:
                light, expected = beyond[0, r], beyond[1, r]
            disc, ratio, spot = DISC[r], patch[i, r], down[0, r]
            for c in range(SIDE):
                photons, weight = light[c] * disc[c], expected[c] * lamp * disc[c]
                ratio[c] = photons / weight  # 0 / 0 outside the disc
                sums[c] += photons
                sums[SIDE + c] += photons * photons
                sums[2 * SIDE + c] += spot * photons
                sums[3 * SIDE + c] += weight
                sums[4 * SIDE + c] += spot * weight
                sums[5 * SIDE + c] += spot * spot * weight
            for k in range(2, n):
                column, factor = found[k], down[k, r]
                for c in range(SIDE):
                    column[c] += factor * light[c] * disc[c]
                for m in range(k + 1):
                    column, factor = shared[k, m], down[k, r] * down[m, r]
                    for c in range(SIDE):
                        column[c] += factor * (expected[c] * lamp * disc[c])
        all_light, all_light2 = sums[:SIDE].sum(), sums[SIDE : 2 * SIDE].sum()
        error2 = max(all_light2 - all_light * all_light / max(pixels, 1), 0.0)
        if pixels < MIN_PIXELS or all_light <= 0.0 or all_light * all_light < BRIGHT_Z**2 * error2:
            patch[i] = np.nan
            continue
        found[0], found[1] = sums[2 * SIDE : 3 * SIDE], sums[:SIDE]
        shared[1, 1], shared[1, 0] = sums[3 * SIDE : 4 * SIDE], sums[4 * SIDE : 5 * SIDE]
        shared[0, 0] = sums[5 * SIDE :]
        for k in range(n):
            right[k, 0], right[k, 1] = 0.0, 0.0
            for c in range(SIDE):
                right[k, 0] += found[k, c] * across[k, c]
            for m in range(k + 1):
                total = 0.0
                for c in range(SIDE):
                    total += shared[k, m, c] * across[k, c] * across[m, c]
                matrix[k, m] = matrix[m, k] = total
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
            rest[:] = right[1, 0]
            for k in range(2, n):
                factor = right[k, 0] * down[k, r]
                for c in range(SIDE):
                    rest[c] += factor * across[k, c]
            for c in range(SIDE):
                patch[i, r, c] -= rest[c]


@njit(cache=True, nogil=True)
def _clip(image: Image, reference: Image, left: int, top: int, beyond: Image) -> int:
    """Copy what the image and the reference have of a square at its border; gives the pixels of the disc."""
    beyond[:] = 0.0
    pixels = 0
    for r in range(max(0, -top), min(SIDE, image.shape[0] - top)):
        for c in range(max(0, -left), min(SIDE, image.shape[1] - left)):
            beyond[0, r, c], beyond[1, r, c] = image[top + r, left + c], reference[top + r, left + c]
            pixels += int(DISC[r, c])
    return pixels


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

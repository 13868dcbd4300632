"""Photons of diffraction-limited spots at known places, all fitted together as DAOPHOT does in a crowd.

Each spot is a Gaussian of known width at its track's position (Stetson, PASP 99, 191 (1987)), so what
remains is linear least squares for the photons: a spot's flash does not read as its neighbour's.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

CORE_CUT_SIGMA = 3.0
# Light of other spots is kept out of the background: beyond 2.5 σ a Gaussian has 4 % of its light.
SPOT_CUT_SIGMA = 2.5
MIN_BACKGROUND_PX = 20  # fewer free pixels than this, and those on other spots have to do
NEIGHBOUR_SIGMA = 4.5  # farther spots overlap by less than 1 %
SWEEPS = 20  # of the Gauss–Seidel iteration; pairs closer than σ keep sharing their light evenly
MAX_SHARED = 0.95  # of a spot that its neighbours explain; its variance grows with 1 / (1 − shared)
SHOT_FACTOR = 4 / 3  # variance of a matched Gaussian's estimate per photon of the spot


@dataclass(frozen=True, slots=True)
class Spots:
    """Photons of n spots in one frame.

    Attributes
    ----------
    photons
        Photo-electrons above background (n,), NaN where the image does not reach.
    dark_variance
        Variance of `photons` without any light of the spot itself (n,).
    background
        Photo-electrons per pixel around the spot (n,).
    background_variance
        Variance of that mean (n,).
    excess
        Variance per photo-electron of light: 1 for a camera without, 2 with electron multiplication.
        Estimated from the background, so too high by the read noise where that is dim.
    """

    photons: Array
    dark_variance: Array
    background: Array
    background_variance: Array
    excess: float


def measure_spots(
    image: NDArray[np.float32], x_px: Array, y_px: Array, sigma_px: float, annulus_px: tuple[float, float]
) -> Spots:
    """Photons of the spots at n positions.

    Parameters
    ----------
    image
        Photo-electrons, float32 (H, W).
    x_px, y_px
        Positions, float64 (n,).
    sigma_px
        σ of the spots.
    annulus_px
        Inner and outer radius of the ring that tells the background.
    """
    n = len(x_px)
    sums = np.full((n, 6), np.nan)
    taken = np.zeros(image.shape, np.bool_)
    _sum_light(image, x_px, y_px, sigma_px, *annulus_px, taken, sums)
    matched, squares, ratio, background, pixel_variance = sums[:, :5].T
    background_variance = pixel_variance / sums[:, 5]
    photons = matched.copy()
    shared, foreign = np.zeros(n), np.zeros(n)
    order = np.argsort(y_px)
    _part(x_px, y_px, order, sigma_px, matched, photons, shared, foreign)
    bright = background > 0
    noise = float(np.median(pixel_variance[bright] / background[bright])) if bright.any() else 1.0
    excess = min(max(noise, 1.0), 2.0)
    dark = pixel_variance / squares + background_variance * ratio**2 + SHOT_FACTOR * excess * foreign
    dark /= 1 - np.minimum(shared, MAX_SHARED)
    return Spots(photons, dark, background, background_variance, excess)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _sum_light(
    image: NDArray[np.float32],
    x_px: Array,
    y_px: Array,
    sigma: float,
    inner: float,
    outer: float,
    taken: NDArray[np.bool_],
    sums: Array,
) -> None:
    """Fill `sums` (n, 6): matched photons, Σg², Σg/Σg², background, variance and number of its pixels."""
    height, width = image.shape
    cut2 = (SPOT_CUT_SIGMA * sigma) ** 2
    cut = math.sqrt(cut2)
    reach = max(outer, CORE_CUT_SIGMA * sigma)
    for i in range(len(x_px)):
        x, y = x_px[i], y_px[i]
        if not (-reach <= x <= width - 1 + reach and -reach <= y <= height - 1 + reach):
            continue
        for r in range(max(0, math.ceil(y - cut)), min(height - 1, math.floor(y + cut)) + 1):
            for c in range(max(0, math.ceil(x - cut)), min(width - 1, math.floor(x + cut)) + 1):
                if (r - y) ** 2 + (c - x) ** 2 <= cut2:
                    taken[r, c] = True
    core2 = (CORE_CUT_SIGMA * sigma) ** 2
    peak = 1 / (2 * math.pi * sigma**2)
    across = np.empty(2 * math.ceil(reach) + 2)
    for i in range(len(x_px)):
        x, y = x_px[i], y_px[i]
        if not (-reach <= x <= width - 1 + reach and -reach <= y <= height - 1 + reach):
            continue  # outside the image, or not finite
        left, right = max(0, math.ceil(x - reach)), min(width - 1, math.floor(x + reach)) + 1
        above, below = max(0, math.ceil(y - reach)), min(height - 1, math.floor(y + reach)) + 1
        for c in range(right - left):
            across[c] = peak * math.exp(-0.5 * ((left + c - x) / sigma) ** 2)
        g1, g2, light = 0.0, 0.0, 0.0
        for r in range(above, below):
            dy2 = (r - y) ** 2
            if dy2 > core2:
                continue
            values = image[r, left:right]
            down = math.exp(-0.5 * dy2 / sigma**2)
            for c in range(right - left):
                g = across[c] * down if dy2 + (left + c - x) ** 2 <= core2 else 0.0
                g1 += g
                g2 += g * g
                light += g * values[c]
        window = left, right, above, below
        free, free2, n_free = _ring(image, taken, False, x, y, window, inner**2, outer**2)
        if n_free < MIN_BACKGROUND_PX:
            free, free2, n_free = _ring(image, taken, True, x, y, window, inner**2, outer**2)
        if n_free < 2 or g2 == 0.0:
            continue
        background = free / n_free
        variance = max(free2 - free * background, 0.0) / (n_free - 1)
        sums[i, 0] = (light - background * g1) / g2
        sums[i, 1] = g2
        sums[i, 2] = g1 / g2
        sums[i, 3] = background
        sums[i, 4] = variance
        sums[i, 5] = n_free


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _ring(
    image: NDArray[np.float32],
    taken: NDArray[np.bool_],
    all_of_it: bool,
    x: float,
    y: float,
    window: tuple[int, int, int, int],
    inner2: float,
    outer2: float,
) -> tuple[float, float, float]:
    """Sums of light, its square and the pixels of a ring; of those not taken, or `all_of_it`."""
    left, right, above, below = window
    light, light2, pixels = 0.0, 0.0, 0.0
    for r in range(above, below):
        dy2 = (r - y) ** 2
        values, others = image[r, left:right], taken[r, left:right]
        for c in range(right - left):
            d2 = dy2 + (left + c - x) ** 2
            counts = (inner2 <= d2) & (d2 <= outer2) & (all_of_it | (not others[c]))
            value = values[c] if counts else 0.0
            light += value
            light2 += value * value
            pixels += 1.0 if counts else 0.0
    return light, light2, pixels


@njit(cache=True, nogil=True)
def _part(
    x_px: Array,
    y_px: Array,
    order: NDArray[np.intp],
    sigma: float,
    matched: Array,
    photons: Array,
    shared: Array,
    foreign: Array,
) -> None:
    """Part the light of spots that overlap, in place; ρ = exp(−d²/4σ²) is the overlap of two Gaussians."""
    reach = NEIGHBOUR_SIGMA * sigma
    ones, others, overlap = [0], [0], [0.0]
    for a in range(len(order)):
        i = order[a]
        if math.isnan(matched[i]):
            continue
        for b in range(a + 1, len(order)):
            j = order[b]
            if not y_px[j] - y_px[i] <= reach:
                break
            d2 = (x_px[i] - x_px[j]) ** 2 + (y_px[i] - y_px[j]) ** 2
            if d2 > reach * reach or math.isnan(matched[j]):
                continue
            rho = math.exp(-0.25 * d2 / sigma**2)
            for one, other in ((i, j), (j, i)):
                ones.append(one)
                others.append(other)
                overlap.append(rho)
                shared[one] += rho * rho
    if len(ones) == 1:
        return
    first = np.argsort(np.array(ones[1:]), kind="mergesort") + 1
    for _ in range(SWEEPS):
        at = 0
        while at < len(first):
            i = ones[first[at]]
            left = matched[i]
            while at < len(first) and ones[first[at]] == i:
                left -= overlap[first[at]] * photons[others[first[at]]]
                at += 1
            photons[i] = left
    for p in range(1, len(ones)):
        # The neighbour's shot noise under this spot: ∫g²·g′/(∫g²)² = 4/3·exp(−d²/3σ²).
        light = max(photons[others[p]], 0.0)
        foreign[ones[p]] += light * overlap[p] ** (4 / 3)

"""Reads the calcium channel at tracks: core over annulus, and what lies beside the core."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

N_OCTANTS = 8
OCTANT_INNER_PX = 3.0
OCTANT_OUTER_PX = 5.0
CORE_CUT_SIGMA = 3.0
# An annulus is bright if its mean is this many of its standard errors above zero: it is then known to
# 20 %, noise about zero does not pass for light, and a single cloud of calcium in the annulus does.
BRIGHT_Z = 5.0


def sample(
    image: NDArray[np.float32],
    x_px: Array,
    y_px: Array,
    core_sigma_px: float,
    annulus_px: tuple[float, float],
) -> tuple[Array, Array]:
    """Core and octants relative to the annulus at n positions, with sub-pixel precision.

    A wave, bleaching or lamp flicker changes core and annulus alike and cancels in their ratio.

    Parameters
    ----------
    image
        Calcium channel in photons, float32 (H, W).
    x_px, y_px
        Positions, float64 (n,); windows are clipped at the image's border.
    core_sigma_px
        σ of the Gaussian that weights the core.
    annulus_px
        Inner and outer radius of the reference annulus.

    Returns
    -------
    ratio
        (n, 9): the Gaussian-weighted core mean, then the mean of each octant of the ring between 3 and
        5 px, all divided by the annulus mean. NaN where no pixel lies in the region, and everywhere
        when the annulus is not bright (shutter closed, lamp off, indicator too dim).
    shot_sd
        (n,): standard deviation that the photons alone would give the core's ratio, were the core as
        bright as the annulus: it tells dim frames from clear ones, whatever the core does.
    """
    ratio = np.full((len(x_px), 1 + N_OCTANTS), np.nan)
    shot_sd = np.full(len(x_px), np.nan)
    _sample(image, x_px, y_px, core_sigma_px, *annulus_px, ratio, shot_sd)
    return ratio, shot_sd


@njit(cache=True, nogil=True)
def _sample(
    image: NDArray[np.float32],
    x_px: Array,
    y_px: Array,
    core_sigma: float,
    inner: float,
    outer: float,
    ratio: Array,
    shot_sd: Array,
) -> None:
    height, width = image.shape
    core_cut2 = (CORE_CUT_SIGMA * core_sigma) ** 2
    reach = max(outer, OCTANT_OUTER_PX, CORE_CUT_SIGMA * core_sigma)
    light = np.empty(N_OCTANTS)
    pixels = np.empty(N_OCTANTS)
    for i in range(len(x_px)):
        x, y = x_px[i], y_px[i]
        if not (-reach <= x <= width - 1 + reach and -reach <= y <= height - 1 + reach):
            continue  # outside the image, or not finite
        core, weights, squares = 0.0, 0.0, 0.0
        around, around2, n_around = 0.0, 0.0, 0
        light[:] = 0.0
        pixels[:] = 0.0
        for r in range(max(0, math.ceil(y - reach)), min(height - 1, math.floor(y + reach)) + 1):
            dy = r - y
            for c in range(max(0, math.ceil(x - reach)), min(width - 1, math.floor(x + reach)) + 1):
                dx = c - x
                d2 = dx * dx + dy * dy
                value = float(image[r, c])
                if d2 <= core_cut2:
                    w = math.exp(-0.5 * d2 / core_sigma**2)
                    core += w * value
                    weights += w
                    squares += w * w
                if OCTANT_INNER_PX**2 <= d2 <= OCTANT_OUTER_PX**2:
                    octant = (dx > 0) + 2 * (dy > 0) + 4 * (abs(dx) > abs(dy))
                    light[octant] += value
                    pixels[octant] += 1.0
                if inner**2 <= d2 <= outer**2:
                    around += value
                    around2 += value * value
                    n_around += 1
        # A mean m of n pixels has standard error √((Σv²/n − m²)/n).
        error2 = max(around2 - around * around / n_around, 0.0) if n_around else math.inf
        if not (around > 0.0 and around * around >= BRIGHT_Z**2 * error2):
            continue
        annulus = around / n_around
        if weights > 0.0:
            ratio[i, 0] = core / weights / annulus
            shot_sd[i] = math.sqrt((squares / weights**2 + 1.0 / n_around) / annulus)
        for k in range(N_OCTANTS):
            if pixels[k] > 0.0:
                ratio[i, 1 + k] = light[k] / pixels[k] / annulus

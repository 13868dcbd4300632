"""Pixel work of the field's calcium: binning, ratio to rest in blocks, residuals, smoothing, learning.

All of it is one pass over bins of 2 × 2 pixels each; blocks are 4 × 4 bins.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

BIN_PX = 2  # clouds of calcium are wider than the PSF, σ 1.3 px, so little is lost
BLOCK = 4  # bins
BLOCK_PX = BLOCK * BIN_PX
SMOOTH_BINS = 1.0  # σ of the matched filter, 2 px: between the clouds of 1 and 4 px
REACH = 3  # bins; 3 σ
# A place this much darker than its rest was bright when that was learned, which is soon put right.
DIP_Z, DIP_RATE = 2.0, 0.08
DARK_PHOTONS = 0.1  # a bin darker than this has no meaningful ΔF/F0


def taps() -> Map:
    """One axis of the Gaussian filter, of unit noise: its squares add up to 1."""
    weights = np.exp(-0.5 * (np.arange(-REACH, REACH + 1) / SMOOTH_BINS) ** 2)
    return np.asarray(weights / np.sqrt((weights**2).sum()), np.float32)


@njit(cache=True, nogil=True)
def bin_pixels(image: Map, bins: Map) -> float:
    """Means of 2 × 2 pixels; an odd last row or column is left out. Gives the mean of all."""
    total = 0.0
    for r in range(bins.shape[0]):
        for c in range(bins.shape[1]):
            y, x = 2 * r, 2 * c
            light = image[y, x] + image[y, x + 1] + image[y + 1, x] + image[y + 1, x + 1]
            bins[r, c] = np.float32(0.25) * light
            total += bins[r, c]
    return total / bins.size


@njit(cache=True, nogil=True)
def block_sums(bins: Map, sums: NDArray[np.float64]) -> None:
    """Sums of 4 × 4 bins; blocks at the far edges may hold fewer."""
    sums[:] = 0.0
    for r in range(bins.shape[0]):
        for c in range(bins.shape[1]):
            sums[r // BLOCK, c // BLOCK] += bins[r, c]


@njit(cache=True, nogil=True)
def median_of_9(blocks: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Median over 3 × 3 blocks.

    A block beyond the border is the one opposite, mirrored in the central value: a slope stays a slope.
    """
    height, width = blocks.shape
    near = np.empty(9)
    for r in range(height):
        for c in range(width):
            n = 0
            for i in range(r - 1, r + 2):
                for j in range(c - 1, c + 2):
                    if 0 <= i < height and 0 <= j < width:
                        value = blocks[i, j]
                    elif 0 <= 2 * r - i < height and 0 <= 2 * c - j < width:
                        value = 2 * blocks[r, c] - blocks[2 * r - i, 2 * c - j]
                    else:
                        continue
                    k = n
                    while k > 0 and near[k - 1] > value:
                        near[k] = near[k - 1]
                        k -= 1
                    near[k] = value
                    n += 1
            out[r, c] = near[n // 2]


@njit(cache=True, nogil=True)
def residuals(
    bins: Map,
    rest: Map,
    variance: Map,
    lamp: float,
    wave: NDArray[np.float64],
    decay: float,
    deviation: Map,
    leaky: Map,
) -> int:
    """Deviation of every bin from rest × lamp × (1 + wave) in noise sd, and its leaky sum over frames.

    `variance` is that of a bin relative to the light expected in it; `wave` is interpolated between the
    blocks' centres. Gives the number of bins that are 5 sd darker than expected.
    """
    has_wave = wave.any()
    n_dark = 0
    last_row, last_column = wave.shape[0] - 1, wave.shape[1] - 1
    for r in range(bins.shape[0]):
        y = (r - 0.5 * (BLOCK - 1)) / BLOCK
        row = min(max(int(y), 0), max(last_row - 1, 0))
        row2, fy = min(row + 1, last_row), y - row
        for c in range(bins.shape[1]):
            expected = max(lamp * rest[r, c], DARK_PHOTONS)
            if has_wave:
                x = (c - 0.5 * (BLOCK - 1)) / BLOCK
                column = min(max(int(x), 0), max(last_column - 1, 0))
                column2, fx = min(column + 1, last_column), x - column
                above = wave[row, column] * (1 - fx) + wave[row, column2] * fx
                below = wave[row2, column] * (1 - fx) + wave[row2, column2] * fx
                expected *= max(1.0 + above * (1 - fy) + below * fy, 0.1)
            value = (bins[r, c] - expected) / math.sqrt(variance[r, c] * expected)
            deviation[r, c] = value
            leaky[r, c] = leaky[r, c] * decay + value
            n_dark += value < -5.0
    return n_dark


@njit(cache=True, nogil=True, fastmath=True)
def smooth(image: Map, weights: Map, scale: float, passed: Map, out: Map) -> None:
    """Gaussian filter of unit noise times `scale`; outside the image there is nothing."""
    height, width = image.shape
    reach = len(weights) // 2
    for r in range(height):
        for c in range(width):
            passed[r, c] = 0.0
        for k in range(-reach, reach + 1):
            if 0 <= r + k < height:
                w = weights[k + reach]
                for c in range(width):
                    passed[r, c] += w * image[r + k, c]
    for r in range(height):
        for c in range(width):
            out[r, c] = 0.0
        for k in range(-reach, reach + 1):
            w = weights[k + reach] * scale
            for c in range(max(0, -k), min(width, width - k)):
                out[r, c] += w * passed[r, c + k]


@njit(cache=True, nogil=True)
def learn(
    bins: Map,
    deviation: Map,
    z: Map,
    wave: NDArray[np.bool_],
    lamp: float,
    quiet_z: float,
    rate: float,
    longest: int,
    rest: Map,
    variance: Map,
    busy: NDArray[np.int32],
) -> None:
    """Move rest and noise of the bins where nothing happens; after `longest` busy frames, of any.

    `wave` are blocks, `z` the smoothed deviation that tells where something happens.
    """
    for r in range(bins.shape[0]):
        for c in range(bins.shape[1]):
            fast = rate
            if z[r, c] > quiet_z or wave[r // BLOCK, c // BLOCK]:
                busy[r, c] += 1
                if busy[r, c] <= longest:
                    continue
                fast = max(rate, 0.2)  # what lasts is the new rest: learned in five frames or so
            else:
                busy[r, c] = 0
                if z[r, c] < -DIP_Z:
                    fast = max(rate, DIP_RATE)
            expected = max(lamp * rest[r, c], DARK_PHOTONS)
            step = bins[r, c] - expected
            if busy[r, c] == 0:
                # Rare large deviations count up to 3 sd, so that they move neither rest nor noise much.
                largest = 3.0 * math.sqrt(variance[r, c] * expected)
                step = min(max(step, -largest), largest)
                square = min(deviation[r, c] * deviation[r, c], 9.0)
                if fast == rate:
                    variance[r, c] *= 1.0 + rate * (square - 1.0)
            rest[r, c] += fast * step / lamp

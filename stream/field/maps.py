"""Pixel work of the field's calcium: binning, residuals, smoothing, learning.

All of it is one pass over bins of 2 × 2 pixels each; blocks are 4 × 4 bins. The inner loops are over float32,
have no branches (a check for division by zero is one) and write one map each: such loops become vector
instructions.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

BIN_PX = 2  # clouds of calcium are wider than the PSF, σ 1.3 px, so little is lost
BLOCK = 4  # bins
BLOCK_PX = BLOCK * BIN_PX
SMOOTH_BINS = 1.0  # σ of the matched filter, 2 px: between the clouds of 1 and 4 px
REACH = 3  # bins; 3 σ; `smooth` is written out for it
# A place this much darker than its rest was bright when that was learned, which is soon put right.
DIP_Z, DIP_RATE = 2.0, 0.08
DARK_PHOTONS = 0.1  # a bin darker than this has no meaningful ΔF/F0
REORDER = {"reassoc", "contract", "arcp", "nsz"}  # of fast maths, what is only rounding


def taps() -> Map:
    """One axis of the Gaussian filter, of unit noise: its squares add up to 1."""
    weights = np.exp(-0.5 * (np.arange(-REACH, REACH + 1) / SMOOTH_BINS) ** 2)
    return np.asarray(weights / np.sqrt((weights**2).sum()), np.float32)


@njit(cache=True, nogil=True, fastmath=REORDER)
def bin_pixels(image: Map, bins: Map) -> float:
    """Means of 2 × 2 pixels; an odd last row or column is left out. Gives the mean of all."""
    total = 0.0
    for r in range(bins.shape[0]):
        upper, lower, out = image[2 * r], image[2 * r + 1], bins[r]
        for c in range(len(out)):
            light = upper[2 * c] + upper[2 * c + 1] + lower[2 * c] + lower[2 * c + 1]
            out[c] = np.float32(0.25) * light
            total += out[c]
    return total / bins.size


def fill(bins: Map, rest: Map | None) -> float:
    """Put the rest, as bright as the frame, into bins that are not finite; gives the mean of all.

    Without a `rest` they become as bright as the others are on average; with no other, black.
    """
    good = np.isfinite(bins)
    if not good.any():
        bins[:] = 0.0
        return 0.0
    mean = float(bins[good].mean(dtype=np.float64))
    if rest is None:
        bins[~good] = mean
    else:
        usual = max(float(rest[good].mean(dtype=np.float64)), DARK_PHOTONS)
        bins[~good] = rest[~good] * (mean / usual)
    return float(bins.mean(dtype=np.float64))


@njit(cache=True, nogil=True, fastmath=REORDER, error_model="numpy")
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
    one, faintest = np.float32(1), np.float32(DARK_PHOTONS)
    lamp_, decay_ = np.float32(lamp), np.float32(decay)
    wide = np.empty((len(wave), bins.shape[1]), np.float32)  # the wave, stretched along the columns
    for c in range(bins.shape[1]):
        column, column2, f = _between(c, wave.shape[1])
        for row in range(len(wave)):
            wide[row, c] = wave[row, column] * (1 - f) + wave[row, column2] * f
    n_dark = 0
    for r in range(bins.shape[0]):
        row, row2, f = _between(r, len(wave))
        above, below, fy = wide[row], wide[row2], np.float32(f)
        light, rest_, variance_, out, sums = bins[r], rest[r], variance[r], deviation[r], leaky[r]
        for c in range(len(light)):
            rise = max(one + above[c] * (one - fy) + below[c] * fy, np.float32(0.1))
            expected = max(lamp_ * rest_[c], faintest) * rise
            out[c] = (light[c] - expected) / np.sqrt(variance_[c] * expected)
        for c in range(len(light)):
            sums[c] = sums[c] * decay_ + out[c]
            n_dark += out[c] < np.float32(-5)
    return n_dark


@njit(cache=True, nogil=True)
def _between(i: int, n_blocks: int) -> tuple[int, int, float]:
    """The two blocks along one axis whose centres a bin lies between, and how far it is to the second."""
    place = (i - 0.5 * (BLOCK - 1)) / BLOCK
    first = min(max(int(place), 0), max(n_blocks - 2, 0))
    return first, min(first + 1, n_blocks - 1), place - first


@njit(cache=True, nogil=True, fastmath=REORDER)
def smooth(image: Map, weights: Map, scale: float, out: Map) -> None:
    """Gaussian filter of unit noise (`taps`) times `scale`; outside the image there is nothing."""
    height, width = image.shape
    a = np.zeros((height + 2 * REACH, width), np.float32)  # with a margin of nothing
    a[REACH:-REACH] = image
    b = np.zeros(width + 2 * REACH, np.float32)  # a row that has been filtered along the columns
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]  # the others mirror them
    scale_ = np.float32(scale)
    for r in range(height):
        for c in range(width):
            outer = w0 * (a[r, c] + a[r + 6, c]) + w1 * (a[r + 1, c] + a[r + 5, c])
            b[c + 3] = outer + w2 * (a[r + 2, c] + a[r + 4, c]) + w3 * a[r + 3, c]
        for c in range(width):
            outer = w0 * (b[c] + b[c + 6]) + w1 * (b[c + 1] + b[c + 5])
            out[r, c] = scale_ * (outer + w2 * (b[c + 2] + b[c + 4]) + w3 * b[c + 3])


@njit(cache=True, nogil=True, fastmath=REORDER)
def learn(
    bins: Map,
    deviation: Map,
    z: Map,
    wave: NDArray[np.bool_],
    lamp: float,
    quiet_z: float,
    rate: float,
    longest: int,
    least_variance: float,
    rest: Map,
    variance: Map,
    busy: Map,
) -> None:
    """Move rest and noise of the bins where nothing happens; after `longest` busy frames, of any.

    `wave` are blocks, `z` the smoothed deviation that tells where something happens.
    """
    zero, one, three, faintest = np.float32(0), np.float32(1), np.float32(3), np.float32(DARK_PHOTONS)
    lamp_, quiet, dip, slow = np.float32(lamp), np.float32(quiet_z), np.float32(-DIP_Z), np.float32(rate)
    least, longest_ = np.float32(least_variance), np.float32(longest)
    after_dip = max(slow, np.float32(DIP_RATE))
    after_long = max(slow, np.float32(0.2))  # what lasts is the new rest: learned in five frames or so
    beside = np.empty(bins.shape[1], np.bool_)
    for r in range(bins.shape[0]):
        if r % BLOCK == 0:
            for c in range(len(beside)):
                beside[c] = wave[r // BLOCK, c // BLOCK]
        light, deviation_, z_ = bins[r], deviation[r], z[r]
        rest_, variance_, busy_ = rest[r], variance[r], busy[r]
        for c in range(len(light)):
            busy_[c] = busy_[c] + one if (z_[c] > quiet) | beside[c] else zero
        for c in range(len(light)):
            expected = max(lamp_ * rest_[c], faintest)
            step = light[c] - expected
            # Rare large deviations count up to 3 sd, so that they move neither rest nor noise much.
            largest = three * np.sqrt(variance_[c] * expected)
            clipped = min(max(step, -largest), largest)
            when_quiet = clipped * (after_dip if z_[c] < dip else slow)
            when_busy = step * (after_long if busy_[c] > longest_ else zero)
            rest_[c] += (when_busy if busy_[c] > zero else when_quiet) / lamp_
        for c in range(len(light)):
            square = min(deviation_[c] * deviation_[c], three * three)
            gain = zero if (busy_[c] > zero) | ((z_[c] < dip) & (after_dip != slow)) else slow
            variance_[c] = max(variance_[c] * (one + gain * (square - one)), least)

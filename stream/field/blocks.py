"""Work on the blocks of the field, 4 × 4 bins each: sums, medians and widening."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream.field.maps import BLOCK, Map

Blocks = NDArray[np.float64]


@njit(cache=True, nogil=True)
def block_sums(bins: Map, sums: Blocks) -> None:
    """Sums of 4 × 4 bins; blocks at the far edges may hold fewer."""
    sums[:] = 0.0
    for r in range(bins.shape[0]):
        for c in range(bins.shape[1]):
            sums[r // BLOCK, c // BLOCK] += bins[r, c]


@njit(cache=True, nogil=True)
def widened(blocks: NDArray[Any]) -> NDArray[Any]:
    """Highest of 3 × 3 blocks."""
    height, width = blocks.shape
    out = blocks.copy()
    for r in range(height):
        for c in range(width):
            if blocks[r, c]:
                for i in range(max(r - 1, 0), min(r + 2, height)):
                    for j in range(max(c - 1, 0), min(c + 2, width)):
                        out[i, j] = max(out[i, j], blocks[r, c])
    return out


@njit(cache=True, nogil=True)
def median_of_9(blocks: Blocks, out: Blocks) -> None:
    """Median over 3 × 3 blocks.

    A block beyond the border is the one opposite, mirrored in the central value: a slope stays a slope.
    """
    height, width = blocks.shape
    low, middle, high = np.empty(width), np.empty(width), np.empty(width)
    for r in range(height):
        if r == 0 or r == height - 1:
            for c in range(width):
                out[r, c] = _median_at_border(blocks, r, c)
            continue
        # Of three sorted columns: the middle of the highest low, the middle middle and the lowest high.
        a, b, c_ = blocks[r - 1], blocks[r], blocks[r + 1]
        for c in range(width):
            less, more = min(a[c], b[c]), max(a[c], b[c])
            low[c], high[c] = min(less, c_[c]), max(more, c_[c])
            middle[c] = max(less, min(more, c_[c]))
        inside = out[r, 1:]
        l1, l2, m1, m2, h1, h2 = low[1:], low[2:], middle[1:], middle[2:], high[1:], high[2:]
        for c in range(width - 2):
            lows = max(low[c], l1[c], l2[c])
            highs = min(high[c], h1[c], h2[c])
            middles = max(min(middle[c], m1[c]), min(max(middle[c], m1[c]), m2[c]))
            inside[c] = max(min(lows, highs), min(max(lows, highs), middles))
        for c in (0, width - 1):
            out[r, c] = _median_at_border(blocks, r, c)


@njit(cache=True, nogil=True)
def _median_at_border(blocks: Blocks, r: int, c: int) -> float:
    height, width = blocks.shape
    near = np.empty(9)
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
    return float(near[n // 2])

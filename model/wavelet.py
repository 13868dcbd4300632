"""The B-spline à-trous wavelet that makes puncta stand out, and the maxima in it.

Izeddin et al., Opt. Express 20, 2081 (2012), with the names and defaults of ThunderSTORM (Ovesný et al.,
Bioinformatics 30, 2389 (2014)): third-order B-spline, scale 2, borders repeated.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Image = NDArray[np.float32]

# The B-spline's taps [1/16, 1/4, 3/8, 1/4, 1/16], from the outermost in.
_OUTER, _INNER, _CENTRE = np.float32(1 / 16), np.float32(1 / 4), np.float32(3 / 8)


@njit(cache=True, nogil=True)
def smooth(image: Image, step: int) -> Image:
    """Convolve (H, W) with the B-spline along both axes, its taps `step` pixels apart."""
    height, width = image.shape
    pad = 2 * step
    line = np.empty(width + 2 * pad, np.float32)
    result = np.empty_like(image)
    for r in range(height):
        a, b = image[max(r - pad, 0)], image[max(r - step, 0)]
        d, e = image[min(r + step, height - 1)], image[min(r + pad, height - 1)]
        for c in range(width):
            line[pad + c] = _OUTER * (a[c] + e[c]) + _INNER * (b[c] + d[c]) + _CENTRE * image[r, c]
        line[:pad] = line[pad]
        line[pad + width :] = line[pad + width - 1]
        for c in range(width):
            result[r, c] = (
                _OUTER * (line[c] + line[c + 4 * step])
                + _INNER * (line[c + step] + line[c + 3 * step])
                + _CENTRE * line[c + 2 * step]
            )
    return result


@njit(cache=True, nogil=True)
def wavelet_planes(image: Image) -> tuple[Image, Image]:
    """First and second wavelet plane of `image` (H, W): (Wave.F1, F) = (image − V1, V1 − V2).

    The noise is mostly in the first, puncta of about 1–2 px standard deviation are in the second.
    """
    v1 = smooth(image, 1)
    return image - v1, v1 - smooth(v1, 2)


@njit(cache=True, nogil=True)
def local_maxima(plane: Image, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of pixels above `threshold` that no 8-neighbour exceeds, in raster order.

    Of equal neighbours the last in raster order counts, so a plateau of two is one maximum.
    """
    height, width = plane.shape
    # Any 2×2 block holds at most one maximum.
    rows = np.empty(((height + 1) // 2) * ((width + 1) // 2), np.int64)
    columns = np.empty_like(rows)
    count = 0
    for r in range(height):
        for c in range(width):
            value = plane[r, c]
            if not value > threshold:
                continue
            is_maximum = True
            for i in range(max(r - 1, 0), min(r + 2, height)):
                for j in range(max(c - 1, 0), min(c + 2, width)):
                    later = i > r or (i == r and j > c)
                    if plane[i, j] > value or (later and plane[i, j] == value):
                        is_maximum = False
            if is_maximum:
                rows[count], columns[count] = r, c
                count += 1
    return rows[:count], columns[:count]

"""From a network's maps to puncta: pixels that tell of the same punctum are merged into one."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from model.cells import candidates, empty_cells, put
from model.engines.base import SIGMA_LIMITS_PX
from model.localizations import Localizations
from model.maps import (
    BACKGROUND,
    DX,
    DY,
    LOG_PHOTONS,
    LOG_SD_X,
    LOG_SD_Y,
    LOG_SIGMA,
    LOGIT,
    N_MAPS,
    denormalize,
)

Maps = NDArray[np.float32]
Table = NDArray[np.float64]

MERGE_PX = 0.7  # pixels whose positions are closer than this tell of one punctum
# Of the probability left over in one place: above it, the pixels there tell of a second punctum.
MIN_SECOND = 0.7
MIN_PROBABILITY = 0.02  # pixels below tell of nothing; a threshold must be higher
_LOG_SIGMA_LOW, _LOG_SIGMA_HIGH = (math.log(sigma) for sigma in SIGMA_LIMITS_PX)
_MIN_LOGIT = math.log(MIN_PROBABILITY / (1 - MIN_PROBABILITY))

# Columns of a table of puncta.
_X, _Y, _SD_X, _SD_Y, _LOG_PHOTONS, _BACKGROUND, _LOG_SIGMA, _PROBABILITY = range(8)
_N_COLUMNS = 8
_XX, _XY, _YY = range(8, 11)  # second moments, while the table is made


def decode(maps: Maps, calcium: Maps | None, threshold: float, excess: float = 1.0) -> Localizations:
    """Puncta of one frame, the one with the strongest pixel first.

    Going down the pixels' probabilities, each joins the strongest punctum whose strongest pixel lies less
    than `MERGE_PX` from its own position, or starts a new one. A punctum has the sum of its pixels'
    probabilities (clipped to 1), and their means, weighted by probability, of everything else; photons
    are averaged as logarithms. Where more than `MIN_SECOND` is left over, the pixels tell of two puncta,
    one standard deviation of their positions to either side of the mean, along the axis of their largest
    spread; the one towards the strongest pixel has the probability 1, the other what is left over. Puncta
    outside the image, or not above the threshold, are left out.

    Parameters
    ----------
    maps
        (N_MAPS, H, W) as in `model.maps`.
    calcium
        Log-odds of calcium (H, W), read at the punctum's pixel; None gives NaN.
    threshold
        Detection threshold, between `MIN_PROBABILITY` and 1.
    excess
        The camera's excess factor F², by which photons were divided.
    """
    table = _puncta(np.ascontiguousarray(maps), threshold)
    if calcium is None:
        calcium_probability = np.full(len(table), np.nan)
    else:
        # Halves round down, so that a punctum on the image's last border has a pixel.
        column, row = (np.ceil(table[:, k] - 0.5).clip(0).astype(int) for k in (_X, _Y))
        calcium_probability = 0.5 + 0.5 * np.tanh(0.5 * calcium[row, column])
    return Localizations.from_columns(
        x_px=table[:, _X],
        y_px=table[:, _Y],
        x_sd_px=table[:, _SD_X],
        y_sd_px=table[:, _SD_Y],
        photons=np.exp(table[:, _LOG_PHOTONS]) * excess,
        background=denormalize(table[:, _BACKGROUND].clip(-1)).clip(0) * excess,
        psf_sigma_px=np.exp(table[:, _LOG_SIGMA].clip(_LOG_SIGMA_LOW, _LOG_SIGMA_HIGH)),
        probability=table[:, _PROBABILITY].clip(0, 1),
        calcium_probability=calcium_probability,
    )


@njit(cache=True, nogil=True)
def _puncta(maps: Maps, threshold: float) -> Table:
    """Table (N, 8) of the puncta above the threshold."""
    _, height, width = maps.shape
    pixels = _telling_pixels(maps)
    # Stable, so that equal pixels keep their order in the image.
    pixels = pixels[np.argsort(-pixels[:, _PROBABILITY], kind="mergesort")]
    x, y = pixels[:, _X].copy(), pixels[:, _Y].copy()
    cells = empty_cells(x, y, MERGE_PX)
    near = np.empty(max(len(x), 1), np.int64)
    punctum = np.empty(len(x), np.int64)  # of each strongest pixel
    strongest = np.empty(len(x), np.int64)  # pixel of each punctum
    puncta = np.zeros((len(x), _YY + 1))
    n = 0
    for i in range(len(x)):
        mine = n
        for k in range(candidates(cells, x[i], y[i], near)):
            j = near[k]
            if (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2 < MERGE_PX**2:
                mine = min(mine, punctum[j])
        if mine == n:
            punctum[i], strongest[n] = n, i
            put(cells, i, x[i], y[i])
            n += 1
        p = pixels[i, _PROBABILITY]
        puncta[mine, :_PROBABILITY] += p * pixels[i, :_PROBABILITY]
        puncta[mine, _PROBABILITY] += p
        puncta[mine, _XX] += p * x[i] * x[i]
        puncta[mine, _XY] += p * x[i] * y[i]
        puncta[mine, _YY] += p * y[i] * y[i]
    told = np.empty((2 * n, _N_COLUMNS))
    kept = 0
    for i in range(n):
        p = puncta[i, _PROBABILITY]
        mean = puncta[i] / p
        are_two = p - 1 > MIN_SECOND
        dx, dy = _spread(mean, x[strongest[i]], y[strongest[i]]) if are_two else (0.0, 0.0)
        for side in range(1 + are_two):
            told[kept] = mean[:_N_COLUMNS]
            told[kept, _PROBABILITY] = p - 1 if side else p
            px, py = mean[_X] + (1 - 2 * side) * dx, mean[_Y] + (1 - 2 * side) * dy
            told[kept, _X], told[kept, _Y] = px, py
            is_inside = -0.5 <= px <= width - 0.5 and -0.5 <= py <= height - 0.5
            kept += is_inside and told[kept, _PROBABILITY] > threshold
    return told[:kept]


@njit(cache=True, nogil=True)
def _spread(mean: NDArray[np.float64], x: float, y: float) -> tuple[float, float]:
    """Standard deviation of positions along the axis where it is largest, as a vector to the side of x, y."""
    xx = mean[_XX] - mean[_X] ** 2
    yy = mean[_YY] - mean[_Y] ** 2
    xy = mean[_XY] - mean[_X] * mean[_Y]
    half = (xx - yy) / 2
    sd = math.sqrt(max((xx + yy) / 2 + math.sqrt(half**2 + xy**2), 0.0))
    angle = math.atan2(xy, half) / 2
    dx, dy = sd * math.cos(angle), sd * math.sin(angle)
    is_there = (x - mean[_X]) * dx + (y - mean[_Y]) * dy >= 0
    return (dx, dy) if is_there else (-dx, -dy)


@njit(cache=True, nogil=True)
def _telling_pixels(maps: Maps) -> Table:
    """Table (N, 8) of what each pixel says that is probable enough."""
    _, height, width = maps.shape
    n = 0
    for row in range(height):
        for column in range(width):
            n += maps[LOGIT, row, column] > _MIN_LOGIT
    table = np.empty((n, _N_COLUMNS))
    n = 0
    for row in range(height):
        for column in range(width):
            logit = maps[LOGIT, row, column]
            if logit > _MIN_LOGIT:
                table[n, _X] = column + maps[DX, row, column]
                table[n, _Y] = row + maps[DY, row, column]
                table[n, _SD_X] = math.exp(maps[LOG_SD_X, row, column])
                table[n, _SD_Y] = math.exp(maps[LOG_SD_Y, row, column])
                table[n, _LOG_PHOTONS] = maps[LOG_PHOTONS, row, column]
                table[n, _BACKGROUND] = maps[BACKGROUND, row, column]
                table[n, _LOG_SIGMA] = maps[LOG_SIGMA, row, column]
                table[n, _PROBABILITY] = 1 / (1 + math.exp(-logit))
                n += 1
    return table


def warm_up() -> None:
    """Compile the decoder, or load it from numba's cache."""
    maps = np.zeros((N_MAPS, 4, 4), np.float32)
    decode(maps, maps[0], 0.5)

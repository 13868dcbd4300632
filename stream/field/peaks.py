"""Compact maxima of the filtered map: found, dated and followed, for `stream.field.sparks`."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream.field.maps import BLOCK, DARK_PHOTONS, REACH, Map
from stream.field.rows import Rows, is_over

Mask = NDArray[np.bool_]

# Thresholds of the filtered map in noise sd. Of 10⁶ independent places and times, 0.3 exceed 5 by chance.
ON_Z = 5.0
OFF_Z = 2.0
# A blob falls off to all sides, the crest of a wave does not along itself: of each pair of opposite places
# on a ring one must be below this share of the maximum, and in waves both together this much below it.
RING_BINS = 4
RING_DIAGONAL = 3  # RING_BINS / √2
RING_SHARE = 0.6
CONTRAST_Z = 5.0
NEAR_BINS = 2  # a maximum this near a transient is the transient's
# Calcium rises again if it had fallen by this share of its peak and is ON_Z, and this share, above that dip.
AGAIN_SHARE = 0.1
REDATE = 1.5  # a maximum this much higher than when its onset was dated shows that one to be noise


@njit(cache=True, nogil=True)
def find(z: Map, known: Rows, wave: Mask, found: NDArray[np.int64]) -> int:
    """Put compact maxima of `z` above ON_Z into `found` (m, 2), but those still `known`; gives how many.

    `wave` are blocks in or beside a wave.
    """
    n = 0
    for r in range(z.shape[0]):
        is_high = False  # most rows hold nothing, which is seen faster without a branch for each bin
        for c in range(z.shape[1]):
            is_high |= z[r, c] > np.float32(ON_Z)
        if not is_high:
            continue
        for c in range(z.shape[1]):
            if z[r, c] <= ON_Z or n == len(found) or not is_top(z, r, c):
                continue
            contrast = CONTRAST_Z if wave[r // BLOCK, c // BLOCK] else 0.0
            if not _is_blob(z, r, c, contrast):
                continue
            is_new = True
            for k in range(len(known)):
                away = max(abs(known[k]["row0"] - r), abs(known[k]["column0"] - c))
                if away <= NEAR_BINS and not is_over(known[k]):
                    is_new = False
            if is_new:
                found[n, 0], found[n, 1] = r, c
                n += 1
    return n


@njit(cache=True, nogil=True)
def is_top(z: Map, r: int, c: int) -> bool:
    """Whether it is the maximum of 5 × 5 bins; of equal ones the first in reading order is."""
    for i in range(max(r - 2, 0), min(r + 3, z.shape[0])):
        for j in range(max(c - 2, 0), min(c + 3, z.shape[1])):
            if z[i, j] > z[r, c] or (z[i, j] == z[r, c] and (i < r or (i == r and j < c))):
                return False
    return True


@njit(cache=True, nogil=True)
def _is_blob(z: Map, r: int, c: int, contrast_z: float) -> bool:
    """Whether z falls off to at least one side in every direction, and by `contrast_z` to both on average."""
    for di, dj in (
        (0, RING_BINS),
        (RING_BINS, 0),
        (RING_DIAGONAL, RING_DIAGONAL),
        (RING_DIAGONAL, -RING_DIAGONAL),
    ):
        one, other = _at(z, r + di, c + dj), _at(z, r - di, c - dj)
        if min(one, other) > RING_SHARE * z[r, c] or z[r, c] - 0.5 * (one + other) < contrast_z:
            return False
    return True


@njit(cache=True, nogil=True)
def _at(z: Map, r: int, c: int) -> float:
    """Value at a place, beyond the border that of the border."""
    return float(z[min(max(r, 0), z.shape[0] - 1), min(max(c, 0), z.shape[1] - 1)])


@njit(cache=True, nogil=True)
def _core(deviation: Map, taps: Map, r: int, c: int) -> float:
    """The filter at one place of one frame, in noise sd."""
    total = 0.0
    for i in range(max(r - REACH, 0), min(r + REACH + 1, deviation.shape[0])):
        for j in range(max(c - REACH, 0), min(c + REACH + 1, deviation.shape[1])):
            total += taps[i - r + REACH] * taps[j - c + REACH] * deviation[i, j]
    return total


@njit(cache=True, nogil=True)
def follow(
    sparks: Rows,
    seq: int,
    time_s: float,
    z: Map,
    deviation: Map,
    rest: Map,
    variance: Map,
    wave: Mask,
    lamp: float,
    taps: Map,
) -> None:
    """Take one frame into the transients under way, in place."""
    for k in range(len(sparks)):
        _advance(sparks[k], seq, time_s, z)
        _weigh(sparks[k], seq, time_s, deviation, rest, variance, lamp, taps)
        sparks[k]["in_wave"] |= wave[sparks[k]["row"] // BLOCK, sparks[k]["column"] // BLOCK]


@njit(cache=True, nogil=True)
def begin(
    sparks: Rows,
    past: Map,
    seqs: NDArray[np.int64],
    times_s: NDArray[np.float64],
    newest: int,
    n_past: int,
    z: Map,
    rest: Map,
    variance: Map,
    wave: Mask,
    lamp: float,
    taps: Map,
) -> None:
    """Date the onsets of what is new, or higher than when it was dated, and take the frames since into it.

    `past`, `seqs` and `times_s` are rings of residual maps (frames, h, w) and of their frames, of which
    `n_past` are filled.
    """
    for k in range(len(sparks)):
        spark = sparks[k]
        if spark["best_z"] <= REDATE * spark["dated_z"] and spark["dated_z"] > 0:
            continue
        first = _onset(past, seqs, newest, n_past, spark["floor"], taps, spark["row"], spark["column"])
        spark["onset"], spark["onset_s"] = seqs[first], times_s[first]
        spark["dff"] = spark["best_z"] = 0.0
        _advance(spark, seqs[newest], times_s[newest], z)
        for back in range((newest - first) % len(past), -1, -1):
            i = (newest - back) % len(past)
            _weigh(spark, seqs[i], times_s[i], past[i], rest, variance, lamp, taps)
        spark["low_frames"], spark["again"] = 0, False
        spark["dated_z"] = spark["best_z"]
        spark["in_wave"] |= wave[spark["row"] // BLOCK, spark["column"] // BLOCK]


@njit(cache=True, nogil=True)
def _onset(
    past: Map, seqs: NDArray[np.int64], newest: int, n_past: int, floor: int, taps: Map, r: int, c: int
) -> int:
    """Place in the ring where the rise began, not before frame `floor`.

    The change point from zero to a mean above it maximises Σ² over the number of frames since
    (Hinkley, Biometrika 57, 1 (1970)).
    """
    best, first, total = -math.inf, newest, 0.0
    for ago in range(n_past):
        i = (newest - ago) % len(past)
        if seqs[i] < floor and ago > 0:
            break
        total += _core(past[i], taps, r, c)
        score = total * abs(total) / (ago + 1)
        if score > best:
            best, first = score, i
    return first


@njit(cache=True, nogil=True)
def _advance(spark: np.void, seq: int, time_s: float, z: Map) -> None:
    """Follow the maximum of the filtered map."""
    r, c = spark["row0"], spark["column0"]
    top_r, top_c = r, c
    for i in range(max(r - NEAR_BINS, 0), min(r + NEAR_BINS + 1, z.shape[0])):
        for j in range(max(c - NEAR_BINS, 0), min(c + NEAR_BINS + 1, z.shape[1])):
            if z[i, j] > z[top_r, top_c]:
                top_r, top_c = i, j
    height = z[top_r, top_c]
    has_top = is_top(z, top_r, top_c)  # else it lies on the flank of a neighbour
    if height < spark["dip_z"]:
        spark["dip_z"], spark["dip"], spark["dip_s"] = height, seq, time_s
    fallen = spark["dip_z"] < (1 - AGAIN_SHARE) * spark["best_z"]
    risen = height - spark["dip_z"] > ON_Z + AGAIN_SHARE * spark["best_z"]
    spark["again"] = has_top and fallen and risen
    if spark["again"]:
        spark["row"], spark["column"] = top_r, top_c
    elif has_top and height > spark["best_z"]:
        spark["best_z"] = spark["dip_z"] = height
        spark["row"], spark["column"] = top_r, top_c
        spark["y"], spark["x"] = _peak(z, top_r, top_c)
        spark["area"] = _area(z, top_r, top_c)
    spark["low_frames"] = spark["low_frames"] + 1 if height < OFF_Z else 0


@njit(cache=True, nogil=True)
def _weigh(
    spark: np.void,
    seq: int,
    time_s: float,
    deviation: Map,
    rest: Map,
    variance: Map,
    lamp: float,
    taps: Map,
) -> None:
    """Measure ΔF/F0 of the core in one frame alone."""
    r, c = spark["row"], spark["column"]
    raw = _core(deviation, taps, r, c)
    # From noise sd of the filter to the Gaussian-weighted mean of ΔF/F0.
    light = max(lamp * rest[r, c], DARK_PHOTONS)
    dff = raw * math.sqrt(variance[r, c] / light) / taps.sum() ** 2
    if dff > spark["dff"]:
        spark["dff"], spark["peak"] = dff, seq
    # The filter in time lags behind, so the last frame is dated by the frame alone.
    if raw > OFF_Z:
        spark["end"], spark["end_s"] = seq, time_s


@njit(cache=True, nogil=True)
def _peak(z: Map, r: int, c: int) -> tuple[float, float]:
    """Row and column of a maximum, by parabolas through its neighbours."""
    row, column = float(r), float(c)
    if 0 < r < z.shape[0] - 1:
        row += _vertex(z[r - 1, c], z[r, c], z[r + 1, c])
    if 0 < c < z.shape[1] - 1:
        column += _vertex(z[r, c - 1], z[r, c], z[r, c + 1])
    return row, column


@njit(cache=True, nogil=True)
def _vertex(before: float, middle: float, after: float) -> float:
    bend = before - 2 * middle + after
    return min(max(0.5 * (before - after) / bend, -0.5), 0.5) if bend < 0 else 0.0


@njit(cache=True, nogil=True)
def _area(z: Map, r: int, c: int) -> float:
    """Bins above half of a maximum: the ellipse of its widths along rows and columns."""
    half = 0.5 * z[r, c]
    product = 1.0
    for di, dj in ((0, 1), (1, 0)):
        width = 0.0
        for side in (-1, 1):
            near = z[r, c]
            for step in range(1, max(z.shape)):
                far = _at(z, r + side * step * di, c + side * step * dj)
                if far <= half:
                    width += step - 1 + (near - half) / (near - far)
                    break
                near = far
        product *= width
    return math.pi / 4 * product

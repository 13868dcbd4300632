"""From camera counts to shades: automatic levels, the table that maps counts, histogram, saturation."""

import numpy as np
from numpy.typing import NDArray

from dashboard.models.display import Contrast

Counts = NDArray[np.uint16]
N_COUNTS = 65536
# Percentiles are taken of at least so many pixels, where there are that many: the 99.8th then is the 32nd
# highest of them.
SAMPLE = 16_000
# Noise moves percentiles by some percent of their distance; what moves less is left as it is, what moves
# more is followed by this share each time, and only a leap (another field, the lamp switched on) at once.
STILL, FOLLOW, LEAP = 0.03, 0.3, 0.5


def levels(counts: Counts, contrast: Contrast, bit_depth: int, previous: Contrast | None = None) -> Contrast:
    """The contrast with black and white as the picture has them where it is automatic.

    Black and white are percentiles of 16,000 to 64,000 pixels in a regular grid. So that the picture does not
    flicker they stay where both would move by less than 3 % of their distance, follow by 30 % of the way
    each time, and leap only where they are off by more than half their distance.

    Parameters
    ----------
    counts
        (H, W).
    contrast
        What the user wants; where it is locked, it is given back exactly.
    bit_depth
        Of the camera: black is less than its highest count, so that a saturated picture is white.
    previous
        Levels of the last time, if any; without them, or with other percentiles, the levels are exact.
    """
    if not contrast.auto or not counts.size:
        return contrast
    # An odd step, as neighbouring columns of some cameras are read by different converters.
    step = max((int(np.sqrt(counts.size / SAMPLE)) + 1) // 2 * 2 - 1, 1)
    sample = np.sort(counts[step // 2 :: step, step // 2 :: step], axis=None)
    rank = (len(sample) - 1) * np.array([contrast.low_percentile, contrast.high_percentile]) / 100
    black, white = sample[np.rint(rank).astype(np.intp)].astype(float).tolist()
    if previous is not None and _is_alike(previous, contrast):
        black, white = _followed((previous.low, previous.high), (black, white))
    black = min(black, 2.0**bit_depth - 2)
    return contrast.model_copy(update={"low": black, "high": max(white, black + 1)})


def lookup(contrast: Contrast) -> NDArray[np.uint8]:
    """Shade of each count, uint8 (65536,): 0 up to black, 255 from white on, `share ** gamma` between."""
    share = np.arange(N_COUNTS, dtype=np.float32)
    share -= np.float32(contrast.low)
    share /= np.float32(contrast.high - contrast.low)
    np.clip(share, 0, 1, out=share)
    if contrast.gamma != 1:
        share **= np.float32(contrast.gamma)
    shades: NDArray[np.uint8] = np.rint(share * 255).astype(np.uint8)
    return shades


def histogram(counts: Counts, bins: int = 256) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Edges (b + 1,) and numbers of pixels (b,) from the lowest to the highest count.

    All bins hold equally many counts, at most `bins` of them are made, and every pixel is in one: bins of
    unequal width would look like a comb.
    """
    if not counts.size:
        return np.array([0.0, 1.0]), np.zeros(1, np.int64)
    low, high = int(counts.min()), int(counts.max())
    width = -(-(high - low + 1) // bins)
    n = -(-(high - low + 1) // width)
    per_count = np.bincount(counts.ravel(), minlength=low + n * width)[low:]
    edges = low - 0.5 + width * np.arange(n + 1.0)
    return edges, per_count[: n * width].reshape(n, width).sum(axis=1)


def saturated(counts: Counts, bit_depth: int) -> NDArray[np.bool_]:
    """Pixels at the camera's highest count or above, of the shape of `counts`."""
    mask: NDArray[np.bool_] = counts >= 2**bit_depth - 1
    return mask


def _is_alike(previous: Contrast, contrast: Contrast) -> bool:
    return (previous.auto, previous.low_percentile, previous.high_percentile) == (
        contrast.auto,
        contrast.low_percentile,
        contrast.high_percentile,
    )


def _followed(old: tuple[float, float], new: tuple[float, float]) -> tuple[float, float]:
    moved = max(abs(new[0] - old[0]), abs(new[1] - old[1])) / (old[1] - old[0])
    if moved <= STILL:
        return old
    if moved > LEAP:
        return new
    return old[0] + FOLLOW * (new[0] - old[0]), old[1] + FOLLOW * (new[1] - old[1])

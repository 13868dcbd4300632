"""How bright a spot's surroundings are against their usual: a wave that passes lights both."""

import numpy as np
from numpy.typing import NDArray

from stream.calcium.photometry import Array, Spots

# Surroundings are followed within a few frames and held against their mean over hundreds, in which puncta
# move on and light bleaches; only what exceeds three standard deviations counts.
RATE, USUAL_RATE = 0.25, 0.002
SURE_Z = 3.0

AROUND = [
    ("around", np.float64),  # background, fast mean …
    ("around_usually", np.float64),  # … and slow mean
    ("around_frames", np.int64),  # that they rest on
]


def brightening(rows: NDArray[np.void], measured: Spots) -> Array:
    """Factor on the light around n spots (n,), 1 unless another one is sure.

    `rows` have the fields `AROUND`, zeros at first, and are renewed in place.
    """
    now = measured.background
    seen = np.isfinite(now)
    rows["around_frames"] += seen
    for name, rate in (("around", RATE), ("around_usually", USUAL_RATE)):
        rates = np.maximum(rate, 1 / np.maximum(rows["around_frames"], 1))
        rows[name] = np.where(seen, rows[name] + rates * (now - rows[name]), rows[name])
    usually = rows["around_usually"]
    known = seen & (rows["around"] > 0) & (usually > 0)
    sd = np.sqrt(np.where(known, measured.background_variance, 0.0) * RATE / (2 - RATE))
    more = np.where(known, rows["around"] - usually, 0.0)
    sure = np.sign(more) * np.maximum(np.abs(more) - SURE_Z * sd, 0.0)
    factor: Array = 1 + sure / np.where(known, usually, 1.0)
    return factor

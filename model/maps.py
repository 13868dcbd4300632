"""What a network sees and says: the input's scale, and the maps of its answer.

Plain arithmetic that works on NumPy arrays and torch tensors alike, so that training, export and every
engine share it.
"""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np

T = TypeVar("T")

# Rows of a localization map (…, N_MAPS, H, W); an emitter belongs to pixel [y, x] if that pixel says so.
LOGIT = 0  # log-odds that this pixel tells of an emitter
DX, DY = 1, 2  # emitter minus the pixel's centre, pixels
LOG_PHOTONS = 3  # natural logarithm of the photons (divided by the excess factor F²)
LOG_SD_X, LOG_SD_Y = 4, 5  # natural logarithm of the position's standard deviation in pixels
LOG_SD_PHOTONS = 6  # natural logarithm of the standard deviation of LOG_PHOTONS
LOG_SIGMA = 7  # natural logarithm of the PSF's standard deviation in pixels
BACKGROUND = 8  # background on the scale of `normalize`, without read noise
N_MAPS = 9

MAX_OFFSET_PX = 2.5  # offsets reach the 5 × 5 pixels around a pixel

# When pixels tell of the same punctum.
MERGE_PX = 0.7  # their positions are closer than this …
REACH_PX = 2  # … and they are at most so many pixels apart in x and in y
# Of the probability left over in one place: above it, the pixels there tell of a second punctum.
MIN_SECOND = 0.7
MIN_PROBABILITY = 0.02  # pixels below tell of nothing; a threshold must be higher

# Rows of 2 × 2 pixel cells among which the most telling are chosen; images are padded to multiples of it.
STRIPE = 8
CELL = 2
FIRST_ROOM = 32  # cells of a stripe that are looked at first, where more can follow
MOST_FIXED_ROOM = 3840  # TensorRT chooses among no more
BASELINE_RATE = 0.03  # least weight of a frame in the calcium baseline, a running mean

# Anscombe's constant: with it, the square root of Poisson counts has nearly constant variance.
ANSCOMBE = 3 / 8
CENTRE = 8.0  # 2√x of 16 photons, a usual background, becomes 0


def state_sizes(
    state_shapes: Iterable[tuple[int, int]], height: int, width: int
) -> list[tuple[int, int, int, int]]:
    """Sizes of a network's states, given by channels and stride, for frames of a height and width."""
    return [(1, channels, height // stride, width // stride) for channels, stride in state_shapes]


def most_room(width: int) -> int:
    """Cells of a stripe of images of a padded width, pixels."""
    return STRIPE * width // CELL


def fixed_room(width: int) -> int:
    """Cells of a stripe that are looked at where their number cannot change: a third, more if there are few.

    They hold 3.4 places of one or two puncta per µm² at 110 nm a pixel.
    """
    return min(most_room(width) // 3 + 16, MOST_FIXED_ROOM)


def more_room(room: int, needed: int, width: int) -> int:
    """Room, or some more where more cells are needed and there are more."""
    return room if needed <= room else min(needed * 5 // 4 + 16, most_room(width))


def room_for_puncta(height: int, room: int) -> int:
    """Rows of the table for images of a padded height: two for every second cell that is looked at."""
    return height // (CELL * STRIPE) * (room // 2) * 2


def normalize(photons: T, read_variance: T | float = 0.0) -> T:
    """Variance-stabilized image, around −1 … 5: (2√(x + 3/8 + read²) − 8) / 8.

    The generalized Anscombe transform of Poisson counts with Gaussian read noise (Starck, Murtagh &
    Bijaoui, Image Processing and Data Analysis (1998)); electron multiplication is Poisson again once
    photons are divided by the excess factor F².

    Parameters
    ----------
    photons
        Photo-electrons divided by F², any shape; may be negative.
    read_variance
        Read-noise variance on that same scale, (read_noise_e / em_gain / F²)², a number or of like shape.
    """
    square = (photons + ANSCOMBE + read_variance).clip(0)  # type: ignore[operator, attr-defined]
    # As an operation of its own: exported, a power of one half takes ten times as long.
    root = square.sqrt() if hasattr(square, "sqrt") else np.sqrt(square)
    return (2 * root - CENTRE) / CENTRE  # type: ignore[no-any-return]


def denormalize(image: T) -> T:
    """Photons of a normalized image without read noise; the inverse of `normalize` for large values."""
    return (CENTRE / 2 * (image + 1)) ** 2 - ANSCOMBE  # type: ignore[no-any-return, operator]

"""Where the pixels of channel 1 lie in channel 2, and channel 2 as they see it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import affine_transform

Image = NDArray[np.float32]


def places(transform: ArrayLike, height: int, width: int) -> NDArray[np.float32]:
    """Where each pixel of channel 1 lies in channel 2, as a graph takes it.

    Parameters
    ----------
    transform
        (2, 3): the pixel (x, y) of channel 1 lies at `transform @ (x, y, 1)` in channel 2.
    height, width
        Of both images, pixels.

    Returns
    -------
    x and y (H, W, 2), from −1 to 1 over the image with the borders of its outer pixels included.
    """
    matrix = np.asarray(transform, np.float64)
    y, x = np.mgrid[:height, :width]
    at = matrix[:, 0] * x[..., None] + matrix[:, 1] * y[..., None] + matrix[:, 2]
    return np.asarray((2 * at + 1) / (width, height) - 1, np.float32)


def resample(image: Image, transform: ArrayLike) -> Image:
    """Channel 2 as channel 1's pixels see it, as `model.graph.register` does it inside a network's graph.

    For pictures: calcium is measured in the pixels that the camera gave, see `stream.calcium.registered`.

    Parameters
    ----------
    image
        Channel 2, float32 (H, W).
    transform
        As for `places`.

    Returns
    -------
    Float32 (H, W): between pixels interpolated linearly; outside the image its border goes on.
    """
    matrix = np.asarray(transform, np.float64)[::-1]  # SciPy's order is y, x
    moved = affine_transform(image, matrix[:, 1::-1], matrix[:, 2], order=1, mode="nearest")
    return np.asarray(moved, np.float32)

"""Where the pixels of channel 1 lie in channel 2."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


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

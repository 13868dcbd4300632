"""The scale that engines work on: photo-electrons divided by the excess factor F².

Divided by it, shot noise of variance F²·mean becomes Poisson again.
"""

import numpy as np
from numpy.typing import NDArray

from model.camera import Camera
from model.engines.base import ModelError

Image = NDArray[np.float32]


def scaled_photons(camera: Camera, counts: NDArray[np.uint16]) -> Image:
    """Photo-electrons over F² of raw counts (…, H, W)."""
    return camera.to_photons(counts) / np.float32(camera.excess)


def scaled_gain(camera: Camera) -> Image:
    """Photo-electrons over F² a count: a number or a map (H, W)."""
    return np.asarray(camera.e_per_adu, np.float32) / np.float32(camera.em_gain * camera.excess)


def scaled_read_variance(camera: Camera, shape: tuple[int, ...]) -> Image:
    """Read variance (H, W) on that scale, a copy.

    Raises
    ------
    ModelError
        If a map of the camera does not have the image's shape (H, W).
    """
    for name in ("offset", "e_per_adu", "read_noise_e"):
        map_shape = np.shape(getattr(camera, name))
        if map_shape not in ((), shape):
            raise ModelError(
                f"camera.{name} is a map of shape {map_shape} and the image has shape {shape}; "
                "crop the map to the recorded region"
            )
    scaled = np.asarray(camera.read_variance, np.float32) / np.float32(camera.excess**2)
    # A copy, because numba would compile everything once more for a read-only view.
    return np.array(np.broadcast_to(scaled, shape), order="C")

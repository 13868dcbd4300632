"""A movie that the demo cameras show, so that there is something to see without a microscope."""

from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acquire.frame import SourceError
from acquire.layout import ChannelLayout
from acquire.source import open_source

MAX_BYTES = 2**28  # of all images, 256 MB; a longer movie is looped earlier


class Scene:
    """The images that the demo cameras show in place of their own, made beforehand.

    Parameters
    ----------
    path
        Movie that `open_source` reads, one or two channels.
    layout
        How the frames' channels lie in the cameras' images; of a movie with two channels the mode single
        shows the first, and one with one channel is shown in both.
    image_shape
        (H, W) of a camera's image; each channel is cut or tiled to its part of it.

    Raises
    ------
    SourceError
        If the movie cannot be read.
    """

    def __init__(self, path: Path, layout: ChannelLayout, image_shape: tuple[int, int]) -> None:
        n_images = 2 if layout.name == "stack" else 1
        most = max(1, MAX_BYTES // (2 * n_images * image_shape[0] * image_shape[1]))
        with closing(open_source(path)) as source:
            frames = [lay_out(frame.pixels, layout, image_shape) for frame in islice(source.frames(), most)]
        if not frames:
            raise SourceError(f"microscope.scene: {path} has no frame that can be read")
        self._images = np.stack(frames)
        self._images.flags.writeable = False

    def __len__(self) -> int:
        return len(self._images)

    def image(self, number: int, channel: int) -> NDArray[np.uint16]:
        """What the camera of this channel shows in frame `number`, (H, W); the movie is looped."""
        image: NDArray[np.uint16] = self._images[number % len(self._images), channel]
        return image


def scene_shape(path: Path, layout: ChannelLayout) -> tuple[int, int]:
    """Shape (H, W) of a camera's chip that shows the whole movie; raises SourceError."""
    with closing(open_source(path)) as source:
        _, height, width = source.info.shape
    if layout.name == "side-by-side":
        return height, 2 * width
    return (2 * height, width) if layout.name == "top-bottom" else (height, width)


def lay_out(
    pixels: NDArray[np.uint16], layout: ChannelLayout, image_shape: tuple[int, int]
) -> NDArray[np.uint16]:
    """Undo a layout: from a frame's channels (C, H, W) to the cameras' images (P, H0, W0)."""
    height, width = image_shape
    if layout.name == "single":
        return _fit(pixels[0], height, width)[np.newaxis]
    channels = [pixels[0], pixels[-1]][:: -1 if layout.swap else 1]
    if layout.name == "side-by-side":
        return np.concatenate([_fit(channel, height, width // 2) for channel in channels], axis=1)[np.newaxis]
    if layout.name == "top-bottom":
        return np.concatenate([_fit(channel, height // 2, width) for channel in channels])[np.newaxis]
    return np.stack([_fit(channel, height, width) for channel in channels])


def _fit(image: NDArray[np.uint16], height: int, width: int) -> NDArray[np.uint16]:
    """Tile an image where it is too small and cut it where it is too large."""
    repeats = (-(-height // image.shape[0]), -(-width // image.shape[1]))
    return np.tile(image, repeats)[:height, :width]

"""The images of an NDTiff data set as planes of a recording."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acquire.container import MAX_PIXELS, UnfitPixels
from acquire.ndtiff.index import BIT_DEPTHS, RGB, StoredImage
from acquire.ndtiff.stack import Stacks
from acquire.ndtiff.tags import elapsed_s, received_s
from acquire.pages import OTHER_FORMAT, LostPlane
from acquire.recording import CAUSES


class NDTiffPlanes:
    """Images of a data set by their number in the order they were written; few files are open at a time.

    The first image sets their size and type; images that differ are lost.

    Parameters
    ----------
    stacks
        The files.
    images
        The images, at least one.

    Raises
    ------
    UnfitPixels
        If the first is not an unsigned grayscale image.
    """

    def __init__(self, stacks: Stacks, images: Sequence[StoredImage]) -> None:
        self._stacks = stacks
        self._files = list(dict.fromkeys(image.file for image in images))
        files = {name: number for number, name in enumerate(self._files)}
        # Numbers instead of objects: there may be millions of images.
        self._table = np.array(
            [
                (
                    files[image.file],
                    image.offset,
                    image.width,
                    image.height,
                    image.pixel_type,
                    image.metadata_offset,
                    image.metadata_length,
                )
                for image in images
            ],
            np.int64,
        )
        check_pixels(images[0], str(stacks.folder))
        self.shape = (images[0].height, images[0].width)
        self.bits = 8 * images[0].bytes_per_pixel
        self._received_from: float | None = None

    @property
    def n_files(self) -> int:
        """Stack files that hold the images."""
        return len(self._files)

    def image(self, plane: int) -> StoredImage:
        """Where the image with this number lies."""
        file, *numbers = map(int, self._table[plane])
        return StoredImage(None, self._files[file], *numbers)

    def read(self, plane: int) -> NDArray[np.uint16]:
        """Pixels of the image with this number, uint16 (H, W); raises LostPlane."""
        if plane < 0:
            raise LostPlane(CAUSES[plane])
        image = self.image(plane)
        if (image.height, image.width, 8 * image.bytes_per_pixel) != (*self.shape, self.bits):
            raise LostPlane(OTHER_FORMAT)
        return self._stacks.file(image.file).pixels(image).astype(np.uint16)

    def metadata(self, plane: int) -> bytes:
        """Metadata of the image with this number, JSON; empty where they cannot be read."""
        image = self.image(plane)
        try:
            return self._stacks.file(image.file).metadata(image)
        except LostPlane:
            return b""

    def summary(self) -> dict[str, Any]:
        """What Micro-Manager wrote of the acquisition as a whole; {} where it cannot be read."""
        try:
            header = self._stacks.file(self._files[0]).header()
        except LostPlane:
            return {}
        return {} if header is None else header[0]

    def use_received(self) -> None:
        """From now on `elapsed_s` is when the core received the images; otherwise when they were fetched."""
        self._received_from = received_s(self.metadata(0))

    def elapsed_s(self, plane: int) -> float | None:
        """Time of the image with this number, seconds."""
        if plane < 0:
            return None
        if self._received_from is None:
            return elapsed_s(self.metadata(plane))
        received = received_s(self.metadata(plane))
        return None if received is None else received - self._received_from

    def close(self) -> None:
        """Close all files; safe to call twice."""
        self._stacks.close()


def check_pixels(image: StoredImage, name: str) -> None:
    """Refuse what is not an unsigned grayscale image of at most 16 bits; raises UnfitPixels."""
    if image.pixel_type == RGB:
        raise UnfitPixels(f"{name} holds colour images; record the channels as grayscale images")
    if image.pixel_type not in BIT_DEPTHS:
        raise UnfitPixels(f"{name} holds pixels of an unknown type ({image.pixel_type})")
    if not 0 < image.width * image.height <= MAX_PIXELS:
        raise UnfitPixels(f"{name} has damaged images of {image.height} × {image.width} pixels")

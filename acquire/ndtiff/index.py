"""The index of an NDTiff data set: one entry an image, appended as the images are written.

Source: https://github.com/micro-manager/NDStorage (format 3; `IndexWriter.java`, `ndtiff_index.py`).
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

AxisValue = int | str
Axes = Mapping[str, AxisValue]

INDEX_NAME = "NDTiff.index"

RGB = 2
BIT_DEPTHS = {0: 8, 1: 16, 3: 10, 4: 12, 5: 14, 6: 11}  # by pixel type; RGB has none of its own
_MAX_TEXT = 1 << 20  # axes and file names are short; longer ones are damage


class DamagedIndex(Exception):
    """Bytes that no writer of an index leaves behind."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """Where an image lies.

    Attributes
    ----------
    axes
        Its place in the acquisition by name of axis, None where only the index knows and has not said yet.
    file
        Name of its stack file.
    offset, width, height
        First byte of its pixels (little endian, row by row), and size in pixels.
    pixel_type
        Code of the format: see `RGB` and `BIT_DEPTHS`.
    metadata_offset, metadata_length
        Its metadata, JSON in UTF-8, never empty.
    """

    axes: Axes | None
    file: str
    offset: int
    width: int
    height: int
    pixel_type: int
    metadata_offset: int
    metadata_length: int

    @property
    def bit_depth(self) -> int:
        """Bits of a pixel that are used, 0 where the pixels are not unsigned grayscale."""
        return BIT_DEPTHS.get(self.pixel_type, 0)

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes of a pixel, 0 where the pixels are not unsigned grayscale."""
        return (self.bit_depth + 7) // 8


def parse_index(data: bytes, start: int = 0) -> tuple[list[StoredImage], int]:
    """Read the entries that are complete.

    An entry is the lengths and texts of axes (JSON) and file name, then eight 32-bit numbers, all little
    endian. Micro-Manager reserves space for the index, so zeros are what is not written yet.

    Returns
    -------
    images, end
        The images in the order they were written, and the first byte that was not used.

    Raises
    ------
    DamagedIndex
        If an entry makes no sense.
    """
    images = []
    while (entry := _entry(data, start)) is not None:
        image, start = entry
        images.append(image)
    return images, start


def _entry(data: bytes, start: int) -> tuple[StoredImage, int] | None:
    axes_text = _text(data, start)
    if not axes_text:
        return None
    start += 4 + len(axes_text)
    file_text = _text(data, start)
    if not file_text or len(data) < start + 4 + len(file_text) + 32:
        return None
    start += 4 + len(file_text)
    offset, width, height, pixel_type, _, metadata_at, metadata_length, _ = struct.unpack_from(
        "<8I", data, start
    )
    if metadata_length == 0:
        return None
    try:
        axes, file = json.loads(axes_text), file_text.decode()
    except (ValueError, RecursionError) as error:
        raise DamagedIndex from error
    if not valid_axes(axes) or Path(file).name != file:
        raise DamagedIndex
    return StoredImage(
        axes, file, offset, width, height, pixel_type, metadata_at, metadata_length
    ), start + 32


def _text(data: bytes, start: int) -> bytes | None:
    """The text whose length stands before it; None where it is not all there."""
    if len(data) < start + 4:
        return None
    (length,) = struct.unpack_from("<I", data, start)
    if length > _MAX_TEXT:
        raise DamagedIndex
    text = data[start + 4 : start + 4 + length]
    return text if len(text) == length and 0 not in text else None


def valid_axes(axes: object) -> bool:
    """Whether these are names of axes with a number or a name each."""
    return isinstance(axes, dict) and all(type(value) in (int, str) for value in axes.values())


class IndexTail:
    """Entries of an index that is being written, each given once.

    The last entry of all is given only when it is read the same twice: it may be just being written. A
    writer that stalls in the middle of `metadata_length` leaves that wrong; the stack file knows it.

    Parameters
    ----------
    path
        The index; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end = 0
        self._last = b""  # the last entry, as it was read before

    def new(self) -> list[StoredImage]:
        """The entries that were appended since the last call; raises DamagedIndex or OSError."""
        # Opened anew each time: nothing is held that the writer might want, and nothing old is buffered.
        try:
            with self._path.open("rb", buffering=0) as file:
                file.seek(self._end)
                data = file.read(1 << 20)
        except FileNotFoundError:
            return []
        images = []
        used = 0
        while (entry := _entry(data, used)) is not None:
            image, end = entry
            is_last = _entry(data, end) is None
            if is_last and data[used:end] != self._last:
                self._last = data[used:end]
                break
            images.append(image)
            used = end
        self._end += used
        return images

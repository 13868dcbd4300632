"""Stack files of an NDTiff data set: TIFFs that are read byte by byte, also while they are being written.

A writer reserves 4 GiB, and then appends each image as directory, pixels and metadata, in this order; when
it is done it sets the last directory's pointer to the next one to 0 and cuts the file. So an image whose
metadata are all there has its pixels too. Nothing is buffered or mapped here: both would show old bytes.

Source: https://github.com/micro-manager/NDStorage (`NDTiffWriter.java`, `ndtiff_file.py`). A TIFF reader does
not do instead: the Python writer's directories call 8-bit images 16-bit ones.
"""

import json
import os
import re
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acquire.container import MAX_PIXELS, TRUNCATED
from acquire.frame import SourceError
from acquire.ndtiff.index import RGB, StoredImage, valid_axes
from acquire.pages import OTHER_FORMAT, LostPlane
from acquire.recording import MISSING_FILE

_SIGNATURE = 483729  # where Micro-Manager's own stacks have the place of their index
_SUMMARY = 2355492
_TAGS = {256: "width", 257: "height", 273: "offset", 279: "n_bytes", 51123: "metadata"}
_SAMPLES = 277
_OPEN_FILES = 4
_MOST_METADATA = 1 << 26  # bytes; more are promised by damaged files only


def is_stack(path: Path) -> bool:
    """Whether the file begins as a stack of an NDTiff data set."""
    try:
        with path.open("rb", buffering=0) as file:
            head = file.read(28)
    except OSError:
        return False
    return len(head) == 28 and head[:4] == b"II*\0" and struct.unpack_from("<I", head, 8)[0] == _SIGNATURE


class Stack:
    """One stack file; raises OSError where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb", buffering=0)

    def header(self) -> tuple[dict[str, Any], int] | None:
        """Summary metadata and the position of the first directory; None while they are not written."""
        head = self.bytes(0, 28)
        if len(head) < 28 or head[:4] != b"II*\0":
            return None
        first, signature, _, _, mark, length = struct.unpack_from("<6I", head, 4)
        if signature != _SIGNATURE or mark != _SUMMARY:
            return None
        try:
            summary = json.loads(self.bytes(28, min(length, _MOST_METADATA)))
        except (ValueError, RecursionError):
            return None
        return (summary if isinstance(summary, dict) else {}), first

    def image_at(self, directory: int) -> tuple[StoredImage, bytes, int] | None:
        """The image whose directory begins here, its metadata, and where the next directory will be.

        None while it is not all there. Its axes are those in its metadata, else None.
        """
        head = self.bytes(directory, 2)
        n_tags = struct.unpack("<H", head)[0] if len(head) == 2 else 0
        entries = self.bytes(directory + 2, 12 * n_tags + 4)
        if not 0 < n_tags < 100 or len(entries) < 12 * n_tags + 4:
            return None
        found, n_samples, metadata_length = {}, 1, 0
        for tag, _, count, value in struct.iter_unpack("<HHII", entries[:-4]):
            if tag in _TAGS:
                found[_TAGS[tag]] = value
                metadata_length = count if tag == 51123 else metadata_length
            elif tag == _SAMPLES:
                n_samples = value
        (following,) = struct.unpack("<I", entries[-4:])
        if len(found) < len(_TAGS) or found["metadata"] < found["offset"] + found["n_bytes"]:
            return None
        metadata = self.bytes(found["metadata"], min(metadata_length, _MOST_METADATA))
        try:
            tags = json.loads(metadata)
        except (ValueError, RecursionError):
            return None
        axes = tags.get("Axes") if isinstance(tags, dict) else None
        one_byte = found["n_bytes"] == found["width"] * found["height"]
        image = StoredImage(
            axes if valid_axes(axes) else None,
            self.path.name,
            found["offset"],
            found["width"],
            found["height"],
            RGB if n_samples != 1 else 0 if one_byte else 1,
            found["metadata"],
            metadata_length,
        )
        end = found["metadata"] + metadata_length
        return image, metadata, following or end + end % 2

    def is_closed(self, directory: int) -> bool:
        """Whether the directory of the last image was told that none follows."""
        head = self.bytes(directory, 2)
        n_tags = struct.unpack("<H", head)[0] if len(head) == 2 else 0
        return n_tags > 0 and self.bytes(directory + 2 + 12 * n_tags, 4) == bytes(4)

    def metadata(self, image: StoredImage) -> bytes:
        """Metadata of an image, JSON; cut where the file is."""
        return self.bytes(image.metadata_offset, min(image.metadata_length, _MOST_METADATA))

    def pixels(self, image: StoredImage) -> NDArray[np.uint16] | NDArray[np.uint8]:
        """Pixels of an image as they are stored, (H, W); raises LostPlane."""
        if not 0 < image.width * image.height <= MAX_PIXELS or not image.bytes_per_pixel:
            raise LostPlane(OTHER_FORMAT)
        stored = np.dtype(f"<u{image.bytes_per_pixel}")
        n_bytes = image.width * image.height * stored.itemsize
        data = self.bytes(image.offset, n_bytes)
        if len(data) < n_bytes:
            raise LostPlane(TRUNCATED)
        return np.frombuffer(data, stored).reshape(image.height, image.width)

    def bytes(self, start: int, length: int) -> bytes:
        """Bytes of the file as they are now, fewer where it ends."""
        try:
            self._file.seek(start)
            data = self._file.read(length) or b""
            while 0 < len(data) < length and (more := self._file.read(length - len(data))):
                data += more
        except OSError:
            return b""
        return data

    def size(self) -> int:
        """Bytes in the file now."""
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()


class Stacks:
    """The stack files of a folder by name; few are open at a time.

    Parameters
    ----------
    folder
        Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: OrderedDict[str, Stack] = OrderedDict()

    def file(self, name: str) -> Stack:
        """The file of this name; raises LostPlane where it is missing."""
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name]
        try:
            stack = Stack(self.folder / name)
        except OSError as error:
            raise LostPlane(MISSING_FILE) from error
        self._open[name] = stack
        if len(self._open) > _OPEN_FILES:
            self._open.popitem(last=False)[1].close()
        return stack

    def close(self) -> None:
        """Close all files; safe to call twice."""
        while self._open:
            self._open.popitem()[1].close()


def stack_names(folder: Path) -> list[str]:
    """Names of the folder's stack files in the order they are filled: `x.tif`, `x_1.tif` and so on."""
    numbered = []
    for path in folder.iterdir():
        match = re.fullmatch(r"(.*NDTiffStack)(?:_(\d+))?\.tiff?", path.name, re.IGNORECASE)
        if match is not None and not path.name.startswith("."):
            numbered.append((match[1], int(match[2] or 0), path.name))
    return [name for _, _, name in sorted(numbered)]


def stacks_of_one_set(folder: Path) -> list[str]:
    """As `stack_names`; raises SourceError where they are of several data sets."""
    names = stack_names(folder)
    if len({name.lower().rpartition("ndtiffstack")[0] for name in names}) > 1:
        raise SourceError(f"{folder} holds several NDTiff data sets; keep each in a folder of its own")
    return names

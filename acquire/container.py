"""TIFF files as containers: opened, checked for usable pages, and their directories (IFDs) found."""

import logging
import struct
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from acquire.frame import SourceError

# tifffile reports damage by logging and carries on; here damage becomes a SourceError or a counted
# loss, so its messages would only repeat that in the user's terminal.
_tifffile_log = logging.getLogger("tifffile")
_tifffile_log.addHandler(logging.NullHandler())
_tifffile_log.propagate = False

TRUNCATED = "file is truncated"
UNREADABLE = "unreadable page"
NEVER_WRITTEN = "never written"

MAX_PIXELS = 2**27  # per page; larger sizes come from damaged files and would exhaust memory
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # TIFF 6.0 and BigTIFF, both byte orders
# Lossless, and decoders that survive damaged bytes.
_COMPRESSIONS = {1: "none", 5: "LZW", 8: "deflate", 32773: "PackBits", 32946: "deflate", 50000: "zstd"}
_BITS = (8, 10, 12, 14, 16)


class UnfitPixels(SourceError):
    """The file is a TIFF, but not of unsigned grayscale images."""


def check_name(path: Path) -> None:
    """Refuse a name that is not UTF-8: it can neither be printed nor kept with the run."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        readable = str(path).encode(errors="replace").decode()
        raise SourceError(f"the name {readable} is not valid UTF-8; rename it") from error


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF; raises SourceError when it is missing, forbidden, damaged or something else."""
    try:
        if not path.exists():
            raise SourceError(f"{path} does not exist")
        if not path.is_file():
            raise SourceError(f"{path} is not a file")
        with path.open("rb") as file:
            magic = file.read(4)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"cannot read {path}: {reason}") from error
    if not magic:
        raise SourceError(f"{path} is empty (0 bytes)")
    if magic not in _MAGIC:
        raise SourceError(f"{path} is not a TIFF file; save the movie as TIFF, OME-TIFF or BigTIFF")
    try:
        # Formats of other fields, whose special treatment only fails on damaged bytes.
        tif = tifffile.TiffFile(path, is_lsm=False, is_scanimage=False, is_ndpi=False)
    except Exception as error:  # tifffile raises anything on damaged bytes
        raise SourceError(f"{path} is damaged: its first page cannot be read") from error
    if not tif.pages:
        tif.close()
        raise SourceError(f"{path} holds no images: it is truncated or was never finished")
    return tif


def check_page(page: tifffile.TiffPage, path: Path) -> None:
    """Refuse what is not an unsigned grayscale image of at most 16 bits; raises UnfitPixels."""
    if page.samplesperpixel != 1 or page.photometric in (2, 6):
        raise UnfitPixels(
            f"{path} holds colour images ({page.samplesperpixel} samples per pixel); "
            "export the channels as grayscale pages"
        )
    if page.sampleformat not in (1, 4) or page.bitspersample not in _BITS:
        kind = {2: "signed", 3: "floating-point"}.get(page.sampleformat, "unsigned")
        raise UnfitPixels(
            f"{path} holds {kind} {page.bitspersample}-bit pixels; raw camera counts are needed, "
            "unsigned with 8 to 16 bits"
        )
    if page.compression not in _COMPRESSIONS:
        readable = ", ".join(dict.fromkeys(_COMPRESSIONS.values()))
        raise UnfitPixels(
            f"{path} is compressed by method {int(page.compression)}; save it with one of: {readable}"
        )
    if len(page.shape) != 2 or not 0 < page.imagewidth * page.imagelength <= MAX_PIXELS:
        raise UnfitPixels(f"{path} holds pages of shape {page.shape}, not images of height × width")
    if page.dtype is None or page.dtype.itemsize > 2:
        raise UnfitPixels(f"{path} holds pixels of an unknown type")


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain of directories, one a page.

    Attributes
    ----------
    offsets
        Positions in the file, int64 (n_pages,).
    broke_off
        The cause in words where the chain breaks off before its last page, else None.
    """

    offsets: NDArray[np.int64]
    broke_off: str | None = None


def names_description(tif: tifffile.TiffFile) -> bool:
    """Whether the first page has a description, even one that lies beyond the end of a cut file."""
    handle, tiff = tif.filehandle, tif.tiff
    handle.seek(tif.pages.first.offset)
    (n_tags,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
    entries = handle.read(n_tags * tiff.tagsize)
    starts = range(0, len(entries) - 1, tiff.tagsize)
    return any(struct.unpack_from(f"{tif.byteorder}H", entries, start) == (270,) for start in starts)


def follow_chain(tif: tifffile.TiffFile) -> Chain:
    """Find all directories.

    tifffile's own walk does not end on some circular chains; this one does (Brent's algorithm).
    """
    handle = tif.filehandle
    offset = tif.pages.first.offset
    offsets = array("q")
    checkpoint, next_checkpoint = -1, 1
    broke_off: str | None = None
    while offset != 0:
        if offset >= handle.size:
            broke_off = TRUNCATED
            break
        if offset == checkpoint:
            broke_off = UNREADABLE
            break
        following = next_directory(tif, offset)
        if isinstance(following, str):
            broke_off = following
            break
        offsets.append(offset)
        if len(offsets) == next_checkpoint:
            checkpoint, next_checkpoint = offset, 2 * next_checkpoint
        offset = following
    found = np.array(offsets, np.int64)
    # Up to the first repetition all are different, so this cuts a circle after its first round.
    return Chain(found[: len(np.unique(found))], broke_off)


def next_directory(tif: tifffile.TiffFile, offset: int) -> int | str:
    """Position of the directory after the one at `offset` (0: none), or why it cannot be read."""
    handle, tiff = tif.filehandle, tif.tiff
    handle.seek(offset)
    head = handle.read(tiff.tagnosize)
    if len(head) < tiff.tagnosize:
        return TRUNCATED
    (n_tags,) = struct.unpack(tiff.tagnoformat, head)
    if n_tags == 0:  # space that was reserved and zero-filled; the standard asks for at least one tag
        return NEVER_WRITTEN
    if not 0 < n_tags <= 4096:
        return UNREADABLE
    entries = handle.read(n_tags * tiff.tagsize + tiff.offsetsize)
    if len(entries) < n_tags * tiff.tagsize + tiff.offsetsize:
        return TRUNCATED
    return int(struct.unpack(tiff.offsetformat, entries[-tiff.offsetsize :])[0])


def directory_end(tif: tifffile.TiffFile, offset: int) -> int:
    """Where the directory at `offset` ends, with the values of its tags that lie outside of it."""
    handle, tiff = tif.filehandle, tif.tiff
    handle.seek(offset)
    (n_tags,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
    entries = handle.read(n_tags * tiff.tagsize)
    end = offset + tiff.tagnosize + len(entries) + tiff.offsetsize
    for start in range(0, len(entries), tiff.tagsize):
        (kind,) = struct.unpack_from(f"{tif.byteorder}H", entries, start + 2)
        count, place = struct.unpack_from(f"{tif.byteorder}2{tiff.offsetformat[1:]}", entries, start + 4)
        size = count * struct.calcsize(tifffile.TIFF.DATA_FORMATS.get(kind, "0B"))
        if size > tiff.offsetsize:
            end = max(end, place + size)
    return end

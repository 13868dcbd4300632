"""Pages of TIFF files, decoded one at a time, so memory does not grow with the movie."""

import os
from functools import cached_property
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from acquire.container import (
    NEVER_WRITTEN,
    TRUNCATED,
    UNREADABLE,
    Chain,
    check_page,
    directory_end,
    follow_chain,
    names_description,
    next_directory,
    open_tiff,
)
from acquire.frame import SourceError

OTHER_FORMAT = "page of another size or type"

MICRO_MANAGER_TAG = 51123


class LostPlane(Exception):
    """One recorded plane cannot be had; the message is the cause in words, a key of `Source.losses`."""


class TiffPages:
    """The pages of one TIFF file.

    Parameters
    ----------
    path
        TIFF or BigTIFF of unsigned grayscale pages with 8 to 16 bits.
    offsets
        Positions of the pages' directories, int64 (n_pages,), where an index gives them; otherwise
        the chain of directories is followed from page to page when it is first needed.

    Raises
    ------
    SourceError
        If the file cannot be opened; UnfitPixels, if its first page is not such an image.
    """

    def __init__(self, path: Path, offsets: NDArray[np.int64] | None = None) -> None:
        self.path = path
        self._tif = open_tiff(path)
        try:
            self.first = self._tif.pages.first
            check_page(self.first, path)
            self._format = self.first.hash
        except SourceError:
            self.close()
            raise
        except Exception as error:  # tifffile raises anything on damaged bytes
            self.close()
            raise SourceError(f"{path} is damaged: its first page cannot be read") from error
        self.shape: tuple[int, int] = (self.first.imagelength, self.first.imagewidth)
        self._data_start: int | None = None  # where the pixels of pages without directories begin
        if offsets is not None:
            self.chain = Chain(offsets)

    @cached_property
    def chain(self) -> Chain:
        """Where the pages' directories are; found when first asked for."""
        return follow_chain(self._tif)

    def page(self, number: int) -> tifffile.TiffPage:
        """Directory of page `number`; raises LostPlane."""
        if number == 0 and "chain" not in self.__dict__:
            return self.first  # spares following the chain in files of one page
        if number >= len(self.chain.offsets):
            raise LostPlane(self.chain.broke_off or TRUNCATED)
        offset = int(self.chain.offsets[number])
        try:
            self._tif.filehandle.seek(offset)
            return tifffile.TiffPage(self._tif, index=number)
        except Exception as error:
            raise LostPlane(self._why(offset, UNREADABLE)) from error

    def read(self, number: int) -> NDArray[np.uint16]:
        """Pixels of page `number`, uint16 (H, W); raises LostPlane."""
        if self._data_start is not None:
            return self._read_contiguous(self._data_start, number)
        page, end = self.page(number), 0
        try:
            if page.hash != self._format:
                raise LostPlane(self._why(page.offset, OTHER_FORMAT))
            segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
            if not segments or any(offset == 0 or count == 0 for offset, count in segments):
                raise LostPlane(self._why(page.offset, NEVER_WRITTEN))
            end = max(offset + count for offset, count in segments)
            if end > self._size():
                raise LostPlane(TRUNCATED)
            pixels = page.asarray(maxworkers=1)
        except LostPlane:
            raise
        except Exception as error:  # decoders raise anything on damaged bytes
            raise LostPlane(self._why(page.offset, UNREADABLE, end)) from error
        if pixels.shape != self.shape:
            raise LostPlane(OTHER_FORMAT)
        return np.asarray(pixels, np.uint16)

    def _size(self) -> int:
        """Bytes in the file now: it may be cut while it is read."""
        return os.fstat(self._tif.filehandle.fileno()).st_size

    def _why(self, offset: int, cause: str, end: int = 0) -> str:
        """Cause of losing the page with the directory at `offset` and pixels up to `end`.

        Where the file ends too early, that explains any other cause.
        """
        following = next_directory(self._tif, offset)
        if isinstance(following, str):
            return following
        return TRUNCATED if max(end, directory_end(self._tif, offset)) > self._size() else cause

    def _read_contiguous(self, start: int, number: int) -> NDArray[np.uint16]:
        handle, size = self._tif.filehandle, self.first.nbytes
        handle.seek(start + number * size)
        data = handle.read(size)
        if len(data) < size:
            raise LostPlane(TRUNCATED)
        stored = np.dtype(f"{self._tif.byteorder}u{size // (self.shape[0] * self.shape[1])}")
        return np.frombuffer(data, stored).reshape(self.shape).astype(np.uint16)

    def expect(self, n_pages: int, *, contiguous: bool = False) -> int:
        """Take the number of pages that the file's description promises.

        Where fewer directories can be read, the pixels may still be there: ImageJ writes one
        directory for a stack above 4 GB, and tifffile puts all directories but the first behind
        the pixels, so that cutting the file loses them first.

        Parameters
        ----------
        n_pages
            The number promised.
        contiguous
            The format says that the pages' pixels follow each other even without directories.

        Returns
        -------
        int
            How many of the promised pages the file holds.
        """
        n_found = len(self.chain.offsets)
        if n_found < n_pages and self.first.is_final:
            start = self.first.dataoffsets[0]
            following = next_directory(self._tif, self.first.offset)
            behind = isinstance(following, int) and following >= start + n_pages * self.first.nbytes
            if behind or (contiguous and following == 0):
                self._data_start = start
                n_found = max(0, self._tif.filehandle.size - start) // self.first.nbytes
        return min(n_pages, n_found)

    def count(self) -> int | None:
        """Pages in the file, with those that were lost when it was cut; None where it no longer tells."""
        n_found = len(self.chain.offsets)
        if self.chain.broke_off is None:
            return n_found
        following = next_directory(self._tif, self.first.offset)
        if isinstance(following, int) and self.first.is_final:
            n_pages, rest = divmod(following - self.first.dataoffsets[0], self.first.nbytes)
            # Only pixels (and padding) lie between the first two directories.
            if n_pages > n_found and rest < 64 and self.first.offset < self.first.dataoffsets[0]:
                return int(n_pages)
        return None

    @property
    def lost_description(self) -> bool:
        """Whether the file was cut before the description of its pages."""
        return 270 not in self.first.tags and names_description(self._tif)

    def micro_manager(self, number: int) -> dict[str, object]:
        """Micro-Manager's metadata of page `number`, empty where there is none."""
        try:
            tag = self.page(number).tags.get(MICRO_MANAGER_TAG)
            value = None if tag is None else tag.value
        except Exception:  # metadata only: the pixels decide whether a page is lost
            return {}
        return value if isinstance(value, dict) else {}

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._tif.close()

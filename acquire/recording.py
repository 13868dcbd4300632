"""A recording: TIFF files whose pages make a grid of time points and channels."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from acquire.container import NEVER_WRITTEN, TRUNCATED, UNREADABLE, UnfitPixels
from acquire.frame import SourceError
from acquire.pages import OTHER_FORMAT, LostPlane, TiffPages

MISSING_FILE = "file is missing or unreadable"
MAX_PLANES = 10_000_000  # more are promised only by damaged metadata

# A plane's address is its file's number and its page's number in one integer; negative where the
# structure tells beforehand that there is no such page.
_FILE = 1 << 32
NOT_WRITTEN, CUT_OFF, DAMAGED = -1, -2, -3
# The same for the one plane that stands for all behind it, where the file does not tell its length.
CUT_OFF_OPEN, DAMAGED_OPEN = -4, -5
_UNKNOWN = "; how many frames are lost is unknown"
CAUSES = {
    NOT_WRITTEN: NEVER_WRITTEN,
    CUT_OFF: TRUNCATED,
    DAMAGED: UNREADABLE,
    CUT_OFF_OPEN: TRUNCATED + _UNKNOWN,
    DAMAGED_OPEN: UNREADABLE + _UNKNOWN,
}

_OPEN_FILES = 8


def lost_end(broke_off: str | None, *, length_known: bool = True) -> int:
    """What stands in the grid for the planes behind a chain of pages that broke off by this cause."""
    if not length_known:
        return DAMAGED_OPEN if broke_off == UNREADABLE else CUT_OFF_OPEN
    return {UNREADABLE: DAMAGED, NEVER_WRITTEN: NOT_WRITTEN}.get(broke_off or "", CUT_OFF)


def address(file: int, page: int = 0) -> int:
    """Address of a page among the files of a recording."""
    return file * _FILE + page


class PlaneReader(Protocol):
    """Reads the planes of a recording by their addresses; see `Planes`, which does it for TIFF files."""

    shape: tuple[int, int]
    bits: int

    def read(self, plane: int) -> NDArray[np.uint16]:
        """Pixels of the plane at this address, uint16 (H, W); raises LostPlane."""
        ...

    def elapsed_s(self, plane: int) -> float | None:
        """Time that was recorded for the plane at this address, seconds."""
        ...

    def close(self) -> None:
        """Close all files; safe to call twice."""
        ...


class Planes:
    """Planes of one or more TIFF files, by address; few files are open at a time.

    The first file sets their size and type; planes of files that differ are lost.

    Parameters
    ----------
    paths
        The files.
    offsets
        Positions of the directories in each file, where an index gives them.

    Raises
    ------
    SourceError
        If the first file cannot be opened.
    """

    def __init__(self, paths: Sequence[Path], offsets: Sequence[NDArray[np.int64]] | None = None) -> None:
        self.paths = paths
        self._offsets = offsets
        self._open: OrderedDict[int, TiffPages] = OrderedDict()
        first = self.file(0)
        self.shape, self.bits = first.shape, first.first.bitspersample

    def file(self, number: int) -> TiffPages:
        """Open the file `number`; raises SourceError."""
        if number in self._open:
            self._open.move_to_end(number)
        else:
            offsets = None if self._offsets is None else self._offsets[number]
            self._open[number] = TiffPages(self.paths[number], offsets)
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)[1].close()
        return self._open[number]

    def read(self, plane: int) -> NDArray[np.uint16]:
        """Pixels of the plane at this address, uint16 (H, W); raises LostPlane."""
        if plane < 0:
            raise LostPlane(CAUSES[plane])
        file, page = divmod(plane, _FILE)
        try:
            pages = self.file(file)
        except UnfitPixels as error:
            raise LostPlane(OTHER_FORMAT) from error
        except SourceError as error:
            raise LostPlane(MISSING_FILE) from error
        if (pages.shape, pages.first.bitspersample) != (self.shape, self.bits):
            raise LostPlane(OTHER_FORMAT)
        return pages.read(page)

    def elapsed_s(self, plane: int) -> float | None:
        """Time that Micro-Manager wrote for the plane at this address, seconds."""
        if plane < 0:
            return None
        file, page = divmod(plane, _FILE)
        try:
            elapsed_ms = self.file(file).micro_manager(page).get("ElapsedTime-ms")
        except SourceError:
            return None
        try:
            return float(elapsed_ms) / 1000  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return None

    def close(self) -> None:
        """Close all files; safe to call twice."""
        while self._open:
            self._open.popitem()[1].close()


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded movie before its channels are laid out.

    Attributes
    ----------
    name, kind
        Short name for titles, and the file format in words.
    planes
        Where pixels are read from.
    grid
        Addresses of the planes, int64 (T, C).
    bit_depth
        Bits the camera used per pixel.
    interval_s, pixel_size_nm
        From the metadata; None where it does not say.
    timed
        Whether the planes carry times of their own.
    order_lost
        Whether the file was cut before it says which of its pages belong to which channel.
    """

    name: str
    kind: str
    planes: PlaneReader
    grid: NDArray[np.int64]
    bit_depth: int
    interval_s: float | None = None
    pixel_size_nm: float | None = None
    timed: bool = False
    order_lost: bool = False

    def lengthened(self, n_times: int) -> Self:
        """Add cut-off planes up to `n_times` where the end was cut off: the file may not tell its length."""
        missing = n_times - len(self.grid)
        if missing <= 0 or not (self.grid[-1] < NOT_WRITTEN).all():
            return self
        lost = np.full((missing, self.grid.shape[1]), CUT_OFF, np.int64)
        # The last one may stand for more behind it, so it stays the last.
        return replace(self, grid=np.concatenate([self.grid[:-1], lost, self.grid[-1:]]))


def time_by_channel(planes: NDArray[np.int64], axes: str, name: str) -> NDArray[np.int64]:
    """Arrange addresses with one array axis per letter of `axes` as (T, C).

    C is the channel axis. Time is T; where T is 1 or absent, the only other axis that is longer
    than 1 (Z, or one without a name) is taken as time.

    Raises
    ------
    SourceError
        If two axes could be time, e.g. a z-stack at each time point.
    """
    sizes = dict(zip(axes, planes.shape, strict=True))
    if "P" in sizes and sizes["P"] > 1:
        raise SourceError(f"{name} holds {sizes['P']} positions; save each position as a movie of its own")
    long = [axis for axis in axes if axis != "C" and sizes[axis] > 1]
    if len(long) > 1:
        found = " × ".join(f"{sizes[axis]} ({axis})" for axis in long)
        raise SourceError(
            f"{name} has more than one axis besides channels: {found}; one movie over time is needed"
        )
    channel_last = np.moveaxis(planes, axes.index("C"), -1) if "C" in sizes else planes[..., np.newaxis]
    return channel_last.reshape(-1, channel_last.shape[-1])


def check_promise(n_planes: int, name: str) -> None:
    """Refuse metadata that promise no planes or absurdly many."""
    if not 0 < n_planes <= MAX_PLANES:
        raise SourceError(f"{name} has damaged metadata: it promises {n_planes} images")

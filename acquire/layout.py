"""How the two channels lie in the recorded images."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from acquire.frame import SourceError

Layout = Literal["auto", "stack", "interleaved", "two-files", "side-by-side", "top-bottom", "single"]


@dataclass(frozen=True, slots=True)
class ChannelLayout:
    """A layout that fits its movie.

    Attributes
    ----------
    name
        The layout, never "auto".
    swap
        Whether the calcium channel comes first in the recording.
    """

    name: Layout
    swap: bool

    @property
    def n_times(self) -> int:
        """Time points of the recording that make one frame."""
        return 2 if self.name == "interleaved" else 1

    def columns(
        self, grid: NDArray[np.int64], calcium_grid: NDArray[np.int64] | None = None
    ) -> list[NDArray[np.int64]]:
        """Planes that make up each frame.

        Parameters
        ----------
        grid
            The movie's planes, (T, C).
        calcium_grid
            The planes of the second file in the layout "two-files", (T, 1).

        Returns
        -------
        list of arrays
            One array (n_frames,) a recorded plane of a frame; in order of channels where each has
            a plane of its own.
        """
        if self.name == "stack":
            columns = [grid[:, 0], grid[:, 1]]
        elif self.name == "interleaved":
            columns = [grid[0::2, 0], grid[1::2, 0]]
        elif self.name == "two-files" and calcium_grid is not None:
            columns = [grid[:, 0], calcium_grid[:, 0]]
        else:
            return [grid[:, 0]]
        return columns[::-1] if self.swap else columns

    def split(self, planes: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Cut the recorded planes of a frame, (P, H0, W0), into channels, (C, H, W): PIEZO1 first."""
        if self.name == "side-by-side":
            middle = planes.shape[2] // 2
            halves = [planes[0, :, :middle], planes[0, :, middle:]]
        elif self.name == "top-bottom":
            middle = planes.shape[1] // 2
            halves = [planes[0, :middle], planes[0, middle:]]
        else:
            return planes
        return np.stack(halves[::-1] if self.swap else halves)


def choose_layout(
    layout: Layout,
    *,
    swap: bool,
    grid_shape: tuple[int, int],
    image_shape: tuple[int, int],
    name: str,
    calcium_grid_shape: tuple[int, int] | None = None,
    calcium_image_shape: tuple[int, int] | None = None,
) -> ChannelLayout:
    """Check that a layout fits the movie; "auto" follows the file.

    Parameters
    ----------
    layout, swap
        As in the configuration.
    grid_shape, image_shape
        (T, C) and (H, W) of the movie.
    name
        The movie, for messages.
    calcium_grid_shape, calcium_image_shape
        The same of the calcium movie, where it is a file of its own.

    Raises
    ------
    SourceError
        If it does not fit.
    """
    n_times, n_channels = grid_shape
    height, width = image_shape
    two_files = calcium_grid_shape is not None
    if layout == "auto":
        layout = "two-files" if two_files else "stack" if n_channels == 2 else "single"
    if two_files != (layout == "two-files"):
        need = (
            "needs a calcium movie of its own (source.calcium_path)"
            if not two_files
            else "takes no calcium movie"
        )
        raise SourceError(f"layout {layout} {need}: {name}")
    if layout == "stack" and n_channels != 2:
        raise SourceError(f"layout stack needs 2 channels, {name} has {n_channels}; choose another layout")
    if layout != "stack" and n_channels != 1:
        allowed = "use layout stack" if n_channels == 2 else "export the two that belong to this experiment"
        raise SourceError(f"{name} has {n_channels} channels, layout {layout} allows 1; {allowed}")
    if layout == "interleaved" and n_times % 2:
        raise SourceError(f"layout interleaved needs an even number of images, {name} has {n_times}")
    if layout == "side-by-side" and width % 2:
        raise SourceError(f"layout side-by-side needs an even width, {name} is {width} pixels wide")
    if layout == "top-bottom" and height % 2:
        raise SourceError(f"layout top-bottom needs an even height, {name} is {height} pixels high")
    if layout == "single" and swap:
        raise SourceError(f"{name} has one channel only, so there is none to swap it with")
    if calcium_grid_shape is not None and calcium_image_shape is not None:
        _check_equal(grid_shape, image_shape, calcium_grid_shape, calcium_image_shape, name)
    return ChannelLayout(layout, swap)


def _check_equal(
    grid_shape: tuple[int, int],
    image_shape: tuple[int, int],
    calcium_grid_shape: tuple[int, int],
    calcium_image_shape: tuple[int, int],
    name: str,
) -> None:
    if calcium_grid_shape[1] != 1:
        raise SourceError(f"the calcium movie of {name} has {calcium_grid_shape[1]} channels, 1 is expected")
    if image_shape != calcium_image_shape:
        height, width = image_shape
        calcium_height, calcium_width = calcium_image_shape
        raise SourceError(
            f"{name} is {width}×{height} pixels, its calcium movie {calcium_width}×{calcium_height}; "
            "both channels must have the same size"
        )
    if grid_shape[0] != calcium_grid_shape[0]:
        raise SourceError(
            f"{name} has {grid_shape[0]} frames, its calcium movie {calcium_grid_shape[0]}; "
            "both channels must have the same number"
        )

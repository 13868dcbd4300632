"""Recorded movies as sources of frames."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acquire.blank import EmptyChannel, is_blank, is_never_black
from acquire.container import NEVER_WRITTEN, check_name
from acquire.frame import Frame, Source, SourceError, SourceInfo
from acquire.layout import ChannelLayout, Layout, choose_layout
from acquire.pages import LostPlane
from acquire.recording import CAUSES, PlaneReader, Recording
from acquire.tiff import open_recording

ASSUMED_INTERVAL_S = 0.1
"""Frame interval for `Frame.time_s` where neither the file nor the user gives one, seconds."""


def open_source(
    path: str | Path,
    *,
    calcium_path: str | Path | None = None,
    layout: Layout = "auto",
    swap: bool = False,
    interval_ms: float | None = None,
    max_frames: int | None = None,
) -> Source:
    """Open a recorded movie.

    Parameters
    ----------
    path
        TIFF of any kind (OME, ImageJ, plain, BigTIFF, Micro-Manager stack), a folder of single TIFFs, or an
        NDTiff data set: its folder, its index, or one of its stack files.
    calcium_path
        The calcium movie, where it is a file of its own.
    layout, swap
        Where the channels lie, see `acquire.layout`.
    interval_ms
        Frame interval in milliseconds; overrides the file's.
    max_frames
        Stop after this many frames.

    Returns
    -------
    Source
        Reads lazily. Where no interval is known, `info.interval_s` is None and frames are timed
        with `ASSUMED_INTERVAL_S`.

    Raises
    ------
    SourceError
        If the movie cannot be read or the layout does not fit it; one sentence.
    """
    if interval_ms is not None and not 0 < interval_ms < float("inf"):
        raise SourceError(f"the frame interval must be positive, it is {interval_ms} ms")
    path = Path(path)
    for name in (path, calcium_path):
        if name is not None:
            check_name(Path(name))
    movie = open_recording(path)
    calcium = None
    try:
        if movie.order_lost and layout == "auto" and calcium_path is None:
            raise SourceError(
                f"{path} was cut off before it says which pages belong to which channel; "
                "name the layout: --layout interleaved where the channels alternate, or --layout single"
            )
        if calcium_path is not None:
            calcium = open_recording(Path(calcium_path))
            movie, calcium = movie.lengthened(len(calcium.grid)), calcium.lengthened(len(movie.grid))
        elif layout == "interleaved":
            movie = movie.lengthened(len(movie.grid) + len(movie.grid) % 2)
        fitting = choose_layout(
            layout,
            swap=swap,
            grid_shape=(movie.grid.shape[0], movie.grid.shape[1]),
            image_shape=movie.planes.shape,
            name=str(path),
            calcium_grid_shape=None if calcium is None else (calcium.grid.shape[0], calcium.grid.shape[1]),
            calcium_image_shape=None if calcium is None else calcium.planes.shape,
        )
        interval_s = None if movie.interval_s is None else movie.interval_s * fitting.n_times
        if interval_ms is not None:
            interval_s = interval_ms / 1000
        timed = movie.timed and interval_ms is None
        return MovieSource(movie, calcium, fitting, interval_s, timed=timed, max_frames=max_frames)
    except SourceError:
        movie.planes.close()
        if calcium is not None:
            calcium.planes.close()
        raise


class MovieSource:
    """A recorded movie as a `Source`; made by `open_source`."""

    def __init__(
        self,
        movie: Recording,
        calcium: Recording | None,
        layout: ChannelLayout,
        interval_s: float | None,
        *,
        timed: bool,
        max_frames: int | None,
    ) -> None:
        columns = layout.columns(movie.grid, None if calcium is None else calcium.grid)
        readers = [movie.planes] * len(columns)
        if calcium is not None:
            readers = [movie.planes, calcium.planes]
            readers = readers[::-1] if layout.swap else readers
        self._columns: list[tuple[PlaneReader, NDArray[np.int64]]] = list(zip(readers, columns, strict=True))
        self._never_black: list[bool | None] = [None] * len(columns)  # per column, once it is needed
        self._layout = layout
        self._interval_s = ASSUMED_INTERVAL_S if interval_s is None else interval_s
        self._timed = timed
        self._max_frames = max_frames
        self._losses: Counter[str] = Counter()
        # Per frame 0, or why it is known beforehand to be lost (the recording may promise many of them).
        self._lost = np.minimum(0, np.minimum.reduce(columns))
        n_frames = int((self._lost == 0).sum())
        if n_frames == 0:
            self.close()
            raise SourceError(f"{movie.name} holds no complete frame: it was cut off or never written")
        n_frames = n_frames if max_frames is None else min(n_frames, max_frames)
        height, width = movie.planes.shape
        recorded = np.empty((len(columns), height, width), np.uint16)
        channels, height, width = layout.split(recorded).shape
        self._info = SourceInfo(
            name=movie.name,
            shape=(channels, height, width),
            n_frames=n_frames,
            interval_s=interval_s,
            pixel_size_nm=movie.pixel_size_nm,
            bit_depth=movie.bit_depth,
            description=(
                f"{movie.kind}, {n_frames} frames of {channels} × {height} × {width}, "
                f"{movie.bit_depth} bit, layout {layout.name}{', swapped' if layout.swap else ''}"
            ),
        )

    @property
    def info(self) -> SourceInfo:
        """What is known before the first frame; `n_frames` excludes frames known to be lost."""
        return self._info

    @property
    def losses(self) -> Mapping[str, int]:
        """Frames lost so far, by cause."""
        return dict(self._losses)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames that can be read; raises SourceError if there is none."""
        self._losses.clear()
        n_yielded, time_s, last_seq, counted = 0, 0.0, -1, 0
        for seq in map(int, np.flatnonzero(self._lost == 0)):
            if n_yielded == self._max_frames:
                return
            self._count_lost(counted, seq)
            counted = seq
            try:
                pixels = self._read(seq)
            except LostPlane as lost:
                self._losses[str(lost)] += 1
                continue
            time_s = self._time_s(seq, last_seq, time_s)
            last_seq, n_yielded = seq, n_yielded + 1
            yield Frame(seq, time_s, pixels)
        self._count_lost(counted, len(self._lost))
        if n_yielded == 0:
            causes = ", ".join(f"{cause}: {count}" for cause, count in self._losses.items())
            raise SourceError(f"no frame of {self._info.name} could be read ({causes})")

    def _count_lost(self, first: int, last: int) -> None:
        """Count the frames from `first` to before `last` that are known beforehand to be lost."""
        for code, count in zip(*np.unique(self._lost[first:last], return_counts=True), strict=True):
            if code < 0:
                self._losses[CAUSES[int(code)]] += int(count)

    def _read(self, seq: int) -> NDArray[np.uint16]:
        recorded = [planes.read(int(column[seq])) for planes, column in self._columns]
        for number, pixels in enumerate(recorded):
            if is_blank(pixels) and self._is_never_black(number):
                raise LostPlane(NEVER_WRITTEN)
        return self._layout.split(np.stack(recorded))

    def _is_never_black(self, number: int) -> bool:
        """Whether blank planes of the column were never written; looked up once."""
        known = self._never_black[number]
        if known is None:
            try:
                known = is_never_black(*self._columns[number])
            except EmptyChannel as error:
                channel = f" {('PIEZO1', 'calcium')[number]}" if len(self._columns) > 1 else ""
                raise SourceError(
                    f"every{channel} image of {self._info.name} is empty: all pixels are 0, "
                    "nothing was recorded or exported; choose another movie or layout"
                ) from error
            self._never_black[number] = known
        return known

    def _time_s(self, seq: int, last_seq: int, last_time_s: float) -> float:
        """Time of the frame; the camera's own where it goes on from the last frame's."""
        if not self._timed:
            return seq * self._interval_s
        planes, column = self._columns[0]
        recorded = planes.elapsed_s(int(column[seq]))
        if recorded is not None and (last_seq < 0 or recorded > last_time_s):
            return recorded
        return seq * self._interval_s if last_seq < 0 else last_time_s + (seq - last_seq) * self._interval_s

    def close(self) -> None:
        """Close all files; safe to call twice."""
        for planes, _ in self._columns:
            planes.close()

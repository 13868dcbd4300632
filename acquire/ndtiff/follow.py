"""Following an NDTiff data set while it is being written: live analysis beside a running acquisition."""

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event, Lock

import numpy as np
from numpy.typing import NDArray

from acquire.blank import is_blank
from acquire.container import NEVER_WRITTEN, TRUNCATED
from acquire.frame import Frame, SourceError, SourceInfo
from acquire.layout import Layout
from acquire.live import RECENT, Action
from acquire.ndtiff.assemble import Assembler
from acquire.ndtiff.index import StoredImage
from acquire.ndtiff.stack import Stacks
from acquire.ndtiff.start import POLL_S, Start, folder_to_follow, wait_for_start
from acquire.ndtiff.tags import elapsed_s, received_s
from acquire.ndtiff.tail import DataSetTail, WrittenImage
from acquire.pages import OTHER_FORMAT, LostPlane
from acquire.source import ASSUMED_INTERVAL_S

IDLE_S = 30.0
"""An acquisition that was not ended, and wrote nothing for so long (or 10 intervals), is taken for dead."""

# Over a network, pages of a file may arrive in another order than they were written; then one of the pixels'
# is still zeros although the metadata behind them are there. Black pages are believed when they are this old.
_HOLE_S = 0.25
_PAGE = 4096


def follow_source(
    path: str | Path,
    *,
    layout: Layout = "auto",
    swap: bool = False,
    interval_ms: float | None = None,
    max_frames: int | None = None,
    idle_s: float = IDLE_S,
    stop: Event | None = None,
) -> "FollowSource":
    """Open an NDTiff data set that is being written, or will be: waits for it to begin.

    Parameters
    ----------
    path
        Folder of the data set, its index, or its first stack file. It need not exist yet.
    layout, swap, interval_ms, max_frames
        As in `acquire.source.open_source`.
    idle_s
        Seconds without an image after which an acquisition that was not ended is given up.
    stop
        Ends the waiting, and later the source, when it is set.

    Returns
    -------
    FollowSource
        Begins with the first image, whenever that was written, and misses none.

    Raises
    ------
    SourceError
        If it cannot be followed, or `stop` was set before it began; one sentence.
    """
    if interval_ms is not None and not 0 < interval_ms < float("inf"):
        raise SourceError(f"the frame interval must be positive, it is {interval_ms} ms")
    folder = folder_to_follow(Path(path))
    stop = stop or Event()
    tail = DataSetTail(folder)
    try:
        start = wait_for_start(
            tail, str(path), stop, layout=layout, swap=swap, interval_ms=interval_ms, patience_s=idle_s
        )
        return FollowSource(tail, start, str(path), stop, max_frames=max_frames, idle_s=idle_s)
    except BaseException:
        tail.close()
        raise


class FollowSource:
    """A data set that is being written as a `LiveSource`; made by `follow_source`.

    It is lossless: what is not taken yet waits on the disk. It ends when the writer has closed its last file.
    """

    def __init__(
        self,
        tail: DataSetTail,
        start: Start,
        name: str,
        stop: Event,
        *,
        max_frames: int | None,
        idle_s: float,
    ) -> None:
        self._tail = tail
        self._start = start
        self._name = name
        self._stop = stop
        self._max_frames = max_frames
        self._interval_s = start.info.interval_s or ASSUMED_INTERVAL_S
        self._patience_s = max(idle_s, 10 * self._interval_s)
        self._stacks = Stacks(tail.folder)
        self._assembler = Assembler(start.rule, start.layout, name)
        self._lost: Counter[str] = Counter()
        self._never_black: dict[int, bool] = {}
        self._has_black: dict[int, bool] = {}
        self._received_from = received_s(start.seen[0].metadata) or 0.0
        self._last: tuple[int, float] | None = None  # number and time of the last frame
        self._arrived: deque[tuple[int, int]] = deque(maxlen=RECENT)
        self._lock = Lock()
        self._longest_on_disk_s = 0.0

    @property
    def info(self) -> SourceInfo:
        """What the first images tell; `n_frames` is None."""
        return self._start.info

    @property
    def losses(self) -> Mapping[str, int]:
        """Frames lost so far, by cause."""
        return dict(self._assembler.losses + self._lost)

    @property
    def figures(self) -> Mapping[str, float]:
        """`longest_on_disk_ms`: from when a frame's last image was found complete to when it was read."""
        return {"longest_on_disk_ms": self._longest_on_disk_s * 1e3}

    def frames(self) -> Iterator[Frame]:
        """Yield the frames as they are written, from the first one on; to be called once.

        Raises
        ------
        SourceError
            If the acquisition was not ended but writes no more, after all its frames; or if it changes so
            that it cannot be followed on.
        """
        new, n_frames, ended, problem = list(self._start.seen), 0, False, ""
        while True:
            for written in new:
                self._assembler.add(written)
            if ended and (n_lost := self._assembler.n_behind(self._tail.n_nameless)):
                self._lost[TRUNCATED] += n_lost
            for seq, images in self._assembler.frames(ended=ended):
                frame = self._frame(seq, images)
                if self._stop.is_set():
                    return
                if frame is not None:
                    yield frame
                    n_frames += 1
                if self._stop.is_set() or n_frames == self._max_frames:
                    return
            if ended:
                break
            new = self._tail.poll()
            if not new:
                ended = self._tail.is_finished(self._patience_s)
                if not ended and self._tail.idle_s > self._patience_s:
                    ended, problem = True, self._silence()
                if not ended and self._stop.wait(POLL_S):
                    return
        if problem:
            raise SourceError(problem)
        if not n_frames:
            causes = ", ".join(f"{cause}: {count}" for cause, count in self.losses.items())
            raise SourceError(f"no frame of {self._name} could be read ({causes})")

    def _silence(self) -> str:
        return (
            f"{self._name} was not ended by its writer, but nothing came for {self._patience_s:.0f} s: "
            "Micro-Manager was killed or paused; all images until then were taken"
        )

    def _frame(self, seq: int, images: list[WrittenImage]) -> Frame | None:
        """The frame; None where it is lost, or where following is stopped."""
        try:
            recorded = np.stack([self._pixels(number, image) for number, image in enumerate(images)])
        except LostPlane as lost:
            self._lost[str(lost)] += 1
            return None
        arrived_ns = time.time_ns()
        on_disk_s = time.monotonic() - max(image.seen_s for image in images)
        self._longest_on_disk_s = max(self._longest_on_disk_s, on_disk_s)
        with self._lock:
            self._arrived.append((seq, arrived_ns))
        self._last = seq, self._time_s(seq, images[0].metadata)
        return Frame(seq, self._last[1], self._start.layout.split(recorded), arrived_ns=arrived_ns)

    def _pixels(self, number: int, written: WrittenImage) -> NDArray[np.uint16]:
        image, first = written.image, self._start.seen[0].image
        if (image.height, image.width, image.bytes_per_pixel) != (
            first.height,
            first.width,
            first.bytes_per_pixel,
        ):
            raise LostPlane(OTHER_FORMAT)
        stack = self._stacks.file(image.file)
        pixels = stack.pixels(image)
        while not self._has_black.get(number) and has_hole(pixels, image):
            if time.monotonic() > written.seen_s + _HOLE_S or self._stop.wait(POLL_S):
                break
            pixels = stack.pixels(image)
        # Where already the first image stays black in places, black is no sign of anything.
        self._has_black.setdefault(number, has_hole(pixels, image))
        if is_blank(pixels):
            if self._never_black.get(number, False):
                raise LostPlane(NEVER_WRITTEN)
        elif number not in self._never_black:  # as in `acquire.blank`
            self._never_black[number] = pixels.itemsize > 1 and bool(np.median(pixels) > 0)
        return pixels.astype(np.uint16)

    def _time_s(self, seq: int, metadata: bytes) -> float:
        """Time of the frame; the camera's own where it goes on from the last frame's."""
        if self._start.clock == "counted":
            return seq * self._interval_s
        if self._start.clock == "elapsed":
            recorded = elapsed_s(metadata)
        else:
            received = received_s(metadata)
            recorded = None if received is None else received - self._received_from
        if self._last is None:
            return seq * self._interval_s if recorded is None else recorded
        last_seq, last_s = self._last
        if recorded is not None and recorded > last_s:
            return recorded
        return last_s + (seq - last_seq) * self._interval_s

    def stop(self) -> None:
        """End following; the acquisition goes on. Any thread may call it, also twice."""
        self._stop.set()

    def act(self, action: Action) -> str:
        """Refused: this only reads what another program records; raises SourceError."""
        raise SourceError(
            f"{action.kind} is not possible: {self._name} is only read while another program records it"
        )

    def arrived_ns(self, seq: int) -> int | None:
        """`Frame.arrived_ns` of a recent frame, None if it is not known."""
        with self._lock:
            return next((at for number, at in reversed(self._arrived) if number == seq), None)

    def close(self) -> None:
        """Close all files; safe to call twice."""
        self._stop.set()
        self._tail.close()
        self._stacks.close()


def has_hole(pixels: NDArray[np.uint16] | NDArray[np.uint8], image: StoredImage) -> bool:
    """Whether one of the file's pages that hold the pixels is all zeros, as if it were not written yet."""
    data = pixels.reshape(-1).view(np.uint8)
    begin = min(-image.offset % _PAGE, len(data))
    n_pages, rest = divmod(len(data) - begin, _PAGE)
    pages = data[begin : begin + n_pages * _PAGE].reshape(n_pages, _PAGE)
    ends = [part for part in (data[:begin], data[len(data) - rest :]) if len(part)]
    return not all(part.any() for part in ends) or not pages.any(axis=1).all()

"""From single images, as cameras give them, to frames with all channels."""

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from acquire.frame import MetadataValue, SourceError
from acquire.layout import ChannelLayout, Layout
from acquire.live import CAMERA_BUFFER, NO_PARTNER
from acquire.micromanager.frame_queue import FrameQueue, RecordedFrame

Mode = Literal["two-cameras", "splitter", "channels", "single"]

# Images that may wait for their partners. Both cameras' images come through one buffer, a few images
# apart; a camera that lags by this many is dead.
MAX_WAITING = 32

LAYOUTS: Mapping[Mode, tuple[Layout, ...]] = {
    "two-cameras": ("stack",),
    "splitter": ("side-by-side", "top-bottom"),
    "channels": ("stack",),
    "single": ("single",),
}


class CameraImage(NamedTuple):
    """One image of one camera (a tuple, as one is made for each image in the camera's thread).

    Attributes
    ----------
    channel
        Which image of its frame it is: 0 the first camera's or channel's, 1 the second's.
    number
        Number of its frame in the sequence (Micro-Manager's ImageNumber), from 0.
    time_s
        On the clock that both cameras share, seconds.
    arrived_ns
        Wall clock (`time.time_ns`) when it was in this program's hands.
    pixels
        (H, W), uint16 or uint8.
    metadata
        What the frame shall say about it.
    sequence
        Number of the camera's sequence, which grows with each start: image numbers begin again there.
    """

    channel: int
    number: int
    time_s: float
    arrived_ns: int
    pixels: NDArray[np.uint16] | NDArray[np.uint8]
    metadata: Mapping[str, MetadataValue] = MappingProxyType({})
    sequence: int = 0


class Pairer:
    """Puts single images together to frames and hands them to a queue; never waits.

    Two images belong together when their sequence and number agree, whatever order they come in: the order
    of arrival says nothing, because both cameras run freely. Each camera's own images come in order, so a
    partner that is missing when a later frame is complete never comes.

    Every number of a frame is accounted for once: given out, or one image came without its partner
    (NO_PARTNER), or none came although later ones did (CAMERA_BUFFER: the camera's buffer was overwritten).

    Pairs whose times differ by more than `max_skew_s` are counted and given out all the same. The plain
    difference is taken, the constant part not removed: both times are on one clock, so the constant part is
    real time between the channels (a camera that started late), and a camera that lost an image without
    counting it moves the difference by a whole interval, which half an interval as limit cannot miss
    (if the constant part is below half an interval, else every pair is counted, rightly).

    Parameters
    ----------
    queue
        Where frames go.
    layout
        How channels lie: "stack" takes two images a frame, all others one, which is split where it says so.
    max_skew_s
        See above; None where the times are meant to differ (channels one after the other).

    Attributes
    ----------
    n_frames
        Frames handed over.
    n_skewed, largest_skew_s
        Pairs that were further apart than `max_skew_s`; the largest difference of all pairs, seconds.
    n_unexpected
        Images that were ignored: number seen before, or its frame already given up.
    """

    def __init__(self, queue: FrameQueue, layout: ChannelLayout, max_skew_s: float | None = None) -> None:
        self._queue = queue
        self._layout = layout
        self._paired = layout.name == "stack"
        self._max_skew_s = max_skew_s
        self._sequence = 0
        self._base = 0  # seq of image number 0 of this sequence
        self._next = 0  # the first number of this sequence that is not accounted for
        self._ends = [0, 0]  # behind the last number of this sequence that each camera gave
        self._waiting: tuple[dict[int, CameraImage], dict[int, CameraImage]] = ({}, {})
        self._origin_s: float | None = None
        self._time_s = 0.0
        self._lost = {CAMERA_BUFFER: 0, NO_PARTNER: 0}
        self.n_frames = 0
        self.n_skewed = 0
        self.largest_skew_s = 0.0
        self.n_unexpected = 0

    @property
    def losses(self) -> dict[str, int]:
        """Frames lost before the queue, by cause; final after `finish`."""
        return {cause: n for cause, n in self._lost.items() if n}

    def put(self, image: CameraImage) -> int | None:
        """Take one image; gives the `seq` of its frame, None if the image is ignored."""
        if image.sequence > self._sequence:
            self._end_sequence(max(self._ends))
            self._sequence = image.sequence
        channel, number = image.channel, image.number
        waiting = self._waiting[channel]
        if image.sequence < self._sequence or number < self._next or number in waiting:
            self.n_unexpected += 1
            return None
        if number >= self._ends[channel]:
            self._ends[channel] = number + 1
        if not self._paired:
            self._give(image, None)
            return self._base + number
        partner = self._waiting[1 - channel].pop(number, None)
        if partner is None:
            waiting[number] = image
            if len(waiting) > MAX_WAITING:
                self._give_up(min(waiting) + 1)
        elif (channel == 0) != self._layout.swap:
            self._give(image, partner)
        else:
            self._give(partner, image)
        return self._base + number

    def finish(self, *, cut: bool = False) -> None:
        """End it: what waits has no partner, what comes later is ignored; safe to repeat.

        `cut` says that the cameras were stopped in between: frames that only one of them had begun to
        give are then no losses but frames that were not finished.
        """
        one_only = cut and self._paired
        self._end_sequence(max(self._next, min(self._ends)) if one_only else max(self._ends))
        self._sequence = sys.maxsize

    def _end_sequence(self, end: int) -> None:
        """The next sequence goes on at `end` of this one, without a gap."""
        self._give_up(end)
        for waiting in self._waiting:
            waiting.clear()
        self._base += end
        self._next = 0
        self._ends = [0, 0]

    def _give(self, piezo1: CameraImage, calcium: CameraImage | None) -> None:
        """Hand over a frame; `calcium` is None where one image holds the whole frame."""
        number = piezo1.number
        if number > self._next:
            self._give_up(number)
        self._next = number + 1
        metadata, arrived_ns = piezo1.metadata, piezo1.arrived_ns
        if calcium is not None:
            arrived_ns = max(arrived_ns, calcium.arrived_ns)
            if self._max_skew_s is not None:
                skew_s = calcium.time_s - piezo1.time_s
                metadata = {**metadata, "skew_ms": round(skew_s * 1e3, 3)}
                self.largest_skew_s = max(self.largest_skew_s, abs(skew_s))
                self.n_skewed += abs(skew_s) > self._max_skew_s
        if self._origin_s is None:
            self._origin_s = piezo1.time_s
        # The clock of a computer may be set back while it images.
        self._time_s = max(self._time_s, piezo1.time_s - self._origin_s)
        self._queue.put_recorded(
            RecordedFrame(
                self._base + number,
                self._time_s,
                metadata,
                arrived_ns,
                piezo1.pixels,
                None if calcium is None else calcium.pixels,
                self._layout,
            )
        )
        self.n_frames += 1

    def _give_up(self, number: int) -> None:
        """Account for all frames before `number`: they are lost."""
        halves = 0
        for waiting in self._waiting:
            for late in [n for n in waiting if n < number]:
                del waiting[late]
                halves += 1
        self._lost[NO_PARTNER] += halves
        self._lost[CAMERA_BUFFER] += number - self._next - halves
        self._next = number


def live_layout(mode: Mode, layout: Layout, swap: bool) -> ChannelLayout:
    """Layout of the frames in this mode; "auto" where the mode leaves no choice.

    Raises
    ------
    SourceError
        If `layout` does not fit the mode.
    """
    fitting = LAYOUTS[mode]
    if layout == "auto" and len(fitting) == 1:
        layout = fitting[0]
    if layout not in fitting:
        allowed = " or ".join(fitting if len(fitting) > 1 else ("auto", *fitting))
        raise SourceError(f"microscope.mode {mode} needs channels.layout {allowed}, not {layout}")
    if layout == "single" and swap:
        raise SourceError("microscope.mode single has one channel, so there is none to swap it with")
    return ChannelLayout(layout, swap)


def frame_shape(layout: ChannelLayout, image_shape: tuple[int, int]) -> tuple[int, int, int]:
    """Shape (C, H, W) of the frames that images (H, W) make.

    Raises
    ------
    SourceError
        If an image cannot be cut in two equal halves.
    """
    height, width = image_shape
    if layout.name == "side-by-side":
        if width % 2:
            raise SourceError(f"layout side-by-side needs an even width, the camera gives {width} pixels")
        return 2, height, width // 2
    if layout.name == "top-bottom":
        if height % 2:
            raise SourceError(f"layout top-bottom needs an even height, the camera gives {height} pixels")
        return 2, height // 2, width
    return (2 if layout.name == "stack" else 1), height, width

"""The queue behind a camera's hook: keeps images as they came, makes frames where they are taken out."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from acquire.frame import Frame, MetadataValue
from acquire.layout import ChannelLayout
from acquire.live import NewestQueue


class RecordedFrame(NamedTuple):
    """A frame whose channels are still as they were recorded (a tuple: made in the camera's thread).

    Attributes
    ----------
    seq, time_s, metadata, arrived_ns
        As in `Frame`.
    image
        The image, or PIEZO1's, (H, W), uint16 or uint8.
    calcium
        The other image (H, W), where calcium has one of its own.
    layout
        How the channels lie.
    """

    seq: int
    time_s: float
    metadata: Mapping[str, MetadataValue]
    arrived_ns: int
    image: NDArray[np.uint16] | NDArray[np.uint8]
    calcium: NDArray[np.uint16] | NDArray[np.uint8] | None
    layout: ChannelLayout

    def laid_out(self) -> Frame:
        """The same with `pixels` (C, H, W), uint16, PIEZO1 first."""
        if self.calcium is not None:
            pixels = np.empty((2, *self.image.shape), np.uint16)
            pixels[0], pixels[1] = self.image, self.calcium
        else:
            pixels = self.layout.split(self.image[np.newaxis].astype(np.uint16, copy=False))
        return Frame(self.seq, self.time_s, pixels, self.metadata, self.arrived_ns)


class FrameQueue(NewestQueue):
    """A `NewestQueue` of recorded frames that lays out each one when it is taken.

    Copying two images of 256×256 pixels took half of the 0.1 ms that a hook may cost; here the publisher's
    thread does it, and only for the frames that were not dropped.
    """

    def put_recorded(self, frame: RecordedFrame) -> None:
        """Add a frame as it was recorded; never waits."""
        self.put(cast(Frame, frame))  # the queue reads seq and arrived_ns only

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames in order as they come, until it is closed and empty."""
        for frame in super().__iter__():
            yield cast(RecordedFrame, frame).laid_out()

"""Puts images of an NDTiff data set together to frames, in order, while they are written."""

from collections import Counter
from collections.abc import Iterator

from acquire.container import NEVER_WRITTEN
from acquire.frame import SourceError
from acquire.layout import ChannelLayout
from acquire.live import NO_PARTNER
from acquire.ndtiff.axes import GridRule, Placer
from acquire.ndtiff.tags import camera_tag
from acquire.ndtiff.tail import WrittenImage

FARTHEST = 1000


class Assembler:
    """Frames of a data set from its images.

    A frame waits for the images it needs, but no longer than until each channel that lacks has gone on to a
    later time: cameras that run freely may be many images apart, but the images of one come in order. Of a
    camera that is `FARTHEST` images behind, nothing more is hoped for: it has stopped.

    Parameters
    ----------
    rule, layout
        Which image belongs where.
    name
        The data set, for messages.

    Attributes
    ----------
    losses
        Frames given up, by cause.
    """

    def __init__(self, rule: GridRule, layout: ChannelLayout, name: str) -> None:
        self._rule = rule
        self._placer = Placer(rule, name)
        self._layout = layout
        self._name = name
        self._frames: dict[int, dict[int, WrittenImage]] = {}
        self._highest = [-1] * (2 if layout.name in ("stack", "interleaved") else 1)
        self._next = 0
        self._cameras: dict[int, tuple[int, str]] = {}
        self.losses: Counter[str] = Counter()

    def add(self, written: WrittenImage) -> None:
        """Take the next image; raises SourceError where it fits nowhere."""
        tag = camera_tag(written.metadata)
        time, channel = self._placer.place(written.image.axes or {}, tag)
        if tag is not None and self._cameras.setdefault(channel, tag.camera) != tag.camera:
            raise SourceError(
                f"{self._name} turned out to hold images of several cameras that nothing else tells apart; "
                "analyse it when it is complete"
            )
        if self._layout.name == "interleaved":
            time, channel = divmod(time, self._layout.n_times)
        if self._layout.swap and len(self._highest) == 2:
            channel = 1 - channel
        if time >= self._next:  # else it is written again
            self._frames.setdefault(time, {})[channel] = written
            self._highest[channel] = max(self._highest[channel], time)

    def n_behind(self, n_images: int) -> int:
        """Frames that so many images more would make, whose places nobody knows: those at the end."""
        n_channels = len(self._highest)
        lacking = sum(n_channels - len(images) for images in self._frames.values())
        return -(-max(0, n_images - lacking) // n_channels)

    def frames(self, *, ended: bool = False) -> Iterator[tuple[int, list[WrittenImage]]]:
        """Give out the next frames that are complete, and count those that never will be.

        Parameters
        ----------
        ended
            Whether no more images will come.

        Yields
        ------
        seq, images
            Number of the frame and its images in the order of channels.
        """
        while self._next <= max(self._highest):
            seq, images = self._next, self._frames.get(self._next, {})
            missing = [slot for slot in range(len(self._highest)) if slot not in images]
            late = not ended and any(self._highest[slot] < seq for slot in missing)
            if late and max(self._highest) - seq < FARTHEST:
                return
            self._frames.pop(seq, None)
            self._next += 1
            if missing:
                self.losses[NO_PARTNER if late else NEVER_WRITTEN] += 1
            else:
                yield seq, [images[slot] for slot in range(len(self._highest))]

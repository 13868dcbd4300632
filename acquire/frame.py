"""What a source hands over: frames, and what is known about them beforehand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

MetadataValue = str | int | float | bool


class SourceError(Exception):
    """A source cannot be read; the message says what, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment in all recorded channels.

    Attributes
    ----------
    seq
        Index of the frame in its source, counted from 0 and strictly increasing. A number that is
        skipped is a frame that the source knows to be lost (and counts in `Source.losses`).
    time_s
        Time on the camera's clock in seconds.
    pixels
        Raw camera counts, uint16, shape (C, H, W): PIEZO1 first, then calcium where there is one.
    metadata
        What the camera or file said about this frame.
    arrived_ns
        Wall clock (`time.time_ns`) when its last pixel was in this program's hands, the origin of latency;
        None for recordings.
    """

    seq: int
    time_s: float
    pixels: NDArray[np.uint16]
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    arrived_ns: int | None = None


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source before its first frame.

    Attributes
    ----------
    name
        Short name for run folders and titles, e.g. the movie's stem.
    shape
        (C, H, W) of every frame; C is 1 (PIEZO1 only) or 2 (PIEZO1, calcium).
    n_frames
        Number of frames, None when the source runs until it is stopped.
    interval_s, pixel_size_nm
        From the file's or camera's metadata; None where it does not say.
    bit_depth
        Bits the camera used per pixel (8, 12 or 16), which tells where it saturates.
    description
        One line for people: format, axes and layout.
    """

    name: str
    shape: tuple[int, int, int]
    n_frames: int | None
    interval_s: float | None
    pixel_size_nm: float | None
    bit_depth: int
    description: str


class Source(Protocol):
    """Anything that yields frames: a recording, a simulation, a microscope.

    The publisher in `stream` opens a source, iterates `frames()` once to the end (or stops early
    when the user asks) and then calls `close()`. After the iteration `losses` is final.
    """

    @property
    def info(self) -> SourceInfo:
        """What is known before the first frame; called before `frames`."""
        ...

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order; reads lazily, so memory does not grow with the recording."""
        ...

    @property
    def losses(self) -> Mapping[str, int]:
        """Frames the source itself lost, counted by cause in words, e.g. {"file is truncated": 37}."""
        ...

    def close(self) -> None:
        """Release files or devices; safe to call twice."""
        ...

"""What a source that is imaging offers beyond a recording: it is stopped, acted on, and never waits."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Lock
from typing import Literal, Protocol, runtime_checkable

from acquire.frame import Frame, Source

CAMERA_BUFFER = "camera buffer overflowed"
HOOK_QUEUE = "hook queue was full"
NO_PARTNER = "the other camera's image is missing"
RECENT = 1024  # frames whose arrival is remembered; a trigger that is later than these is hopeless anyway

ActionKind = Literal["stop", "exposure", "interval", "burst"]


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a microscope is asked to do while it images.

    Attributes
    ----------
    kind
        stop: end the acquisition. exposure: from now on `value` ms. interval: a frame every `value` ms, 0 as
        fast as the exposure allows. burst: `value` frames as fast as the exposure allows, then as before.
    value
        See `kind`; None for stop.
    """

    kind: ActionKind
    value: float | None = None


@runtime_checkable
class LiveSource(Source, Protocol):
    """A source that images now. `frames()` raises SourceError when the camera fails."""

    @property
    def figures(self) -> Mapping[str, float]:
        """What it measured of itself so far, by name with its unit, e.g. {"hook_p99_ms": 0.03}."""
        ...

    def stop(self) -> None:
        """End the acquisition; any thread may call it, also twice. `frames()` ends within 0.2 s of it."""
        ...

    def act(self, action: Action) -> str:
        """Do something to the running acquisition; any thread may call it. Gives a sentence on what was done.

        Raises
        ------
        SourceError
            If this microscope or mode cannot do it; the acquisition goes on.
        """
        ...

    def arrived_ns(self, seq: int) -> int | None:
        """When the last pixel of a recent frame had arrived (`Frame.arrived_ns`), None if it is not known."""
        ...


class NewestQueue:
    """Bounded queue from a camera's thread to the publisher's: the newest frames win, losses are counted.

    Its one reader is woken through a `SimpleQueue`: a `Condition` took the camera's thread twice as long.

    Parameters
    ----------
    size
        Frames it holds.

    Attributes
    ----------
    lost
        Frames dropped because the publisher did not keep up.
    """

    def __init__(self, size: int) -> None:
        self._frames: deque[Frame] = deque()
        self._size = size
        self._lock = Lock()
        self._waits = False  # whether the reader does
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._closed = False
        self._problem: Exception | None = None
        self._arrived: deque[tuple[int, int]] = deque(maxlen=RECENT)
        self.lost = 0

    def put(self, frame: Frame) -> None:
        """Add a frame; never waits. One after `close` is ignored: the camera was still in it."""
        with self._lock:
            if self._closed:
                return
            if len(self._frames) == self._size:
                self._frames.popleft()
                self.lost += 1
            self._frames.append(frame)
            if frame.arrived_ns is not None:
                self._arrived.append((frame.seq, frame.arrived_ns))
            waits, self._waits = self._waits, False
        if waits:
            self._wake.put(None)

    def close(self, problem: Exception | None = None) -> None:
        """End it; what it holds is still given out, then `problem` is raised there. The first call counts."""
        with self._lock:
            if not self._closed:
                self._closed, self._problem = True, problem
            waits, self._waits = self._waits, False
        if waits:
            self._wake.put(None)

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames in order as they come, until it is closed and empty."""
        while (frame := self._take()) is not None:
            yield frame
        if self._problem is not None:
            raise self._problem

    def _take(self) -> Frame | None:
        """Wait for the next frame; None at the end."""
        while True:
            with self._lock:
                if self._frames:
                    return self._frames.popleft()
                if self._closed:
                    return None
                self._waits = True
            self._wake.get()

    def arrived_ns(self, seq: int) -> int | None:
        """`Frame.arrived_ns` of a recent frame, None if it is not known."""
        with self._lock:
            return next((at for number, at in reversed(self._arrived) if number == seq), None)

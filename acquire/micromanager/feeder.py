"""What is imaged next: feeds events to a running acquisition, and changes what it was asked to change."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Event
from typing import Any, Protocol

from acquire.frame import SourceError
from acquire.live import Action
from acquire.micromanager.config import MicroscopeConfig

# Frames in one sequence: the engine merges its events one by one, about 30 µs each, before it images.
MAX_BLOCK = 500
WAIT_S = 0.001  # how often it looks whether a snapped image has come
ACT_S = 2.0  # how long `act` waits for the change; a change takes effect also later


class Backend(Protocol):
    """What differs between pycromanager's backends, as far as feeding goes."""

    block_s: float
    can_cut: bool

    def events(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Prepare the events of one sequence."""
        ...

    def cut(self) -> None:
        """End the running sequence early, where `can_cut` says that this can be done."""
        ...

    def done(self, n_events: int) -> int:
        """Frames that the last sequence of `n_events` gave."""
        ...

    def problem(self) -> Exception | None:
        """What went wrong without the engine noticing it."""
        ...


@dataclass(frozen=True, slots=True)
class _Request:
    action: Action
    done: Event = field(default_factory=Event)
    answer: list[str | SourceError] = field(default_factory=list)


class Feeder:
    """Feeds an acquisition in blocks, so that it can be changed and stopped, and memory stays flat.

    Where a frame is to come as soon as the camera can, a block is one sequence of the camera, which needs no
    word from the computer in between. Where frames are to come at longer intervals, or channels one after the
    other, it snaps each when it is due.

    Parameters
    ----------
    backend
        What runs the events.
    config
        Mode, interval, channels.
    exposure_ms
        As it is set.
    max_frames
        Frames to image; None until stopped.
    begin
        Told of each block: its first time index, and whether its frames are snapped.
    n_images
        How many images have come.
    expose
        Sets the exposure, ms, and gives what the camera made of it; raises SourceError.
    """

    def __init__(
        self,
        backend: Backend,
        config: MicroscopeConfig,
        exposure_ms: float,
        max_frames: int | None,
        begin: Callable[[int, bool], None],
        n_images: Callable[[], int],
        expose: Callable[[float], float],
    ) -> None:
        self._backend = backend
        self._config = config
        self._exposure_ms = exposure_ms
        self._interval_ms = config.interval_ms
        self._left = max_frames
        self._begin, self._n_images, self._expose = begin, n_images, expose
        self._images_per_frame = 2 if config.mode in ("two-cameras", "channels") else 1
        self._burst = 0
        self._index = 0  # time index of the next event
        self._snapping = False  # whether the last frame was a snap
        self._due: float | None = None
        self._requests: list[_Request] = []
        self._sequences_ended = 0
        self._changed = Condition()
        self._ended = False

    def run(self, acquire: Callable[[list[dict[str, Any]]], object]) -> None:
        """Feed until all frames are imaged or `end` is called."""
        try:
            while not self._ended and self._left != 0:
                self._change()
                if self._is_fast() and self._block_length() > 1:
                    self._image_sequence(acquire)
                else:
                    self._image_one(acquire)
        finally:
            self.end()
            self._change()

    def end(self) -> None:
        """Feed no more, and end what runs; any thread may call it."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def on_notice(self, notice: Any) -> None:
        """Take pycromanager's notifications."""
        from pycromanager import AcqNotification

        with self._changed:
            if notice.milestone == AcqNotification.Camera.POST_SEQUENCE_STOPPED:
                self._sequences_ended += 1
            elif notice.is_acquisition_finished_notification():
                self._ended = True
            self._changed.notify_all()

    def act(self, action: Action) -> str:
        """Change what is imaged from the next frame on (where sequences cannot be cut, the next block).

        Raises
        ------
        SourceError
            If the value makes no sense, the camera refuses it, or the acquisition has ended.
        """
        value = action.value
        if value is None or not 0 <= value < 1e9 or (value == 0 and action.kind != "interval"):
            raise SourceError(f"{action.kind} cannot be {value}")
        if action.kind == "burst" and self._runs_freely():
            return "frames come as fast as the exposure allows already"
        request = _Request(action)
        with self._changed:
            if self._ended:
                raise SourceError("the acquisition has ended")
            self._requests.append(request)
            self._changed.notify_all()
        if not request.done.wait(ACT_S):
            return f"{action.kind} is changed when the running block ends, within {self._backend.block_s:g} s"
        answer = request.answer[0]
        if isinstance(answer, SourceError):
            raise answer
        return answer

    def _change(self) -> None:
        with self._changed:
            requests, self._requests = self._requests, []
        for request in requests:
            try:
                request.answer.append(self._changed_by(request.action))
            except SourceError as error:
                request.answer.append(error)
            request.done.set()

    def _changed_by(self, action: Action) -> str:
        if self._ended or action.value is None:
            raise SourceError("the acquisition has ended")
        if action.kind == "exposure":
            self._exposure_ms = self._expose(action.value)
            return f"the exposure is {self._exposure_ms:g} ms"
        if action.kind == "interval":
            self._interval_ms = action.value
            self._due = None
            if self._runs_freely():
                return "frames as fast as the exposure allows"
            return f"a frame every {self._interval_ms:g} ms"
        self._burst += round(action.value)
        return f"a burst of {self._burst} frames"

    def _runs_freely(self) -> bool:
        """Whether frames follow each other without a pause, bursts aside."""
        exposures = 2 if self._config.mode == "channels" else 1
        return self._interval_ms <= exposures * self._exposure_ms

    def _is_fast(self) -> bool:
        """Whether the camera runs by itself: it cannot wait between frames or switch channels."""
        return self._config.mode != "channels" and (self._burst > 0 or self._runs_freely())

    def _block_length(self) -> int:
        length = min(MAX_BLOCK, int(self._backend.block_s * 1000 / self._exposure_ms) + 1)
        limits = [length, *([self._left] if self._left is not None else [])]
        return min([*limits, *([self._burst] if self._burst else [])])

    def _image_sequence(self, acquire: Callable[[list[dict[str, Any]]], object]) -> None:
        n = self._block_length()
        self._begin(self._index, False)
        self._snapping = False
        ended = self._sequences_ended
        acquire(self._backend.events([{"axes": {"time": self._index + i}} for i in range(n)]))
        self._index += n
        cut = False
        with self._changed:
            while self._sequences_ended == ended and not self._is_over():
                if (self._requests or self._ended) and self._backend.can_cut and not cut:
                    self._backend.cut()
                    cut = True
                elif self._ended:
                    return
                self._changed.wait(0.05)
        self._count(self._backend.done(n) if cut else n)

    def _is_over(self) -> bool:
        return self._backend.problem() is not None

    def _image_one(self, acquire: Callable[[list[dict[str, Any]]], object]) -> None:
        if not self._is_due():
            return
        if not self._snapping:
            self._begin(self._index, True)
            self._snapping = True
        axes = {"time": self._index}
        events: list[dict[str, Any]] = [{"axes": axes}]
        if self._config.mode == "channels" and self._config.channels is not None:
            group = self._config.channel_group
            events = [
                {"axes": {**axes, "channel": preset}, "config_group": [group, preset]}
                for preset in self._config.channels
            ]
        expected = self._n_images() + self._images_per_frame
        for event in events:  # each by itself: the engine cannot switch channels within a sequence
            acquire([event])
        self._index += 1
        while self._n_images() < expected and not self._ended and not self._is_over():
            time.sleep(WAIT_S)
        self._count(1)

    def _is_due(self) -> bool:
        """Wait until the next snap is due; gives False if something changed before."""
        now = time.monotonic()
        if self._burst or self._due is None:
            self._due = now
        with self._changed:
            if self._changed.wait_for(lambda: self._ended or bool(self._requests), max(0.0, self._due - now)):
                return False
        # Late frames are not caught up with.
        self._due = max(self._due + self._interval_ms / 1000, time.monotonic())
        return True

    def _count(self, n: int) -> None:
        if self._left is not None:
            self._left -= n
        self._burst = max(0, self._burst - n)

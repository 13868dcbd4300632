"""What is to be imaged next, and the wishes to change it: the same for all ways of imaging."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Event

from acquire.frame import SourceError
from acquire.live import Action
from acquire.micromanager.config import MicroscopeConfig

ACT_S = 2.0  # how long `act` waits for the change, besides two exposures; it takes effect also later
ENDED = "the acquisition has ended"
FREE = "frames as fast as the exposure allows"
LEAST = {"exposure": 1e-6, "interval": 0.0, "burst": 1.0}


@dataclass(frozen=True, slots=True)
class _Request:
    action: Action
    done: Event = field(default_factory=Event)
    answer: list[str | SourceError] = field(default_factory=list)


class Plan:
    """Exposure, interval, burst and number of frames: asked for from any thread, changed in the imaging one.

    Parameters
    ----------
    config
        Mode and interval.
    exposure_ms
        As it is set.
    max_frames
        Frames to image; None until stopped.
    expose
        Sets the exposure, ms, and gives what the camera made of it; raises SourceError.
    late
        When a change is made that is not made at once, in words.

    Attributes
    ----------
    exposure_ms
        As it is set.
    left
        Frames to image yet; None until stopped.
    ended
        Whether nothing shall be imaged any more.
    changed
        Notified when something is asked for, and by who else has news for the imaging thread.
    """

    def __init__(
        self,
        config: MicroscopeConfig,
        exposure_ms: float,
        max_frames: int | None,
        expose: Callable[[float], float],
        late: str = "as soon as the camera lets it",
    ) -> None:
        self.exposure_ms = exposure_ms
        self.left = max_frames
        self.ended = False
        self.changed = Condition()
        self._interval_ms = config.interval_ms
        self._switches = config.mode == "channels"
        self._burst = 0
        self._due = 0.0
        self._expose, self._late = expose, late
        self._requests: list[_Request] = []

    @property
    def is_asked(self) -> bool:
        """Whether what runs shall end, for a change or for good."""
        return self.ended or bool(self._requests)

    @property
    def is_over(self) -> bool:
        """Whether there is no more to image."""
        return self.ended or self.left == 0

    @property
    def is_fast(self) -> bool:
        """Whether the camera runs by itself: it cannot wait between frames or switch channels."""
        return not self._switches and (self._burst > 0 or self._runs_freely())

    @property
    def limit(self) -> int | None:
        """Frames after which something else is to be done; None until something changes."""
        return min((n for n in (self.left, self._burst or None) if n is not None), default=None)

    def end(self) -> None:
        """Image no more; any thread may call it."""
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def count(self, n: int) -> None:
        """Say that `n` frames were imaged."""
        if self.left is not None:
            self.left = max(0, self.left - n)
        self._burst = max(0, self._burst - n)

    def is_due(self) -> bool:
        """Wait until the next frame is due; gives False if something is asked for before."""
        now = time.monotonic()
        if self._burst:
            self._due = now
        with self.changed:
            if self.changed.wait_for(lambda: self.is_asked, max(0.0, self._due - now)):
                return False
        now, interval_s = time.monotonic(), self._interval_ms / 1000
        if now > self._due + interval_s:  # late frames, and the first, begin anew: nothing is caught up with
            self._due = now
        self._due += interval_s
        return True

    def act(self, action: Action) -> str:
        """Ask for a change, and wait for the answer; any thread but the imaging one may call it.

        Raises
        ------
        SourceError
            If the value makes no sense, the camera refuses it, or the acquisition has ended.
        """
        value = action.value
        if value is None or not LEAST[action.kind] <= value < 1e9:
            raise SourceError(f"{action.kind} cannot be {value}")
        request = _Request(action)
        with self.changed:
            if self.ended:
                raise SourceError(ENDED)
            already = self._already(action.kind, value)
            if already:
                return already
            self._requests.append(request)
            self.changed.notify_all()
        if not request.done.wait(ACT_S + 2 * self.exposure_ms / 1000):
            return f"{action.kind} is changed {self._late}"
        answer = request.answer[0]
        if isinstance(answer, SourceError):
            raise answer
        return answer

    def _already(self, kind: str, value: float) -> str:
        """Answer where nothing is to be changed: to cut a sequence for it would cost frames."""
        if self._requests:
            return ""
        if kind == "burst" and self._runs_freely():
            return "frames come as fast as the exposure allows already"
        if kind == "exposure" and value == self.exposure_ms:
            return f"the exposure is {value:g} ms"
        if kind == "interval" and self._runs_freely():
            before, self._interval_ms = self._interval_ms, value
            if self._runs_freely():
                return FREE
            self._interval_ms = before
        return ""

    def change(self) -> None:
        """Make the changes that are asked for; for the imaging thread, while nothing runs."""
        with self.changed:
            requests, self._requests = self._requests, []
        for request in requests:
            try:
                request.answer.append(self._changed_by(request.action))
            except SourceError as error:
                request.answer.append(error)
            request.done.set()

    def _changed_by(self, action: Action) -> str:
        if self.ended or action.value is None:
            raise SourceError(ENDED)
        if action.kind == "exposure":
            self.exposure_ms = self._expose(action.value)
            return f"the exposure is {self.exposure_ms:g} ms"
        if action.kind == "interval":
            self._interval_ms, self._due = action.value, 0.0
            if self._runs_freely():
                return FREE
            return f"a frame every {self._interval_ms:g} ms"
        self._burst += round(action.value)
        return f"a burst of {round(action.value)} frames"

    def _runs_freely(self) -> bool:
        """Whether frames follow each other without a pause, bursts aside."""
        exposures = 2 if self._switches else 1
        return self._interval_ms <= exposures * self.exposure_ms

"""Imaging with Micro-Manager's core alone, without pycromanager: the fastest way.

One thread empties the camera's buffer and does nothing else; frames, files and the publisher have their own.

Frames that come as fast as the exposure allows are one sequence of the camera, until something changes or
stops it. Where frames are to come at longer intervals (microscope.interval_ms above the exposure), or
channels one after the other, it snaps each when it is due by this computer's clock: the core takes no
interval (its parameter is called "unused"), and a camera that ran on between would only bleach the sample.
Frames that are late are not caught up with.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from acquire.frame import Frame, SourceError, SourceInfo
from acquire.layout import ChannelLayout
from acquire.live import Action
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.core import new_core, overflow, reason
from acquire.micromanager.devices import set_exposure
from acquire.micromanager.drain import Drain
from acquire.micromanager.saver import Saver
from acquire.micromanager.session import open_session

ACT_S = 2.0  # how long `act` waits for the change, besides two exposures
END_S = 20.0  # for the camera to end, besides two exposures


@dataclass(frozen=True, slots=True)
class _Request:
    action: Action
    done: threading.Event = field(default_factory=threading.Event)
    answer: list[str | SourceError] = field(default_factory=list)


class SequenceSource:
    """The camera's sequences and snaps as a `LiveSource`.

    Parameters
    ----------
    config, layout
        What to image, and how the channels lie.
    max_frames
        Frames to image; None until stopped.
    scene
        With demo cameras: movie that they show.

    Raises
    ------
    SourceError
        If the microscope cannot be set up as configured; its devices are unloaded then.
    """

    def __init__(
        self,
        config: MicroscopeConfig,
        layout: ChannelLayout,
        max_frames: int | None = None,
        scene: Path | None = None,
    ) -> None:
        self._config = config
        self._core = new_core()
        self._open = True
        self._saver: Saver | None = None
        try:
            self.session = open_session(self._core, config, layout, max_frames, scene, self._end)
            devices = self.session.devices
            # Else the first start of the camera would do it: 0.3 s for 512 MB.
            self._core.initialize_circular_buffer()
            if config.save is not None:
                height, width = devices.image_shape
                self._saver = Saver(config.save, self.session.info.name, 2 * height * width)
        except BaseException:
            self._unload()
            raise
        self._drain = Drain(self._core, config, devices, self.session.hook, self._saver, self._is_changed)
        self._exposure_ms, self._interval_ms = devices.exposure_ms, config.interval_ms
        self._left, self._burst = max_frames, 0
        self._due = 0.0
        self._requests: list[_Request] = []
        self._changed = threading.Condition()
        self._ended = False
        self._thread: threading.Thread | None = None

    @property
    def info(self) -> SourceInfo:
        """As the devices are set."""
        return self.session.info

    @property
    def losses(self) -> Mapping[str, int]:
        """Frames lost on the way, by cause; final after the iteration."""
        return self.session.losses

    @property
    def figures(self) -> Mapping[str, float]:
        """Cost of the hook, how well the pairs agree, and raw images that were not saved."""
        figures = dict(self.session.figures)
        if self._saver is not None:
            figures["raw_images_not_saved"] = self._saver.lost
        return figures

    def frames(self) -> Iterator[Frame]:
        """Start imaging and yield the frames; raises SourceError when the camera fails."""
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()
        try:
            yield from self.session.queue
        finally:
            self.stop()

    def stop(self) -> None:
        """End the acquisition; `frames` gives what it has and ends."""
        self.session.hook.close(cut=True)
        self._end()

    def act(self, action: Action) -> str:
        """Stop, or change exposure, interval or burst from the next frame on; numbers go on."""
        if action.kind == "stop":
            self.stop()
            return "the acquisition ends"
        request = _Request(action)
        with self._changed:
            if self._ended:
                raise SourceError("the acquisition has ended")
            self._requests.append(request)
            self._changed.notify_all()
        if not request.done.wait(ACT_S + 2 * self._exposure_ms / 1000):
            return f"{action.kind} is changed as soon as the camera lets it"
        answer = request.answer[0]
        if isinstance(answer, SourceError):
            raise answer
        return answer

    def arrived_ns(self, seq: int) -> int | None:
        """When the last pixel of a recent frame had arrived."""
        return self.session.queue.arrived_ns(seq)

    def close(self) -> None:
        """Stop, save what waits, and unload the devices; safe to call twice.

        Raises
        ------
        SourceError
            If the camera's driver hangs; this program cannot image again then.
        """
        if not self._open:
            return
        self.stop()
        if self._thread is not None:
            self._thread.join(END_S + 2 * self._exposure_ms / 1000)
            if self._thread.is_alive():
                self._open = False
                raise SourceError("the camera's driver does not end its acquisition; restart this program")
        elif self._saver is not None:
            self._saver.finish()
        self._unload()

    def _unload(self) -> None:
        if self._open:
            self._open = False
            self._core.unload_all_devices()

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _is_changed(self) -> bool:
        failed = self._saver is not None and self._saver.problem is not None
        return self._ended or bool(self._requests) or failed

    def _run(self) -> None:
        """Image, in a thread of its own."""
        problem: SourceError | None = None
        try:
            while not self._ended and self._left != 0:
                self._change()
                if self._saver is not None and self._saver.problem is not None:
                    raise self._saver.problem
                self._image()
        except SourceError as error:
            problem = error
        except Exception as error:  # the core's own, from the camera's driver
            overflowed = self._core.is_buffer_overflowed()
            problem = (
                overflow(self._config.buffer_mb)
                if overflowed
                else SourceError(f"imaging failed: {reason(error)}")
            )
        self._end()
        self.session.hook.close(problem)
        self._change()
        if self._saver is not None:
            self._saver.finish()

    def _image(self) -> None:
        """Image until something changes, or one frame."""
        waits = self._interval_ms > self._exposure_ms and self._burst == 0
        if self._config.mode != "channels" and not waits:
            limits = [n for n in (self._left, self._burst or None) if n is not None]
            done = self._drain.sequence(min(limits) if limits else None, self._exposure_ms)
        else:
            done = int(self._is_due())
            if done:
                self._drain.snap()
        if self._left is not None:
            self._left -= done
        self._burst = max(0, self._burst - done)

    def _is_due(self) -> bool:
        """Wait until the next snap is due; gives False if something changed before."""
        now = time.monotonic()
        if self._burst:
            self._due = now
        with self._changed:
            if self._changed.wait_for(self._is_changed, max(0.0, self._due - now)):
                return False
        self._due = max(self._due + self._interval_ms / 1000, time.monotonic())
        return True

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
        value = action.value
        if self._ended:
            raise SourceError("the acquisition has ended")
        if value is None or not 0 <= value < 1e9 or (value == 0 and action.kind != "interval"):
            raise SourceError(f"{action.kind} cannot be {value}")
        if action.kind == "exposure":
            cameras = self.session.devices.cameras
            set_exposure(self._core, cameras, value)
            self._exposure_ms = max(float(self._core.get_exposure(camera)) for camera in cameras)
            return f"the exposure is {self._exposure_ms:g} ms"
        if action.kind == "interval":
            self._interval_ms, self._due = value, 0.0
            return f"a frame every {value:g} ms" if value else "frames as fast as the exposure allows"
        if self._interval_ms <= self._exposure_ms:
            return "frames come as fast as the exposure allows already"
        self._burst += round(value)
        return f"a burst of {round(value)} frames"

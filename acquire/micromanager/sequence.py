"""Imaging with Micro-Manager's core alone, without pycromanager: the fastest way.

One thread empties the camera's buffer and does nothing else; frames, files and the publisher have their own.

Frames that come as fast as the exposure allows are one sequence of the camera, until something changes or
stops it. Where frames are to come at longer intervals (microscope.interval_ms above the exposure), or
channels one after the other, it snaps each when it is due by this computer's clock: the core takes no
interval (its parameter is called "unused"), and a camera that ran on between would only bleach the sample.
Frames that are late are not caught up with.
"""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from acquire.frame import Frame, SourceError
from acquire.layout import ChannelLayout
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.core import new_core, overflow, reason
from acquire.micromanager.devices import set_exposure
from acquire.micromanager.drain import Drain
from acquire.micromanager.plan import Plan
from acquire.micromanager.saver import Saver
from acquire.micromanager.session import open_session
from acquire.micromanager.session_source import SessionSource

END_S = 20.0  # for the camera to end, besides two exposures


class SequenceSource(SessionSource):
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
        self._plan = Plan(config, devices.exposure_ms, max_frames, self._expose)
        self._thread: threading.Thread | None = None

    @property
    def figures(self) -> Mapping[str, float]:
        """Cost of the hook, how well the pairs agree, and raw images that were not saved."""
        figures = dict(super().figures)
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
            self._thread.join(END_S + 2 * self._plan.exposure_ms / 1000)
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

    def _expose(self, exposure_ms: float) -> float:
        return set_exposure(self._core, self.session.devices.cameras, exposure_ms)

    def _is_changed(self) -> bool:
        return self._plan.is_asked or (self._saver is not None and self._saver.problem is not None)

    def _run(self) -> None:
        """Image, in a thread of its own."""
        problem: SourceError | None = None
        try:
            while not self._plan.is_over:
                self._plan.change()
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
        self._plan.change()
        if self._saver is not None:
            self._saver.finish()

    def _image(self) -> None:
        """Image until something changes, or one frame."""
        plan = self._plan
        if plan.is_fast:
            plan.count(self._drain.sequence(plan.limit, plan.exposure_ms))
        elif plan.is_due():
            self._drain.snap()
            plan.count(1)

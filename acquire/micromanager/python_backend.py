"""pycromanager's Python backend: Micro-Manager's core and the acquisition engine in this program."""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from acquire.frame import SourceError
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.core import MISSING_EXTRA, Core, adapter_folder, check_buffer

log = logging.getLogger(__name__)

POLL_S = 0.001  # how often the core is asked for the next image while there is none
PARTNER_S = 1.0  # how long the end of a block waits for the other camera's image


class PythonBackend:
    """Starts the core and the engine, one at a time in a program, and takes them down again.

    Three things of the engine are mended, on the core's object that it uses, as pycromanager itself does to
    imitate Java's core: it asks for images without a pause (half a processor); it cannot end a sequence early
    but by aborting all; and it gives the first camera's pixels for both when it snaps with a Multi Camera.

    Parameters
    ----------
    config
        Folder of the adapters and size of the buffer.

    Raises
    ------
    SourceError
        If pycromanager is not installed, or in use in this program already.

    Attributes
    ----------
    core
        Micro-Manager's core.
    block_s
        Seconds of images in one sequence: the camera rests about 20 ms between two; `cut` ends one early.
    can_cut
        Whether `cut` does something.
    """

    block_s = 20.0
    can_cut = True

    def __init__(self, config: MicroscopeConfig) -> None:
        try:
            import mmpycorex
            import pycromanager
            from pycromanager.acquisition.acq_eng_py.internal.engine import Engine
        except ImportError as error:
            raise SourceError(MISSING_EXTRA) from error
        _silence()
        if mmpycorex.is_pymmcore_active() or Engine.get_instance() is not None:
            raise SourceError("this program images with pycromanager already; close that first")
        check_buffer(config.buffer_mb)
        folder = adapter_folder(config.folder)
        self._engine = Engine
        try:
            pycromanager.start_headless(
                str(folder), config_file=None, python_backend=True, buffer_size_mb=config.buffer_mb
            )
        except Exception:
            self.close()
            raise
        self.core = Core(mmpycorex.Core())
        self._images = _Images(self.core)
        self.core.raw.pop_next_tagged_image = self._images.pop
        self.core.raw.get_tagged_image = self._images.snapped

    def acquisition(
        self, hook: Callable[..., Any], on_notice: Callable[[Any], None], save: Path | None, name: str
    ) -> Any:
        """Make an acquisition that waits for events."""
        from pycromanager import Acquisition

        return Acquisition(
            directory=None if save is None else str(save),
            name=name,
            image_process_fn=hook,
            notification_callback_fn=on_notice,
        )

    def events(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Prepare the events of one sequence."""
        self._images.begin()
        # The engine ends a sequence whose time is up when there is no image; `pop` waits for images itself
        # and comes back without one only when the sequence shall end.
        return [{**event, "timeout_ms": 0.0} for event in events]

    def cut(self) -> None:
        """End the running sequence, as soon as all cameras gave the frame that the first one gave."""
        self._images.cut()

    def done(self, n_events: int) -> int:
        """Frames that the last sequence of `n_events` gave."""
        return min(n_events, self._images.n_frames())

    def problem(self) -> Exception | None:
        """Why an image could not be taken from the core after a snap: the engine would ask for ever."""
        return self._images.problem

    def finish(self, acquisition: Any) -> None:
        """Wait until all images are through and saved; raises what the engine or the camera raised."""
        engine = acquisition._acq
        ended = threading.Event()
        # Where saving failed (disk full) nobody takes the images that wait for it, and the engine would hang.
        drain = threading.Thread(target=_drain, args=(engine, ended), name="drain", daemon=True)
        drain.start()
        try:
            acquisition.mark_finished()
            acquisition.await_completion()
            engine.check_for_exceptions()  # it does not look if all ended before it was asked
        finally:
            ended.set()
            drain.join()
            # It keeps the files that it wrote open to read.
            getattr(acquisition.get_dataset(), "close", lambda: None)()

    def close(self) -> None:
        """Unload all devices and end the engine, so that another can start; safe to call twice."""
        import pycromanager

        try:
            pycromanager.stop_headless()
        finally:
            # Without this a second start in this program would get the ended engine, and hang.
            if self._engine.get_instance() is not None:
                del self._engine.singleton


class _Images:
    """Where the engine gets its images from."""

    def __init__(self, core: Core) -> None:
        from mmpycorex.launcher import TaggedImage, pop_next_tagged_image

        self._core, self._image, self._pop = core, TaggedImage, pop_next_tagged_image
        self._newest: dict[str, int] = {}
        self._cut_at: float | None = None
        self._last = sys.maxsize  # the last frame that is wanted
        self.problem: Exception | None = None

    def begin(self) -> None:
        """Another sequence begins."""
        self._newest, self._cut_at, self._last = {}, None, sys.maxsize

    def cut(self) -> None:
        if self._cut_at is None:
            self._cut_at = time.monotonic()

    def n_frames(self) -> int:
        """Frames that came whole in this sequence."""
        complete = len(self._newest) == int(self._core.get_number_of_camera_channels())
        return min(self._last, *self._newest.values()) + 1 if complete else 0

    def pop(self) -> Any:
        """Wait for the next image; raises IndexError where the sequence shall end or ended."""
        while not self._shall_end():
            if int(self._core.get_remaining_image_count()):
                image = self._pop(self._core.raw)
                image.tags["arrived_ns"] = time.time_ns()
                camera = str(image.tags.get("Camera", ""))
                number = int(image.tags.get("ImageNumber", self._newest.get(camera, -1) + 1))
                self._newest[camera] = number
                # The engine takes this tag for a number, it is text.
                image.tags.pop("Multi Camera-CameraChannelIndex", None)
                if number <= self._last:
                    return image
            elif not self._core.is_sequence_running() and not int(self._core.get_remaining_image_count()):
                break
            else:
                time.sleep(POLL_S)
        raise IndexError("no image")

    def snapped(self, channel: int, camera: str, height: int, width: int) -> Any:
        """Image of one camera of the last snap."""
        label = self._core.get_camera_channel_name(channel) or camera
        tags = {
            "Camera": label,
            "Height": height,
            "Width": width,
            "TimeReceivedByCore": datetime.now().isoformat(" "),
            "arrived_ns": time.time_ns(),
        }
        try:
            return self._image(tags, self._core.raw.get_image(channel))
        except Exception as error:
            self.problem = error
            raise

    def _shall_end(self) -> bool:
        """Whether the sequence is cut and all cameras gave the last frame that is wanted."""
        if self._cut_at is None:
            return False
        if self._last == sys.maxsize:
            self._last = max(self._newest.values(), default=-1)
        n_cameras = int(self._core.get_number_of_camera_channels()) if self._newest else 0
        whole = len(self._newest) >= n_cameras and all(n >= self._last for n in self._newest.values())
        return whole or time.monotonic() > self._cut_at + PARTNER_S


def _drain(engine: Any, ended: threading.Event) -> None:
    while not ended.wait(0.05):
        if engine.is_abort_requested() and engine.get_data_sink().is_finished():
            for images in engine.processor_output_queues_.values():
                while not images.empty():
                    images.get_nowait()


class _Log:
    """Stands in for the module traceback in pycromanager: its errors are reported once, as one sentence."""

    format_exc = staticmethod(traceback.format_exc)

    @staticmethod
    def print_exc() -> None:
        log.debug("pycromanager", exc_info=True)


def _silence() -> None:
    """Let pycromanager's engine write to the log what it prints."""
    from pycromanager.acquisition import python_backend_acquisitions
    from pycromanager.acquisition.acq_eng_py.internal import engine
    from pycromanager.acquisition.acq_eng_py.main import AcqEngPy_Acquisition

    for module in (engine, python_backend_acquisitions, AcqEngPy_Acquisition):
        vars(module).update(traceback=_Log, print=lambda *words: log.debug(" ".join(map(str, words))))

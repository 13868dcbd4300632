"""pycromanager's Python backend: Micro-Manager's core and the acquisition engine in this program."""

import atexit
import logging
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acquire.frame import SourceError
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.core import (
    MISSING_EXTRA,
    Core,
    adapter_folder,
    check_buffer,
)
from acquire.micromanager.engine_images import EngineImages
from acquire.micromanager.threads import Executor, end_with_program

log = logging.getLogger(__name__)


class PythonBackend:
    """Starts the core and the engine, one at a time in a program, and takes them down again.

    Four things of the engine are mended, on the core's object that it uses, as pycromanager itself does to
    imitate Java's core: it asks for images without a pause (half a processor); it cannot end a sequence early
    but by aborting all; it stops two cameras one after the other; and it gives the first camera's pixels for
    both when it snaps with a Multi Camera.

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
        _mend()
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
        self._images = EngineImages(self.core)
        self.core.raw.pop_next_tagged_image = self._images.pop
        self.core.raw.get_tagged_image = self._images.snapped
        self.core.raw.stop_sequence_acquisition = self._images.stop

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
        """Why no more images come: the engine would ask for them for ever."""
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

    def abandon(self) -> None:
        """Leave the devices, of which one hangs, as they are: to unload them would wait for it at the end."""
        from mmpycorex import launcher

        atexit.unregister(launcher.terminate_core_instances)


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


def _mend() -> None:
    """Let pycromanager's engine write to the log what it prints, and its threads end with this program."""
    from pycromanager.acquisition import acquisition_superclass, python_backend_acquisitions
    from pycromanager.acquisition.acq_eng_py.internal import engine, notification_handler
    from pycromanager.acquisition.acq_eng_py.main import AcqEngPy_Acquisition

    for module in (engine, python_backend_acquisitions, AcqEngPy_Acquisition):
        vars(module).update(traceback=_Log, print=lambda *words: log.debug(" ".join(map(str, words))))
    end_with_program(
        acquisition_superclass, python_backend_acquisitions, AcqEngPy_Acquisition, notification_handler
    )
    vars(engine)["ThreadPoolExecutor"] = Executor

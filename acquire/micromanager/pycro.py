"""Imaging through pycromanager, either backend."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from acquire.frame import Frame, SourceError
from acquire.layout import ChannelLayout
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.core import Core, overflow, reason
from acquire.micromanager.devices import set_exposure
from acquire.micromanager.feeder import Backend, Feeder
from acquire.micromanager.plan import Plan
from acquire.micromanager.session import open_session
from acquire.micromanager.session_source import SessionSource

END_S = 20.0  # for the engine to end besides the exposure: the camera's last images, and saving


class PycroBackend(Backend, Protocol):
    """Where pycromanager's engine runs; see `PythonBackend`."""

    core: Core

    def acquisition(
        self, hook: Callable[..., Any], on_notice: Callable[[Any], None], save: Path | None, name: str
    ) -> Any:
        """Make an acquisition that waits for events."""
        ...

    def finish(self, acquisition: Any) -> None:
        """Wait until all images are through and saved; raises what went wrong."""
        ...

    def close(self) -> None:
        """Leave Micro-Manager; safe to call twice."""
        ...

    def abandon(self) -> None:
        """Leave what hangs as it is, so that this program can end."""
        ...


class PycroSource(SessionSource):
    """A pycromanager acquisition as a `LiveSource`.

    Parameters
    ----------
    backend
        Runs the engine; closed with this source, also if this fails.
    config, layout
        What to image, and how the channels lie.
    max_frames
        Frames to image; None until stopped.
    scene
        With demo cameras: movie that they show.

    Raises
    ------
    SourceError
        If the microscope cannot be set up as configured.
    """

    def __init__(
        self,
        backend: PycroBackend,
        config: MicroscopeConfig,
        layout: ChannelLayout,
        max_frames: int | None = None,
        scene: Path | None = None,
    ) -> None:
        self._backend, self._config = backend, config
        self._open = True
        try:
            self.session = open_session(backend.core, config, layout, max_frames, scene, self._end)
            if config.save is not None:
                _make_folder(config.save)
        except BaseException:
            self.close_backend()
            raise
        hook = self.session.hook
        late = f"when the running block ends, within {backend.block_s:g} s"
        self._plan = Plan(config, self.session.devices.exposure_ms, max_frames, self._expose, late)
        self._feeder = Feeder(
            backend,
            config,
            self._plan,
            begin=lambda start, snaps: hook.begin(start, snaps=snaps),
            n_images=lambda: hook.n_images,
        )
        self._thread = threading.Thread(target=self._run, name="acquisition", daemon=True)
        self._started = threading.Event()

    def frames(self) -> Iterator[Frame]:
        """Start imaging and yield the frames; raises SourceError when the camera fails."""
        self._started.set()
        self._thread.start()
        try:
            yield from self.session.queue
        finally:
            self.stop()

    def close(self) -> None:
        """Stop, wait until the engine has ended, and leave Micro-Manager.

        Raises
        ------
        SourceError
            If the engine hangs; this program cannot image again then.
        """
        if not self._open:
            return
        self.stop()
        if self._started.is_set():
            self._thread.join(END_S + 2 * self._plan.exposure_ms / 1000)
            if self._thread.is_alive():
                self._open = False
                self._backend.abandon()
                raise SourceError("Micro-Manager does not end its acquisition; restart this program")
        self.close_backend()

    def close_backend(self) -> None:
        """Leave Micro-Manager; safe to call twice."""
        if self._open:
            self._open = False
            self._backend.close()

    def _expose(self, exposure_ms: float) -> float:
        return set_exposure(self._backend.core, self.session.devices.cameras, exposure_ms)

    def _run(self) -> None:
        """Image, in a thread of its own."""
        problem: Exception | None = None
        try:
            acquisition = self._backend.acquisition(
                self.session.hook, self._feeder.on_notice, self._config.save, self.info.name
            )
            try:
                self._feeder.run(acquisition.acquire)
                problem = self._backend.problem()
                if problem is not None:
                    self.session.hook.close(self._sentence(problem))  # told before what may hang is asked
                    acquisition.abort()
            finally:
                self._backend.finish(acquisition)
        except Exception as error:
            problem = problem or error
        self._end()
        self.session.hook.close(None if problem is None else self._sentence(problem))

    def _sentence(self, problem: Exception) -> SourceError:
        if isinstance(problem, SourceError):
            return problem
        if "overflow" in str(problem):
            return overflow(self._config.buffer_mb)
        if "did not arrive" in str(problem):
            return SourceError(
                f"the camera stopped by itself after {self.session.pairer.n_frames} frames; see its log"
            )
        if isinstance(problem, OSError) and self._config.save is not None:
            return SourceError(
                f"raw images cannot be saved in {self._config.save} any more: {problem.strerror or problem}; "
                "free room there or choose another microscope.save"
            )
        return SourceError(f"imaging failed: {reason(problem)}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".piezo1-writes-here"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SourceError(f"microscope.save: cannot write to {folder}: {error.strerror}") from error

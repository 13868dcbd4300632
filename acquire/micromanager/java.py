"""Pycromanager's Java backend: the acquisition engine in a Micro-Manager that runs already, with its window.

Each image is sent here by its bridge, which takes 100–200 MB/s at most (two cameras of 512×512 pixels: 100 to
190 frames/s). Faster cameras fill Micro-Manager's memory until it fails: there backend: sequence or python is
the way, without a window.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from acquire.frame import SourceError
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.core import MISSING_EXTRA, Core
from acquire.micromanager.server import CONNECT_S, PORT, Guard, bounded, connect, leave, not_running
from acquire.micromanager.threads import end_with_program


class JavaBackend:
    """Runs pycromanager's acquisitions in Micro-Manager; what `PycroSource` needs of it.

    Parameters
    ----------
    config
        Not used but for its backend; Micro-Manager has its devices already, and its own buffer.
    port
        Where Micro-Manager's server listens.

    Raises
    ------
    SourceError
        If pycromanager is not installed, or no Micro-Manager answers: within seconds, it never hangs.

    Attributes
    ----------
    core
        Micro-Manager's core, across the bridge: each call takes about 1 ms.
    block_s
        Seconds of images in one sequence, which cannot be ended early here. The camera rests some 20 ms
        between two.
    can_cut
        False: a sequence that ends early is an error to Micro-Manager's engine.
    """

    block_s = 5.0
    can_cut = False

    def __init__(self, config: MicroscopeConfig, port: int = PORT) -> None:
        try:
            from mmpycorex.core import ZMQRemoteMMCoreJ
            from pycromanager import JavaBackendAcquisition
        except ImportError as error:
            raise SourceError(MISSING_EXTRA) from error
        _mend()
        self._make, self._port = JavaBackendAcquisition, port
        self._problem: SourceError | None = None
        self.core = Core(connect(ZMQRemoteMMCoreJ, port))
        self._guard = Guard(port, self._lose)

    def acquisition(
        self, hook: Callable[..., Any], on_notice: Callable[[Any], None], save: Path | None, name: str
    ) -> Any:
        """Make an acquisition that waits for events, without a display."""

        def make() -> Any:
            return self._make(
                directory=None if save is None else str(save),
                name=name,
                image_process_fn=hook,
                notification_callback_fn=on_notice,
                show_display=False,
                port=self._port,
            )

        return bounded(make, CONNECT_S, not_running(self._port))

    def events(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Prepare the events of one sequence: nothing is to do."""
        return events

    def cut(self) -> None:
        """Not possible here."""

    def done(self, n_events: int) -> int:
        """Frames that the last sequence of `n_events` gave: all."""
        return n_events

    def problem(self) -> Exception | None:
        """That Micro-Manager ended, once it has."""
        return self._problem

    def finish(self, acquisition: Any) -> None:
        """Wait until all images are through and saved; raises what the engine or the camera raised."""
        if self._problem is None:
            acquisition.mark_finished()
            acquisition.await_completion()
        if self._problem is not None:
            raise self._problem

    def close(self) -> None:
        """Leave Micro-Manager as it is; safe to call twice."""
        self._guard.end()
        leave(self._port)

    def abandon(self) -> None:
        """Leave Micro-Manager, whose engine hangs, as it is."""
        self.close()

    def _lose(self, problem: SourceError) -> None:
        self._problem = problem


def _mend() -> None:
    """Mend two things of pycromanager's threads, by the names that its modules use.

    They wait without limit for a Micro-Manager that has crashed: they shall end with this program. And one
    asks for images without a pause, a whole processor long: it shall sleep until there is one.
    """
    from pycromanager.acquisition import acquisition_superclass, java_backend_acquisitions
    from pyjavaz import PullSocket

    class Waiting(PullSocket):  # type: ignore[misc]
        def receive(self, timeout: int | None = None, suppress_debug_message: bool = False) -> Any:
            if timeout and not self._socket.poll(timeout):
                return None
            return super().receive(timeout, suppress_debug_message)

    end_with_program(acquisition_superclass, java_backend_acquisitions)
    vars(java_backend_acquisitions)["PullSocket"] = Waiting

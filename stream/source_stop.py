"""Passes the wish to stop on to a source that waits for its camera."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from acquire.frame import Source
from acquire.live import LiveSource

POLL_S = 0.1


@contextmanager
def stopping(source: Source, stop: Event) -> Iterator[None]:
    """While this is open, `stop` ends the source too, if it is live."""
    if not isinstance(source, LiveSource):
        yield
        return
    live, over = source, Event()

    def watch() -> None:
        while not over.is_set():
            if stop.wait(POLL_S):
                live.stop()
                return

    watcher = Thread(target=watch, name="stop the source", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()

"""What the controllers need of the client that watches a run."""

from typing import Protocol

from stream.watch.news import News
from stream.wire.desk import Which


class Client(Protocol):
    """Brings news and takes wishes (`stream.watch.client.Watcher`); nothing in it waits."""

    def take(self) -> News:
        """What has come since the last time; the timer calls it before each redraw."""
        ...

    def adjust(self, which: Which, value: float) -> int:
        """Ask for a threshold; gives the number that the answer repeats."""
        ...

    def annotate(self, text: str, seq: int, x_nm: float | None = None, y_nm: float | None = None) -> int:
        """Ask for a remark to be recorded; raises StreamError for one without text, or too long."""
        ...

    def end_run(self) -> int:
        """Ask for the end of the run."""
        ...

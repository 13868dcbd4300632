"""Watching a run from another process: for dashboards, and for a lab's own scripts."""

from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

import zmq

from stream import wire
from stream.results import StreamError
from stream.transport.bell import Bell
from stream.transport.sockets import Context
from stream.watch.collect import Collector
from stream.watch.follower import SEARCHING, Follower
from stream.watch.news import Link, News
from stream.watch.pending import Pending, WishRequest
from stream.watch.search import Search
from stream.wire.desk import MAX_ANNOTATION, Which

# After messages have come, no more are read for so long, as a window is redrawn 30 times a second: a few
# together cost less than each for itself.
REST_S = 0.03
AFTER_TROUBLE_S = 0.5
CLOSE_S = 2.0


class Watcher:
    """Finds a run, follows it in a thread of its own, and goes on with the next one when it is over.

    Its methods may be called from any thread, and none of them waits for the run.

    Parameters
    ----------
    connect
        Address of the run, `tcp://HOST:PORT`, `HOST:PORT` or `ipc://PATH`; None: the newest one that this
        user runs on this computer, now or later.
    keys
        Folder with this computer's keys and the *.public file of the one that analyses, for an address on
        another computer.
    pictures
        Whether raw pictures shall come too.
    runs
        Folder of announcements, None: that of this user.

    Raises
    ------
    StreamError
        If the address is none, or its keys cannot be used.

    Examples
    --------
    A script that watches whatever is run on this computer, until Ctrl-C:

    >>> import time
    >>> from stream.watch.client import Watcher
    >>> with Watcher() as watcher:  # doctest: +SKIP
    ...     while True:
    ...         news = watcher.take()
    ...         for result in news.results:
    ...             n_open = result.calcium.is_open.sum()
    ...             print(f"frame {result.seq}: {len(result.localizations)} puncta, {n_open} open")
    ...         time.sleep(0.1)
    """

    def __init__(
        self,
        connect: str | None = None,
        keys: Path | None = None,
        *,
        pictures: bool = False,
        runs: Path | None = None,
    ) -> None:
        search = Search(connect, keys, runs)
        calling = Link("calling", f"calling {connect}")
        self._news = Collector(Link("searching", SEARCHING) if connect is None else calling)
        self._wishes = Pending(self._news)
        self._number = 0
        self._lock = Lock()
        self._context: Context = zmq.Context()
        self._bell = Bell(self._context)
        self._follower = Follower(
            self._context, self._bell, search, self._news, self._wishes, pictures=pictures
        )
        self._closing = Event()
        self._thread = Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def take(self) -> News:
        """What has come since the last time."""
        return self._news.take()

    def adjust(self, which: Which, value: float) -> int:
        """Ask for another threshold; gives the number that `News.answers` will repeat."""
        return self._wish(wire.Adjust(self._next_number(), which, value))

    def annotate(self, text: str, seq: int, x_nm: float | None = None, y_nm: float | None = None) -> int:
        """Have a remark about a frame recorded, and a place; gives the number that the answer will repeat.

        Raises
        ------
        StreamError
            If the text is empty or too long.
        """
        if not 0 < len(text) <= MAX_ANNOTATION:
            raise StreamError(f"a remark has 1 to {MAX_ANNOTATION} characters, this one has {len(text)}")
        return self._wish(wire.Annotate(self._next_number(), text, seq, x_nm, y_nm))

    def end_run(self) -> int:
        """Ask for the end of the run; gives the number that the answer will repeat."""
        return self._wish(wire.EndRun(self._next_number()))

    def close(self) -> None:
        """Stop watching; the run takes no notice. Takes two seconds at most."""
        self._closing.set()
        self._bell.ring()
        self._thread.join(CLOSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next_number(self) -> int:
        with self._lock:
            self._number += 1
            return self._number

    def _wish(self, request: WishRequest) -> int:
        self._wishes.put(request)
        self._bell.ring()
        return request.number

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if self._follower.step():
                    self._closing.wait(REST_S)
            except Exception as error:  # whatever comes, it goes on watching
                known = isinstance(error, StreamError)
                why = str(error) if known else f"watching failed: {type(error).__name__}: {error}"
                self._news.refused(why)
                self._closing.wait(AFTER_TROUBLE_S)
        self._follower.close()
        self._bell.close()
        self._context.destroy(0)

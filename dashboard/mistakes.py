"""Mistakes in the dashboard's own code: the window stays, says so, and does not flood the terminal."""

import sys
import time
from collections.abc import Callable
from types import TracebackType

AGAIN_S = 10.0  # whoever looked away reads it too; other sentences have their turn between
MOST_PLACES = 50


class Mistakes:
    """A `sys.excepthook`: what Qt calls with an error in a slot or while painting.

    Both happen 30 times a second. The traceback of each place is printed once.

    Parameters
    ----------
    say
        Tells the user in the window.
    clock
        Seconds on a clock that only goes forward; tests bring their own.
    """

    def __init__(
        self, say: Callable[[BaseException], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._clock = say, clock
        self._said_s: dict[tuple[object, ...], float] = {}  # by place

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Take note of an error."""
        place = (kind, *_innermost(trace))
        said_s, now_s = self._said_s.get(place), self._clock()
        if said_s is not None and now_s - said_s < AGAIN_S:
            return
        if said_s is None and len(self._said_s) == MOST_PLACES:
            return
        self._said_s[place] = now_s
        if said_s is None:
            sys.__excepthook__(kind, error, trace)
        self._say(error)


def _innermost(trace: TracebackType | None) -> tuple[str, int]:
    """File and line where it happened."""
    if trace is None:
        return "", 0
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno

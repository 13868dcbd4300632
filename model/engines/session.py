"""A graph opened on some device for frames of one shape, and who opens it."""

import logging
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.engines.base import ModelError
from model.graph_io import Arrays, Opening

Table = NDArray[np.float32]

log = logging.getLogger(__name__)


class Session(Protocol):
    """Steps of one movie; the engine calls `submit` for each frame and `collect` as often, in that order.

    Memory is taken when the session is opened, and on a CPU when a frame needs more room than those before.
    """

    @property
    def description(self) -> str:
        """Library, its version, device, precision and threads."""
        ...

    @property
    def max_under_way(self) -> int:
        """Steps that may be submitted and not collected yet; 1 where a step runs inside `submit`."""
        ...

    def submit(self, counts: NDArray[np.uint8], present: bool, threshold: float) -> None:
        """Begin a step.

        Parameters
        ----------
        counts
            As the graph takes them, (C, H, W, 2); copied before this returns.
        present
            Whether there is such a frame.
        threshold
            Detection threshold.
        """
        ...

    def collect(self) -> Table:
        """Wait for the oldest step under way; its puncta (n, 9), an array of its own."""
        ...

    def use(self, constants: Arrays) -> None:
        """Take other constants (camera and places, as `Opening.constants`). Nothing may be under way."""
        ...

    def restart(self, keep_baseline: bool) -> None:
        """Forget the earlier frames; the calcium baseline too if it is not kept. Nothing may be under way."""
        ...


Backend = Callable[[Opening], Session]
"""Opens a session; raises ImportError if its library is not installed, ModelError or the library's own errors
if it does not work here."""


PROBABILITY = 7  # column


def puncta(table: Table) -> Table:
    """Rows of a graph's table that hold a punctum, a copy; and those that are not numbers, to be told of."""
    return table[~(table[:, PROBABILITY] <= 0)]


def check_numbers(table: Table) -> None:
    """See whether puncta are told in numbers; their calcium probability, which is last, may be none.

    Raises
    ------
    ModelError
        If not.
    """
    if not np.isfinite(table[:, :-1]).all():
        raise ModelError("the network's answers are not finite numbers")


class Crowding:
    """Tells, once, that there was no room for all puncta of a frame."""

    _told = False

    def check(self, needed: int, room: int) -> None:
        """Compare the room that a frame needed with what there was, both in cells of a stripe."""
        if needed > room and not self._told:
            self._told = True
            log.warning(
                "a frame seems to hold more puncta than there is room for (needed: %d, there is: %d); the "
                "weakest of them are left out, here and in frames like it: are offset and gain those of the "
                "camera?",
                needed,
                room,
            )

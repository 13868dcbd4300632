"""Steps on the CPU: what every library that computes there shares."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from model.engines.session import Crowding, Table, puncta
from model.engines.two_states import TwoStates
from model.graph_io import Arrays, Opening

Run = Callable[[], object]
"""Runs a step; what it reads and writes was fixed when it was made."""
Bind = Callable[[Arrays, Arrays], Run]
"""From inputs and outputs by name, which stay where they are, to what runs a step."""


class CpuSession:
    """Runs each step when it is submitted; again, with more room, if there was too little for its puncta.

    Parameters
    ----------
    opening
        What is opened.
    bind
        Makes what runs a step.
    description
        Library, its version, device, precision and threads.
    """

    max_under_way = 1

    def __init__(self, opening: Opening, bind: Bind, description: str) -> None:
        self.description = description
        self._bind = bind
        self._states = TwoStates(opening)
        self._crowding = Crowding()
        self._runs = self._bound()

    def submit(self, counts: NDArray[np.uint8], present: bool, threshold: float) -> None:
        """Run a step."""
        if self._states.release_room():
            self._runs = self._bound()
        self._states.fill(counts, present, threshold)
        self._runs[self._states.current]()
        while self._states.make_room():
            self._runs = self._bound()
            self._runs[self._states.current]()
        self._crowding.check(*self._states.room)
        self._states.advance()

    def collect(self) -> Table:
        """Puncta of the step that ran."""
        return puncta(self._states.table)

    def use(self, constants: Arrays) -> None:
        """Take other constants."""
        self._states.use(constants)

    def restart(self, keep_baseline: bool) -> None:
        """Forget the earlier frames."""
        self._states.restart(keep_baseline)

    def _bound(self) -> list[Run]:
        return [self._bind(*arrays) for arrays in self._states.steps]

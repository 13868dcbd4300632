"""Two sets of arrays for what one step hands to the next: each step reads one and writes the other."""

import numpy as np

from model.engines.session import Table
from model.graph_io import BASELINE, ROOM, Array, Arrays, Opening
from model.maps import FIRST_ROOM, more_room

PATIENCE = 200  # steps


class TwoStates:
    """Inputs and outputs of a session, with memory of their own.

    Cells that are looked at cost time, so there is room for few of them until a frame needs more.

    Attributes
    ----------
    steps
        For even and odd steps, all inputs and all outputs by name.
    """

    def __init__(self, opening: Opening) -> None:
        shared = opening.first_inputs(FIRST_ROOM)
        outputs = opening.first_outputs(FIRST_ROOM)
        first, second = opening.first_states(), opening.first_states()
        self._opening = opening
        self.steps: tuple[tuple[Arrays, Arrays], ...] = tuple(
            (shared | here, outputs | {f"next_{name}": array for name, array in there.items()})
            for here, there in ((first, second), (second, first))
        )
        self._n_steps = self._most_needed = 0

    @property
    def table(self) -> Table:
        """The puncta of the last step."""
        return np.asarray(self.steps[0][1]["table"], np.float32)

    @property
    def current(self) -> int:
        """0 or 1: which of `steps` is next."""
        return self._n_steps % 2

    def fill(self, counts: Array, present: bool, threshold: float) -> None:
        """Write what is new in a step."""
        inputs, _ = self.steps[self.current]
        inputs["counts"][...] = counts
        inputs["present"][0], inputs["threshold"][0] = present, threshold

    @property
    def room(self) -> tuple[int, int]:
        """Room that the current step needed, and that there is."""
        inputs, outputs = self.steps[self.current]
        return int(outputs["needed"][0]), len(inputs[ROOM])

    def make_room(self) -> bool:
        """Make more room if the current step needed more than there was; it is to be run again then."""
        needed, room = self.room
        self._most_needed = max(self._most_needed, needed)
        return self._resize(more_room(room, needed, self._opening.padded[1]))

    def release_room(self) -> bool:
        """Give up room that was not needed for `PATIENCE` steps, if it is most of it; whether it was."""
        if self._n_steps % PATIENCE:
            return False
        enough = max(FIRST_ROOM, more_room(0, self._most_needed, self._opening.padded[1]))
        self._most_needed = 0
        return 2 * enough < self.room[1] and self._resize(enough)

    def use(self, constants: Arrays) -> None:
        """Take other constants."""
        inputs, _ = self.steps[0]  # which both share
        for name, array in constants.items():
            inputs[name][...] = array

    def _resize(self, room: int) -> bool:
        """Take other room; whether it is other."""
        if room == self.room[1]:
            return False
        longer, table = np.zeros(room, np.float32), self._opening.first_outputs(room)["table"]
        for inputs, outputs in self.steps:
            inputs[ROOM], outputs["table"] = longer, table
        return True

    def advance(self) -> None:
        """Take the outputs' states as the next inputs."""
        self._n_steps += 1

    def restart(self, keep_baseline: bool) -> None:
        """Forget earlier frames."""
        inputs, _ = self.steps[self.current]
        for name in self._opening.states:
            if not (keep_baseline and name in BASELINE):
                inputs[name][...] = 0

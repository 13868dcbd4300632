"""Two sets of arrays for what one step hands to the next: each step reads one and writes the other."""

import numpy as np

from model.engines.session import Table
from model.graph_io import BASELINE, Array, Arrays, Opening


class TwoStates:
    """Inputs and outputs of a session, with memory of their own.

    Attributes
    ----------
    steps
        For even and odd steps, all inputs and all outputs by name.
    table
        The output of that name, the same for both.
    """

    def __init__(self, opening: Opening) -> None:
        shared = opening.first_inputs()
        outputs = opening.first_outputs()
        first, second = opening.first_states(), opening.first_states()
        self._names = opening.states
        self.steps: tuple[tuple[Arrays, Arrays], ...] = tuple(
            (shared | here, outputs | {f"next_{name}": array for name, array in there.items()})
            for here, there in ((first, second), (second, first))
        )
        self.table: Table = np.asarray(outputs["table"], np.float32)
        self._n_steps = 0

    @property
    def current(self) -> int:
        """0 or 1: which of `steps` is next."""
        return self._n_steps % 2

    def fill(self, counts: Array, present: bool, threshold: float) -> None:
        """Write what is new in a step."""
        inputs, _ = self.steps[self.current]
        inputs["counts"][...] = counts
        inputs["present"][0], inputs["threshold"][0] = present, threshold

    def advance(self) -> None:
        """Take the outputs' states as the next inputs."""
        self._n_steps += 1

    def restart(self, keep_baseline: bool) -> None:
        """Forget earlier frames."""
        inputs, _ = self.steps[self.current]
        for name in self._names:
            if not (keep_baseline and name in BASELINE):
                inputs[name][...] = 0

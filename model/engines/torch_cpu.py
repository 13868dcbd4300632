"""PyTorch on the CPU, operation by operation: slow, and what every other engine is compared with."""

import numpy as np
import torch
from numpy.typing import NDArray

from model.engines.rebuild import rebuild
from model.engines.session import Table, puncta
from model.engines.two_states import TwoStates
from model.graph_io import Opening


class TorchSession:
    """The module behind a graph, in single precision."""

    max_under_way = 1

    def __init__(self, opening: Opening) -> None:
        opening = opening.in_precision("fp32")
        self._graph = rebuild(opening.graph, opening.card)
        self._states = TwoStates(opening)
        self._steps = [
            (
                [torch.from_numpy(inputs[name]) for name in opening.inputs],
                [torch.from_numpy(outputs[name]) for name in opening.outputs],
            )
            for inputs, outputs in self._states.steps
        ]
        self._table = self._states.table
        self.description = f"PyTorch {torch.__version__} on the CPU, fp32, {torch.get_num_threads()} threads"

    def submit(self, counts: NDArray[np.uint8], present: bool, threshold: float) -> None:
        """Run a step."""
        self._states.fill(counts, present, threshold)
        inputs, outputs = self._steps[self._states.current]
        with torch.inference_mode():
            for room, value in zip(outputs, self._graph(*inputs), strict=True):
                room.copy_(value)
        self._states.advance()

    def collect(self) -> Table:
        """Puncta of the step that ran."""
        return puncta(self._table)

    def restart(self, keep_baseline: bool) -> None:
        """Forget the earlier frames."""
        self._states.restart(keep_baseline)

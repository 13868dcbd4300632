"""ONNX Runtime on the CPU."""

import numpy as np
from numpy.typing import NDArray

from model.engines.session import Table, puncta
from model.engines.threads import usable_threads
from model.engines.two_states import TwoStates
from model.graph_io import Opening


class OnnxRuntimeSession:
    """A graph in its own precision; inputs, outputs and states lie in memory that is taken once."""

    max_under_way = 1

    def __init__(self, opening: Opening, threads: int | None = None) -> None:
        import onnxruntime

        threads = threads or usable_threads()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Waiting threads would take the time of the tracker and of whoever sends the frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            opening.graph, options, providers=["CPUExecutionProvider"]
        )
        self._states = TwoStates(opening)
        self._bindings = [self._session.io_binding() for _ in self._states.steps]
        for binding, (inputs, outputs) in zip(self._bindings, self._states.steps, strict=True):
            # On the CPU these share the arrays' memory.
            value = onnxruntime.OrtValue.ortvalue_from_numpy
            for name in opening.inputs:
                binding.bind_ortvalue_input(name, value(inputs[name]))
            for name in opening.outputs:
                binding.bind_ortvalue_output(name, value(outputs[name]))
        self._table = self._states.table
        self.description = (
            f"ONNX Runtime {onnxruntime.__version__} on the CPU, {opening.card.precision}, {threads} threads"
        )

    def submit(self, counts: NDArray[np.uint8], present: bool, threshold: float) -> None:
        """Run a step."""
        self._states.fill(counts, present, threshold)
        self._session.run_with_iobinding(self._bindings[self._states.current])
        self._states.advance()

    def collect(self) -> Table:
        """Puncta of the step that ran."""
        return puncta(self._table)

    def restart(self, keep_baseline: bool) -> None:
        """Forget the earlier frames."""
        self._states.restart(keep_baseline)

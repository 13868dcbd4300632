"""OpenVINO on the CPU."""

import sys

import numpy as np
from numpy.typing import NDArray

from model.engines.session import Table, puncta
from model.engines.threads import usable_threads
from model.engines.two_states import TwoStates
from model.graph_io import Opening


class OpenVinoSession:
    """A graph compiled for one size of image; inputs, outputs and states lie in memory that is taken once.

    Parameters
    ----------
    opening
        What is opened.
    precision
        "bf16" or "f32"; None: bf16 where the processor computes with it, as OpenVINO itself would. Only the
        network's convolutions are then rounded, what comes before and after stays in single precision.
    threads
        None: as many as this process may use.
    """

    max_under_way = 1

    def __init__(self, opening: Opening, precision: str | None = None, threads: int | None = None) -> None:
        # Importing OpenVINO would report that to its makers; without this package it reports nothing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino

        core = openvino.Core()
        if precision is None:
            precision = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
        threads = threads or usable_threads()
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
        }
        self._states = TwoStates(opening)
        graph = core.read_model(opening.graph)
        inputs, _ = self._states.steps[0]
        graph.reshape({name: openvino.PartialShape(list(inputs[name].shape)) for name in opening.inputs})
        compiled = core.compile_model(graph, "CPU", options)
        self._requests = []
        for arrays_in, arrays_out in self._states.steps:
            request = compiled.create_infer_request()
            for name in opening.inputs:
                request.set_tensor(name, openvino.Tensor(arrays_in[name], shared_memory=True))
            for name in opening.outputs:
                request.set_tensor(name, openvino.Tensor(arrays_out[name], shared_memory=True))
            self._requests.append(request)
        self._table = self._states.table
        version = openvino.__version__.split("-")[0]
        self.description = f"OpenVINO {version} on the CPU, {precision}, {threads} threads"

    def submit(self, counts: NDArray[np.uint8], present: bool, threshold: float) -> None:
        """Run a step."""
        self._states.fill(counts, present, threshold)
        self._requests[self._states.current].infer()
        self._states.advance()

    def collect(self) -> Table:
        """Puncta of the step that ran."""
        return puncta(self._table)

    def restart(self, keep_baseline: bool) -> None:
        """Forget the earlier frames."""
        self._states.restart(keep_baseline)

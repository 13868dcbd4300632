"""OpenVINO on the CPU."""

import sys
from functools import cache
from typing import Any

from model.engines.cpu import CpuSession, Run
from model.engines.session import Session
from model.engines.threads import usable_threads
from model.graph_io import BASELINE, ROOM, Arrays, Opening


def open_openvino(opening: Opening, precision: str | None = None, threads: int | None = None) -> Session:
    """Compile a graph for one size of image.

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
    core = _core()
    import openvino

    if precision is None:
        precision = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
    threads = threads or usable_threads()
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
    }
    graph = core.read_model(opening.graph)
    sizes = {name: list(array.shape) for name, array in opening.first_inputs().items()} | {ROOM: [-1]}
    graph.reshape({name: openvino.PartialShape(size) for name, size in sizes.items()})
    features = [name for name in opening.states if name not in BASELINE]
    features += [f"next_{name}" for name in features]
    compiled = core.compile_model(_channels_last(graph, features), "CPU", options)

    def bind(inputs: Arrays, outputs: Arrays) -> Run:
        request = compiled.create_infer_request()
        for name, array in (inputs | outputs).items():
            if name in features:  # only its size matters, as nobody else reads it
                n, channels, height, width = array.shape
                array = array.reshape(n, height, width, channels)
            request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
        return request.infer  # type: ignore[no-any-return]

    version = openvino.__version__.split("-")[0]
    return CpuSession(opening, bind, f"OpenVINO {version} on the CPU, {precision}, {threads} threads")


@cache
def _core() -> Any:
    """OpenVINO's core, one for the whole process.

    A core gives its thread a stack for signals and, when it ends, the one from before. Of two cores, the
    second would give back that of the first, which is gone by then: the next Ctrl-C would crash Python.
    """
    # Importing OpenVINO would report that to its makers; without this package it reports nothing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino.Core()


def _channels_last(graph: Any, features: list[str]) -> Any:
    """Let a graph's features in and out be as OpenVINO computes them: rearranging takes a sixth of a step."""
    from openvino import Layout
    from openvino.preprocess import PrePostProcessor

    changed = PrePostProcessor(graph)
    for name in features:
        part = changed.output(name) if name.startswith("next_") else changed.input(name)
        part.model().set_layout(Layout("NCHW"))
        part.tensor().set_layout(Layout("NHWC"))
    return changed.build()

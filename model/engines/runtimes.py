"""Libraries that run an exported network on the CPU, without torch: OpenVINO and ONNX Runtime."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from model.card import ModelCard
from model.engines.base import ModelError
from model.maps import N_MAPS, state_sizes

Array = NDArray[np.float32]
Backend = Literal["auto", "openvino", "onnxruntime"]

_TRIAL_CELLS = 4  # side of the image that a runtime is tried on, in multiples of the network's


class Runtime(Protocol):
    """A graph that is ready to run."""

    @property
    def description(self) -> str:
        """Library, its version, device, precision and threads."""
        ...

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Outputs in the graph's order, arrays of their own, for inputs in the graph's order."""
        ...


class OpenVinoRuntime:
    """OpenVINO in single precision (it would take bf16 by itself where the CPU has it)."""

    def __init__(self, graph: bytes) -> None:
        # Importing OpenVINO would report that to its makers; without this package it reports nothing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino

        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": usable_threads(),
        }
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(graph), "CPU", options)
        self._request = compiled.create_infer_request()
        version = openvino.__version__.split("-")[0]
        self.description = f"OpenVINO {version} on the CPU, f32, {usable_threads()} threads"

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Run once."""
        # Inputs are read where they lie; outputs are copied, as the next step overwrites the library's own.
        return list(self._request.infer(list(inputs), share_inputs=True, share_outputs=False).values())


class OnnxRuntime:
    """ONNX Runtime in single precision."""

    def __init__(self, graph: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = usable_threads()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._names = [value.name for value in self._session.get_inputs()]
        self.description = (
            f"ONNX Runtime {onnxruntime.__version__} on the CPU, f32, {usable_threads()} threads"
        )

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Run once."""
        answers: list[Array] = self._session.run(None, dict(zip(self._names, inputs, strict=True)))
        return answers


_RUNTIMES: dict[str, tuple[str, Callable[[bytes], Runtime]]] = {
    "openvino": ("OpenVINO", OpenVinoRuntime),
    "onnxruntime": ("ONNX Runtime", OnnxRuntime),
}


def make_runtime(backend: Backend, graph: bytes, card: ModelCard) -> tuple[Runtime, list[str]]:
    """Make a runtime and try it; "auto" takes the first that works.

    Returns
    -------
    The runtime, and in words why those before it were passed over.

    Raises
    ------
    ModelError
        If none works.
    """
    if backend != "auto" and backend not in _RUNTIMES:
        raise ModelError(f"backend {backend!r} is not known; choose one of auto, {', '.join(_RUNTIMES)}")
    problems: list[str] = []
    for name in _RUNTIMES if backend == "auto" else (backend,):
        title, make = _RUNTIMES[name]
        try:
            runtime = make(graph)
            _try(runtime, card)
            return runtime, problems
        except ImportError:
            problems.append(f"{title} is not installed")
        except Exception as error:  # each library has its own, and they share no base
            # OpenVINO first tells where in the library it arose, in lines that end with a colon.
            lines = [line for line in str(error).splitlines() if line and not line.endswith(":")]
            problems.append(f"{title} fails: {lines[0] if lines else repr(error)}")
    raise ModelError(f"nothing here can run this network: {'; '.join(problems)}")


def zero_state(card: ModelCard, height: int, width: int) -> list[Array]:
    """State of a network that has seen nothing, for images of such multiples."""
    return [np.zeros(size, np.float32) for size in state_sizes(card.state_shapes, height, width)]


def usable_threads() -> int:
    """Threads that this process may run at once."""
    if hasattr(os, "sched_getaffinity"):  # a container or a scheduler may have given us fewer
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _try(runtime: Runtime, card: ModelCard) -> None:
    """Run a flat image through a new runtime and look at what comes out."""
    side = _TRIAL_CELLS * card.multiple
    frame = np.zeros((1, len(card.channels), side, side), np.float32)
    state = zero_state(card, side, side)
    answers = runtime.run([frame, np.ones(1, np.float32), *state])
    wanted = [(1, N_MAPS, side, side), *([(1, 1, side, side)] if card.has_calcium else [])]
    wanted += [array.shape for array in state]
    if [answer.shape for answer in answers] != wanted:
        raise ValueError("the graph's outputs are not those that its model card describes")
    if not all(np.isfinite(answer).all() for answer in answers):
        raise ValueError("the network's answers are not finite numbers")

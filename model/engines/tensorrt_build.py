"""Building TensorRT engines; TensorRT for RTX does it without a GPU.

One code path for `tensorrt_rtx` and classic `tensorrt`: networks are strongly typed, so the precision is the
graph's own.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from model.engines.base import ModelError
from model.graph_io import Opening


def import_tensorrt() -> ModuleType:
    """TensorRT for RTX, else classic TensorRT.

    Raises
    ------
    ImportError
        If neither is installed.
    """
    try:
        import tensorrt_rtx

        return tensorrt_rtx  # type: ignore[no-any-return]
    except ImportError:
        import tensorrt

        return tensorrt  # type: ignore[no-any-return]


def build_engine(opening: Opening, capabilities: Sequence[tuple[int, int]] = ()) -> bytes:
    """Build an engine for frames of one size.

    Parameters
    ----------
    opening
        What is opened.
    capabilities
        Compute capabilities that it is built for, such as (8, 9). None given: that of this machine's GPU.
        Only TensorRT for RTX builds for others.

    Returns
    -------
    The serialized engine.

    Raises
    ------
    ImportError
        If TensorRT is not installed.
    ModelError
        If the graph does not parse, or the engine cannot be built.
    """
    trt = import_tensorrt()
    messages: list[str] = []
    logger = _logger(trt, messages)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(opening.graph):
        said = parser.get_error(0).desc() if parser.num_errors else "no reason given"
        raise ModelError(f"TensorRT cannot read the graph: {_first_line(said)}")
    config = builder.create_builder_config()
    if capabilities:
        _build_for(trt, config, capabilities)
    profile = builder.create_optimization_profile()
    for name, array in opening.first_inputs().items():
        profile.set_shape(name, array.shape, array.shape, array.shape)
    config.add_optimization_profile(profile)
    # A plain None tells of every failure, out of memory among them.
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        said = messages[-1] if messages else "no reason given"
        raise ModelError(f"TensorRT cannot build an engine: {_first_line(said)}")
    return bytes(plan)


def _build_for(trt: ModuleType, config: Any, capabilities: Sequence[tuple[int, int]]) -> None:
    if not hasattr(config, "set_compute_capability"):
        raise ModelError("classic TensorRT builds for the GPU of this machine only; install tensorrt-rtx")
    known = trt.ComputeCapability.__members__
    config.num_compute_capabilities = len(capabilities)
    for k, (major, minor) in enumerate(capabilities):
        name = f"SM{major}{minor}"
        if name not in known:
            names = ", ".join(n for n in known if n.startswith("SM"))
            raise ModelError(
                f"{trt.__name__} {trt.__version__} does not build for compute capability {major}.{minor} "
                f"(it knows {names})"
            )
        config.set_compute_capability(known[name], k)


def _logger(trt: ModuleType, messages: list[str]) -> Any:
    """Keeps errors for the sentence that is shown, instead of printing them."""

    class Logger(trt.ILogger):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                messages.append(message)

    return Logger()


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")

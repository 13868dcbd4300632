"""TensorRT on an NVIDIA GPU: an engine built once per GPU, size of image and library version."""

from dataclasses import replace
from typing import Any

import torch

from model.card import half_precision, read_model
from model.engines.base import ModelError
from model.engines.device import DeviceSession, Enqueue, Tensors, require_gpu
from model.engines.engine_cache import cache_key, cached, load, store
from model.engines.session import Session
from model.engines.tensorrt_build import build_engine, import_tensorrt
from model.graph_io import Opening


def open_tensorrt(opening: Opening) -> Session:
    """Open a graph, building its engine or taking it from the cache.

    Raises
    ------
    ImportError
        If TensorRT is not installed.
    ModelError
        If there is no GPU, or the engine cannot be built or run.
    """
    trt = import_tensorrt()
    device = require_gpu()
    opening = in_half_precision(opening)
    capability, name = torch.cuda.get_device_capability(device), torch.cuda.get_device_name(device)
    is_rtx = trt.__name__ == "tensorrt_rtx"
    shapes = {tensor: array.shape for tensor, array in opening.first_inputs().items()}
    key = cache_key(opening.card.onnx_sha256, repr(shapes), trt.__name__, trt.__version__, name, capability)
    plan, was_built = cached(key, lambda: build_engine(opening, [capability] if is_rtx else ()))
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise ModelError(f"TensorRT cannot load the engine built for {name}")
    runtime_key = cache_key(key, "runtime cache")
    config = _runtime_config(trt, engine, load(runtime_key))

    def make(inputs: Tensors, outputs: Tensors) -> Enqueue:
        # A context for each slot, whose addresses never change, as a CUDA graph needs it.
        context = engine.create_execution_context(config) if config else engine.create_execution_context()
        tensors = inputs | outputs
        # Not all: an input of which only the size matters is none in an engine for one size.
        for tensor_name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
            tensor = tensors[tensor_name]
            if tensor_name in opening.inputs:
                _check(context.set_input_shape(tensor_name, tuple(tensor.shape)), tensor_name)
            _check(context.set_tensor_address(tensor_name, tensor.data_ptr()), tensor_name)

        def run() -> None:
            if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
                raise ModelError("TensorRT did not run a step")

        run()  # kernels are compiled and recorded in the first step
        torch.cuda.current_stream().synchronize()
        return run if config else _recorded(run)

    how = "built now" if was_built else "from the cache"
    description = f"{trt.__name__} {trt.__version__} on {name}, {opening.card.precision}, engine {how}"
    session = DeviceSession(opening, make, description)
    if config:
        store(runtime_key, bytes(config.get_runtime_cache().serialize()))
    return session


def in_half_precision(opening: Opening) -> Opening:
    """The same network from the file beside it, where there is one: TensorRT computes as the graph says."""
    path = half_precision(opening.path) if opening.path else None
    if path is None or opening.card.precision == "fp16" or not path.exists():
        return opening
    graph, card = read_model(path)
    return replace(opening, graph=graph, card=card, path=path)


def _runtime_config(trt: Any, engine: Any, saved: bytes | None) -> Any:
    """TensorRT for RTX compiles kernels when it runs first: keep them, and record steps as CUDA graphs.

    None for classic TensorRT, which compiles everything when it builds.
    """
    if not hasattr(trt, "CudaGraphStrategy"):
        return None
    config = engine.create_runtime_config()
    config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    cache = config.create_runtime_cache()
    if saved is not None:
        cache.deserialize(saved)
    config.set_runtime_cache(cache)
    return config


def _check(was_taken: bool, name: str) -> None:
    if not was_taken:
        raise ModelError(f"TensorRT's engine does not take {name} as this program gives it")


def _recorded(run: Enqueue) -> Enqueue:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        run()
    return graph.replay

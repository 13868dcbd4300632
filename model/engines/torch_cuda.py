"""PyTorch on an NVIDIA GPU, in half precision, each step replayed as one CUDA graph."""

import torch

from model.engines.device import DeviceSession, Enqueue, Tensors, require_gpu
from model.engines.rebuild import rebuild
from model.engines.session import Session
from model.graph_io import Opening

WARM_UP_STEPS = 3  # libraries choose their algorithms in the first ones, which must not be recorded


def open_torch_cuda(opening: Opening) -> Session:
    """Open a graph.

    Raises
    ------
    ModelError
        If there is no GPU, or the graph does not hold the weights of its card's architecture.
    """
    device = require_gpu()
    opening = opening.in_precision("fp16")
    graph = rebuild(opening.graph, opening.card, torch.float16).to(device)
    graph.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def make(inputs: Tensors, outputs: Tensors) -> Enqueue:
        given = [inputs[name] for name in opening.inputs]

        def run() -> None:
            for name, value in zip(opening.outputs, graph(*given), strict=True):
                outputs[name].copy_(value)

        for _ in range(WARM_UP_STEPS):
            run()
        torch.cuda.current_stream().synchronize()
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recorded, stream=torch.cuda.current_stream()):
            run()
        return recorded.replay

    name = torch.cuda.get_device_name(device)
    return DeviceSession(opening, make, f"PyTorch {torch.__version__} on {name}, fp16, CUDA graph")

"""PyTorch on the CPU, operation by operation: slow, and what every other engine is compared with."""

import torch

from model.engines.cpu import CpuSession, Run
from model.engines.rebuild import rebuild
from model.engines.session import Session
from model.graph_io import Arrays, Opening


def open_torch(opening: Opening) -> Session:
    """Open the module behind a graph, in single precision.

    Raises
    ------
    ModelError
        If the graph does not hold the weights of its card's architecture.
    """
    opening = opening.in_precision("fp32")
    graph = rebuild(opening.graph, opening.card)

    def bind(inputs: Arrays, outputs: Arrays) -> Run:
        given = [torch.from_numpy(inputs[name]) for name in opening.inputs]
        memory = [torch.from_numpy(outputs[name]) for name in opening.outputs]

        @torch.inference_mode()
        def run() -> None:
            for place, value in zip(memory, graph(*given), strict=True):
                place.copy_(value)

        return run

    threads = torch.get_num_threads()
    return CpuSession(opening, bind, f"PyTorch {torch.__version__} on the CPU, fp32, {threads} threads")

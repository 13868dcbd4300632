"""The PyTorch module behind an exported graph: architecture from the card, weights from the file."""

import torch

from model.build import build_network
from model.card import ModelCard
from model.engines.base import ModelError
from model.fold import fold_batchnorm
from model.graph import Graph

PREFIX = "network."  # of the weights' names in the graph


def rebuild(graph: bytes, card: ModelCard, precision: torch.dtype = torch.float32) -> Graph:
    """Make the module that was exported.

    Raises
    ------
    ModelError
        If the card's architecture is unknown here or the file does not hold its weights.
    ImportError
        If the onnx package is not installed.
    """
    import onnx
    from onnx.numpy_helper import to_array

    network = build_network(card.architecture).eval()
    fold_batchnorm(network)
    initializers = onnx.load_from_string(graph).graph.initializer
    # A copy, as PyTorch warns of arrays that must not be written.
    weights = {
        value.name.removeprefix(PREFIX): torch.from_numpy(to_array(value).copy())
        for value in initializers
        if value.name.startswith(PREFIX)
    }
    # Biases that are all zero were left out by the exporter.
    zeros = {name: torch.zeros_like(b) for name, b in network.state_dict().items() if name.endswith(".bias")}
    try:
        network.load_state_dict(zeros | weights)
    except RuntimeError as error:
        raise ModelError(
            "the graph does not hold the weights of the architecture in its model card: export it again"
        ) from error
    return Graph(network, precision).eval()

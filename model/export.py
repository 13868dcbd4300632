"""From a trained network to the ONNX graph and the model card that engines run; needs torch.

The graph is `model.graph.Graph`, of images of any height and width, with batch normalization folded into
convolutions.
"""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import onnx
import torch
from torch import Tensor, nn

from model.card import CHANNELS, FORMAT, ModelCard, Trained, card_path, sha256
from model.compare import check_graph
from model.engines.base import ModelError
from model.fold import fold_batchnorm
from model.graph import MULTIPLE, Graph
from model.graph_io import input_names, output_names
from model.maps import FIRST_ROOM
from model.network import Network

OPSET = 18
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16}
ANSWERS = ("answers", "log_odds")  # further outputs, by which a graph is checked before they are taken off
_TRACED = (48, 80)  # height and width
_WHOLE = "whole."  # where the weights of what is traced begin


def export(
    network: Network, path: Path, trained: Trained, precision: Literal["fp32", "fp16"] = "fp32"
) -> ModelCard:
    """Write a network as an ONNX graph, and its card beside it.

    Parameters
    ----------
    network
        Left as it is; a copy is exported, as in evaluation.
    path
        Where to write the graph; must end in .onnx. The card gets the same name with .json.
    trained
        What the card says of the training.
    precision
        Of the network's weights and its state.

    Returns
    -------
    The card as written.

    Raises
    ------
    ModelError
        If the graph answers differently from PyTorch or not with finite numbers (nothing is written then),
        or if the files cannot be written.
    """
    check_path(path)
    network = copy.deepcopy(network).eval().cpu()
    if not all(weights.isfinite().all() for weights in network.state_dict().values()):
        raise ModelError("the network is not exported: its weights are not finite numbers")
    fold_batchnorm(network)
    field = receptive_field_px(network)
    reference = Graph(copy.deepcopy(network))
    traced = trace(Graph(network, PRECISIONS[precision]))
    check_graph(traced, reference, precision)
    graph = without_answers(traced)
    card = ModelCard(
        **dict(trained),
        format=FORMAT,
        precision=precision,
        channels=CHANNELS if network.has_calcium else CHANNELS[:1],
        window=network.window,
        multiple=MULTIPLE,
        state_shapes=network.state_shapes(),
        receptive_field_px=field,
        onnx_sha256=sha256(graph),
    )
    try:
        path.write_bytes(graph)
        card_path(path).write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ModelError(f"cannot write {path} and its card: {error.strerror}") from error
    return card


def check_path(path: Path) -> None:
    """See whether a graph can be written there, before the work.

    Raises
    ------
    ModelError
        If the name does not end in .onnx or there is no such folder.
    """
    if path.suffix != ".onnx":
        raise ModelError(f"{path} must end in .onnx")
    if not path.parent.is_dir():
        raise ModelError(f"cannot write {path}: there is no folder {path.parent}")


def receptive_field_px(network: Network) -> int:
    """Side of the square of pixels whose localization depends on a single pixel of the answered frame.

    Found by marking a pixel with NaN, which spreads to everything that is computed from it. A network that
    pools spreads some pixels further than others; the largest square counts.
    """
    cells, middle = 16, network.window // 2
    while True:
        side = cells * network.multiple
        first = side // 2 // network.multiple * network.multiple
        extent = 0
        for pixel in (first, first + network.multiple - 1):
            frames = torch.zeros(1, network.window, network.n_channels, side, side)
            frames[0, middle, 0, pixel, pixel] = torch.nan
            with torch.inference_mode():
                maps = network(frames, torch.ones(1, network.window)).maps
            reached = torch.nonzero(maps[0].isnan().any(0))
            extent = max(extent, int((reached.max(0).values - reached.min(0).values).max()) + 1)
        if 2 * extent < side:  # not cut off by the border
            return extent
        cells *= 2


class _Traced(nn.Module):
    """What is traced: the graph, and the raw answers after its own outputs."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        # Not "graph", which is taken in what PyTorch makes of this.
        self.whole = graph

    def forward(
        self,
        counts: Tensor,
        present: Tensor,
        threshold: Tensor,
        room: Tensor,
        offset: Tensor,
        gain: Tensor,
        read_variance: Tensor,
        excess: Tensor,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        camera = (offset, gain, read_variance, excess)
        outputs, answers = self.whole.with_answers(counts, present, threshold, room, *camera, *state)
        return (*outputs, *answers)


def trace(graph: Graph) -> bytes:
    """ONNX graph of any height and width, with the raw answers (`ANSWERS`) as its last outputs."""
    network = graph.network
    has_calcium, n_states = network.has_calcium, len(network.state_shapes())
    any_size = {1: torch.export.Dim("height", min=2), 2: torch.export.Dim("width", min=2)}
    # The state's follow from them; PyTorch finds that they differ, but not how.
    padded = [{2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}] * n_states
    places = {0: any_size[1], 1: any_size[2]}
    states = (places, any_size, {}, *padded) if has_calcium else tuple(padded)
    shape = (len(CHANNELS) if has_calcium else 1, *_TRACED)
    # Tensors of their own: one that is given twice would become one input.
    camera = (torch.zeros(shape), torch.ones(shape), torch.ones(shape), torch.ones(1))
    counts = torch.zeros(*shape, 2, dtype=torch.uint8)
    numbers = (torch.ones(1), torch.full((1,), 0.5), torch.zeros(FIRST_ROOM))
    any_room = {0: torch.export.Dim("room", min=4)}
    inputs = (counts, *numbers, *camera, *graph.first_state(*_TRACED))
    sizes: tuple[object, ...] = (any_size, {}, {}, any_room, any_size, any_size, any_size, {}, states)
    with _quiet():
        # That there are as many cells as room is for cannot be known from sizes alone.
        program = torch.export.export(
            _Traced(graph).eval(),
            inputs,
            dynamic_shapes=sizes,
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        exported = torch.onnx.export(
            program,
            inputs,
            dynamo=True,
            dynamic_shapes=sizes,  # again, for their names
            input_names=input_names(has_calcium, n_states),
            output_names=[*output_names(has_calcium, n_states), *ANSWERS[: 1 + has_calcium]],
            opset_version=OPSET,
            verbose=False,
        )
    assert exported is not None
    traced: bytes = exported.model_proto.SerializeToString()
    return traced


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about its own internals; what matters raises."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def without_answers(graph: bytes) -> bytes:
    """The graph that engines run: without the outputs that only its check needs, and without remarks.

    The remarks name source files of the machine that exported it. Weights are called as in `Graph`.
    """
    model = onnx.load_from_string(graph)
    for output in [value for value in model.graph.output if value.name in ANSWERS]:
        model.graph.output.remove(output)
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.removeprefix(_WHOLE)
    for node in model.graph.node:
        node.input[:] = [name.removeprefix(_WHOLE) for name in node.input]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    bare: bytes = model.SerializeToString()
    return bare

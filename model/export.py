"""From a trained network to the ONNX graph and the model card that engines run; needs torch.

The graph is one `Network.step`: frame, present and state in, maps, calcium and the next state out, of any
height and width that are multiples of the network's. Batch normalization is folded into convolutions.
"""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from model.baseline import BASELINE_RATE
from model.card import CHANNELS, FORMAT, ModelCard, Trained, card_path, sha256
from model.engines.base import ModelError
from model.maps import state_sizes
from model.network import Network

OPSET = 18
TOLERANCE = 1e-5  # between the graph and PyTorch, relative to an answer's largest value where that is above 1
# Sides of the frames that a graph is checked on, in multiples of the network's; it is traced on the first.
_CHECKED = ((8, 6), (5, 9), (1, 1))


def export(network: Network, path: Path, trained: Trained) -> ModelCard:
    """Write a network as an ONNX graph, and its card beside it.

    Parameters
    ----------
    network
        Left as it is; a copy is exported, as in evaluation.
    path
        Where to write the graph; must end in .onnx. The card gets the same name with .json.
    trained
        What the card says of the training.

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
    graph = _trace(network)
    check_graph(graph, network)
    card = ModelCard(
        **dict(trained),
        format=FORMAT,
        channels=CHANNELS if network.has_calcium else CHANNELS[:1],
        window=network.window,
        multiple=network.multiple,
        state_shapes=network.state_shapes(),
        receptive_field_px=receptive_field_px(network),
        baseline_rate=BASELINE_RATE,
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


def check_graph(graph: bytes, network: Network) -> None:
    """See whether a graph answers as the network does, on random frames of several sizes.

    Raises
    ------
    ModelError
        If not, or if the answers are not finite numbers.
    """
    difference = _difference(network, graph)
    if not np.isfinite(difference):
        raise ModelError("the network is not exported: its answers are not finite numbers")
    if difference > TOLERANCE:
        raise ModelError(
            f"the network is not exported: the graph's answers differ from PyTorch's by {difference:.1e}, "
            f"more than {TOLERANCE:.0e}"
        )


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


class _Step(nn.Module):
    """What is traced: the network's step as the forward of a module."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, frame: Tensor, present: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        return self.network.step(frame, present, *state)


def _inputs(network: Network, cells: tuple[int, int], present: float = 1.0) -> tuple[Tensor, ...]:
    """Random frame and state of `cells` multiples of height and width."""
    height, width = (n * network.multiple for n in cells)
    random = torch.Generator().manual_seed(0)  # one of its own: training may go on after an export
    frame = torch.randn(1, network.n_channels, height, width, generator=random)
    sizes = state_sizes(network.state_shapes(), height, width)
    states = (torch.randn(size, generator=random) for size in sizes)
    return frame, torch.tensor([present]), *states


def _names(network: Network) -> tuple[list[str], list[str]]:
    states = range(len(network.state_shapes()))
    answers = ["maps", "calcium"] if network.has_calcium else ["maps"]
    return (
        ["frame", "present", *(f"state_{k}" for k in states)],
        [*answers, *(f"next_{k}" for k in states)],
    )


def _trace(network: Network) -> bytes:
    names_in, names_out = _names(network)
    rows, columns = torch.export.Dim("rows", min=2), torch.export.Dim("columns", min=2)

    def sides(stride: int) -> dict[int, object]:
        scale = network.multiple // stride
        return {2: scale * rows, 3: scale * columns}

    with _quiet():
        program = torch.onnx.export(
            _Step(network).eval(),
            _inputs(network, _CHECKED[0]),
            dynamo=True,
            dynamic_shapes=(sides(1), {}, tuple(sides(s) for _, s in network.state_shapes())),
            input_names=names_in,
            output_names=names_out,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return _bare(program.model_proto)


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


def _bare(model: onnx.ModelProto) -> bytes:
    """The graph without the exporter's notes, which name source files of the machine that exported it."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    graph: bytes = model.SerializeToString()
    return graph


def _difference(network: Network, graph: bytes) -> float:
    """Largest difference between PyTorch and ONNX Runtime, as `TOLERANCE` has it.

    Not finite where either's answers are not.
    """
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names, _ = _names(network)
    differences = []
    for cells in _CHECKED:
        for present in (1.0, 0.0):
            inputs = _inputs(network, cells, present)
            with torch.inference_mode():
                wanted = [answer.numpy() for answer in network.step(*inputs)]
            found = session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})
            for a, b in zip(wanted, found, strict=True):
                differences.append(np.abs(a - b).max() / np.maximum(np.abs(a).max(), 1))
    return float(np.max(differences))

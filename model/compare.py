"""Does an exported graph answer as PyTorch does? Asked on random frames of several sizes."""

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from model.decode import puncta_table
from model.engines.base import ModelError
from model.graph import MULTIPLE, Graph
from model.graph_io import ANSWER, FRAME, as_bytes, input_names, output_names
from model.maps import most_room

SIZES = ((64, 48), (37, 50), (16, 1))  # height, width
N_FRAMES = 4
# Of raw answers and states, relative to the largest where that is above 1.
TOLERANCE = {"fp32": 1e-4, "fp16": 5e-2}
# Of puncta that the graph and PyTorch make of the same raw answers.
POSITION_PX = 0.01
MAX_DIFFERENT = 0.001  # share of puncta that may be found by one alone …
ALWAYS_ALLOWED = 1  # … beside one at the threshold's edge

Table = NDArray[np.float32]


def check_graph(graph: bytes, reference: Graph, precision: str = "fp32") -> None:
    """See whether a graph answers as the PyTorch module does.

    Parameters
    ----------
    graph
        As `model.export.trace` gives it, with the raw answers among its outputs.
    reference
        In single precision.
    precision
        Of the graph: how far it may be off.

    Raises
    ------
    ModelError
        If not, or if the answers are not finite numbers.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    tables: list[tuple[Table, Table]] = []
    for size in SIZES:
        difference, pairs = _difference(session, reference, size)
        if not np.isfinite(difference):
            raise ModelError("the network is not exported: its answers are not finite numbers")
        if difference > TOLERANCE[precision]:
            raise ModelError(
                "the network is not exported: the graph's answers differ from PyTorch's by "
                f"{difference:.1e}, more than {TOLERANCE[precision]:.0e}"
            )
        tables += pairs
    alone = sum(unmatched(a, b, POSITION_PX) for a, b in tables)
    total = sum(max(len(a), len(b)) for a, b in tables)
    if alone > ALWAYS_ALLOWED + MAX_DIFFERENT * total:
        raise ModelError(
            f"the network is not exported: {alone} of {total} puncta differ between the graph and PyTorch by "
            f"more than {POSITION_PX:g} px"
        )


def unmatched(one: Table, other: Table, radius_px: float) -> int:
    """Puncta of two tables that have no partner within the radius in the other table."""
    if not len(one) or not len(other):
        return max(len(one), len(other))
    one_xy, other_xy = one[:, :2].astype(np.float64), other[:, :2].astype(np.float64)
    pairs = ((one_xy, other_xy), (other_xy, one_xy))
    return max(int(np.count_nonzero(KDTree(a).query(b)[0] > radius_px)) for a, b in pairs)


def _difference(
    session: onnxruntime.InferenceSession, reference: Graph, size: tuple[int, int]
) -> tuple[float, list[tuple[Table, Table]]]:
    """Largest difference of raw answers and states over a short movie, and both tables of each frame.

    PyTorch's table is made from the graph's raw answers.
    """
    has_calcium = reference.network.has_calcium
    n_states = len(reference.network.state_shapes())
    names = input_names(has_calcium, n_states)
    n_outputs = len(output_names(has_calcium, n_states))
    first = reference.first_state(*size)
    constants, state = first[:has_calcium], first[int(has_calcium) :]
    state_types = [_TYPES[value.type] for value in session.get_inputs()[len(names) - len(state) :]]
    session_state = [s.numpy().astype(kind) for s, kind in zip(state, state_types, strict=True)]
    rng = np.random.default_rng(0)
    differences, tables = [0.0], []
    for k in range(N_FRAMES):
        inputs = [torch.from_numpy(array) for array in _frame(rng, 1 + has_calcium, size, k == 2)]
        with torch.inference_mode():
            wanted, answers = reference.with_answers(*inputs, *constants, *state)
        given = [x.numpy() for x in (*inputs, *constants)]
        found = session.run(None, dict(zip(names, [*given, *session_state], strict=True)))
        state, session_state = wanted[len(ANSWER) :], found[len(ANSWER) : n_outputs]
        said = [torch.from_numpy(answer.astype(np.float32))[0] for answer in found[n_outputs:]]
        cells, log_odds = said[0].permute(1, 2, 0), said[1][0] if has_calcium else None
        threshold, room = inputs[len(FRAME) - 1 : len(FRAME) + 1]
        decoded, needed = puncta_table(reference.puncta, cells, log_odds, threshold, room, *size)
        # A network that has hardly learned anything may tell of puncta everywhere, and says the same
        # everywhere: where not all find room, libraries choose differently among equals.
        if needed <= len(room):
            tables.append((_found(decoded.numpy()), _found(found[0])))
        pairs = zip((*state, *answers), (*session_state, *found[n_outputs:]), strict=True)
        for a, b in ((x.numpy(), y.astype(np.float32)) for x, y in pairs):
            differences.append(float(np.abs(a - b).max() / max(np.abs(a).max(), 1.0)))
    return float(np.max(differences)), tables


_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def _found(table: Table) -> Table:
    return table[table[:, 7] > 0]


def _frame(
    rng: np.random.Generator, n_channels: int, size: tuple[int, int], is_missing: bool
) -> list[NDArray[np.generic]]:
    """Inputs of a step without the state: noise with a few spots, and a camera with maps."""
    shape = (n_channels, *size)
    photons = rng.uniform(5, 40, (n_channels, 1, 1)) * np.ones(shape)
    y, x = np.mgrid[: size[0], : size[1]]
    for _ in range(size[0] * size[1] // 100):
        at_y, at_x = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        photons += rng.uniform(20, 150) * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 3.4)
    offset = rng.uniform(90, 110, shape)
    counts = (rng.poisson(photons) + offset).round().astype(np.uint16)
    camera = (offset, np.ones(shape), rng.uniform(1, 4, shape), np.array([1.0]))
    present, threshold = np.array([0.0 if is_missing else 1.0]), np.array([0.3])
    room = np.zeros(most_room(-(-size[1] // MULTIPLE) * MULTIPLE))
    numbers = (present, threshold, room, *camera)
    return [as_bytes(counts), *(np.asarray(number, np.float32) for number in numbers)]

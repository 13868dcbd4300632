"""What stands around the network in the graph, with a network that hands on what it sees."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

torch = pytest.importorskip("torch", reason="torch is not installed (extra: train)")

from model.graph import MULTIPLE, Graph, register  # noqa: E402
from model.graph_io import as_bytes  # noqa: E402
from model.maps import CELL, LOGIT, N_MAPS, most_room, normalize  # noqa: E402
from model.network import Network  # noqa: E402
from model.registration import places  # noqa: E402

IDENTITY = np.eye(2, 3)
sides = st.integers(1, 40)
seeds = st.integers(0, 2**32 - 1)


class Seen(Network):
    """Its state is the frame that it saw; it finds a punctum of 1000 photons at every pixel."""

    multiple = 2
    window = 1

    def __init__(self, has_calcium: bool = True) -> None:
        super().__init__()
        self.has_calcium = has_calcium

    def raw(self, frames: torch.Tensor, present: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raise NotImplementedError

    def step(
        self, frame: torch.Tensor, present: torch.Tensor, *state: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        _, _, height, width = frame.shape
        cells = torch.zeros(1, N_MAPS * CELL**2, height // CELL, width // CELL)
        cells[:, LOGIT * CELL**2] = 2.0  # in the first pixel of each cell
        cells[:, LOGIT * CELL**2 + 1 : (LOGIT + 1) * CELL**2] = -20
        return (cells, frame[:, 1:2], frame) if self.has_calcium else (cells, frame)

    def state_shapes(self) -> tuple[tuple[int, int], ...]:
        return ((self.n_channels, 1),)

    def decoders(self) -> dict[str, tuple[torch.nn.Module, ...]]:
        return {}


def camera(shape: tuple[int, ...], excess: float = 1.0) -> list[torch.Tensor]:
    """Offset, gain and read variance, maps that differ everywhere; and F²."""
    rng = np.random.default_rng(7)
    maps = (rng.uniform(90, 110, shape), rng.uniform(0.5, 2, shape), rng.uniform(0, 4, shape))
    return [torch.tensor(np.asarray(m), dtype=torch.float32) for m in (*maps, np.array([excess]))]


def where(transform: ArrayLike, image: torch.Tensor) -> torch.Tensor:
    """Where an image's pixels lie in channel 2."""
    return torch.from_numpy(places(transform, *image.shape[1:]))


def counts_of(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 400, shape).astype(np.uint16)


def step(
    graph: Graph, counts: np.ndarray, state: tuple[torch.Tensor, ...], present: float = 1.0, **more: float
):
    room = torch.zeros(most_room(-(-counts.shape[2] // MULTIPLE) * MULTIPLE))
    numbers = torch.tensor([present]), torch.tensor([0.3]), room
    with torch.inference_mode():
        return graph(torch.from_numpy(as_bytes(counts)), *numbers, *camera(counts.shape, **more), *state)


@settings(max_examples=20, deadline=None)
@given(seeds, sides, sides)
def test_registering_where_it_is_leaves_an_image(seed: int, height: int, width: int) -> None:
    image = torch.rand(1, height, width, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(register(image, where(IDENTITY, image)), image, rtol=0, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seeds, sides, sides, st.integers(-50, 50), st.integers(-50, 50))
def test_registering_moves_an_image_and_its_border_goes_on(
    seed: int, height: int, width: int, right: int, down: int
) -> None:
    image = torch.rand(1, height, width, generator=torch.Generator().manual_seed(seed))
    moved = register(image, where([[1, 0, right], [0, 1, down]], image))
    row = (torch.arange(height) + down).clamp(0, height - 1)
    column = (torch.arange(width) + right).clamp(0, width - 1)
    torch.testing.assert_close(moved, image[:, row][:, :, column], rtol=0, atol=1e-4)


@pytest.mark.parametrize("angle", [0.02, -0.1])
def test_registering_turns_and_stretches_and_interpolates(angle: float) -> None:
    """A ramp is interpolated without error, so that it tells where each pixel came from."""
    y, x = np.mgrid[:30, :40].astype(np.float32)
    ramp = torch.from_numpy(3 * x - 2 * y + 5)[None]
    cosine, sine = 1.02 * np.cos(angle), 1.02 * np.sin(angle)
    transform = np.array([[cosine, -sine, 1.5], [sine, cosine, -2.25]], np.float32)
    at_x, at_y = (a * x + b * y + c for a, b, c in transform)
    inside = (at_x >= 0) & (at_x <= 39) & (at_y >= 0) & (at_y <= 29)
    assert inside.sum() > 800
    moved = register(ramp, where(transform, ramp))[0].numpy()
    np.testing.assert_allclose(moved[inside], (3 * at_x - 2 * at_y + 5)[inside], atol=1e-3)


@pytest.mark.parametrize("side", range(1, 41))
def test_the_network_sees_photons_mirrored_at_the_border(side: int) -> None:
    shape = (2, side, 41 - side)
    graph, counts = Graph(Seen()), counts_of(side, shape)
    *_, seen = step(graph, counts, graph.first_state(*shape[1:]))
    offset, gain, variance, _ = (a.numpy() for a in camera(shape))
    photons = (counts - offset) * gain
    wanted = normalize(np.concatenate([photons, photons[1:]]), np.concatenate([variance, variance[1:]]))
    missing = [(0, -length % MULTIPLE) for length in shape[1:]]
    np.testing.assert_allclose(seen[0], np.pad(wanted, [(0, 0), *missing], "symmetric"), atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(seeds, st.lists(st.booleans(), min_size=1, max_size=60))
def test_the_baseline_is_that_of_training_and_leaves_out_missing_frames(
    running_mean: type, seed: int, present: list[bool]
) -> None:
    shape = (2, 3, 5)
    graph, reference = Graph(Seen()), running_mean()
    offset, gain, _, _ = (a.numpy() for a in camera(shape))
    state = graph.first_state(*shape[1:])
    wanted = np.zeros(shape[1:], np.float32)
    for k, is_there in enumerate(present):
        counts = counts_of(seed - k if seed >= k else k, shape)
        if is_there:
            wanted = reference.step(((counts - offset) * gain)[1])
        _, _, _, baseline, n_frames, seen = step(graph, counts, state, float(is_there))
        state = (state[0], baseline, n_frames, seen)
        np.testing.assert_allclose(baseline[0], wanted, rtol=1e-4, atol=1e-3)
        assert n_frames == sum(present[: k + 1])


def test_channel_2_is_registered_before_anything_else() -> None:
    """It is found where channel 1 is, in the frame and in the baseline."""
    shape = (2, 16, 16)
    graph, counts = Graph(Seen()), counts_of(1, shape)
    _, baseline, n_frames, nothing = graph.first_state(16, 16)
    transform = torch.from_numpy(places([[1.0, 0, 3], [0, 1, -2]], 16, 16))
    _, _, _, baseline, _, seen = step(graph, counts, (transform, baseline, n_frames, nothing))
    offset, gain, variance, _ = (a.numpy() for a in camera(shape))
    row, column = (np.arange(16) - 2).clip(0), (np.arange(16) + 3).clip(max=15)
    photons = ((counts - offset) * gain)[1][row][:, column]
    np.testing.assert_allclose(baseline[0], photons, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(seen[0, 1], normalize(photons, variance[1]), rtol=1e-3, atol=1e-3)


def test_photons_and_background_are_multiplied_by_the_excess_factor() -> None:
    shape = (2, 16, 32)
    graph, counts = Graph(Seen()), counts_of(1, shape)
    one, two = (step(graph, counts, graph.first_state(16, 32), excess=f2) for f2 in (1.0, 2.0))
    assert int(one[1]) == int(two[1]) == (one[0][:, 7] > 0).sum() > 20
    torch.testing.assert_close(two[0][:, 4:6], 2 * one[0][:, 4:6])
    torch.testing.assert_close(two[0][:, [0, 1, 2, 3, 6, 7, 8]], one[0][:, [0, 1, 2, 3, 6, 7, 8]])
    assert one[0][0, 4] == pytest.approx(1000, rel=1e-5)


def test_without_calcium_there_is_no_baseline() -> None:
    shape = (1, 9, 20)
    graph, counts = Graph(Seen(has_calcium=False)), counts_of(1, shape)
    table, count, needed, seen = step(graph, counts, graph.first_state(9, 20))
    assert seen.shape == (1, 1, 16, 32)
    assert count.dtype == needed.dtype == torch.int32 and table[:, 8].isnan().all()
    assert (table[:, 0] <= 19.5).all() and (table[:, 1] <= 8.5).all()


def test_raw_counts_are_pairs_of_bytes() -> None:
    counts = np.array([[[0, 1, 255], [256, 4095, 65535]]], np.uint16)
    pairs = as_bytes(counts[..., ::-1])[..., ::-1, :]
    assert pairs.shape == (1, 2, 3, 2) and pairs.dtype == np.uint8
    np.testing.assert_array_equal(pairs @ np.array([1, 256]), counts)
    shape = (2, 16, 16)
    graph = Graph(Seen())
    *_, seen = step(graph, np.full(shape, 65535, np.uint16), graph.first_state(16, 16))
    offset, gain, variance, _ = (a.numpy() for a in camera(shape))
    wanted = normalize((65535 - offset) * gain, variance)
    np.testing.assert_allclose(seen[0, :2], wanted, rtol=1e-4)

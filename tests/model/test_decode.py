"""The decoder, asked in maps: `cells_of` turns them into what a network's last layer would have said."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed (extra: train)")

from model.decode import PROBABILITY, decode  # noqa: E402
from model.heads import maps_of_cells  # noqa: E402
from model.localizations import Localizations  # noqa: E402
from model.maps import (  # noqa: E402
    BACKGROUND,
    CELL,
    DX,
    DY,
    LOG_PHOTONS,
    LOG_SD_PHOTONS,
    LOG_SD_X,
    LOG_SIGMA,
    LOGIT,
    MAX_OFFSET_PX,
    MERGE_PX,
    MIN_PROBABILITY,
    MIN_SECOND,
    N_MAPS,
    REACH_PX,
    STRIPE,
    fixed_room,
    most_room,
    normalize,
    room_for_puncta,
)
from model.puncta import Puncta  # noqa: E402

SILENCE = -20.0
SIDE = CELL * STRIPE  # sides are multiples of it

seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(1, 2), st.integers(1, 3)).map(lambda n: (SIDE * n[0], SIDE * n[1]))
thresholds = st.floats(MIN_PROBABILITY, 0.99)


def cells_of(maps: np.ndarray) -> torch.Tensor:
    """Raw answers in cells that mean these maps."""
    raw = torch.from_numpy(maps).double()
    raw[DX : DY + 1] = MAX_OFFSET_PX * torch.atanh(raw[DX : DY + 1] / MAX_OFFSET_PX)
    raw[LOG_PHOTONS] -= np.log(1000)
    raw[LOG_SD_X : LOG_SD_PHOTONS + 1] += 1.5
    return torch.nn.functional.pixel_unshuffle(raw.float(), CELL)


def found_in(maps: np.ndarray, calcium: np.ndarray | None = None, threshold: float = 0.5) -> Localizations:
    return decode(cells_of(maps), None if calcium is None else torch.from_numpy(calcium), threshold)


def silent(shape: tuple[int, int]) -> np.ndarray:
    maps = np.zeros((N_MAPS, *shape), np.float32)
    maps[LOGIT] = SILENCE
    return maps


def tell(maps: np.ndarray, row: int, column: int, probability: float, x: float, y: float) -> None:
    """Let a pixel tell of a punctum of 1000 photons."""
    maps[:, row, column] = 0
    maps[LOGIT, row, column] = np.log(probability / (1 - probability))
    maps[DX, row, column], maps[DY, row, column] = x - column, y - row
    maps[LOG_PHOTONS, row, column] = np.log(1000)
    maps[BACKGROUND, row, column] = normalize(np.float32(20))


def random_maps(seed: int, shape: tuple[int, int], share: float = 0.4) -> np.ndarray:
    """Maps in which a share of the pixels tells of something, no two with equal probability.

    Offsets are multiples of 1/32 px, so that no distance is within rounding of `MERGE_PX`.
    """
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(N_MAPS, *shape))
    low, high = np.log(MIN_PROBABILITY / (1 - MIN_PROBABILITY)), 4.0
    even = np.linspace(high - (high - low) / share, high, shape[0] * shape[1])
    maps[LOGIT] = rng.permutation(even).reshape(shape)
    maps[LOG_PHOTONS] += 6
    maps[BACKGROUND] *= 3
    maps[LOG_SIGMA] *= 100
    maps[LOG_SD_X : LOG_SD_PHOTONS + 1] = rng.uniform(-4, 1, (3, *shape))
    maps[DX : DY + 1] = rng.integers(-78, 79, (2, *shape)) / 32
    return maps.astype(np.float32)


def table_of(
    cells: torch.Tensor, room: int, threshold: float, height: int, width: int
) -> tuple[torch.Tensor, int]:
    """Table and room needed, of raw answers as a network's last layer gives them."""
    numbers = torch.tensor([threshold]), torch.zeros(room)
    table, needed = Puncta()(cells.permute(1, 2, 0), *numbers, height, width)
    return table, int(needed)


def by_photons(found: Localizations) -> np.ndarray:
    """Table in an order that does not depend on places; two puncta of one place stay in theirs."""
    return found.table()[np.argsort(found.photons, kind="stable")].astype(np.float64)


def test_cells_mean_the_maps_that_they_are_of() -> None:
    maps = random_maps(1, (16, 32))
    np.testing.assert_allclose(maps_of_cells(cells_of(maps)[None])[0], maps, rtol=1e-5, atol=1e-5)


def test_pixels_that_agree_are_one_punctum_and_others_are_not() -> None:
    maps = silent((16, 32))
    tell(maps, 5, 6, 0.5, 6.4, 5.2)
    tell(maps, 5, 7, 0.25, 6.6, 5.2)
    tell(maps, 5, 9, 0.7, 8.9, 5.1)
    maps[LOG_PHOTONS, 5, 7] = np.log(4000)
    maps[LOG_SD_X, 5, 6], maps[LOG_SD_X, 5, 7] = np.log(0.1), np.log(0.4)
    maps[LOG_SIGMA, 5, 6:8] = np.log(1.3)
    calcium = np.full((16, 32), -30, np.float32)
    calcium[5, 6] = 2.0
    found = found_in(maps, calcium, 0.6)
    assert len(found) == 2
    k = int(np.argmin(found.x_px))
    assert found.x_px[k] == pytest.approx(6.4 * 2 / 3 + 6.6 / 3)
    assert found.y_px[k] == pytest.approx(5.2)
    assert found.probability[k] == pytest.approx(0.75)
    assert found.photons[k] == pytest.approx(1000 * 4 ** (1 / 3), rel=1e-5)
    assert found.background[k] == pytest.approx(20, rel=1e-3)
    assert found.x_sd_px[k] == pytest.approx(0.2)
    assert found.psf_sigma_px[k] == pytest.approx(1.3)
    assert found.calcium_probability[k] == pytest.approx(1 / (1 + np.exp(-2)))
    assert found.calcium_probability[1 - k] == pytest.approx(0, abs=1e-6)
    assert len(found_in(maps, calcium, 0.72)) == 1
    assert np.isnan(found_in(maps, None, 0.72).calcium_probability).all()


@pytest.mark.parametrize(("distance", "n"), [(0.99 * MERGE_PX, 1), (1.01 * MERGE_PX, 2)])
@pytest.mark.parametrize("angle", [0.0, 1.0, 2.5])
def test_positions_that_are_close_are_merged(distance: float, n: int, angle: float) -> None:
    maps = silent((16, 16))
    tell(maps, 5, 5, 0.8, 5.5, 5.5)
    tell(maps, 6, 6, 0.7, 5.5 + distance * np.cos(angle), 5.5 + distance * np.sin(angle))
    assert len(found_in(maps)) == n


@pytest.mark.parametrize("first", [4, 5, 14, 15])  # in a cell, and in a stripe, differently
@pytest.mark.parametrize(("apart", "n"), [(REACH_PX, 1), (REACH_PX + 1, 2)])
@pytest.mark.parametrize("axis", [0, 1])
def test_only_pixels_within_reach_are_merged(first: int, apart: int, n: int, axis: int) -> None:
    maps = silent((32, 32))
    middle = first + apart / 2
    for place, probability in ((first, 0.6), (first + apart, 0.55)):
        pixel, at = (6, 6), (6.0, 6.0)
        pixel = (place, 6) if axis else (6, place)
        at = (6.0, middle) if axis else (middle, 6.0)
        tell(maps, *pixel, probability, *at)
    found = found_in(maps)
    assert sorted(found.probability) == pytest.approx([1.0] if n == 1 else [0.55, 0.6])
    assert (found.y_px if axis else found.x_px) == pytest.approx([middle] * n)


def test_what_was_silenced_by_a_silenced_one_has_a_second_chance() -> None:
    """Strong, middle and far, each 0.5 px from the next: far is too far from strong to belong to it."""
    maps = silent((16, 16))
    tell(maps, 5, 5, 0.8, 5.0, 5.0)
    tell(maps, 5, 6, 0.7, 5.5, 5.0)
    tell(maps, 5, 7, 0.6, 6.0, 5.0)
    found = found_in(maps, threshold=0.3)
    assert found.probability == pytest.approx([1.0, 0.6])
    assert found.x_px == pytest.approx([(0.8 * 5 + 0.7 * 5.5) / 1.5, 6.0])
    tell(maps, 5, 8, 0.5, 6.5, 5.0)  # silenced in both rounds, it joins the one of the second
    found = found_in(maps, threshold=0.3)
    assert found.probability == pytest.approx([1.0, 1.0])
    assert found.x_px[1] == pytest.approx((0.6 * 6 + 0.5 * 6.5) / 1.1)


@pytest.mark.parametrize(("row", "column"), [(5, 6), (6, 5), (6, 6), (7, 7), (4, 6), (6, 4)])
def test_of_equals_one_starts_and_the_other_joins(row: int, column: int) -> None:
    maps = silent((16, 16))
    tell(maps, 5, 5, 0.4, 5.4, 5.6)
    tell(maps, row, column, 0.4, 5.6, 5.6)
    found = found_in(maps)
    assert found.probability == pytest.approx([0.8])
    assert found.x_px == pytest.approx([5.5])


def test_more_probability_than_one_is_one() -> None:
    maps = silent((16, 16))
    for row, column in ((3, 3), (3, 4), (4, 3)):
        tell(maps, row, column, 0.55, 3.5, 3.5)
    (probability,) = found_in(maps).probability
    assert probability == 1


def test_silence_holds_nothing() -> None:
    assert len(found_in(silent((16, 32)))) == 0


def test_what_is_no_number_is_no_punctum_but_can_be_seen() -> None:
    """An engine refuses such a table; see `model.engines.session`."""
    cells = torch.full((CELL**2 * N_MAPS, STRIPE, STRIPE), torch.nan)
    assert len(decode(cells, None, 0.5)) == 0
    maps = silent((16, 16))
    maps[LOGIT, 7, 8] = np.nan
    for seen in (cells, cells_of(maps)):
        table, _ = table_of(seen, 16, 0.5, SIDE, SIDE)
        assert table[:, PROBABILITY].isnan().any()


def test_a_stripe_without_room_keeps_its_strongest_puncta_and_others_keep_theirs() -> None:
    """A punctum in every cell of the first stripe, and in the second stripe one weaker than all these."""
    maps = silent((2 * SIDE, 64))
    probabilities = np.random.default_rng(3).permutation(np.linspace(0.55, 0.95, STRIPE * 32))
    for k, probability in enumerate(probabilities):
        row, column = CELL * (k // 32), CELL * (k % 32) + 1
        tell(maps, row, column, probability, column, row)
    tell(maps, 25, 9, 0.52, 9.0, 25.0)
    table, needed = table_of(cells_of(maps), 60, 0.5, 2 * SIDE, 64)
    found = table[table[:, PROBABILITY] > 0].numpy()
    assert len(found) == 31 < len(probabilities) and needed == len(probabilities)
    assert found[:-1, PROBABILITY] == pytest.approx(np.sort(probabilities)[::-1][:30])
    assert tuple(found[-1, :2]) == pytest.approx((9, 25))


def test_a_full_stripe_is_found_whole() -> None:
    """Every second cell holds a punctum of its own."""
    maps = silent((SIDE, 64))
    for row in range(0, SIDE, CELL):
        for column in range(row % 4, 64, 4):
            tell(maps, row, column, 0.9, column, row)
    assert len(found_in(maps)) == 32 * STRIPE / 2


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seeds, shapes, st.floats(0, 0.3), st.integers(0, 40))
def test_what_is_found_does_not_depend_on_room_beyond_what_is_needed(
    seed: int, shape: tuple[int, int], share: float, more: int
) -> None:
    cells, most = cells_of(random_maps(seed, shape, share + 0.01)), most_room(shape[1])
    whole, needed = table_of(cells, most, 0.3, *shape)
    room = min(max(needed, 4) + more, most)
    table, again = table_of(cells, room, 0.3, *shape)
    assert again == needed
    if needed <= most:
        found, wanted = (t[t[:, PROBABILITY] > 0] for t in (table, whole))
        assert torch.equal(found, wanted)
    less = min(max(needed // 2, 4), most)
    if needed > less:
        assert table_of(cells, less, 0.3, *shape)[1] > less


def test_no_more_cells_are_chosen_than_tensorrt_chooses() -> None:
    assert max(fixed_room(width) for width in range(16, 20000, 16)) == 3840
    assert all(4 <= fixed_room(width) <= most_room(width) for width in range(16, 20000, 16))


@pytest.mark.parametrize("shape", [(16, 16), (32, 48)])
def test_the_table_has_the_room_that_engines_keep_for_it(shape: tuple[int, int]) -> None:
    for room in (4, 31, 64):
        table, needed = table_of(cells_of(silent(shape)), room, 0.5, *shape)
        assert table.shape == (room_for_puncta(shape[0], room), 8)
        assert not table.any() and needed == 0


@settings(max_examples=40, deadline=None)
@given(seeds, shapes, thresholds)
def test_any_answer_is_finite_probable_and_inside(
    seed: int, shape: tuple[int, int], threshold: float
) -> None:
    maps = random_maps(seed, shape)
    found = found_in(maps, maps[LOG_SD_X], threshold)
    for field in fields(found):
        assert np.isfinite(getattr(found, field.name)).all()
    assert ((found.x_px >= -0.5) & (found.x_px <= shape[1] - 0.5)).all()
    assert ((found.y_px >= -0.5) & (found.y_px <= shape[0] - 0.5)).all()
    assert ((found.probability > threshold) & (found.probability <= 1)).all()
    assert ((found.calcium_probability >= 0) & (found.calcium_probability <= 1)).all()
    for name in ("x_sd_px", "y_sd_px", "photons", "psf_sigma_px"):
        assert (getattr(found, name) > 0).all()
    assert (found.background >= 0).all()


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 32), st.integers(1, 48), thresholds)
def test_padding_holds_no_puncta(seed: int, height: int, width: int, threshold: float) -> None:
    cells = cells_of(random_maps(seed, (32, 48)))
    table, _ = table_of(cells, 100, threshold, height, width)
    x, y, probability = table[:, 0], table[:, 1], table[:, PROBABILITY]
    assert ((x <= width - 0.5) & (y <= height - 0.5)).all()
    whole, _ = table_of(cells, 100, threshold, 32, 48)
    inside = (whole[:, 0] <= width - 0.5) & (whole[:, 1] <= height - 0.5)
    assert torch.equal(probability > 0, inside & (whole[:, PROBABILITY] > 0))


@settings(max_examples=25, deadline=None)
@given(seeds, shapes, thresholds, thresholds)
def test_a_higher_threshold_only_takes_away(
    seed: int, shape: tuple[int, int], one: float, other: float
) -> None:
    maps = random_maps(seed, shape)
    few, many = (
        {tuple(row) for row in found_in(maps, maps[0], t).table()} for t in (max(one, other), min(one, other))
    )
    assert few <= many


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seeds, st.integers(1, 24), st.integers(1, 24), st.integers(0, 9), st.integers(0, 9))
def test_moving_the_maps_moves_the_puncta(seed: int, height: int, width: int, right: int, down: int) -> None:
    """A silent border as wide as offsets reach keeps every punctum inside; few tell, so all have room."""
    maps = random_maps(seed, (height, width), share=0.1)
    field, moved = silent((48, 48)), silent((48, 48))
    field[:, 3 : 3 + height, 3 : 3 + width] = maps
    moved[:, 3 + down : 3 + down + height, 3 + right : 3 + right + width] = maps
    before, after = (by_photons(found_in(m, m[DX], 0.3)) for m in (field, moved))
    before[:, 0] += right
    before[:, 1] += down
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seeds, shapes)
def test_the_order_of_pixels_does_not_matter(seed: int, shape: tuple[int, int]) -> None:
    maps = random_maps(seed, shape)
    mirrored = maps[:, ::-1, ::-1].copy()
    mirrored[DX : DY + 1] *= -1
    turned = by_photons(found_in(mirrored, threshold=0.3))
    turned[:, 0] = shape[1] - 1 - turned[:, 0]
    turned[:, 1] = shape[0] - 1 - turned[:, 1]
    np.testing.assert_allclose(turned, by_photons(found_in(maps, threshold=0.3)), rtol=1e-4, atol=1e-4)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seeds, shapes)
def test_puncta_are_those_of_the_definition(seed: int, shape: tuple[int, int]) -> None:
    maps = random_maps(seed, shape, share=0.15)
    found = found_in(maps)
    assert len(found) > 0
    table = np.stack([found.x_px, found.y_px, found.probability], 1)
    np.testing.assert_allclose(table, plain_puncta(maps.astype(np.float64), 0.5), rtol=1e-4, atol=1e-4)


def plain_puncta(maps: np.ndarray, threshold: float) -> np.ndarray:
    """What `Puncta` says that it does, pixel by pixel: x, y and probability; equal pixels left aside."""
    _, height, width = maps.shape
    every = 1 / (1 + np.exp(-maps[LOGIT]))
    pixels = np.argwhere(every > MIN_PROBABILITY)
    p = every[tuple(pixels.T)]
    pixels, p = pixels[np.argsort(-p)], np.sort(p)[::-1]  # the strongest first
    xy = np.array([(c + maps[DX, r, c], r + maps[DY, r, c]) for r, c in pixels])
    n = len(p)

    def same(i: int, j: int) -> bool:
        near = np.abs(pixels[i] - pixels[j]).max() <= REACH_PX
        return bool(near and np.hypot(*(xy[i] - xy[j])) < MERGE_PX)

    starts = [i for i in range(n) if not any(same(i, j) for j in range(i))]
    left = [i for i in range(n) if not any(same(i, j) for j in starts)]
    starts = sorted(starts + [i for i in left if not any(same(i, j) for j in left if j < i)])
    joins = [next((j for j in starts if same(i, j)), None) for i in range(n)]
    wanted = []
    for stripe in range(height // SIDE):
        here = [i for i in starts if pixels[i, 0] // SIDE == stripe]
        for start in here:
            mine = [i for i in range(n) if joins[i] == start]
            total, mean = p[mine].sum(), np.average(xy[mine], axis=0, weights=p[mine])
            told = [(*mean, min(total, 1))]
            if total - 1 > MIN_SECOND:
                variances, axes = np.linalg.eigh(np.cov(xy[mine].T, aweights=p[mine], bias=True))
                apart = axes[:, 1] * np.sqrt(variances[1])
                apart *= np.sign(apart @ (xy[start] - mean))
                told = [(*(mean + apart), 1), (*(mean - apart), min(total - 1, 1))]
            wanted += [
                (x, y, probability)
                for x, y, probability in told
                if probability > threshold and -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5
            ]
    return np.reshape(wanted, (-1, 3))


@pytest.mark.parametrize("angle", [0.0, 0.7, 1.6, 3.0])
def test_pixels_that_tell_of_two_puncta_in_one_place_give_two(angle: float) -> None:
    along = 0.25 * np.array([np.cos(angle), np.sin(angle)])
    maps = silent((16, 16))
    tell(maps, 7, 7, 0.96, *(7.5 + along))
    tell(maps, 8, 8, 0.95, *(7.5 - along))
    found = found_in(maps, threshold=0.3)
    assert sorted(found.probability) == pytest.approx([0.91, 1.0])
    assert found.photons == pytest.approx([1000, 1000], rel=1e-5)
    apart = np.array([found.x_px[1] - found.x_px[0], found.y_px[1] - found.y_px[0]])
    assert abs(apart @ along) == pytest.approx(0.5 * 0.25, rel=1e-3)
    assert np.mean(found.x_px) == pytest.approx(7.5, abs=0.01)
    assert found.x_px[0] == pytest.approx(
        7.5 + along[0], abs=0.02
    )  # the surer one where the strongest pixel is
    assert len(found_in(maps, threshold=0.95)) == 1
    tell(maps, 8, 8, 0.7, *(7.5 - along))
    assert len(found_in(maps, threshold=0.3)) == 1

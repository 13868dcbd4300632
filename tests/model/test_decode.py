from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.decode import MERGE_PX, MIN_PROBABILITY, MIN_SECOND, decode
from model.maps import (
    BACKGROUND,
    DX,
    DY,
    LOG_PHOTONS,
    LOG_SD_X,
    LOG_SIGMA,
    LOGIT,
    MAX_OFFSET_PX,
    N_MAPS,
    normalize,
)

seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(1, 24), st.integers(1, 24))


def silent(shape: tuple[int, int]) -> np.ndarray:
    maps = np.zeros((N_MAPS, *shape), np.float32)
    maps[LOGIT] = -20
    return maps


def tell(maps: np.ndarray, row: int, column: int, probability: float, x: float, y: float) -> None:
    """Let a pixel tell of a punctum of 1000 photons."""
    maps[:, row, column] = 0
    maps[LOGIT, row, column] = np.log(probability / (1 - probability))
    maps[DX, row, column], maps[DY, row, column] = x - column, y - row
    maps[LOG_PHOTONS, row, column] = np.log(1000)
    maps[BACKGROUND, row, column] = normalize(np.float32(20))


def random_maps(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Maps in which about half of the pixels tell of something."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(N_MAPS, *shape)).astype(np.float32)
    maps[LOGIT] = 3 * maps[LOGIT] - 3
    maps[BACKGROUND] *= 3
    maps[LOG_SIGMA] *= 100
    maps[DX : DY + 1] = rng.uniform(-MAX_OFFSET_PX, MAX_OFFSET_PX, (2, *shape))
    return maps


def test_pixels_that_agree_are_one_punctum_and_others_are_not() -> None:
    maps = silent((16, 20))
    tell(maps, 5, 6, 0.5, 6.4, 5.2)
    tell(maps, 5, 7, 0.25, 6.6, 5.2)
    tell(maps, 5, 9, 0.7, 8.9, 5.1)
    maps[LOG_PHOTONS, 5, 7] = np.log(4000)
    maps[LOG_SD_X, 5, 6], maps[LOG_SD_X, 5, 7] = np.log(0.1), np.log(0.4)
    maps[LOG_SIGMA, 5, 6:8] = np.log(1.3)
    calcium = np.full((16, 20), -30, np.float32)
    calcium[5, 6] = 2.0
    found = decode(maps, calcium, 0.6, excess=2.0)
    assert len(found) == 2
    k = int(np.argmin(found.x_px))
    assert found.x_px[k] == pytest.approx(6.4 * 2 / 3 + 6.6 / 3)
    assert found.y_px[k] == pytest.approx(5.2)
    assert found.probability[k] == pytest.approx(0.75)
    assert found.photons[k] == pytest.approx(2 * 1000 * 4 ** (1 / 3), rel=1e-5)
    assert found.background[k] == pytest.approx(40, rel=1e-3)
    assert found.x_sd_px[k] == pytest.approx(0.2)
    assert found.psf_sigma_px[k] == pytest.approx(1.3)
    assert found.calcium_probability[k] == pytest.approx(1 / (1 + np.exp(-2)))
    assert found.calcium_probability[1 - k] == pytest.approx(0, abs=1e-6)
    assert len(decode(maps, calcium, 0.72)) == 1
    assert np.isnan(decode(maps, None, 0.72).calcium_probability).all()


@pytest.mark.parametrize(("distance", "n"), [(0.99 * MERGE_PX, 1), (1.01 * MERGE_PX, 2)])
@pytest.mark.parametrize("angle", [0.0, 1.0, 2.5])
def test_the_reach_of_merging(distance: float, n: int, angle: float) -> None:
    maps = silent((12, 12))
    tell(maps, 5, 5, 0.8, 5.5, 5.5)
    tell(maps, 6, 6, 0.7, 5.5 + distance * np.cos(angle), 5.5 + distance * np.sin(angle))
    assert len(decode(maps, None, 0.5)) == n


def test_more_probability_than_one_is_one() -> None:
    maps = silent((8, 8))
    for row, column in ((3, 3), (3, 4), (4, 3)):
        tell(maps, row, column, 0.55, 3.5, 3.5)
    (probability,) = decode(maps, None, 0.5).probability
    assert probability == 1


def test_silence_holds_nothing_and_neither_do_numbers_that_are_none() -> None:
    assert len(decode(silent((7, 9)), None, 0.5)) == 0
    assert len(decode(np.full((N_MAPS, 7, 9), np.nan, np.float32), None, 0.5)) == 0


@settings(max_examples=80, deadline=None)
@given(seeds, shapes, st.floats(MIN_PROBABILITY, 0.99))
def test_any_answer_is_finite_probable_and_inside(
    seed: int, shape: tuple[int, int], threshold: float
) -> None:
    maps = random_maps(seed, shape)
    found = decode(maps, maps[LOG_SD_X], threshold)
    for field in fields(found):
        assert np.isfinite(getattr(found, field.name)).all()
    assert ((found.x_px >= -0.5) & (found.x_px <= shape[1] - 0.5)).all()
    assert ((found.y_px >= -0.5) & (found.y_px <= shape[0] - 0.5)).all()
    assert ((found.probability > threshold) & (found.probability <= 1)).all()
    assert ((found.calcium_probability >= 0) & (found.calcium_probability <= 1)).all()
    for name in ("x_sd_px", "y_sd_px", "photons", "psf_sigma_px"):
        assert (getattr(found, name) > 0).all()
    assert (found.background >= 0).all()


@settings(max_examples=40, deadline=None)
@given(seeds, shapes, st.floats(MIN_PROBABILITY, 0.99), st.floats(MIN_PROBABILITY, 0.99))
def test_a_higher_threshold_only_takes_away(
    seed: int, shape: tuple[int, int], one: float, other: float
) -> None:
    maps = random_maps(seed, shape)
    few, many = (
        {tuple(row) for row in decode(maps, maps[0], t).table()} for t in (max(one, other), min(one, other))
    )
    assert few <= many


@settings(max_examples=40, deadline=None)
@given(seeds, shapes, st.integers(0, 9), st.integers(0, 9))
def test_moving_the_maps_moves_the_puncta(seed: int, shape: tuple[int, int], right: int, down: int) -> None:
    """A silent border as wide as offsets reach keeps every punctum inside."""
    height, width = shape
    maps = random_maps(seed, shape)
    field, moved = silent((height + 16, width + 16)), silent((height + 16, width + 16))
    field[:, 3 : 3 + height, 3 : 3 + width] = maps
    moved[:, 3 + down : 3 + down + height, 3 + right : 3 + right + width] = maps
    before, after = (decode(m, m[DX], 0.3).table().astype(np.float64) for m in (field, moved))
    before[:, 0] += right
    before[:, 1] += down
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(seeds, shapes)
def test_the_order_of_pixels_does_not_matter(seed: int, shape: tuple[int, int]) -> None:
    maps = random_maps(seed, shape)
    mirrored = maps[:, ::-1, ::-1].copy()
    mirrored[DX : DY + 1] *= -1
    turned = decode(mirrored, None, 0.3).table()
    turned[:, 0] = shape[1] - 1 - turned[:, 0]
    turned[:, 1] = shape[0] - 1 - turned[:, 1]
    np.testing.assert_allclose(turned, decode(maps, None, 0.3).table(), rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(seeds, shapes)
def test_puncta_are_those_of_the_plain_algorithm(seed: int, shape: tuple[int, int]) -> None:
    """Greedy merging written without cells."""
    maps = random_maps(seed, shape).astype(np.float64)
    probability = 1 / (1 + np.exp(-maps[LOGIT]))
    rows, columns = np.nonzero(probability > MIN_PROBABILITY)
    p = probability[rows, columns]
    xy = np.stack([columns + maps[DX, rows, columns], rows + maps[DY, rows, columns]], 1)
    left = list(np.argsort(-p, kind="stable"))
    wanted = []
    while left:
        strongest = left[0]
        mine = [i for i in left if np.hypot(*(xy[i] - xy[strongest])) < MERGE_PX]
        left = [i for i in left if i not in mine]
        total, mean = p[mine].sum(), np.average(xy[mine], axis=0, weights=p[mine])
        told = [(*mean, min(total, 1))]
        if total - 1 > MIN_SECOND:
            variances, axes = np.linalg.eigh(np.cov(xy[mine].T, aweights=p[mine], bias=True))
            apart = axes[:, 1] * np.sqrt(variances[1])
            apart *= np.sign(apart @ (xy[strongest] - mean))
            told = [(*(mean + apart), 1), (*(mean - apart), min(total - 1, 1))]
        wanted += [
            (x, y, probability)
            for x, y, probability in told
            if probability > 0.5 and -0.5 <= x <= shape[1] - 0.5 and -0.5 <= y <= shape[0] - 0.5
        ]
    found = decode(maps.astype(np.float32), None, 0.5)
    found_table = np.stack([found.x_px, found.y_px, found.probability], 1)
    np.testing.assert_allclose(found_table, np.reshape(wanted, (-1, 3)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("angle", [0.0, 0.7, 1.6, 3.0])
def test_pixels_that_tell_of_two_puncta_in_one_place_give_two(angle: float) -> None:
    along = 0.25 * np.array([np.cos(angle), np.sin(angle)])
    maps = silent((16, 16))
    tell(maps, 7, 7, 0.96, *(7.5 + along))
    tell(maps, 8, 8, 0.95, *(7.5 - along))
    found = decode(maps, None, 0.3)
    assert sorted(found.probability) == pytest.approx([0.91, 1.0])
    assert found.photons == pytest.approx([1000, 1000], rel=1e-5)
    apart = np.array([found.x_px[1] - found.x_px[0], found.y_px[1] - found.y_px[0]])
    assert abs(apart @ along) == pytest.approx(0.5 * 0.25, rel=1e-3)
    assert np.mean(found.x_px) == pytest.approx(7.5, abs=0.01)
    assert found.x_px[0] == pytest.approx(
        7.5 + along[0], abs=0.02
    )  # the surer one where the strongest pixel is
    assert len(decode(maps, None, 0.95)) == 1
    tell(maps, 8, 8, 0.7, *(7.5 - along))
    assert len(decode(maps, None, 0.3)) == 1

"""The searches among neighbours, against looking at every pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.cells import candidates, empty_cells, put
from model.crowd import _is_distinct, _split
from model.mle_fit import N_PARAMETERS, PHOTONS, SIGMA, X, Y
from model.optics import Array


def scatter(n: int, size: float, rng: np.random.Generator, on_pixels: bool) -> Array:
    fits = np.zeros((n, 2 * N_PARAMETERS))
    xy = rng.uniform(-0.5, size, (2, n))
    fits[:, [X, Y]] = (np.rint(xy) if on_pixels else xy).T
    fits[:, SIGMA], fits[:, PHOTONS] = 1.3, rng.uniform(100, 2000, n)
    return fits


def distinct_by_pairs(fits: Array, separation: float) -> list[bool]:
    keep: list[bool] = []
    for i, fit in enumerate(fits):
        d2 = (fits[:i, X] - fit[X]) ** 2 + (fits[:i, Y] - fit[Y]) ** 2
        keep.append(not np.any(np.array(keep, bool) & (d2 < separation * separation)))
    return keep


def split_by_pairs(fits: Array, left_over: Array, reach: float) -> list[bool]:
    whole = []
    for fit in fits:
        near = np.hypot(left_over[:, X] - fit[X], left_over[:, Y] - fit[Y]) < reach
        parts = np.count_nonzero(near)
        whole.append(parts < 2)
        if parts >= 2:
            left_over[near, PHOTONS] += fit[PHOTONS] / parts
    return whole


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 150),
    m=st.integers(0, 80),
    size=st.sampled_from([0.0, 5.0, 40.0, 2000.0]),
    on_pixels=st.booleans(),
    reach=st.sampled_from([0.3, 1.5, 2.0, 25.0]),
)
def test_searches_find_what_a_look_at_every_pair_finds(
    seed: int, n: int, m: int, size: float, on_pixels: bool, reach: float
) -> None:
    rng = np.random.default_rng(seed)
    fits, left_over = scatter(n, size, rng, on_pixels), scatter(m, 0.8 * size, rng, True)
    np.testing.assert_array_equal(_is_distinct(fits, reach), np.array(distinct_by_pairs(fits, reach), bool))
    expected = left_over.copy()
    whole = np.array(split_by_pairs(fits, expected, reach), bool)
    np.testing.assert_array_equal(_split(fits, left_over, reach), fits[whole])
    np.testing.assert_array_equal(left_over, expected)


@pytest.mark.parametrize("shape", [(1.0, 1.0), (3000.0, 0.0), (0.0, 0.0), (3000.0, 3000.0)])
def test_cells_are_few_wherever_points_lie(shape: tuple[float, float]) -> None:
    x, y = np.random.default_rng(1).uniform(0, 1, (2, 50)) * np.array(shape)[:, None]
    cells = empty_cells(x, y, 0.1)
    assert cells[3].size <= 3 * 50 + 4
    for i in range(50):
        put(cells, i, x[i], y[i])
    found = np.empty(50, np.int64)
    for i in range(50):
        assert i in found[: candidates(cells, x[i], y[i], found)]

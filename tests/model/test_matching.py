import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from model.matching import match_localizations


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_matching_is_the_gated_hungarian_assignment(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found, radius = rng.uniform(0, 10, (n, 2)), rng.uniform(0, 10, (m, 2)), 2.0
    i, j = match_localizations(truth, found, radius)
    distance = cdist(truth, found)
    gated = np.where(distance <= radius, distance, 1e4)
    rows, columns = linear_sum_assignment(gated)
    near = gated[rows, columns] < 1e4
    assert len(i) == len(j) == near.sum()
    assert len(set(i.tolist())) == len(i) and len(set(j.tolist())) == len(j)
    assert np.all(np.diff(i) > 0)
    np.testing.assert_allclose(distance[i, j].sum(), distance[rows[near], columns[near]].sum())


def test_coincident_points_are_paired_and_far_ones_are_not() -> None:
    i, j = match_localizations(np.array([[0.0, 0.0], [9.0, 9.0]]), np.array([[0.0, 0.0]]), 250.0)
    assert (i.tolist(), j.tolist()) == ([0], [0])
    i, j = match_localizations(np.array([[0.0, 0.0]]), np.array([[300.0, 0.0]]), 250.0)
    assert len(i) == len(j) == 0

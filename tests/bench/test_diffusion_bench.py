import numpy as np
import pytest

from bench.diffusion import balanced_accuracy, statistics_of
from bench.walks import (
    INTERVAL_S,
    MISSED,
    bound_sd,
    covariance_estimate,
    free_walks,
    log_likelihood,
    msd_estimate,
    walks_in_wells,
)


def test_walks_have_the_covariances_of_blurred_motion() -> None:
    diffusion, sd_um = 0.05, 0.02
    walks = free_walks(np.random.default_rng(1), np.full(4000, diffusion), 12, 1000 * sd_um)
    step = np.diff(walks.position, axis=0)
    walked = 2 * diffusion * INTERVAL_S
    assert (step**2).mean() == pytest.approx(walked * 2 / 3 + 2 * sd_um**2, rel=0.02)
    assert (step[1:] * step[:-1]).mean() == pytest.approx(walked / 6 - sd_um**2, rel=0.05)
    assert (step[2:] * step[:-2]).mean() == pytest.approx(0, abs=0.02 * walked)
    assert walks.seen.mean() == pytest.approx(1 - MISSED, abs=0.01)


def test_walks_in_wells_spread_as_a_disk_does() -> None:
    walks = walks_in_wells(np.random.default_rng(2), np.full(300, 0.03), 200.0, 60, 0.0)
    assert walks.position.std() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("estimate", [covariance_estimate, msd_estimate])
def test_peers_are_unbiased(estimate) -> None:
    found = estimate(free_walks(np.random.default_rng(3), np.full(500, 0.03), 100, 20.0))
    assert found.mean() == pytest.approx(0.03, rel=0.03)


def test_the_ceiling_and_the_bound_are_what_they_say() -> None:
    walks = free_walks(np.random.default_rng(4), np.full(200, 0.03), 30, 20.0)
    grid = (0.01, 0.03, 0.09)
    best = np.stack([log_likelihood(walks, d) for d in grid], axis=1).argmax(axis=1)
    assert (best == 1).mean() > 0.95
    # Without error or blur that matter, n − 1 steps of two axes know D to 1/√(n − 1).
    assert bound_sd(101, 1e-6, 1e-9) == pytest.approx(0.1, rel=0.1)
    assert bound_sd(30, 0.003, 0.03) > 2 * bound_sd(30, 0.3, 0.03)


def test_statistics_get_every_sighting() -> None:
    walks = free_walks(np.random.default_rng(5), np.full(20, 0.03), 40, 20.0)
    table = statistics_of(walks).table()
    assert (table.n_observed.to_numpy() == walks.seen.sum(axis=0)).all()


def test_balanced_accuracy_weighs_classes_alike() -> None:
    truth = np.array(["a"] * 8 + ["b"] * 2)
    assert balanced_accuracy(np.array(["a"] * 10), truth) == 0.5

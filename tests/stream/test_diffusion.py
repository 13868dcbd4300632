"""The filters against the likelihood written out: a Gaussian over all displacements of a track."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import cho_solve_banded, cholesky_banded

from stream.motion.confinement import RELAXATION, SPREAD_UM, WELL_SD_SCALE
from stream.motion.diffusion import DIFFUSION_UM2_S, MOTION_BLUR, SD_SCALE
from stream.motion.likelihoods import RETIRED_AFTER, Likelihoods

INTERVAL_S = 0.05


def fed(frames, positions, variance):
    """Likelihoods of one track, seen at these frames."""
    likelihoods, last = Likelihoods(), None
    for frame, position, claimed in zip(frames, positions, variance, strict=True):
        elapsed_s = 0.0 if last is None else (frame - last) * INTERVAL_S
        seen = np.array([[*position, claimed]], np.float32)
        likelihoods.add(np.array([0]), seen, np.array([elapsed_s], np.float32), INTERVAL_S)
        last = frame
    return likelihoods


def log_density(positions, covariance):
    """Of the displacements between successive sightings, which is all that does not depend on the place."""
    difference = np.diff(np.eye(len(positions)), axis=0)
    step, spread = difference @ positions, difference @ covariance @ difference.T
    return -0.5 * (
        np.einsum("ia,ia->", step, np.linalg.solve(spread, step)) + 2 * np.linalg.slogdet(spread)[1]
    )


def free_covariance(frames, variance, diffusion, scale):
    seconds = np.asarray(frames) * INTERVAL_S
    noise = scale**2 * variance - 2 * diffusion * MOTION_BLUR * INTERVAL_S
    return 2 * diffusion * np.minimum.outer(seconds, seconds) + np.diag(noise)


def well_covariance(frames, variance, spread, relaxation, scale):
    apart = np.abs(np.subtract.outer(frames, frames))
    noise = scale**2 * variance - 2 * MOTION_BLUR * spread**2 / relaxation
    return spread**2 * np.exp(-apart / relaxation) + noise * np.eye(len(frames))


@settings(max_examples=25, deadline=None)
@given(
    gaps=st.lists(st.integers(1, 6), min_size=1, max_size=30),
    seed=st.integers(0, 2**16),
    sd_nm=st.floats(5, 60),
    step_nm=st.floats(1, 200),
)
def test_filters_give_the_likelihood_of_a_blurred_walk(gaps, seed, sd_nm, step_nm):
    rng = np.random.default_rng(seed)
    frames = np.cumsum([0, *gaps])
    positions = rng.uniform(0, 50, 2) + rng.normal(0, step_nm / 1000, (len(frames), 2)).cumsum(axis=0)
    positions = positions.astype(np.float32).astype(float)
    variance = (sd_nm / 1000 * rng.uniform(0.5, 1.5, len(frames))) ** 2
    free, well = (found[0] for found in fed(frames, positions, variance).of(np.array([0])))
    for c, d in ((0, 0), (3, 10), (6, 27), (2, 15)):
        covariance = free_covariance(frames, variance, DIFFUSION_UM2_S[d], SD_SCALE[c])
        assert free[c, d] == pytest.approx(log_density(positions, covariance), rel=1e-3, abs=0.05)
    for c, g in ((0, 0), (1, 9), (2, 19)):
        covariance = well_covariance(frames, variance, SPREAD_UM[g], RELAXATION[g], WELL_SD_SCALE[c])
        assert well[c, g] == pytest.approx(log_density(positions, covariance), rel=1e-3, abs=0.05)


def banded_log_density(positions, variance, diffusion, scale):
    """As `log_density` of a free walk seen in every frame, where only successive displacements covary."""
    step = np.diff(positions, axis=0)
    noise = scale**2 * variance - 2 * diffusion * MOTION_BLUR * INTERVAL_S
    spread = np.full((2, len(step)), -noise)
    spread[1] = 2 * diffusion * INTERVAL_S + 2 * noise
    root = cholesky_banded(spread)
    solved = cho_solve_banded((root, False), step)
    return -0.5 * np.einsum("ia,ia->", step, solved) - 2 * np.log(root[1]).sum()


def test_single_precision_lasts_for_very_long_tracks():
    rng = np.random.default_rng(3)
    n, variance = 20_000, 0.02**2
    positions = 40 + rng.normal(0, 0.004, (n, 2)).cumsum(axis=0) + rng.normal(0, 0.02, (n, 2))
    free = fed(range(n), positions, np.full(n, variance)).of(np.array([0]))[0][0]
    best = np.unravel_index(free.argmax(), free.shape)
    truth = banded_log_density(positions, variance, DIFFUSION_UM2_S[best[1]], SD_SCALE[best[0]])
    for c, d in ((3, 1), (2, best[1]), (best[0], best[1] + 1), (best[0], best[1] - 1)):
        expected = banded_log_density(positions, variance, DIFFUSION_UM2_S[d], SD_SCALE[c]) - truth
        assert free[c, d] - free[best] == pytest.approx(expected, rel=1e-3, abs=0.1)
    few = 600
    well = fed(range(few), positions[:few], np.full(few, variance)).of(np.array([0]))[1][0]
    covariance = well_covariance(np.arange(few), variance, SPREAD_UM[10], RELAXATION[10], WELL_SD_SCALE[1])
    assert well[1, 10] == pytest.approx(log_density(positions[:few], covariance), rel=1e-4)


def test_what_is_retired_keeps_its_likelihood_and_may_come_back():
    rng = np.random.default_rng(4)
    positions = rng.normal(0, 0.05, (40, 2)).cumsum(axis=0)
    variance = np.full(40, 0.02**2)
    likelihoods = fed(range(20), positions[:20], variance[:20])
    before = [found[0] for found in likelihoods.of(np.array([0]))]
    still = np.zeros((1, 3), np.float32) + np.float32(0.02**2)
    for track in (1, 2):  # a long-lived one, then a new one that takes the first one's place
        for _ in range(RETIRED_AFTER + 5):
            likelihoods.add(np.array([track]), still, np.array([INTERVAL_S], np.float32), INTERVAL_S)
    after = [found[0] for found in likelihoods.of(np.array([0]))]
    shift = before[0][0, 0] - after[0][0, 0]
    assert abs(shift) > 0  # it was retired: a constant is lost
    for was, now in zip(before, after, strict=True):
        np.testing.assert_allclose(was - now, shift, atol=0.01)

    again = fed(range(20), positions[20:], variance[20:]).of(np.array([0]))[0][0]
    for k in range(20, 40):
        seen = np.array([[*positions[k], variance[k]]], np.float32)
        likelihoods.add(np.array([0]), seen, np.array([INTERVAL_S], np.float32), INTERVAL_S)
    both = likelihoods.of(np.array([0]))[0][0]
    np.testing.assert_allclose(both, after[0] + again, rtol=1e-4, atol=0.05)


def test_memory_is_that_of_the_tracks_alive():
    likelihoods = Likelihoods()
    seen = np.full((4, 3), 0.01, np.float32)
    for cohort in range(50):
        tracks = np.arange(4 * cohort, 4 * cohort + 4)
        for k in range(60):
            elapsed_s = np.full(4, INTERVAL_S if k else 0.0, np.float32)
            likelihoods.add(tracks, seen, elapsed_s, INTERVAL_S)
    assert likelihoods.n_filters <= 2 * 4 * (RETIRED_AFTER / 60 + 2)
    free, _ = likelihoods.of(np.arange(200))
    np.testing.assert_allclose(
        free - free[:, :1, :1], (free - free[:, :1, :1])[[0]].repeat(200, 0), atol=0.01
    )

import numpy as np
import pytest
from scipy.special import ndtr

from model.bound import MAX_EMITTERS, REACH_SIGMA, crlb
from model.camera import Camera

CAMERA = Camera(read_noise_e=1.4)


def brute_force(theta: np.ndarray, sigma: float, camera: Camera) -> np.ndarray:
    """Bounds of all parameters (x, y, N of each emitter, then one background), by finite differences."""

    def image(parameters: np.ndarray) -> np.ndarray:
        edges = np.arange(-12, 34) - 0.5
        total = np.full((45, 45), parameters[-1])
        for x, y, n in parameters[:-1].reshape(-1, 3):
            total += n * np.outer(np.diff(ndtr((edges - y) / sigma)), np.diff(ndtr((edges - x) / sigma)))
        return total

    slopes = []
    for i, value in enumerate(theta):
        step = np.zeros_like(theta)
        step[i] = 1e-4 * max(abs(value), 1.0)
        slopes.append((image(theta + step) - image(theta - step)) / (2 * step[i]))
    weight = 1 / (camera.excess * image(theta) + camera.read_variance)
    fisher = np.array([[np.sum(a * b * weight) for a in slopes] for b in slopes])
    return np.sqrt(np.diag(np.linalg.inv(fisher)))


@pytest.mark.parametrize("camera", [CAMERA, Camera(em_gain=100.0, read_noise_e=30.0)])
def test_isolated_bound_agrees_with_brute_force(camera: Camera) -> None:
    expected = brute_force(np.array([10.2, 11.4, 800.0, 15.0]), 1.3, camera)[:2]
    columns = [np.array([v]) for v in (10.2, 11.4, 800.0, 1.3, 15.0)]
    np.testing.assert_allclose(crlb(*columns, camera)[0], expected, rtol=2e-3)


def test_joint_bound_agrees_with_brute_force() -> None:
    expected = brute_force(np.array([10.2, 11.4, 800.0, 12.5, 10.9, 500.0, 15.0]), 1.3, CAMERA)[[0, 1, 3, 4]]
    x, y, n = np.array([10.2, 12.5]), np.array([11.4, 10.9]), np.array([800.0, 500.0])
    bounds = crlb(x, y, n, np.full(2, 1.3), np.full(2, 15.0), CAMERA, joint=True)
    np.testing.assert_allclose(bounds.ravel(), expected, rtol=1e-2)


def test_unknown_neighbours_never_make_a_position_better_known() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0, 20, (2, 30))
    columns = (x, y, rng.uniform(200, 2000, 30), np.full(30, 1.3), np.full(30, 15.0))
    alone, joint = crlb(*columns, CAMERA), crlb(*columns, CAMERA, joint=True)
    assert np.all(np.isfinite(joint))
    assert np.all(joint >= alone * (1 - 1e-3))
    assert np.median(joint / alone) > 1.05


def test_a_crowd_is_bounded_as_by_its_nearest_neighbours_only() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0, 60, (2, 300))
    columns = (x, y, rng.uniform(200, 2000, 300), np.full(300, 1.3), np.full(300, 15.0))
    bounds = crlb(*columns, CAMERA, joint=True)
    for i in (0, 100, 299):
        distance = np.hypot(x - x[i], y - y[i])
        near = [j for j in np.argsort(distance)[:MAX_EMITTERS] if distance[j] < REACH_SIGMA * 1.3]
        assert len(near) > 3
        alone = crlb(*(c[near] for c in columns), CAMERA, joint=True)
        # Row 0 is the emitter itself; the others may have neighbours beyond this neighbourhood.
        np.testing.assert_allclose(bounds[i], alone[0], rtol=1e-9)


def test_more_coincident_emitters_than_are_counted_keep_their_own_bound() -> None:
    photons = np.append(np.full(MAX_EMITTERS + 4, 500.0), 2000.0)
    same = np.full(len(photons), 5.0)
    bounds = crlb(same, same, photons, np.full_like(same, 1.3), np.full_like(same, 10.0), CAMERA, joint=True)
    assert np.all(np.isfinite(bounds))


def test_coincident_emitters_have_a_huge_but_finite_bound() -> None:
    same = np.array([5.0, 5.0])
    bounds = crlb(same, same, np.full(2, 500.0), np.full(2, 1.3), np.full(2, 10.0), CAMERA, joint=True)
    assert np.all(np.isfinite(bounds))
    assert np.all(bounds > 1.0)


def test_no_emitters_have_no_bounds() -> None:
    none = np.empty(0)
    assert crlb(none, none, none, none, none, CAMERA).shape == (0, 2)

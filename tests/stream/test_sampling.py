import numpy as np
import pytest

from model.optics import add_gaussians
from stream.sampling import N_OCTANTS, sample

ANNULUS = (5.5, 8.5)


def ratios(image, x, y):
    ratio, shot_sd = sample(image.astype(np.float32), np.array(x, float), np.array(y, float), 1.5, ANNULUS)
    return ratio, shot_sd


def test_core_and_octants_against_direct_sums():
    rng = np.random.default_rng(1)
    image = rng.uniform(5, 50, (40, 50))
    x, y = 21.3, 18.8
    rows, columns = np.mgrid[:40, :50]
    distance = np.hypot(columns - x, rows - y)
    weight = np.where(distance <= 4.5, np.exp(-(distance**2) / (2 * 1.5**2)), 0)
    annulus = image[(distance >= 5.5) & (distance <= 8.5)].mean()
    angle = np.arctan2(rows - y, columns - x)
    octant = np.floor(angle / (np.pi / 4)).astype(int) % 8
    ring = (distance >= 3) & (distance <= 5)
    ratio, _ = ratios(image, [x], [y])
    assert ratio[0, 0] == pytest.approx((weight * image).sum() / weight.sum() / annulus)
    expected = [image[ring & (octant == k)].mean() / annulus for k in range(8)]
    np.testing.assert_allclose(np.sort(ratio[0, 1:]), np.sort(expected))


def test_brightness_of_the_whole_image_cancels():
    image = np.random.default_rng(2).uniform(5, 50, (30, 30))
    np.testing.assert_allclose(
        ratios(image, [15.2], [14.9])[0], ratios(7 * image, [15.2], [14.9])[0], rtol=1e-5
    )


def test_a_spot_reads_the_same_wherever_it_lies_within_a_pixel():
    shift = np.linspace(-0.5, 0.5, 11)
    values = []
    for s in shift:
        image = np.full((40, 40), 20.0, np.float32)
        add_gaussians(image, np.array([20 + s]), np.array([20 - s]), np.array([500.0]), np.array([1.6]))
        values.append(ratios(image, [20 + s], [20 - s])[0][0, 0])
    assert np.ptp(values) < 0.02 * (np.mean(values) - 1)


def test_shot_noise_is_predicted():
    rng = np.random.default_rng(3)
    sampled = [ratios(rng.poisson(20.0, (24, 24)), [11.7], [12.2]) for _ in range(400)]
    measured = np.std([ratio[0, 0] for ratio, _ in sampled])
    assert measured == pytest.approx(np.mean([sd[0] for _, sd in sampled]), rel=0.12)


def test_borders_and_dark_images():
    image = np.full((20, 30), 10.0)
    x, y = [0.0, 29.0, -2.0, 400.0, np.nan, 15.0], [0.0, 19.0, 10.0, 10.0, 10.0, 10.0]
    ratio, _ = ratios(image, x, y)
    np.testing.assert_allclose(ratio[[0, 1, 2, 5], 0], 1.0)
    assert np.isnan(ratio[[3, 4]]).all()
    assert np.isfinite(ratio[5]).all()
    assert 0 < np.isnan(ratio[0]).sum() < N_OCTANTS  # octants that lie outside
    assert np.isnan(ratios(np.zeros((20, 30)), x, y)[0]).all()
    assert np.isfinite(ratios(np.full((20, 30), 65535.0), [15.0], [10.0])[0]).all()
    assert np.isnan(ratios(np.ones((2, 2)), [0.5], [0.5])[0]).all()  # no annulus


@pytest.mark.parametrize(("level", "share"), [(0.0, 0.0), (0.3, 0.0), (3.0, 1.0)])
def test_only_a_bright_annulus_is_a_reference(level, share):
    rng = np.random.default_rng(4)
    image = rng.poisson(level, (400, 400)) + rng.normal(0, 1.4, (400, 400))
    x, y = np.meshgrid(np.arange(10, 390, 19), np.arange(10, 390, 19))
    measured = np.isfinite(ratios(image, x.ravel(), y.ravel())[0][:, 0]).mean()
    assert measured == pytest.approx(share, abs=0.02)


def test_a_cloud_in_the_annulus_does_not_make_it_dark():
    image = np.full((40, 40), 2.0, np.float32)
    add_gaussians(image, np.array([27.0]), np.array([20.0]), np.array([5000.0]), np.array([2.0]))
    assert np.isfinite(ratios(image, [20.0], [20.0])[0]).all()


def test_predicted_shot_noise_does_not_depend_on_the_core():
    image = np.full((40, 40), 20.0, np.float32)
    at_rest = ratios(image, [20.0], [20.0])[1]
    add_gaussians(image, np.array([20.0]), np.array([20.0]), np.array([800.0]), np.array([0.8]))
    assert ratios(image, [20.0], [20.0])[1] == pytest.approx(at_rest, rel=1e-3)

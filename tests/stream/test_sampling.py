import numpy as np
import pytest

from model.optics import add_gaussians
from stream.calcium.origin import template_gain
from stream.calcium.sampling import RADIUS_PX, SIDE, sample

NOBODY = np.empty(0), np.empty(0), np.empty(0), np.empty(0, np.intp)


def heights(image, x, y, level=20.0, sources=NOBODY, sigma=2.0):
    reference = np.full(image.shape, level, np.float32)
    at = np.array(x, float), np.array(y, float)
    return sample(image.astype(np.float32), reference, at, sigma, sources)


def cloud(x, y, dff, sigma, level=20.0, side=48):
    image = np.full((side, side), level, np.float32)
    light = np.array([dff * level * 2 * np.pi * sigma**2])
    add_gaussians(image, np.array([x]), np.array([y]), light, np.array([sigma]))
    return image


def test_a_cloud_over_a_brighter_level_reads_its_height():
    height, level, _, _ = heights(cloud(23.3, 24.4, 0.5, 2.0) + 6.0, [23.3], [24.4])
    assert height[0] == pytest.approx(0.5, rel=0.02)
    assert level[0] == pytest.approx(1.3, rel=0.01)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("away", [0.0, 1.5])
def test_clouds_of_other_widths_and_places_read_as_predicted(sigma, away):
    height, *_ = heights(cloud(24 + away, 24.0, 1.0, sigma), [24.0], [24.0])
    # Pixels average the light of narrow clouds.
    assert height[0] == pytest.approx(template_gain(sigma, away, 2.0), rel=0.06)


def test_a_known_neighbour_is_explained_away():
    image = cloud(28.0, 24.0, 1.0, 3.0)
    assert heights(image, [24.0], [24.0])[0][0] > 0.3
    known = np.array([28.0]), np.array([24.0]), np.array([3.0]), np.array([1])
    height, level, sd, patch = heights(image, [24.0], [24.0], sources=known)
    assert abs(height[0]) < 0.03
    assert level[0] == pytest.approx(1.0, abs=0.02)
    alone = heights(np.full_like(image, 20.0), [24.0], [24.0])[2]
    assert sd[0] > 1.05 * alone[0]  # what is shared is known less well
    assert np.nanmax(np.abs(patch)) < 0.1


def test_an_own_event_is_not_explained_away():
    image = cloud(24.0, 24.0, 1.0, 2.0)
    own = np.array([24.0]), np.array([24.0]), np.array([2.0]), np.array([0])
    assert heights(image, [24.0], [24.0], sources=own)[0][0] == pytest.approx(1.0, rel=0.02)


def test_the_lamp_cancels_when_the_reference_follows_it():
    image = cloud(24.0, 24.0, 0.7, 2.0)
    dim = heights(image, [24.0], [24.0])[0]
    bright = heights(5 * image, [24.0], [24.0], level=100.0)[0]
    np.testing.assert_allclose(dim, bright, rtol=1e-5)


def test_noise_is_predicted():
    rng = np.random.default_rng(3)
    for image in (np.full((40, 40), 20.0), cloud(20.0, 20.0, 2.0, 2.0, side=40)):
        found = [heights(rng.poisson(image), [20.0], [20.0]) for _ in range(400)]
        measured = np.std([height[0] for height, *_ in found])
        assert measured == pytest.approx(np.mean([sd[0] for _, _, sd, _ in found]), rel=0.12)


def test_patches_lie_around_the_nearest_pixel():
    image = np.full((40, 40), 20.0)
    image[17, 23] = 60.0
    patch = heights(image, [22.8], [16.6])[3][0]
    assert np.unravel_index(np.nanargmax(patch), patch.shape) == (RADIUS_PX, RADIUS_PX)
    assert np.isnan(patch[0, 0])
    assert patch.shape == (SIDE, SIDE)


def test_borders_and_dark_images():
    image = np.full((30, 40), 10.0)
    x, y = [0.0, 39.0, -3.0, 400.0, np.nan, 20.0], [0.0, 29.0, 10.0, 10.0, 10.0, 15.0]
    height = heights(image, x, y, level=10.0)[0]
    np.testing.assert_allclose(height[[0, 1, 5]], 0.0, atol=1e-6)
    assert np.isnan(height[[2, 3, 4]]).all()
    assert np.isnan(heights(np.zeros((30, 40)), x, y)[0]).all()
    assert np.isnan(heights(np.ones((3, 3)), [0.5], [0.5])[0]).all()  # too few pixels


@pytest.mark.parametrize(("level", "share"), [(0.0, 0.0), (0.2, 0.0), (3.0, 1.0)])
def test_only_a_bright_image_is_measured(level, share):
    rng = np.random.default_rng(4)
    image = rng.poisson(level, (400, 400)) + rng.normal(0, 1.4, (400, 400))
    x, y = np.meshgrid(np.arange(10, 390, 19), np.arange(10, 390, 19))
    measured = np.isfinite(heights(image, x.ravel(), y.ravel(), level=max(level, 0.1))[0]).mean()
    assert measured == pytest.approx(share, abs=0.02)

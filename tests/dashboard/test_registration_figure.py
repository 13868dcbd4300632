from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from acquire.registration_fit import register_spots
from acquire.spots import Spots
from dashboard.registration_figure import save_registration_figure
from stream.register import Registered
from stream.results import StreamError


def spots(xy):
    n = len(xy)
    return Spots(xy[:, 0], xy[:, 1], np.full(n, 0.05), np.ones(n), np.zeros(n, np.int64))


@pytest.fixture
def registered():
    """Twenty spots 3 pixels apart, two of them wrong, and images of as many bright pixels."""
    rng = np.random.default_rng(1)
    one = rng.integers(8, 56, (20, 2)).astype(float)
    two = one + np.array([3.0, -2.0]) + rng.normal(0, 0.05, one.shape)
    two[:2] += 1.2
    registration, pairs = register_spots(spots(one), spots(two), (64, 64))
    images = rng.normal(100, 3, (2, 64, 64)).astype(np.float32)
    for image, xy in zip(images, (one, two), strict=True):
        x, y = np.rint(xy).astype(int).T
        image[y, x] += 500
    return Registered(registration, pairs, images)


def test_the_picture_shows_images_residuals_and_outliers(registered, tmp_path):
    def draw(name, shown):
        save_registration_figure(shown, tmp_path / name)
        return imread(tmp_path / name)[..., :3]

    picture = draw("a.png", registered)
    assert picture.shape[0] > 1000 and len(registered.pairs.wrong_one) == 2
    np.testing.assert_array_equal(picture, draw("b.png", registered))
    pairs, registration = registered.pairs, registered.registration
    none = np.empty(0, np.complex128)
    for name, other in {
        "images": replace(registered, images=registered.images[::-1]),
        "outliers": replace(registered, pairs=replace(pairs, wrong_one=none, wrong_two=none)),
        "residuals": replace(registered, pairs=replace(pairs, error=pairs.error * 2)),
        "transform": replace(registered, registration=replace(registration, transform=np.eye(2, 3))),
        "cautions": replace(registered, registration=replace(registration, cautions=("only a test",))),
    }.items():
        drawn = draw(f"{name}.png", other)
        assert drawn.shape != picture.shape or np.abs(drawn - picture).max() > 0.1, name


def test_where_it_cannot_be_written_is_named(registered, tmp_path):
    with pytest.raises(StreamError, match=r"cannot write .*nowhere"):
        save_registration_figure(registered, tmp_path / "nowhere" / "a.png")

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.models.contrast import FOLLOW, histogram, levels, lookup, saturated
from dashboard.models.display import Contrast

AUTO = Contrast(low_percentile=10, high_percentile=90)


def limits(contrast):
    return contrast.low, contrast.high


def test_levels_of_a_small_image_are_its_percentiles():
    image = np.random.default_rng(0).permutation(np.arange(100, 201)).astype(np.uint16).reshape(1, 101)
    assert limits(levels(image, AUTO, 16)) == (110, 190)
    assert levels(image, AUTO, 16).gamma == AUTO.gamma


def test_levels_of_a_large_image_are_near_its_percentiles():
    image = np.random.default_rng(0).poisson(400, (512, 512)).astype(np.uint16)
    exact = np.percentile(image, [1, 99.8])
    assert limits(levels(image, Contrast(), 16)) == pytest.approx(exact, abs=4)


def test_locked_levels_are_exact():
    image = np.full((8, 8), 7, np.uint16)
    locked = Contrast(low=123.25, high=456.5, auto=False)
    assert levels(image, locked, 16, levels(image, AUTO, 16)) == locked


def test_levels_stay_follow_or_leap():
    def picture(low, high):  # ends of 101 counts in a row, whose percentiles are exact
        return np.linspace(low, high, 101).round().astype(np.uint16).reshape(1, -1)

    whole = Contrast(low_percentile=0, high_percentile=100)
    first = levels(picture(1000, 2000), whole, 16)
    assert limits(first) == (1000, 2000)
    assert limits(levels(picture(1010, 2030), whole, 16, first)) == (1000, 2000)
    assert limits(levels(picture(1000, 2200), whole, 16, first)) == (1000, 2000 + FOLLOW * 200)
    assert limits(levels(picture(5000, 6000), whole, 16, first)) == (5000, 6000)
    now = first
    for _ in range(20):
        now = levels(picture(1000, 2200), whole, 16, now)
    assert limits(now) == pytest.approx((1000, 2200), abs=0.03 * 1200)
    other = Contrast(low_percentile=0, high_percentile=50)  # the user turned a knob
    assert limits(levels(picture(1000, 2000), other, 16, first)) == (1000, 1500)
    unlocked = first.model_copy(update={"auto": False, "low": 0.0})
    assert limits(levels(picture(1000, 2000), whole, 16, unlocked)) == (1000, 2000)


@pytest.mark.parametrize(("value", "shade"), [(0, 0), (100, 0), (4095, 255)])
def test_a_flat_picture_is_black_unless_it_is_saturated(value, shade):
    image = np.full((64, 64), value, np.uint16)
    found = levels(image, Contrast(), 12)
    assert found.high == found.low + 1
    assert (lookup(found)[image] == shade).all()
    assert levels(np.empty((0, 0), np.uint16), AUTO, 12) == AUTO


def test_the_table_by_hand():
    table = lookup(Contrast(low=100, high=300))
    assert table.shape == (65536,) and table.dtype == np.uint8
    assert table[[0, 100, 150, 200, 300, 65535]].tolist() == [0, 0, 64, 128, 255, 255]
    table = lookup(Contrast(low=100, high=300, gamma=0.5))
    assert table[[99, 150, 200, 300]].tolist() == [0, 128, 180, 255]
    assert lookup(Contrast(low=0, high=65535))[[1, 129, 65535]].tolist() == [0, 1, 255]


@given(st.floats(0, 60000), st.floats(0.5, 5000), st.floats(0.1, 5))
def test_brighter_is_never_darker(low, width, gamma):
    table = lookup(Contrast(low=low, high=low + width, gamma=gamma))
    assert (np.diff(table.astype(int)) >= 0).all()
    assert table[: int(low) + 1].max() == 0
    assert table[int(np.ceil(low + width)) :].min() == 255


@settings(deadline=None)
@given(st.integers(0, 65535), st.integers(0, 65535), st.integers(1, 300), st.integers(0, 99))
def test_every_pixel_is_in_the_histogram(a, b, bins, seed):
    low, high = min(a, b), max(a, b)
    image = np.random.default_rng(seed).integers(low, high + 1, (9, 7)).astype(np.uint16)
    edges, counts = histogram(image, bins)
    assert len(counts) == len(edges) - 1 <= bins
    assert counts.sum() == image.size and counts[0] > 0
    assert (np.diff(edges) == np.diff(edges)[0]).all() and np.diff(edges)[0] % 1 == 0
    assert counts.tolist() == np.histogram(image, edges)[0].tolist()


def test_the_histogram_by_hand():
    edges, counts = histogram(np.array([[3, 3, 4, 9]], np.uint16), 4)
    assert edges.tolist() == [2.5, 4.5, 6.5, 8.5, 10.5]
    assert counts.tolist() == [3, 0, 0, 1]
    assert histogram(np.empty((0, 0), np.uint16))[1].tolist() == [0]


def test_saturated_pixels_are_those_at_the_limit():
    image = np.array([[4094, 4095, 65535]], np.uint16)
    assert saturated(image, 12).tolist() == [[False, True, True]]
    assert saturated(image, 16).tolist() == [[False, False, True]]

"""Pixels of the camera on the screen: where they are, how bright, in which colour."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dashboard.models.display import Contrast
from dashboard.views.picture import coarsened, coarseness

pytestmark = pytest.mark.timeout(60)
RED, WHITE, MAGENTA, GREEN = (255, 0, 0), (255, 255, 255), (255, 0, 255), (0, 255, 0)
SHIFTS = [((1, 0, 3.0), (0, 1, -2.0)), ((1.01, 0.02, 2.5), (-0.015, 0.99, -1.75))]


def dotted(x: int = 40, y: int = 13, counts: int = 1000, channels: tuple[int, ...] = (0, 1)) -> np.ndarray:
    """A dark picture (2, 64, 64) with one bright pixel."""
    picture = np.zeros((2, 64, 64), np.uint16)
    picture[channels, y, x] = counts
    return picture


def box(image: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom edge of what has this colour."""
    rows, columns = np.nonzero((image == colour).all(-1))
    assert len(rows), f"nothing is {colour}"
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize(("flip_x", "flip_y", "close"), list(product((False, True), repeat=3)))
def test_a_pixel_covers_its_place(
    panel, painted, on_screen, make_session, make_display, make_scene, flip_x, flip_y, close
):
    panel.begin(make_session())
    panel.apply(make_display(flip_x=flip_x, flip_y=flip_y))
    panel.show_scene(make_scene(dotted()))
    if close:
        panel.centre_on(37.3, 16.1)
    image = painted()
    for view in (0, 1):
        corners = [
            on_screen(x, y, view, flip_x=flip_x, flip_y=flip_y) for x, y in ((39.5, 12.5), (40.5, 13.5))
        ]
        expected = [f(corner[i] for corner in corners) for f in (min, max) for i in (0, 1)]
        half = image.shape[1] // 2
        mine = image.copy()
        mine[:, slice(half, None) if view == 0 else slice(0, half)] = 0
        mine[:40, :100] = mine[:40, half : half + 100] = 0  # the writing
        assert np.allclose(box(mine, WHITE), expected, atol=1.0)


def test_a_pixel_far_from_the_origin_of_a_large_picture_is_where_it_belongs(
    panel, painted, on_screen, make_session, make_display, make_scene
):
    picture = np.zeros((1, 1500, 2000), np.uint16)
    picture[0, 1401, 1903] = 1000
    panel.begin(make_session(shape=(1, 1500, 2000)))
    panel.apply(make_display())
    panel.show_scene(make_scene(picture))
    panel.centre_on(1900, 1400)
    image = painted()
    image[:40, :100] = 0
    (left, top), (right, bottom) = (
        on_screen(x, y, n_views=1) for x, y in ((1902.5, 1400.5), (1903.5, 1401.5))
    )
    assert np.allclose(box(image, WHITE), (left, top, right, bottom), atol=1.0)


@pytest.mark.parametrize(("gamma", "grey"), [(1.0, 128), (2.0, 64), (0.5, 180)])
def test_counts_are_as_bright_as_the_contrast_says(
    panel, painted, make_session, make_display, make_scene, gamma, grey
):
    picture = np.full((2, 64, 64), 600, np.uint16)
    picture[1] = 1100
    contrast = (
        Contrast(low=100, high=1100, gamma=gamma, auto=False),
        Contrast(low=100, high=2100, auto=False),
    )
    panel.begin(make_session())
    panel.apply(make_display(contrast=contrast))
    panel.show_scene(make_scene(picture))
    assert painted(0)[200, 200].tolist() == pytest.approx([grey] * 3, abs=1)
    assert painted(1)[200, 200].tolist() == pytest.approx([128] * 3, abs=1)


def test_automatic_contrast_takes_the_percentiles_and_a_locked_one_stays(
    panel, painted, make_session, make_display, make_scene
):
    picture = np.tile(np.linspace(200, 1200, 64).astype(np.uint16), (2, 64, 1))
    auto = Contrast(auto=True, low_percentile=10, high_percentile=90)
    panel.begin(make_session())
    panel.apply(make_display(contrast=(auto, Contrast(low=0, high=5000, auto=False))))
    panel.show_scene(make_scene(picture))
    assert panel.contrast[0].low == pytest.approx(300, abs=25)
    assert panel.contrast[0].high == pytest.approx(1100, abs=25)
    assert panel.contrast[1] == Contrast(low=0, high=5000, auto=False)
    assert painted(0)[200, 5].tolist() == [0, 0, 0] and painted(0)[200, 395].tolist() == [255, 255, 255]


@pytest.mark.parametrize("layout", ["side-by-side", "composite"])
def test_saturated_pixels_are_red_and_counted_in_words(
    panel, painted, make_session, make_display, make_scene, layout
):
    panel.begin(make_session(bit_depth=12))
    panel.apply(make_display(layout=layout, saturation=True))
    picture = dotted(counts=4095, channels=(1,))
    picture[:, 20:30, 20:30] = 4094
    panel.show_scene(make_scene(picture))
    view = 1 if layout == "side-by-side" else 0
    left, top, right, bottom = box(painted(view), RED)
    assert (right - left) * (bottom - top) == pytest.approx(6.25**2, rel=0.4)  # one pixel of 64 in 400
    assert "1 saturated pixel (red)" in panel.views[view].captions.notes
    panel.apply(make_display(layout=layout))
    with pytest.raises(AssertionError, match="nothing is"):
        box(painted(view), RED)


def test_composite_colours(panel, painted, on_screen, make_session, make_display, make_scene):
    picture = np.zeros((2, 64, 64), np.uint16)
    picture[0, :, 10:30] = 1000
    picture[1, :, 20:40] = 1000
    panel.begin(make_session())
    panel.apply(make_display(layout="composite"))
    panel.show_scene(make_scene(picture))
    image = painted()
    for x, colour in ((15, MAGENTA), (25, WHITE), (35, GREEN), (45, (0, 0, 0))):
        column, row = on_screen(x, 32, n_views=1)
        assert tuple(image[int(row), int(column)]) == colour
    assert len(panel.grab_images()) == 1


@pytest.mark.parametrize("transform", SHIFTS)
@pytest.mark.parametrize("layout", ["side-by-side", "composite"])
def test_channel_2_is_moved_onto_channel_1_or_drawn_as_recorded(
    panel, painted, on_screen, make_session, make_display, make_scene, middle_of, transform, layout
):
    panel.begin(make_session(transform=transform))
    panel.show_scene(make_scene(dotted(channels=(1,))))
    matrix = np.array(transform)
    x, y = np.linalg.solve(matrix[:, :2], (40, 13) - matrix[:, 2])
    view, n_views = (1, 2) if layout == "side-by-side" else (0, 1)
    colour = WHITE if layout == "side-by-side" else GREEN
    for shift, place in ((True, (x, y)), (False, (40, 13))):
        panel.apply(make_display(layout=layout, shift=shift))
        panel.centre_on(40, 14)
        image = painted()
        image[:60] = 0  # the writing
        assert middle_of(image, colour, 0) == pytest.approx(on_screen(*place, view, n_views), abs=1.0)
        words = "calcium as recorded, not shifted"
        assert (words in panel.views[view].captions.notes) is not shift


def test_without_a_picture_the_last_one_is_greyed_and_it_is_said(
    panel, painted, make_session, make_display, make_scene
):
    panel.begin(make_session())
    panel.apply(make_display())
    panel.show_scene(make_scene())
    assert panel.views[0].captions.notes == ("no picture",)
    panel.show_scene(make_scene(np.full((2, 64, 64), 1000)))
    assert panel.views[0].captions.notes == () and tuple(painted(0)[200, 200]) == WHITE
    panel.show_scene(make_scene(seq=8))
    assert panel.views[0].captions.notes == ("no picture of this frame: an earlier one",)
    assert painted(0)[200, 200].max() < 128


def test_a_picture_of_another_size_is_not_drawn_and_it_is_said(panel, make_session, make_display, make_scene):
    panel.begin(make_session())
    panel.show_scene(make_scene(np.ones((2, 32, 64))))
    assert panel.views[0].captions.notes == ("no picture", "a picture of another size came: 2 × 32 × 64")


@pytest.mark.parametrize("shape", [(1, 48, 96), (2, 33, 17), (2, 1, 1), (1, 1200, 700)])
def test_other_sizes_and_numbers_of_channels_from_run_to_run(
    panel,
    painted,
    on_screen,
    make_session,
    make_display,
    make_scene,
    shape,
):
    panel.apply(make_display())
    for size in ((2, 64, 64), shape, (2, 64, 64)):
        panel.begin(make_session(shape=size))
        panel.show_scene(make_scene(np.full(size, 1000)))
        image, n = painted(), size[0]
        image[:40, :100] = image[:40, 404:504] = 255  # the writing
        for view in range(n):
            left, top = on_screen(-0.5, -0.5, view, n)
            right, bottom = on_screen(size[2] - 0.5, size[1] - 0.5, view, n)
            inside = image[int(top) + 1 : int(bottom) - 1, int(left) + 1 : int(right) - 1]
            assert inside.size and (inside == 255).all()
            assert right - left <= 401 * (3 - n) and bottom - top <= 401
        assert len(panel.grab_images()) == n


counts = arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=19))


@given(counts, st.sampled_from([2, 4, 8]))
def test_coarser_pictures_are_means_and_peaks_of_blocks(picture, by):
    peaks = coarsened(picture, by, peak=True)
    means = coarsened(picture, by)
    height, width = picture.shape
    assert peaks.shape == means.shape == (-(-height // by), -(-width // by))
    assert peaks.max() == picture.max()
    block = picture[:by, :by]
    if block.shape == (by, by):
        assert means[0, 0] == block.sum(dtype=np.int64) // by**2 and peaks[0, 0] == block.max()


def test_a_lone_saturated_pixel_is_seen_in_a_picture_much_larger_than_the_screen(
    panel, painted, make_session, make_display, make_scene
):
    assert [coarseness(x) for x in (0.1, 1.4, 1.5, 2.9, 3, 100)] == [1, 1, 2, 2, 4, 8]
    picture = np.full((1, 1601, 1601), 300, np.uint16)
    picture[0, 801, 803] = 65535
    panel.begin(make_session(shape=picture.shape))
    panel.apply(make_display(saturation=True))
    panel.show_scene(make_scene(picture))
    left, top, right, bottom = box(painted(), RED)
    assert right - left <= 2 and bottom - top <= 2

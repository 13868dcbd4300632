from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path

from dashboard.models.compose import compose
from dashboard.models.display import Display
from dashboard.models.history import History
from dashboard.models.region import is_inside, measure, pixels_inside, rows
from dashboard.models.tracks import TrackBook

SHAPE = (12, 17)
CORNER = st.tuples(st.integers(-20, 80), st.integers(-20, 60)).map(lambda c: (c[0] / 4, c[1] / 4))


def rectangle(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)


@pytest.fixture
def scene(make_result, make_picture, make_event):
    """8 × 8 pixels with three puncta and a track in a gap; channel 1 counts 0 … 63, channel 2 twice that."""
    history, book = History(), TrackBook(100.0, 0.02)
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8)
    result = make_result(
        5,
        track_ids=[1, -1, 3],
        x=[1, 2, 6],
        y=[1, 2, 6],
        dff=[0.2, np.nan, 9.0],
        photons=[100, 300, 9000],
        is_open=[True, False, True],
        gap_ids=[4],
        gap_x=2.5,
        gap_y=1.0,
        events=[make_event(1, x=2.0, y=2.0), make_event(2, x=5.0, y=2.0)],
    )
    history.add(result)
    history.add_picture(make_picture(5, np.stack([ramp, 2 * ramp])))
    return compose(history, book, 5, Display(), ()), history


def test_a_rectangle_by_hand(scene, make_session):
    scene, history = scene
    session = make_session(shape=(2, 8, 8), pixel_size_nm=100.0)
    found = measure(rectangle(0.5, 0.5, 3.5, 2.5), scene, session, history.events(5, 60.0), 42.0)
    inside = np.array([9, 10, 11, 17, 18, 19])
    piezo1, calcium = found.channels
    assert (piezo1.name, piezo1.n_pixels, piezo1.mean, piezo1.median) == ("PIEZO1", 6, 14.0, 14.0)
    assert (piezo1.low, piezo1.high) == (9, 19)
    assert piezo1.sd == pytest.approx(np.std(inside, ddof=1))
    assert (calcium.name, calcium.mean, calcium.high) == ("calcium", 28.0, 38)
    assert found.area_um2 == pytest.approx(0.06)
    assert (found.n_puncta, found.n_tracks, found.n_open) == (2, 2, 1)
    assert found.density_per_um2 == pytest.approx(2 / 0.06)
    assert found.mean_photons == 200
    assert found.mean_dff == pytest.approx(0.2)
    assert (found.n_events, found.events_s) == (1, 42.0)
    assert (found.seq, found.picture_seq) == (5, 5)
    assert dict(rows(found)) == {
        "PIEZO1, counts": "14.0 ± 4.5 SD",
        "PIEZO1, median (range)": "14.0 (9–19)",
        "PIEZO1, pixels": "6",
        "calcium, counts": "28.0 ± 8.9 SD",
        "calcium, median (range)": "28.0 (18–38)",
        "calcium, pixels": "6",
        "area": "0.06 µm²",
        "puncta": "2 (33.33 per µm²)",
        "photons a punctum": "200",
        "ΔF/F0 a punctum": "0.200",
        "tracks": "2 (1 with calcium)",
        "events in 42 s": "1",
    }


def test_channel_2_is_counted_where_its_pixels_are(scene, make_session):
    scene, _ = scene
    session = make_session(shape=(2, 8, 8), transform=((1.0, 0.0, 2.0), (0.0, 1.0, 1.0)))
    found = measure(rectangle(0.5, 0.5, 2.5, 1.5), scene, session, (), 60.0)
    assert [c.mean for c in found.channels] == [9.5, 2 * (9.5 + 8 + 2)]
    # Beside channel 2's image there is nothing, and nothing is made up.
    found = measure(rectangle(6.5, 0.5, 7.5, 1.5), scene, session, (), 60.0)
    assert [c.n_pixels for c in found.channels] == [1, 0]
    assert np.isnan([found.channels[1].mean, found.channels[0].sd]).all()
    assert dict(rows(found))["calcium, counts"] == "– ± – SD"


def test_nothing_inside_and_no_picture(scene, make_session, make_result):
    scene, _ = scene
    session = make_session(shape=(2, 8, 8))
    found = measure(rectangle(3.1, 3.1, 3.4, 3.4), scene, session, (), 60.0)
    assert (found.n_puncta, found.n_tracks, found.area_um2) == (0, 0, 0.0)
    assert np.isnan([found.density_per_um2, found.mean_photons, found.mean_dff]).all()
    history = History()
    history.add(make_result(0, x=[1.0], y=[1.0]))
    blind = compose(history, TrackBook(100.0, 0.02), 0, Display(), ())
    found = measure(rectangle(-0.5, -0.5, 7.5, 7.5), blind, session, (), 60.0)
    assert (found.channels, found.n_puncta) == ((), 1)
    assert found.area_um2 == pytest.approx(64 * 0.108**2)
    assert rows(found)[0] == ("counts", "no picture")


@settings(deadline=None)
@given(st.lists(CORNER, min_size=3, max_size=7))
def test_pixels_and_points_agree(corners):
    y, x = np.indices(SHAPE)
    corners = np.array(corners)
    by_point = is_inside(x.ravel(), y.ravel(), corners).reshape(SHAPE)
    assert (pixels_inside(corners, SHAPE) == by_point).all()


@settings(deadline=None)
@given(CORNER, CORNER, CORNER, st.floats(0.05, 0.95))
def test_a_triangle_holds_what_another_library_says_and_its_parts_share_no_pixel(a, b, c, cut):
    a, b, c = map(np.array, (a, b, c))
    # Off the grid, as on a border libraries differ.
    a, b, c = (corner + np.array([0.013, 0.037]) for corner in (a, b, c))
    whole = pixels_inside(np.array([a, b, c]), SHAPE)
    if abs(np.linalg.det(np.stack([b - a, c - a]))) > 1e-6:
        y, x = np.indices(SHAPE)
        peer = Path([a, b, c]).contains_points(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(SHAPE)
        assert (whole == peer).all()
    between = a + cut * (b - a)
    parts = [pixels_inside(np.array(part), SHAPE) for part in ([a, between, c], [between, b, c])]
    assert not (parts[0] & parts[1]).any()


def test_rectangles_side_by_side_hold_each_pixel_once():
    edges = [-0.5, 2.0, 2.0, 5.3, 9.0, 16.5]
    total = sum(pixels_inside(rectangle(x0, -0.5, x1, 11.5), SHAPE).astype(int) for x0, x1 in pairwise(edges))
    assert (total == 1).all()
    assert pixels_inside(rectangle(2.0, 3.0, 4.0, 5.0), SHAPE).sum() == 4  # its far edges belong to the next


def test_what_is_gone_around_twice_is_outside():
    bow = np.array([[0, 0], [10, 10], [10, 0], [0, 10]], float)  # a bow tie
    inside = pixels_inside(bow, (11, 11))
    assert inside[5, 1] and inside[5, 8] and not inside[1, 5] and not inside[8, 5]

"""Puncta, tails and ids on the screen: where they are and how they look."""

import os
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6 import QtGui

from dashboard.models.colours import OPEN_COLOUR, rgb
from dashboard.models.scene import Tails
from dashboard.views.labels import MOST_LABELS, digits
from dashboard.views.marks import CLOSED_LOOK, GAP_LOOK, LOOSE_LOOK, OPEN_LOOK, SELECTED_COLOUR, looks
from dashboard.views.tails import MOST_COLOURS, Lines, by_colour

pytestmark = pytest.mark.timeout(60)
OPEN, SELECTED = rgb(OPEN_COLOUR), rgb(SELECTED_COLOUR)
AT = (40.37, 13.81)
DARK, BRIGHT = np.zeros((2, 64, 64)), np.full((2, 64, 64), 1000)
TRANSFORM = ((1.01, 0.02, 2.5), (-0.015, 0.99, -1.75))


@pytest.mark.parametrize(
    ("layout", "flip_x", "flip_y", "close"),
    list(product(("side-by-side", "composite"), *[(False, True)] * 3)),
)
def test_a_punctum_is_drawn_where_it_is(
    panel,
    painted,
    on_screen,
    make_session,
    make_display,
    make_scene,
    middle_of,
    layout,
    flip_x,
    flip_y,
    close,
):
    panel.begin(make_session(transform=TRANSFORM))
    panel.apply(make_display(layout=layout, flip_x=flip_x, flip_y=flip_y))
    panel.show_scene(make_scene(DARK, x=[AT[0]], y=[AT[1]], state=1))
    if close:
        panel.centre_on(38, 16)
    n_views = 2 if layout == "side-by-side" else 1
    for view in range(n_views):
        place = on_screen(*AT, view, n_views, flip_x, flip_y)
        image = painted()
        if n_views == 2:
            image[:, slice(402, None) if view == 0 else slice(0, 402)] = 0
        assert middle_of(image, OPEN) == pytest.approx(place, abs=0.5)
        assert panel.views[view].marks.places == pytest.approx(np.array([AT]), abs=1e-4)


def test_puncta_follow_a_calcium_image_that_is_drawn_as_recorded(
    panel, painted, on_screen, make_session, make_display, make_scene, middle_of
):
    panel.begin(make_session(transform=TRANSFORM))
    panel.apply(make_display(shift=False))
    panel.show_scene(make_scene(DARK, x=[AT[0]], y=[AT[1]], state=1))
    there = np.array(TRANSFORM) @ (*AT, 1)
    left, right = painted(), painted()
    left[:, 402:] = right[:, :402] = 0
    assert middle_of(left, OPEN) == pytest.approx(on_screen(*AT, 0), abs=0.5)
    assert middle_of(right, OPEN) == pytest.approx(on_screen(*there, 1), abs=0.5)


@pytest.mark.parametrize("sharpness", [1.0, 1.5, 2.0])
def test_a_punctum_on_a_screen_with_small_dots(
    panel, on_screen, make_session, make_display, make_scene, middle_of, sharpness
):
    panel.begin(make_session(shape=(1, 64, 64)))
    panel.apply(make_display())
    panel.show_scene(make_scene(DARK[:1], x=[AT[0]], y=[AT[1]], state=1))
    dots = QtGui.QImage(
        round(panel.width() * sharpness), round(panel.height() * sharpness), QtGui.QImage.Format.Format_RGB32
    )
    dots.setDevicePixelRatio(sharpness)
    panel.render(dots)
    image = np.frombuffer(dots.constBits(), np.uint8).reshape(dots.height(), dots.width(), 4)
    x, y = middle_of(image[..., 2::-1].astype(int), OPEN)
    assert (x / sharpness, y / sharpness) == pytest.approx(on_screen(*AT, n_views=1), abs=0.5)
    is_open = np.abs(image[..., 2::-1].astype(int) - OPEN).max(-1) <= 40
    rows = np.nonzero(is_open)[0]
    assert (rows.max() + 1 - rows.min()) / sharpness == pytest.approx(2 * 7 + 1.8, abs=1.2)
    if sharpness == 2:  # painted from small dots, not from large ones made larger: less of it is edge
        assert is_open.sum() / sharpness**2 > 75


def test_snapshots_have_the_dots_of_the_screen():
    program = (
        "from PySide6.QtWidgets import QApplication\n"
        "app = QApplication([])\n"
        "from dashboard.views.images import ImagePanel\n"
        "panel = ImagePanel(); panel.resize(300, 200); panel.show(); app.processEvents()\n"
        "image, = panel.grab_images(); print(image.width(), image.height())\n"
    )
    scaled = {**os.environ, "QT_SCALE_FACTOR": "2", "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=scaled, capture_output=True, timeout=50, check=True
    )
    assert done.stdout.split() == [b"600", b"400"]


@pytest.mark.parametrize("picture", [DARK, BRIGHT])
def test_calcium_states_can_be_told_apart_on_dark_and_bright_images(
    panel, painted, on_screen, make_session, make_display, make_scene, picture
):
    panel.begin(make_session())
    panel.apply(make_display())
    x = [10.0, 25.0, 40.0]
    panel.show_scene(
        make_scene(picture, x=x, y=[30.0] * 3, state=[0, -1, 1], gap_ids=[9], gap_x=[55.0], gap_y=[30.0])
    )
    image, behind = painted(), int(picture.max() > 0) * 255
    cuts = []
    for at in (*x, 55.0):
        column, row = (round(v) for v in on_screen(at, 30.0))
        cuts.append(image[row - 10 : row + 10, column - 10 : column + 10])
    closed, uncertain, is_open, gap = cuts
    for one in cuts:
        assert len(np.unique(one[..., 0])) > 3
        contrast = one.max() - one.min()
        assert contrast > 100  # a white ring needs its dark halo on a bright image, and the other way round
    assert (closed[9:11, 9:11] == behind).all()  # only an outline: the punctum is seen
    assert (np.abs(is_open[9:11, 9:11] - OPEN).max(-1) <= 40).all()
    assert len({one.tobytes() for one in cuts}) == 4
    assert uncertain.max() <= 255 and gap.shape == closed.shape


def test_look_of_each_punctum(make_scene):
    scene = make_scene(
        track_ids=[1, 2, -1, 4], state=[0, 1, 1, 0], is_open=[False, False, False, True], gap_ids=[9]
    )
    assert looks(scene.marks).tolist() == [CLOSED_LOOK, OPEN_LOOK, LOOSE_LOOK, OPEN_LOOK, GAP_LOOK]


def test_selected_tracks_are_framed_and_labelled(
    panel, painted, on_screen, make_session, make_display, make_scene, middle_of
):
    panel.begin(make_session())
    panel.apply(make_display())
    panel.show_scene(make_scene(DARK, selected=(12, 99), track_ids=[11, 12], x=[10, 40], y=[20, 20]))
    image = painted()
    image[:, 402:] = 0
    assert middle_of(image, SELECTED, 60) == pytest.approx(on_screen(40, 20), abs=0.5)
    assert panel.views[0].labels.ids.tolist() == [12]
    column, row = (round(v) for v in on_screen(40, 20))
    assert (image[row - 15 : row - 3, column + 13 : column + 30] == 255).all(-1).sum() > 10  # "12"


def test_ids_are_bounded_and_it_is_said(panel, make_session, make_display, make_scene):
    n = MOST_LABELS + 20
    at = np.linspace(0, 63, n)
    panel.begin(make_session())
    panel.apply(make_display(ids=True))
    panel.show_scene(make_scene(DARK, selected=(n - 1,), track_ids=np.arange(n), x=at, y=at))
    assert len(panel.views[0].labels.rows) == MOST_LABELS
    assert panel.views[0].labels.ids[0] == n - 1  # selected ones first
    assert "too many ids: 20 are not drawn" in panel.views[0].captions.notes


def test_a_crowd_is_drawn_as_dots_until_one_looks_closer(
    panel, painted, make_session, make_display, make_scene, qtbot
):
    n = 5000
    x, y = np.random.default_rng(0).uniform(0, 64, (2, n))
    panel.begin(make_session())
    panel.apply(make_display(tails="mobility"))
    panel.show_scene(make_scene(DARK, x=x, y=y))
    assert "5,000 puncta: drawn as dots" in panel.views[1].captions.notes
    assert "crowded: tails of 8 frames" in panel.views[0].captions.notes
    assert panel.canvas.grab().width() == 804
    panel.views[0].pane.scaleBy((0.2, 0.2))
    assert panel.views[0].captions.notes == ("crowded: tails of 8 frames",)


def test_puncta_off_and_none_at_all(panel, painted, make_session, make_display, make_scene):
    panel.begin(make_session())
    panel.apply(make_display(puncta=False))
    panel.show_scene(make_scene(DARK, x=[AT[0]], y=[AT[1]], state=1))
    assert len(panel.views[0].marks.places) == 0 and painted()[40:].max() < 60
    panel.apply(make_display())
    panel.show_scene(make_scene(DARK, n=0))
    assert len(panel.views[0].marks.places) == 0


@pytest.mark.parametrize(("flip_x", "shift"), list(product((False, True), repeat=2)))
def test_a_tail_lies_where_the_track_was(
    panel, painted, on_screen, make_session, make_display, make_scene, flip_x, shift
):
    orange = (230, 159, 0)
    tails = Tails(np.array([[10, 20, 30, 20]], np.float32), np.array([[*orange, 255]], np.uint8), 30)
    panel.begin(make_session(transform=((1, 0, 4.0), (0, 1, 7.0))))
    panel.apply(make_display(tails="mobility", flip_x=flip_x, shift=shift))
    panel.show_scene(make_scene(DARK, n=0, tails=tails))
    image = painted()
    for view in (0, 1):
        moved = (4, 7) if view == 1 and not shift else (0, 0)
        half = image[:, 404 * view : 404 * view + 400]
        rows, columns = np.nonzero((half == orange).all(-1))
        ends = [on_screen(x + moved[0], 20 + moved[1], view, flip_x=flip_x) for x in (10, 30)]
        (x0, y), (x1, _) = sorted(ends)
        assert columns.min() + 404 * view == pytest.approx(x0, abs=1.0)
        assert columns.max() + 404 * view == pytest.approx(x1, abs=1.0)
        assert rows.mean() + 0.5 == pytest.approx(y, abs=1.0)
    assert panel.views[1].tails.lines.segments.tolist() == [[10, 20, 30, 20]]
    panel.apply(make_display(tails="off"))
    assert not (painted() == orange).all(-1).any()


colours = st.lists(st.tuples(*[st.integers(0, 255)] * 4), min_size=1, max_size=300)


@given(colours)
def test_every_piece_is_drawn_once_in_about_its_colour(rgba):
    table = np.array(rgba, np.uint8)
    order, starts = by_colour(table)
    assert sorted(order.tolist()) == list(range(len(table)))
    assert starts[0] == 0 and (np.diff(starts) > 0).all()
    if len(np.unique(table, axis=0)) <= MOST_COLOURS:
        for first, end in zip(starts, [*starts[1:], len(table)], strict=True):
            assert len(np.unique(table[order[first:end]], axis=0)) == 1
    lines = Lines(Tails(np.arange(4 * len(table), dtype=np.float32).reshape(-1, 4), table))
    assert sum(len(pieces.ndarray()) for _, pieces in lines.groups) == len(table)


@given(st.lists(st.integers(0, 10**12), max_size=30))
def test_digits_of_ids(ids):
    row, place, which = digits(np.array(ids, np.int64))
    read = ["" for _ in ids]
    for r, p, d in zip(row.tolist(), place.tolist(), which.tolist(), strict=True):
        assert p == len(read[r])
        read[r] += str(d)
    assert read == [str(i) for i in ids]

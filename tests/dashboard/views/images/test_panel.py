"""The image panel in use: zoom and pan, clicks, what is written, the region."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6 import QtCore

from dashboard.models.colours import THEMES, rgb
from dashboard.models.compose import marks
from dashboard.views.hover import described, nearest
from dashboard.views.images import ImagePanel
from dashboard.views.pane import CLOSEST_PX, FARTHEST
from dashboard.views.scale_bar import behind, fitting, length_text, round_length, stamp

pytestmark = pytest.mark.timeout(60)
LEFT, CTRL, PLAIN_CLICK = (
    QtCore.Qt.MouseButton.LeftButton,
    QtCore.Qt.KeyboardModifier.ControlModifier,
    QtCore.Qt.KeyboardModifier.NoModifier,
)
DARK = np.zeros((2, 64, 64))


@pytest.fixture
def shown(panel, make_session, make_display, make_scene):
    """A panel with tracks 11 and 12 at (20, 30) and (40, 30), and a punctum without a track at (50, 30)."""
    panel.begin(make_session())
    panel.apply(make_display())
    panel.show_scene(make_scene(DARK, track_ids=[11, 12, -1], x=[20, 40, 50], y=[30, 30, 30]))
    return panel


@pytest.fixture
def click(panel, qtbot):
    """`click(x, y, modifier)`: click at a place in the panel; what the panel said of it."""
    heard: list[tuple] = []
    panel.track_clicked.connect(lambda *said: heard.append(("track", *said)))
    panel.place_clicked.connect(lambda *said: heard.append(("place", *said)))

    def at(x, y, modifier=PLAIN_CLICK):
        heard.clear()
        qtbot.mouseClick(panel.canvas.viewport(), LEFT, modifier, QtCore.QPoint(round(x), round(y)))
        return heard[:]

    return at


def test_a_click_means_the_nearest_track_within_ten_screen_pixels(shown, click, on_screen):
    x, y = on_screen(40, 30)
    assert click(x, y) == [("track", 12, False)]
    assert click(x + 6, y - 6, CTRL) == [("track", 12, True)]
    ((kind, *place),) = click(x + 12, y)
    assert kind == "place" and place == pytest.approx([40 + 12 / 6.25, 30], abs=0.2)
    assert click(*on_screen(50, 30))[0][0] == "place"  # no track
    shown.centre_on(30, 30)
    assert click(*on_screen(20, 30, view=1)) == [("track", 11, False)]


@pytest.mark.parametrize("flip", [False, True])
def test_clicks_in_flipped_views_and_where_calcium_is_drawn_as_recorded(
    shown, click, on_screen, make_session, make_display, make_scene, flip
):
    shown.begin(make_session(transform=((1, 0, 6.0), (0, 1, -9.0))))
    shown.apply(make_display(shift=False, flip_x=flip, flip_y=flip))
    shown.show_scene(make_scene(DARK, track_ids=[11], x=[20], y=[30]))
    flips = {"flip_x": flip, "flip_y": flip}
    assert click(*on_screen(20, 30, 0, **flips)) == [("track", 11, False)]
    assert click(*on_screen(26, 21, 1, **flips)) == [("track", 11, False)]
    ((kind, *place),) = click(*on_screen(46, 31, 1, **flips))
    assert kind == "place" and place == pytest.approx([40, 40], abs=0.2)  # in pixels of channel 1


def test_a_drag_moves_both_views_and_is_no_click(shown, click, on_screen, qtbot):
    shown.centre_on(32, 32)
    (before, _), viewport = shown.visible_range(), shown.canvas.viewport()
    heard: list[object] = []
    shown.track_clicked.connect(heard.append)
    shown.place_clicked.connect(heard.append)
    start = QtCore.QPoint(600, 200)
    qtbot.mousePress(viewport, LEFT, PLAIN_CLICK, start)
    for step in (10, 20, 30):
        qtbot.wait(15)  # pyqtgraph takes one move in 10 ms
        qtbot.mouseMove(viewport, start + QtCore.QPoint(step, 0))
    qtbot.mouseRelease(viewport, LEFT, PLAIN_CLICK, start + QtCore.QPoint(30, 0))
    (after, _), per_pixel = shown.visible_range(), (before[1] - before[0]) / 400
    assert before[0] - after[0] == pytest.approx(30 * per_pixel, abs=12 * per_pixel)
    assert shown.views[1].pane.visible_range() == shown.visible_range()
    assert heard == []


def test_views_stay_linked_through_zoom_and_do_not_drift_when_resized(shown, qtbot):
    whole = shown.visible_range()
    assert whole == ((-0.5, 63.5), (-0.5, 63.5))
    for width, height in ((1280, 500), (700, 650), (3000, 1800), (300, 120), (804, 400)):
        shown.resize(width, height)
        qtbot.wait(1)
        assert shown.views[1].pane.visible_range() == shown.visible_range()
    assert np.allclose(shown.visible_range(), whole)
    shown.views[1].pane.scaleBy((0.5, 0.5), (10, 10))
    assert shown.visible_range()[0] == pytest.approx((4.75, 36.75))
    shown.reset_view()
    assert np.allclose(shown.visible_range(), whole)


def test_zoom_and_pan_have_ends(shown):
    pane = shown.views[0].pane
    for _ in range(50):
        pane.scaleBy((0.7, 0.7))
    (x0, x1), _ = shown.visible_range()
    assert x1 - x0 == pytest.approx(CLOSEST_PX)
    for _ in range(50):
        pane.translateBy((20, 0))
    (x0, x1), _ = shown.visible_range()
    assert (x0 + x1) / 2 == pytest.approx(63.5)
    for _ in range(80):
        pane.scaleBy((1.3, 1.3))
    (x0, x1), _ = shown.visible_range()
    assert x1 - x0 == pytest.approx(FARTHEST * 64)


def test_centre_on_shows_the_place_and_keeps_a_closer_zoom(shown):
    shown.centre_on(20, 30)
    (x0, x1), (y0, y1) = shown.visible_range()
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((20, 30)) and x1 - x0 == pytest.approx(48)
    shown.views[0].pane.scaleBy((0.25, 0.25))
    shown.centre_on(40, 30)
    (x0, x1), _ = shown.visible_range()
    assert ((x0 + x1) / 2, x1 - x0) == pytest.approx((40, 12))


def test_aspect_is_kept(shown, qtbot):
    for size in ((1500, 300), (300, 900)):
        shown.resize(*size)
        qtbot.wait(1)
        (x0, x1), (y0, y1) = shown.visible_range()
        pane = shown.views[0].pane.geometry()
        assert (x1 - x0) / pane.width() == pytest.approx((y1 - y0) / pane.height())


def test_what_is_written(shown, make_session, make_display, make_scene):
    shown.apply(make_display(time_stamp=True, scale_bar=True))
    shown.show_scene(make_scene(DARK, n=0, seq=1234))
    first, second = (view.captions for view in shown.views)
    assert (first.title, second.title) == ("PIEZO1", "calcium")
    assert first.stamp == "24.680 s   frame 1,234" and second.stamp == ""
    shown.show_scene(make_scene(DARK, n=0, seq=1234, is_newest=False), newest_s=27.88)
    assert first.stamp == "24.680 s   frame 1,234   frozen, 3.2 s ago"
    held = make_scene(DARK, n=0, seq=1234, is_newest=True)  # it was, when the user froze it
    shown.show_scene(held, newest_s=held.time_s)
    assert first.stamp == "24.680 s   frame 1,234"
    shown.show_scene(held, newest_s=held.time_s + 1)
    assert first.stamp == "24.680 s   frame 1,234   frozen, 1.0 s ago"
    shown.show_scene(make_scene(DARK, n=0, seq=1234, is_newest=False), newest_s=27.88)
    shown.apply(make_display(layout="composite"))
    assert first.title == "PIEZO1 magenta, calcium green" and first.stamp == ""


def test_writing_that_does_not_fit_says_so(shown):
    metrics, text = shown.fontMetrics(), "24.680 s   frame 1,234"
    wide = metrics.horizontalAdvance(text)
    assert fitting(text, metrics, wide + 1) == text
    short = fitting(text, metrics, wide - 1)
    assert short.endswith("…") and metrics.horizontalAdvance(short) < wide


def test_stamps():
    assert stamp(7, 0.0126, 5) == "0.013 s   frame 7 (picture of 5)"
    assert stamp(7, 1, 7) == stamp(7, 1, None) == "1.000 s   frame 7"
    assert behind(5, None) == behind(5, 5) == "frozen"
    assert behind(5, 5.02) == "frozen, just now"


def test_the_scale_bar_is_as_long_as_it_says(shown, painted, make_display):
    shown.apply(make_display(scale_bar=True))
    for zoom in (1, 0.3, 0.3):
        shown.views[0].pane.scaleBy((zoom, zoom))
        captions = shown.views[1].captions
        length, text = captions.bar()
        number, unit = text.split()
        um = float(number) / (1000 if unit == "nm" else 1)
        (x0, x1), _ = shown.visible_range()
        assert length == pytest.approx(um / 0.108 / (x1 - x0) * 400)  # pixels of 108 nm in 400 of the screen
        assert 40 <= length <= 100
        row = (painted(1)[-16:-4, 200:] == 255).all(-1).sum(1).max()
        assert row == pytest.approx(length, abs=1.5)


@given(st.floats(1e-3, 1e5))
def test_lengths_of_scale_bars_are_round(longest):
    length = round_length(longest)
    assert longest / 2.5 < length * 1.000001 and length <= longest * 1.000001
    digits = f"{length:e}".split("e")[0].rstrip("0").rstrip(".")
    assert digits in ("1", "2", "5")
    assert length_text(0.5) == "500 nm" and length_text(20) == "20 µm"


def test_the_mouse_over_a_punctum_tells_about_it(shown, on_screen, qtbot, make_display):
    said: list[str] = []
    shown.hovered.connect(said.append)
    shown.tell_more(lambda track: f"D 0.{track} µm²/s")
    shown.canvas.scene().sigMouseMoved.emit(QtCore.QPointF(*on_screen(40, 30)))
    label = shown._pointer.label
    assert label.isVisible()
    assert label.text().split("\n") == [
        "track 12",
        "x 4,320 ± 22 nm",
        "y 3,240 ± 22 nm",
        "1,000 photons",
        "probability 0.90",
        "channel closed",
        "ΔF/F0 0.00",
        "D 0.12 µm²/s",
    ]
    assert said[-1].startswith("track 12, x 4,320")
    width = shown.views[0].marks.spread.width()
    assert width == pytest.approx(0.4)  # two standard deviations of 0.2 pixels
    shown.canvas.scene().sigMouseMoved.emit(QtCore.QPointF(*on_screen(10, 50)))
    assert not label.isVisible() and shown.views[0].marks.spread is None
    assert said[-1] == "x 10.0 px, y 50.0 px, PIEZO1 0 counts, calcium 0 counts"
    shown.canvas.left.emit()
    assert said[-1] == ""


def test_the_label_moves_on_with_the_punctum_while_the_mouse_rests(shown, on_screen, make_scene):
    shown.canvas.scene().sigMouseMoved.emit(QtCore.QPointF(*on_screen(40, 30)))
    shown.show_scene(make_scene(DARK, track_ids=[13], x=[40.5], y=[30]))
    assert shown._pointer.label.text().startswith("track 13\nx 4,374")
    shown.show_scene(make_scene(DARK, n=0))
    assert not shown._pointer.label.isVisible()


def test_what_is_said_of_a_track_in_a_gap_and_of_no_track(make_result):
    told = marks(make_result(0, track_ids=[-1], gap_ids=[5]))
    assert described(told, 0, 100, lambda _: "never said")[0] == "no track"
    assert described(told, 1, 100) == [
        "track 5",
        "x 500 nm",
        "y 500 nm",
        "not seen in this frame: place predicted",
        "channel state uncertain",
    ]


places = st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), max_size=20)


@given(places, st.floats(-50, 50), st.floats(-50, 50))
def test_nearest(at, x, y):
    table = np.array(at, float).reshape(-1, 2)
    distance = [float(np.hypot(a - x, b - y)) for a, b in at]
    row = nearest(table, x, y, 10)
    if row is None:
        assert all(d > 10 for d in distance)
    else:
        assert distance[row] == min(distance) <= 10


def test_region(shown, painted, make_session, make_display, on_screen):
    heard: list[object] = []
    shown.region_changed.connect(heard.append)
    shown.region = True
    assert shown.region and np.allclose(heard[-1][[0, 2]], [[15.5, 15.5], [47.5, 47.5]])
    shown.move_region(10, 20, 30, 5)
    expected = np.array([[10, 20], [40, 20], [40, 25], [10, 25]])
    assert np.allclose(heard[-1], expected)
    orange = (np.abs(painted() - rgb("#E69F00")).max(-1) < 60).nonzero()
    for view in (0, 1):
        columns = orange[1][orange[1] // 402 == view]
        ends = [on_screen(x, 20, view)[0] for x in (10, 40)]
        assert (columns.min(), columns.max()) == pytest.approx(ends, abs=8)  # the handles stand out
    shown.begin(make_session(shape=(1, 32, 32)))
    assert heard[-1] is None and not shown.region
    shown.region = True
    shown.region = False
    assert heard[-1] is None


def test_themes_change_what_lies_behind(shown, painted, make_display):
    for name, theme in THEMES.items():
        shown.apply(make_display(theme=name))
        assert tuple(painted()[200, 402]) == rgb(theme.background)


def test_before_any_run_it_says_so_and_takes_no_scene(panel: ImagePanel, make_scene, make_display, painted):
    panel.show_scene(make_scene(DARK))
    panel.region = True
    assert not panel.region and panel.views[0].captions.title == "no run"
    assert painted().shape == (400, 804, 3)

"""Events in the raster are where they belong, in the picture and in the item data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, Qt

from dashboard.models.colours import THEMES
from dashboard.models.panels import RasterView
from dashboard.views.raster import EVENT_COLOUR, RasterPanel

pytestmark = pytest.mark.timeout(60)
LEFT = Qt.MouseButton.LeftButton
WIDTH, HEIGHT = 700, 300
DARK = THEMES["dark"]


def view(events, tracks, now_s=100.0) -> RasterView:
    """Events as (onset, end, row)."""
    onset, end, row = np.array(events, float).reshape(-1, 3).T
    return RasterView(onset, end, row.astype(np.int64), np.array(tracks, np.int64), now_s)


EVENTS = [(50.0, 60.0, 0), (80.0, 81.0, 0), (70.0, 90.0, 2), (95.0, 97.0, 1)]
TRACKS = [12, 5, 900]


def x_of(panel: RasterPanel, time_s: float, from_s: float = 40.0) -> float:
    """The axis is 60 s long and ends at the moment shown."""
    frame = panel.area()
    return frame.left() + (time_s - from_s) / 60.0 * frame.width()


@pytest.fixture
def panel(shown):
    panel = shown(RasterPanel(), WIDTH, HEIGHT)
    panel.clearFocus()
    return panel


@pytest.mark.parametrize("n_rows", [3, 30])
def test_events_are_painted_from_onset_to_end_in_their_rows(panel, picture, where, n_rows):
    panel.present(view(EVENTS, range(n_rows)))
    lane = panel.lane_px()
    assert lane == pytest.approx(min(panel.area().height() / n_rows, 1.6 * panel.line_px))
    green = where(picture(panel), EVENT_COLOUR)
    for row in range(n_rows):
        middle = int(panel.area().top() + (row + 0.5) * lane)
        expected = np.zeros(WIDTH, bool)
        for onset, end, at in EVENTS:
            if at == row:
                expected[round(x_of(panel, onset)) : round(x_of(panel, end))] = True
        assert np.count_nonzero(green[middle] != expected) <= 4  # a pixel at each end of two bars
    bars = panel.bars()
    assert bars[:, 0] == pytest.approx([x_of(panel, onset) for onset, _, _ in EVENTS])
    assert bars[:, 2] == pytest.approx([x_of(panel, end) for _, end, _ in EVENTS])


@pytest.mark.parametrize("now_s", [100.0, 130.0])
def test_the_cursor_stands_at_the_moment_shown(panel, picture, where, now_s):
    """Where events reach beyond that moment, the axis ends with them."""
    panel.present(view([(60.0, 110.0, 0)], [1], now_s))
    end_s = max(now_s, 110.0)
    accent = where(picture(panel), DARK.accent)[
        round(panel.area().top()) + 2 : round(panel.area().bottom()) - 2
    ]
    columns = np.flatnonzero(accent.mean(0) > 0.9)
    assert len(columns) == 1
    assert columns[0] + 0.5 == pytest.approx(x_of(panel, now_s, end_s - 60.0), abs=1.5)


@pytest.mark.parametrize(("row", "time_s"), [(0, 55.0), (1, 96.0), (2, 41.0)])
def test_a_click_tells_track_and_time(panel, qtbot, row, time_s):
    panel.present(view(EVENTS, TRACKS))
    tracks, times = [], []
    panel.track_clicked.connect(tracks.append)
    panel.time_clicked.connect(times.append)
    y = panel.area().top() + (row + 0.5) * panel.lane_px()
    qtbot.mouseClick(panel, LEFT, pos=QPoint(round(x_of(panel, time_s)), round(y)))
    assert tracks == [TRACKS[row]]
    assert times == pytest.approx([time_s], abs=60.0 / panel.area().width())
    below = panel.area().top() + 3.5 * panel.lane_px()
    qtbot.mouseClick(panel, LEFT, pos=QPoint(round(x_of(panel, time_s)), round(below)))
    assert tracks == [TRACKS[row]]


def test_enter_selects_the_track_and_goes_to_its_newest_event(panel, qtbot):
    panel.present(view(EVENTS, TRACKS))
    heard = []
    panel.track_clicked.connect(heard.append)
    panel.time_clicked.connect(heard.append)
    qtbot.keyClick(panel, Qt.Key.Key_Return)
    assert heard == [12, 80.0]
    qtbot.keyClick(panel, Qt.Key.Key_Down)
    qtbot.keyClick(panel, Qt.Key.Key_Enter)
    assert heard[2:] == [5, 95.0]


def test_equal_data_are_not_painted_again(panel, paintings):
    panel.present(view(EVENTS, TRACKS))
    assert paintings(panel, lambda: panel.present(view(EVENTS, TRACKS))) == 0
    assert paintings(panel, lambda: panel.present(view(EVENTS, TRACKS, 101.0))) == 1
    assert paintings(panel, lambda: panel.present(view(EVENTS, [12, 5, 901], 101.0))) == 1


def test_without_events_it_says_so(panel, qtbot, picture, where):
    panel.present(view([], []))
    assert where(picture(panel), DARK.text)[100:200].any()
    heard = []
    panel.track_clicked.connect(heard.append)
    qtbot.mouseClick(panel, LEFT, pos=QPoint(300, 100))
    qtbot.keyClick(panel, Qt.Key.Key_Return)
    assert heard == []


def test_labels_do_not_run_into_each_other(panel, picture, where):
    """200 rows in 280 pixels: only some labels, none above another."""
    events = [(60.0, 70.0, row) for row in range(200)]
    panel.present(view(events, np.arange(200) + 1000))
    labels = where(picture(panel), DARK.text, 60)[
        : round(panel.area().bottom()) - 12, : round(panel.area().left())
    ]
    lines = np.diff(np.concatenate([[0], labels.any(1), [0]]).astype(int))
    starts, ends = np.flatnonzero(lines == 1), np.flatnonzero(lines == -1)
    assert 5 < len(starts) < 40
    assert (starts[1:] - ends[:-1]).min() >= 1


@given(
    st.lists(st.tuples(st.floats(0, 120), st.floats(0, 30), st.integers(0, 9)), min_size=1, max_size=30),
    st.floats(50, 150),
)
def test_every_event_within_the_axis_has_a_bar_that_can_be_seen(qapp, events, now_s):
    spans = [(onset, onset + length, row) for onset, length, row in events]
    panel = RasterPanel()
    panel.resize(WIDTH, HEIGHT)
    panel.present(view(spans, range(10), now_s))
    end_s = max(now_s, max(end for _, end, _ in spans))
    bars, frame = panel.bars(), panel.area()
    assert len(bars) == sum(end >= end_s - 60 for _, end, _ in spans)
    assert (bars[:, 0] >= frame.left() - 1e-6).all() and (bars[:, 2] <= frame.right() + 1e-6).all()
    assert (bars[:, 2] - bars[:, 0] >= 2 - 1e-6).all()

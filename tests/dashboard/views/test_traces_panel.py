"""Traces and their events are where they belong, in the picture and in the item data."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PySide6.QtCore import QPoint, Qt

from dashboard.models.colours import THEMES
from dashboard.models.panels import TraceMark, TraceView
from dashboard.views.lines import joined
from dashboard.views.traces import EVENT_COLOUR, TracesPanel, scale_of

pytestmark = pytest.mark.timeout(60)
LEFT = Qt.MouseButton.LeftButton
N, INTERVAL_S, SPAN_S = 5, 0.1, 40.0
TRACKS = np.array([7, 11, 3, 42, 100])
WIDTH, HEIGHT = 700, 400
DARK = THEMES["dark"]


def view(dff=None, marks=(), threshold=np.nan, selected=(), now_s=None) -> TraceView:
    """Five tracks over 40 s that end at 140 s, at rest unless given."""
    time_s = 100 + np.arange(401) * INTERVAL_S
    dff = np.zeros((N, len(time_s))) if dff is None else dff
    return TraceView(
        TRACKS,
        time_s,
        dff.astype(np.float32),
        np.full(N, threshold, np.float32),
        np.isin(TRACKS, selected),
        tuple(marks),
        140.0 if now_s is None else now_s,
    )


def with_peak(row: int, time_s: float, height: float) -> np.ndarray:
    """Nine frames about a time: a hundredth of the time shown may reach beyond the scale."""
    dff = np.zeros((N, 401))
    middle = round((time_s - 100) / INTERVAL_S)
    dff[row, middle - 4 : middle + 5] = height
    return dff


class Place:
    """Where things must be, from the frame of the plot and the layout of a lane alone."""

    def __init__(self, panel: TracesPanel) -> None:
        self.frame = panel.area()
        self.lane = self.frame.height() / N

    def x(self, time_s: float) -> float:
        return self.frame.left() + (time_s - 100) / SPAN_S * self.frame.width()

    def y(self, row: int, share: float) -> float:
        """Zero is at 80 % of a lane from its top, the top of the scale at 10 %."""
        return self.frame.top() + self.lane * (row + 0.8 - 0.7 * share)


@pytest.fixture
def panel(shown):
    panel = shown(TracesPanel(), WIDTH, HEIGHT)
    panel.clearFocus()  # whose frame has the colour of what is selected
    return panel


def test_a_value_is_painted_at_its_time_and_height(panel, picture, where):
    panel.present(view(with_peak(2, 110.0, 0.5)), SPAN_S)
    assert panel.scale == 0.5
    place = Place(panel)
    painted = where(picture(panel), DARK.text)
    lane = slice(round(place.y(2, 1) - 2), round(place.y(2, 0.1)))  # clear of what lies at zero
    rows, columns = np.nonzero(painted[lane, round(place.frame.left()) : round(place.frame.right())])
    assert abs(columns.mean() + round(place.frame.left()) - place.x(110.0)) < 1.5
    assert abs(rows.min() + lane.start - place.y(2, 1)) < 1.5
    for row in (0, 1, 3, 4):  # nothing but the line at rest in the others
        lane = slice(round(place.y(row, 1) - 2), round(place.y(row, 0.1)))
        assert not painted[lane, round(place.frame.left()) : round(place.frame.right())].any()


@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (420, 250), (1900, 1000)])
def test_an_event_is_painted_from_onset_to_end_with_a_dot_at_its_peak(panel, picture, where, size):
    panel.resize(*size)
    panel.present(view(marks=[TraceMark(3, 120.0, 122.0, 128.0, 0.8, 1)]), SPAN_S)
    assert panel.scale == 1.0
    place = Place(panel)
    assert panel.bars()[0, [0, 2]] == pytest.approx([place.x(120), place.x(128)])
    assert panel.peaks() == pytest.approx(np.array([[place.x(122), place.y(3, 0.8)]]))
    green = where(picture(panel), EVENT_COLOUR, 40)
    below_zero = slice(round(place.y(3, 0) + 2), round(place.y(3, -0.2 / 0.7)))
    bar = np.flatnonzero(green[below_zero].any(0))
    assert bar[0] == pytest.approx(place.x(120), abs=1.5)
    assert bar[-1] + 1 == pytest.approx(place.x(128), abs=1.5)
    rows, columns = np.nonzero(green[: round(place.y(3, 0.3))])
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((place.x(122), place.y(3, 0.8)), abs=1)


def test_events_that_reach_beyond_the_axis_are_cut_and_those_outside_are_left_out(panel):
    marks = [TraceMark(0, 90.0, 95.0, 105.0, 0.5, 1), TraceMark(1, 80.0, 81.0, 82.0, 0.5, 2)]
    panel.present(view(marks=marks), SPAN_S)
    place = Place(panel)
    ((x0, _, x1, _),) = panel.bars()
    assert (x0, x1) == pytest.approx((place.frame.left(), place.x(105)))
    assert len(panel.peaks()) == 0


def test_an_event_shorter_than_a_pixel_is_seen(panel, picture, where):
    panel.present(view(marks=[TraceMark(0, 120.0, 120.0, 120.001, np.nan, 1)]), SPAN_S)
    assert where(picture(panel), EVENT_COLOUR, 40).any()


@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (300, 250)])  # more columns than frames, and fewer
def test_gaps_are_not_bridged(panel, picture, where, size):
    panel.resize(*size)
    dff = np.zeros((N, 401))
    dff[1, 100:201] = np.nan  # 110 to 120 s
    panel.present(view(dff, now_s=139.0), SPAN_S)
    place = Place(panel)
    line = where(picture(panel), DARK.text)[round(place.y(1, 0)) - 2 : round(place.y(1, 0)) + 3].any(0)
    assert not line[round(place.x(110) + 1) : round(place.x(120) - 1)].any()
    assert line[round(place.x(101)) : round(place.x(110) - 2)].all()
    assert line[round(place.x(120) + 2) : round(place.x(138))].all()


def test_thresholds_are_dashed_lines_at_their_height(panel, picture, where):
    panel.present(
        replace(view(with_peak(0, 130.0, 1.0)), threshold_dff=np.array([0.5] + [np.nan] * 4)), SPAN_S
    )
    place = Place(panel)
    weak = where(picture(panel), DARK.weak)[:, round(place.frame.left()) : round(place.x(128))]
    at = round(place.y(0, 0.5))
    lanes = weak[: round(place.frame.bottom()) - 2]
    assert set(np.flatnonzero(lanes.sum(1) > 20)) <= {at - 1, at}
    assert 0.3 < lanes.any(0).mean() < 0.7


def test_what_is_selected_has_a_marker_and_the_colour_of_what_is_selected(panel, picture, where):
    panel.present(view(selected=[42]), SPAN_S)
    place = Place(panel)
    accent, text = (where(picture(panel), colour, 30) for colour in (DARK.accent, DARK.text))
    label, trace = slice(4, round(place.frame.left()) - 4), slice(round(place.x(101)), round(place.x(138)))
    for row, track in enumerate(TRACKS):
        lane = slice(round(place.y(row, 0.9)), round(place.y(row, -0.2)))
        is_it = track == 42
        assert accent[lane, label].any() == is_it and text[lane, label].any() == (not is_it)
        assert accent[lane, trace].any(0).all() == is_it


@pytest.mark.parametrize("now_s", [104.0, 125.0, 140.0])
def test_the_cursor_stands_at_the_moment_shown(panel, picture, where, now_s):
    panel.present(view(now_s=now_s), SPAN_S)
    place = Place(panel)
    accent = where(picture(panel), DARK.accent)[
        round(place.frame.top()) + 3 : round(place.frame.bottom()) - 3
    ]
    columns = np.flatnonzero(accent[:, 8:-8].mean(0) > 0.8) + 8
    assert len(columns) == 1 and columns[0] + 0.5 == pytest.approx(place.x(now_s), abs=1.5)


@pytest.mark.parametrize(("row", "time_s"), [(0, 101.0), (2, 117.5), (4, 139.0)])
def test_a_click_tells_track_and_time(panel, qtbot, row, time_s):
    panel.present(view(), SPAN_S)
    tracks, times = [], []
    panel.track_clicked.connect(tracks.append)
    panel.time_clicked.connect(times.append)
    place = Place(panel)
    top = round(place.frame.top() + row * place.lane) + 1  # just within the lane
    qtbot.mouseClick(panel, LEFT, pos=QPoint(round(place.x(time_s)), top))
    assert tracks == [TRACKS[row]] and times == pytest.approx([time_s], abs=SPAN_S / place.frame.width())
    qtbot.mouseClick(panel, LEFT, pos=QPoint(5, round(place.y(row, 0.5))))  # its label: no time
    assert tracks == [TRACKS[row]] * 2 and len(times) == 1
    qtbot.mouseClick(panel, Qt.MouseButton.RightButton, pos=QPoint(200, 100))
    assert len(tracks) == 2


def test_the_keyboard_goes_from_track_to_track_and_stays_with_it(panel, qtbot):
    panel.present(view(), SPAN_S)
    tracks = []
    panel.track_clicked.connect(tracks.append)
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Return):
        qtbot.keyClick(panel, key)
    panel.present(replace(view(), track_id=np.roll(TRACKS, 1)), SPAN_S)  # its lane is another one now
    qtbot.keyClick(panel, Qt.Key.Key_Enter)
    assert tracks == [3, 3]


def test_equal_data_are_not_painted_again(panel, paintings):
    dff = with_peak(1, 110.0, 1.0)
    dff[2, :50] = np.nan
    panel.present(view(dff), SPAN_S)
    assert paintings(panel, lambda: panel.present(view(dff.copy()), SPAN_S)) == 0
    assert paintings(panel, lambda: panel.present(view(dff, now_s=139.0), SPAN_S)) == 1
    assert paintings(panel, lambda: panel.present(view(dff, now_s=139.0), SPAN_S / 2)) == 1


def test_the_scale_grows_at_once_and_shrinks_only_when_a_third_would_do(panel):
    scales = []
    for height in (0.3, 1.9, 1.0, 0.7, 0.6):
        panel.present(view(marks=[TraceMark(0, 110.0, 111.0, 112.0, height, 1)]), SPAN_S)
        scales.append(panel.scale)
    assert scales == [0.5, 2.0, 2.0, 2.0, 2.0]
    panel.present(view(marks=[TraceMark(0, 110.0, 111.0, 112.0, 0.45, 1)]), SPAN_S)
    assert panel.scale == 0.5
    assert scale_of(view(np.full((N, 401), np.nan))) == 0.1


def test_a_spike_of_noise_does_not_change_the_scale_but_an_event_that_is_on_does():
    dff = np.zeros((N, 401))
    dff[0, 50] = 9.0
    assert scale_of(view(dff)) == 0.1
    dff[0, 390:] = 1.4
    assert scale_of(view(dff)) == 2.0


def test_nothing_at_all_is_said_in_words(panel, picture, where):
    none = replace(
        view(),
        track_id=TRACKS[:0],
        dff=np.empty((0, 401), np.float32),
        threshold_dff=np.empty(0, np.float32),
        is_selected=np.empty(0, bool),
    )
    for what in (none, replace(none, time_s=np.empty(0), dff=np.empty((0, 0), np.float32))):
        panel.present(what, SPAN_S)
        assert where(picture(panel), DARK.text)[150:250].any()


finite_or_gap = st.one_of(st.floats(-5, 5, width=32), st.just(np.nan))


@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(2, 60)), elements=finite_or_gap))
def test_what_is_joined_covers_every_value_that_has_a_neighbour_and_no_gap(y):
    """Both where frames are fewer than columns and where they are more (then column by column)."""
    n = y.shape[1]
    for columns in (200.0, 10.0):
        x = np.linspace(0, columns, n)
        for row in range(len(y)):
            lines = joined(x, y[row : row + 1], columns)
            assert np.isfinite(lines).all()
            at = np.floor(x) if n > columns else x
            for i in np.flatnonzero(np.isfinite(y[row])):
                neighbours = [j for j in (i - 1, i + 1) if 0 <= j < n and np.isfinite(y[row, j])]
                if n <= columns and not neighbours:
                    continue  # a lone point
                low, high = lines[:, [1, 3]].min(1), lines[:, [1, 3]].max(1)
                inside = (np.floor(lines[:, 0]) <= at[i]) & (at[i] <= np.ceil(lines[:, 2]))
                assert (inside & (low <= y[row, i]) & (y[row, i] <= high + 0.5)).any()
            gaps = np.flatnonzero(np.isnan(y[row]))
            if n <= columns:
                for i in gaps:
                    assert not ((lines[:, 0] < x[i]) & (lines[:, 2] > x[i])).any()
            else:
                filled = set(at[np.isfinite(y[row])])
                assert {float(np.floor(line[0])) for line in lines} <= filled
                firsts = np.flatnonzero(np.diff(at)) + 1
                for i in firsts[np.isfinite(y[row, firsts]) & np.isfinite(y[row, firsts - 1])]:
                    piece = lines[np.floor(lines[:, 0]) == at[i]]  # reaches to the column before
                    assert piece[:, 1].min() <= y[row, i - 1] <= piece[:, 3].max()


def test_a_mistake_in_painting_does_not_end_the_program(panel, monkeypatch, qapp, qtbot):
    painters = []

    def fails(painter, area):
        painters.append(painter)
        raise RuntimeError("a mistake")

    monkeypatch.setattr(panel, "paint", fails)
    with qtbot.captureExceptions() as caught:
        panel.update()
        qapp.processEvents()
    assert "a mistake" in str(caught[0][1])
    assert not any(painter.isActive() for painter in painters)  # else Qt ends the program sooner or later
    monkeypatch.undo()
    panel.repaint()

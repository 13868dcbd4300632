"""The event list: rows that come and go, order, scrolling, and what clicks and keys tell."""

import math
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6 import QtCore, QtWidgets

from dashboard.models.panels import EventView
from dashboard.views.event_columns import COLUMNS
from dashboard.views.event_model import EventModel
from dashboard.views.event_table import EventPanel

pytestmark = pytest.mark.timeout(60)
Key, Order = QtCore.Qt.Key, QtCore.Qt.SortOrder
DFF, PROBABILITY = 4, 6


def view(events, n_all=None, selected=None):
    events = tuple(events)
    return EventView(events, len(events) if n_all is None else n_all, selected)


def ids(panel):
    return [row[0] for row in panel.visible_rows()[1]]


def middle(table, row):
    return table.visualRect(table.model().index(row, 1)).center()


@pytest.fixture
def many(make_event):
    """Three hundred events with amplitudes in no order."""
    return tuple(
        make_event(i, track_id=i % 7, onset=10 * i, amplitude=(i * 37 % 100) / 100) for i in range(300)
    )


@pytest.fixture
def panel(qtbot):
    """An event list on the (offscreen) screen, with what it tells as `clicked` and `double_clicked`."""
    panel = EventPanel()
    qtbot.addWidget(panel)
    panel.clicked, panel.double_clicked = [], []
    panel.event_clicked.connect(panel.clicked.append)
    panel.event_double_clicked.connect(panel.double_clicked.append)
    panel.resize(520, 300)
    with qtbot.waitExposed(panel):
        panel.show()
    return panel


def test_what_is_shown(panel, make_event):
    known = make_event(3, track_id=8, onset=100, end=125, amplitude=0.5, snr=7.26, in_wave=True)
    panel.present(view([known, make_event(4, calcium_probability=math.nan)], n_all=5, selected=3))
    header, rows = panel.visible_rows()
    assert header == [
        "event",
        "track",
        "onset (s)",
        "duration (s)",
        "ΔF/F0",
        "SNR",
        "probability",
        "in wave",
    ]
    assert rows[0] == [3, 8, 2.0, 0.5, 0.5, 7.3, 0.95, "yes"] and rows[1][PROBABILITY:] == [None, "no"]
    texts = [panel.model.index(0, i).data() for i in range(len(COLUMNS))]
    assert texts == ["▸ 3", "8", "2.00", "0.50", "0.500", "7.3", "0.95", "yes"]
    assert panel.model.index(1, PROBABILITY).data() == "–"
    assert panel.summary.text() == "5 events, the newest 2 are listed"


def test_how_many_there_are(panel, make_event):
    assert panel.summary.text() == "no events yet"
    panel.present(view([make_event(0)]))
    assert panel.summary.text() == "1 event"
    panel.present(view([], n_all=0))
    assert panel.summary.text() == "no events yet" and ids(panel) == []


def test_sorted_by_a_header_and_back(panel, many, qtbot):
    panel.present(view(many))
    assert ids(panel) == list(range(300))
    header = panel.table.horizontalHeader()
    at = QtCore.QPoint(header.sectionViewportPosition(DFF) + 5, header.height() // 2)
    qtbot.mouseClick(header.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=at)
    first = [row[DFF] for row in panel.visible_rows()[1]]
    assert first == sorted(first) and first[0] != first[-1]
    qtbot.mouseClick(header.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=at)
    assert [row[DFF] for row in panel.visible_rows()[1]] == sorted(first, reverse=True)


def test_numbers_are_sorted_as_numbers_and_unknown_ones_come_last(panel, make_event):
    chances = {0: 0.5, 1: math.nan, 2: 0.06, 3: 0.9}
    panel.present(
        view(make_event(i, snr=s, calcium_probability=chances[i]) for i, s in enumerate((9, 80, 10, 100)))
    )
    panel.table.sortByColumn(5, Order.AscendingOrder)
    assert ids(panel) == [0, 2, 1, 3]
    panel.table.sortByColumn(PROBABILITY, Order.AscendingOrder)
    assert ids(panel) == [2, 0, 3, 1]
    panel.table.sortByColumn(PROBABILITY, Order.DescendingOrder)
    assert ids(panel) == [3, 0, 2, 1]


def test_the_end_is_followed(panel, many):
    bar = panel.table.verticalScrollBar()
    panel.present(view(many[:100]))
    assert bar.value() == bar.maximum() > 0
    panel.present(view(many[:150]))
    assert bar.value() == bar.maximum() and panel.table.rowAt(panel.table.viewport().height() - 2) == 149


def test_the_place_is_kept_while_events_come_and_go(panel, many):
    table, bar = panel.table, panel.table.verticalScrollBar()
    panel.present(view(many[:100]))
    bar.setValue(40)
    panel.present(view(many[30:200], n_all=200))
    assert panel.model.events[table.rowAt(0)].event_id == 40
    panel.table.sortByColumn(DFF, Order.DescendingOrder)
    bar.setValue(50)
    top = panel.model.events[table.rowAt(0)].event_id
    panel.present(view(many[30:300], n_all=300))
    assert panel.model.events[table.rowAt(0)].event_id == top and bar.value() > 50
    bar.setValue(0)  # at the largest: a still larger one is to be seen
    panel.present(view(many[150:300], n_all=300))
    assert table.rowAt(0) == 0


def test_clicks(panel, many, qtbot):
    panel.present(view(many[:100]))
    table = panel.table
    table.scrollToTop()
    left = QtCore.Qt.MouseButton.LeftButton
    qtbot.mouseClick(table.viewport(), left, pos=middle(table, 3))
    assert (panel.clicked, panel.double_clicked) == ([3], [])
    for press in (qtbot.mouseClick, qtbot.mouseDClick):
        press(table.viewport(), left, pos=middle(table, 5))
    assert panel.double_clicked == [5] and panel.clicked[:2] == [3, 5]


def test_keys(panel, many, qtbot):
    panel.present(view(many[:20]))
    table = panel.table
    table.setCurrentIndex(panel.model.index(4, 0))
    qtbot.keyClick(table, Key.Key_Down)
    assert panel.clicked == []  # looking through the list moves nothing else
    qtbot.keyClick(table, Key.Key_Return)
    qtbot.keyClick(table, Key.Key_Enter, QtCore.Qt.KeyboardModifier.ShiftModifier)
    assert (panel.clicked, panel.double_clicked) == ([5], [5])
    qtbot.keyClick(table, Key.Key_5)
    assert panel.visible_rows()[1][0][DFF] == 0.0
    qtbot.keyClick(table, Key.Key_5)
    assert panel.visible_rows()[1][0][DFF] == max(event.amplitude_dff for event in many[:20])
    assert table.focusPolicy() & QtCore.Qt.FocusPolicy.TabFocus


def test_a_selected_event_is_marked_and_brought_into_sight(panel, many):
    panel.present(view(many))
    panel.present(view(many, selected=10))
    assert panel.model.index(10, 0).data() == "▸ 10"
    assert panel.table.viewport().rect().contains(middle(panel.table, 10))
    panel.table.scrollToTop()
    panel.table.verticalScrollBar().setValue(200)
    panel.present(view(many, selected=10))  # the user has gone on: nothing jumps
    assert panel.table.verticalScrollBar().value() == 200
    panel.present(view(many, selected=None))
    assert panel.model.index(10, 0).data() == "10" and not panel.table.selectedIndexes()


def test_the_mark_stays_with_its_event(panel, many):
    panel.present(view(many[:100], selected=50))
    panel.present(view(many[40:200], n_all=200, selected=50))
    assert panel.model.index(10, 0).data() == "▸ 50" and panel.table.currentIndex().row() == 10
    panel.table.sortByColumn(1, Order.DescendingOrder)
    assert panel.model.events[panel.table.currentIndex().row()].event_id == 50


def test_nothing_is_done_for_the_same_events_and_little_for_one_more(panel, many, qtbot):
    panel.present(view(many))
    model, done = panel.model, []
    for signal in (model.modelReset, model.layoutChanged, model.dataChanged):
        signal.connect(lambda *_: done.append("all"))
    model.rowsInserted.connect(lambda _, first, last: done.append(("in", first, last)))
    model.rowsRemoved.connect(lambda _, first, last: done.append(("out", first, last)))
    shown = view(many)
    panel.present(shown)
    assert done == []
    panel.present(view((*many[2:], many[0])))
    assert done == [("out", 0, 1), ("in", 0, 0)]  # number 0 belongs first


def test_another_run_with_the_same_numbers(panel, make_event):
    panel.present(view(make_event(i, amplitude=0.1) for i in range(5)))
    panel.present(view(make_event(i, amplitude=0.7) for i in range(5)))
    assert [row[DFF] for row in panel.visible_rows()[1]] == [0.7] * 5


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.sampled_from([0.0, 0.5, 1.5, math.nan]), min_size=1, max_size=30),
    cuts=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8),
    column=st.sampled_from([0, 1, DFF, PROBABILITY]),
    is_ascending=st.booleans(),
)
def test_rows_are_always_the_events_in_order(make_event, values, cuts, column, is_ascending):
    every = [make_event(i, track_id=i % 3, amplitude=v, calcium_probability=v) for i, v in enumerate(values)]
    model = EventModel()
    tester = QtWidgets.QTableView()  # a view, as it would fail where rows are told wrongly
    tester.setModel(model)
    model.sort(column, Order.AscendingOrder if is_ascending else Order.DescendingOrder)
    first = last = 0
    for more_first, more_last in cuts:  # as the book: some more come, and the oldest go
        last = min(last + more_last, len(every))
        first = min(first + more_first, last)
        model.take(tuple(every[first:last]))
        expected = EventModel()
        expected.take(tuple(every[first:last]))
        expected.sort(model.column, model.order)
        assert [e.event_id for e in model.events] == [e.event_id for e in expected.events]
        assert {e.event_id for e in model.events} == {e.event_id for e in every[first:last]}
        known = [COLUMNS[column].value(e) for e in model.events]
        known = [v for v in known if not math.isnan(v)]
        assert known == sorted(known, reverse=not is_ascending)


def test_five_thousand_events_cost_little(panel, make_event):
    every = [make_event(i, amplitude=(i * 37 % 1000) / 1000) for i in range(5300)]
    panel.present(view(every[:5000]))
    panel.table.sortByColumn(DFF, Order.DescendingOrder)
    began = time.thread_time()
    for n in range(1, 101):  # three at a time, as ten events a second make them
        panel.present(view(every[3 * n : 5000 + 3 * n], n_all=5000 + 3 * n))
        QtWidgets.QApplication.processEvents()
    each_ms = (time.thread_time() - began) * 10
    assert each_ms < 25  # about 7 measured, painting included

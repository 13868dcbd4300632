"""Controls of the contrast: what is told when the user turns them, and what is not."""

import numpy as np
import pytest
from PySide6 import QtCore, QtWidgets

from dashboard.models.display import Contrast, Display
from dashboard.views.contrast_panel import ContrastPanel

pytestmark = pytest.mark.timeout(60)
LOCKED = Contrast(low=100, high=900, gamma=1, auto=False)


@pytest.fixture
def panel(qtbot):
    """A contrast panel with locked contrast, and what it tells as `told`."""
    panel = ContrastPanel()
    qtbot.addWidget(panel)
    panel.apply(Display(contrast=(LOCKED, LOCKED)))
    panel.told = []
    panel.contrast_changed.connect(lambda *said: panel.told.append(said))
    with qtbot.waitExposed(panel):
        panel.show()
    return panel


def test_settings_from_elsewhere_are_shown_and_not_told(panel):
    panel.apply(Display(contrast=(Contrast(low=5, high=50, gamma=2, auto=False), LOCKED)))
    first = panel.channels[0]
    assert (first.low.value(), first.high.value(), first.auto.isChecked()) == (5, 50, False)
    assert [line.value() for line in first.lines] == [5, 50] and first.gamma_text.text() == "γ 2.00"
    assert panel.told == []


def test_levels_of_the_picture_stay_when_other_settings_change_and_are_kept_by_the_lock(panel):
    first, wanted = panel.channels[0], Contrast(auto=True)
    panel.apply(Display(contrast=(wanted, LOCKED)))
    levelled = Contrast(low=120, high=480, auto=True)
    panel.show_picture(np.full((2, 8, 8), 300, np.uint16), (levelled, LOCKED))
    panel.apply(Display(contrast=(wanted, LOCKED), theme="light"))
    assert first.contrast == levelled
    first.auto.setChecked(False)
    assert panel.told == [(0, Contrast(low=120, high=480, auto=False))]


def test_a_pulled_line_locks_the_contrast_and_stays_on_its_side(panel):
    second = panel.channels[1]
    second.show_contrast(Contrast(low=100, high=900, auto=True))
    second.lines[0].setValue(300)
    second.lines[0].sigDragged.emit(second.lines[0])
    assert panel.told == [(1, Contrast(low=300, high=900, auto=False))]
    second.lines[1].setValue(20)
    second.lines[1].sigDragged.emit(second.lines[1])
    assert panel.told[-1] == (1, Contrast(low=300, high=301, auto=False))
    assert second.high.value() == 301


def test_numbers_gamma_and_auto(panel, qtbot):
    first = panel.channels[0]
    first.high.setFocus()
    first.high.selectAll()
    qtbot.keyClicks(first.high, "1234")
    assert panel.told == []  # not before the number is finished
    qtbot.keyClick(first.high, QtCore.Qt.Key.Key_Return)
    assert panel.told[-1] == (0, Contrast(low=100, high=1234, auto=False))
    qtbot.keyClick(first.gamma, QtCore.Qt.Key.Key_PageUp)
    assert panel.told[-1][1].gamma == pytest.approx(10**0.1, abs=0.01)
    qtbot.keyClick(first.auto, QtCore.Qt.Key.Key_Space)
    assert panel.told[-1][1].auto and first.low_percentile.isEnabled()
    first.low_percentile.setValue(3)
    assert panel.told[-1][1].low_percentile == 3


def test_black_above_white_is_not_told(panel):
    first = panel.channels[0]
    first.low.setValue(950)
    assert panel.told == [] and first.low.value() == 100
    first.high_percentile.setValue(0.5)
    assert panel.told == [] and first.high_percentile.value() == 99.8


def test_a_number_that_is_being_typed_is_left_alone(panel, qtbot):
    first = panel.channels[0]
    first.high.setFocus()
    qtbot.waitUntil(first.high.hasFocus)
    first.high.selectAll()
    qtbot.keyClicks(first.high, "77")
    picture = np.full((2, 8, 8), 300, np.uint16)
    panel.show_picture(picture, (Contrast(low=1, high=2, auto=True), LOCKED))
    assert first.high.text() == "77" and first.low.value() == 1


def test_histogram_and_one_channel(panel):
    picture = np.zeros((1, 16, 16), np.uint16)
    picture[0, :4] = 500
    panel.begin(1)
    panel.show_picture(picture, (LOCKED, LOCKED))
    edges, heights = panel.channels[0].curve.getData()
    assert edges[0] <= 0 and edges[-1] >= 500
    assert np.expm1(heights).sum() == pytest.approx(256)
    assert not panel.channels[1].isVisible() and panel.channels[0].isVisible()
    (x0, x1), _ = panel.channels[0].plot.viewRange()
    assert x0 <= 0 and x1 >= 900  # black and white can be pulled


def test_everything_can_be_reached_with_the_keyboard(panel):
    for kind in (QtWidgets.QDoubleSpinBox, QtWidgets.QSlider, QtWidgets.QCheckBox):
        widgets = panel.findChildren(kind)
        assert widgets and all(w.focusPolicy() & QtCore.Qt.FocusPolicy.TabFocus for w in widgets)

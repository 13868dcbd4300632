"""Keys: each row of the table does what it says, and controls keep the keys that they need."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from PySide6 import QtCore, QtWidgets

from dashboard.controllers.actions import bind_actions, check
from dashboard.models.display import Contrast, Display
from dashboard.views.help import HelpPanel
from dashboard.views.history_slider import HistorySlider
from dashboard.views.shortcuts import SHORTCUTS, Shortcut

pytestmark = pytest.mark.timeout(60)
Key, Modifier = QtCore.Qt.Key, QtCore.Qt.KeyboardModifier
LOCKED = Contrast(low=10, high=20, auto=False, low_percentile=2)


class Window(QtWidgets.QMainWindow):
    """A window with some controls in it, and stand-ins for the views that actions reach for."""

    def __init__(self):
        super().__init__()
        middle = QtWidgets.QWidget()
        self.setCentralWidget(middle)
        column = QtWidgets.QVBoxLayout(middle)
        self.line, self.spin, self.box = QtWidgets.QLineEdit(), QtWidgets.QSpinBox(), QtWidgets.QCheckBox()
        self.slider, self.history = QtWidgets.QSlider(), HistorySlider()
        self.choice = QtWidgets.QComboBox()
        for widget in (self.line, self.spin, self.box, self.slider, self.history, self.choice):
            column.addWidget(widget)
        self.images = SimpleNamespace(region=False, reset_view=Mock())
        self.controls = SimpleNamespace(focus_annotation=Mock())


class Dashboard:
    """What actions call, written down."""

    def __init__(self):
        self.display = Display(contrast=(LOCKED, LOCKED))
        self.looking, self.saving, self.snapshot = Mock(), Mock(), Mock()

    def use_display(self, display):
        self.display = display


@pytest.fixture
def window(qtbot):
    window = Window()
    qtbot.addWidget(window)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.centralWidget().setFocus()
    return window


@pytest.fixture
def dashboard(window):
    """A stand-in of the dashboard, with the keys bound."""
    dashboard = Dashboard()
    bind_actions(window, dashboard)
    return dashboard


def press(qtbot, window, key, modifier=Modifier.NoModifier):
    qtbot.keyClick(QtWidgets.QApplication.focusWidget() or window, key, modifier)


@pytest.mark.parametrize(
    ("key", "modifier", "called", "given"),
    [
        (Key.Key_Space, Modifier.NoModifier, "freeze_or_follow", ()),
        (Key.Key_Left, Modifier.NoModifier, "step", (-1,)),
        (Key.Key_Right, Modifier.NoModifier, "step", (1,)),
        (Key.Key_Left, Modifier.ShiftModifier, "step_s", (-1.0,)),
        (Key.Key_Right, Modifier.ShiftModifier, "step_s", (1.0,)),
        (Key.Key_Home, Modifier.NoModifier, "follow", ()),
        (Key.Key_Escape, Modifier.NoModifier, "clear", ()),
    ],
)
def test_keys_that_move_in_time_and_clear(window, dashboard, qtbot, key, modifier, called, given):
    press(qtbot, window, key, modifier)
    getattr(dashboard.looking, called).assert_called_once_with(*given)
    assert len(dashboard.looking.method_calls) == 1


def test_keys_that_change_the_display(window, dashboard, qtbot):
    was = dashboard.display
    for key, field, values in (
        (Key.Key_L, "layout", ["composite", "side-by-side"]),
        (Key.Key_P, "puncta", [False, True]),
        (Key.Key_I, "ids", [True, False]),
        (Key.Key_T, "tails", ["age", "off", "mobility"]),
        (Key.Key_B, "shift", [False, True]),
        (Key.Key_D, "theme", ["light", "dark"]),
    ):
        for value in values:
            press(qtbot, window, key)
            assert dashboard.display == was.model_copy(update={field: value})
    press(qtbot, window, Key.Key_C)
    free = LOCKED.model_copy(update={"auto": True})
    assert dashboard.display == was.model_copy(update={"contrast": (free, free)})


def test_keys_that_do_something_else(window, dashboard, qtbot):
    for key, called in (
        (Key.Key_S, dashboard.snapshot),
        (Key.Key_E, dashboard.saving.table),
        (Key.Key_A, window.controls.focus_annotation),
        (Key.Key_0, window.images.reset_view),
    ):
        press(qtbot, window, key)
        called.assert_called_once_with()
    for is_there in (True, False):
        press(qtbot, window, Key.Key_R)
        assert window.images.region is is_there
    for is_whole in (True, False):
        press(qtbot, window, Key.Key_F11)
        assert window.isFullScreen() is is_whole
    helper = window.findChild(HelpPanel)
    # A real keyboard's driver says that Shift and this key are a question mark; here nobody does.
    press(qtbot, window, Key.Key_Question)
    assert helper.isVisible()


def test_a_key_that_is_held_down_repeats_time_only(window):
    bound = bind_actions(window, Dashboard())
    repeating = {b.key().toString() for b in bound if b.autoRepeat()}
    assert repeating == {"Left", "Right", "Shift+Left", "Shift+Right"}
    assert len(bound) == sum(len(row.keys) for row in SHORTCUTS)


def test_what_is_typed_into_a_field_stays_there(window, dashboard, qtbot):
    window.line.setFocus()
    qtbot.keyClicks(window.line, "Light pulse? 0 A")
    assert window.line.text() == "Light pulse? 0 A"
    qtbot.keyClick(window.line, Key.Key_Home)
    qtbot.keyClick(window.line, Key.Key_Right)
    assert window.line.cursorPosition() == 1
    window.spin.setFocus()
    window.spin.selectAll()
    qtbot.keyClicks(window.spin, "20")
    assert window.spin.value() == 20
    assert dashboard.looking.method_calls == [] and dashboard.display.layout == "side-by-side"
    window.images.reset_view.assert_not_called()
    qtbot.keyClick(window.line, Key.Key_F11)  # nobody types that
    assert window.isFullScreen()


def test_controls_keep_the_keys_that_they_need(window, dashboard, qtbot):
    window.box.setFocus()
    press(qtbot, window, Key.Key_Space)
    assert window.box.isChecked()
    window.slider.setFocus()
    press(qtbot, window, Key.Key_Right)
    assert window.slider.value() == 1
    assert dashboard.looking.method_calls == []
    press(qtbot, window, Key.Key_Space)  # a slider does nothing with it
    dashboard.looking.freeze_or_follow.assert_called_once_with()
    window.history.setFocus()
    press(qtbot, window, Key.Key_Home)
    dashboard.looking.follow.assert_called_once_with()
    press(qtbot, window, Key.Key_P)
    assert not dashboard.display.puncta


ROWS = (Shortcut(("A",), "one", "…"), Shortcut(("B", "C"), "two", "…"))


@pytest.mark.parametrize(
    ("rows", "actions", "sentence"),
    [
        (ROWS, {"one"}, "shortcuts without an action: two"),
        (ROWS, {"one", "two", "three"}, "shortcuts without a key: three"),
        ((*ROWS, Shortcut(("D",), "two", "…")), {"one", "two"}, "shortcuts twice in the table: two"),
        ((*ROWS, Shortcut(("C",), "three", "…")), {"one", "two", "three"}, "shortcuts of two actions: C"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(rows, actions, sentence):
    check(ROWS, {"one", "two"})
    with pytest.raises(ValueError, match=sentence):
        check(rows, actions)

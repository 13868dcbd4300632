"""The table of keys and the panel that shows it."""

import pytest
from PySide6 import QtCore, QtGui, QtWidgets

from dashboard.models.colours import THEMES
from dashboard.views.help import HelpPanel
from dashboard.views.shortcuts import SHORTCUTS
from dashboard.views.theme import use_theme

pytestmark = pytest.mark.timeout(60)
Key = QtCore.Qt.Key


@pytest.fixture
def window(qtbot):
    """A window on the (offscreen) screen."""
    window = QtWidgets.QMainWindow()
    qtbot.addWidget(window)
    with qtbot.waitExposed(window):
        window.show()
    return window


@pytest.fixture
def panel(window):
    """The panel of that window, closed."""
    return HelpPanel(window)


def test_every_key_is_one_that_qt_knows():
    keys = [key for row in SHORTCUTS for key in row.keys]
    assert all(QtGui.QKeySequence(key)[0].key() != Key.Key_unknown for key in keys)
    assert len(set(keys)) == len(keys) and len({row.action for row in SHORTCUTS}) == len(SHORTCUTS)
    assert all(row.words for row in SHORTCUTS)


def test_the_panel_shows_every_row_of_the_table(panel):
    panel.toggle()
    texts = [label.text() for label in panel.findChildren(QtWidgets.QLabel)]
    for row in SHORTCUTS:
        assert row.words in texts
    assert "<b>? or F1</b>" in texts and "<b>Space</b>" in texts
    assert panel.isVisible() and not panel.isModal()


@pytest.mark.parametrize("key", [Key.Key_Question, Key.Key_Escape, Key.Key_F1])
def test_closed_by_the_keys_that_open_it_and_esc(panel, qtbot, key):
    panel.toggle()
    qtbot.keyClick(panel, Key.Key_P)
    assert panel.isVisible()
    shift = (
        QtCore.Qt.KeyboardModifier.ShiftModifier if key == Key.Key_Question else QtCore.Qt.KeyboardModifier(0)
    )
    qtbot.keyClick(panel, key, shift)
    assert not panel.isVisible()
    panel.toggle()
    panel.toggle()
    assert not panel.isVisible()


@pytest.mark.parametrize("name", ["dark", "light"])
def test_it_has_the_window_s_colours_and_fits_on_a_small_screen(window, panel, name):
    use_theme(window, name)
    panel.toggle()
    QtWidgets.QApplication.processEvents()
    image = panel.grab().toImage()
    assert image.pixelColor(2, 2).name().upper() == THEMES[name].panel
    assert panel.width() <= 1280 and panel.height() <= 650

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow, QWidget

from dashboard.controllers.memory import SETTINGS_FILE, Memory
from dashboard.models.display import Display

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    path = tmp_path / "settings.ini"
    monkeypatch.setenv(SETTINGS_FILE, str(path))
    return path


def window(qtbot):
    made = QMainWindow()
    made.setCentralWidget(QWidget())
    dock = QDockWidget("events", made)
    dock.setObjectName("events")
    made.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    qtbot.addWidget(made)
    return made, dock


def test_settings_and_layout_come_back(qtbot, settings):
    first, dock = window(qtbot)
    first.resize(700, 500)
    first.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
    shown = Display(layout="composite", theme="light", tail_frames=77)
    Memory().keep(first, shown)
    second, dock = window(qtbot)
    memory = Memory()
    memory.restore(second)
    assert memory.path == settings
    assert memory.display() == shown
    assert second.size() == first.size()
    assert second.dockWidgetArea(dock) == Qt.DockWidgetArea.LeftDockWidgetArea


@pytest.mark.parametrize("kept", ["display=rubbish", 'display="{\\"layout\\": \\"round\\"}"', "\x00\x01"])
def test_what_cannot_be_read_is_as_if_it_were_not_there(settings, kept):
    settings.write_text(f"[General]\n{kept}\n")
    assert Memory().display() == Display()

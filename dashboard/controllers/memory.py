"""What the dashboard remembers from one day to the next: settings of the view, and the window's layout."""

import os
from pathlib import Path

from pydantic import ValidationError
from PySide6.QtCore import QByteArray, QSettings
from PySide6.QtWidgets import QMainWindow

from dashboard.models.display import Display

SETTINGS_FILE = "PIEZO1_SETTINGS"  # environment variable that names another file, for tests
DISPLAY, GEOMETRY, LAYOUT = "display", "window/geometry", "window/layout"
# Of the docks: a layout that was stored with others is not restored.
LAYOUT_VERSION = 2


class Memory:
    """Settings in an INI file of the user; what cannot be read there is as if it were not there."""

    def __init__(self) -> None:
        named = os.environ.get(SETTINGS_FILE)
        self._settings = (
            QSettings(named, QSettings.Format.IniFormat)
            if named
            else QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "piezo1", "dashboard")
        )

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self._settings.fileName())

    def display(self) -> Display:
        """The view's settings as they were last."""
        try:
            return Display.model_validate_json(str(self._settings.value(DISPLAY, "{}")))
        except ValidationError:
            return Display()

    def restore(self, window: QMainWindow) -> bool:
        """Put the window and its docks where they were; False where there is nothing to restore."""
        geometry, layout = self._settings.value(GEOMETRY), self._settings.value(LAYOUT)
        if isinstance(geometry, QByteArray):
            window.restoreGeometry(geometry)
        return isinstance(layout, QByteArray) and window.restoreState(layout, LAYOUT_VERSION)

    def keep(self, window: QMainWindow, display: Display) -> None:
        """Write all of it."""
        self._settings.setValue(DISPLAY, display.model_dump_json())
        self._settings.setValue(GEOMETRY, window.saveGeometry())
        self._settings.setValue(LAYOUT, window.saveState(LAYOUT_VERSION))
        self._settings.sync()

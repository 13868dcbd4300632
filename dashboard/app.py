"""The dashboard as a program: one window, one client, and how both end."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from dashboard.controllers.dashboard import Dashboard
from dashboard.controllers.memory import Memory
from dashboard.mistakes import Mistakes
from dashboard.views.window import DashboardWindow
from stream.watch.client import Watcher

TITLE = "PIEZO1 Calcium Tracker"


def application() -> QApplication:
    """The one there is, or a new one."""
    found = QApplication.instance()
    app = found if isinstance(found, QApplication) else QApplication([TITLE])
    app.setApplicationName(TITLE)
    app.setStyle("Fusion")  # the same on every system, so that the themes fit
    return app


def open_dashboard(connect: str | None = None, keys: Path | None = None) -> int:
    """Show the window until it is closed; gives the program's exit code.

    Parameters
    ----------
    connect
        Address of a run; None: whatever runs on this computer.
    keys
        Folder with the keys for a run on another computer.

    Raises
    ------
    StreamError
        If the address or the keys cannot be used.
    """
    watcher = Watcher(connect, keys, pictures=True)
    try:
        app = application()
        window, memory = DashboardWindow(), Memory()
        dashboard = Dashboard(watcher, window, memory)
        sys.excepthook = Mistakes(dashboard.say_error)
        with _ended_by_signals(window):
            dashboard.start()
            return app.exec()
    finally:
        sys.excepthook = sys.__excepthook__
        watcher.close()


@contextmanager
def _ended_by_signals(window: DashboardWindow) -> Iterator[None]:
    """Close the window at Ctrl-C and when the system asks the program to end."""

    # Python sees a signal between any two lines, also while a window is painted: it closes after that. The
    # dashboard's own timer sees to it that Python runs.
    def close(*_: object) -> None:
        QTimer.singleShot(0, window.close)

    before = {number: signal.signal(number, close) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

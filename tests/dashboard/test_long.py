"""The window over a long time: its memory, and what is left of windows that were closed."""

import gc
import threading

import psutil
import pytest
from PySide6 import QtCore, QtWidgets

from bench.dashboard_endurance import growth, sizes
from dashboard.controllers.dashboard import Dashboard
from dashboard.controllers.memory import Memory
from dashboard.views.window import DashboardWindow
from stream.watch.client import Watcher

SETTLED = 11_000  # results, after which all that is kept for a time is full
# A result of this run takes some 9 kB; if one in twenty stayed, that would be seen.
MOST_BYTES = 400


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("PIEZO1_SETTINGS", str(tmp_path / "settings.ini"))
    monkeypatch.setenv("PIEZO1_RUNS", str(tmp_path / "runs"))


@pytest.mark.timeout(300)
def test_memory_stays_flat(qapp):
    """The longer run is `piezo1 bench dashboard-endurance`."""
    measured = [size for size in sizes(18_000, 1000) if size.n_results >= SETTLED]
    assert growth(measured) < MOST_BYTES, measured


def n_open():
    process = psutil.Process()
    return process.num_handles() if hasattr(process, "num_handles") else process.num_fds()


@pytest.mark.timeout(120)
def test_closed_windows_leave_no_threads_and_files(qapp):
    def open_and_close():
        with Watcher(pictures=True) as watcher:
            window = DashboardWindow()
            dashboard = Dashboard(watcher, window, Memory())
            dashboard.start()
            QtWidgets.QApplication.processEvents()
            dashboard.tick()
            window.close()
            window.deleteLater()
        QtWidgets.QApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
        gc.collect()

    for _ in range(3):  # whatever is made once and kept
        open_and_close()
    before = threading.active_count(), n_open(), len(QtWidgets.QApplication.allWidgets())
    for _ in range(17):
        open_and_close()
    after = threading.active_count(), n_open(), len(QtWidgets.QApplication.allWidgets())
    assert after[0] <= before[0] and after[1] <= before[1] + 2 and after[2] <= before[2]

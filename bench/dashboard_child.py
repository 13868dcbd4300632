"""A dashboard that measures itself: `python -m bench.dashboard_child DESK START_S MEASURED_S REPORT.json`."""

import json
import os
import sys
import time
from pathlib import Path

from dashboard.priority import step_back


def main(desk: str, start_s: float, measured_s: float, report: Path) -> int:
    """Open the real window, painted into memory; measure after `start_s`, write the figures, close."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ["PIEZO1_SETTINGS"] = str(report.with_suffix(".ini"))
    step_back()
    from PySide6.QtCore import QTimer

    from dashboard.app import application
    from dashboard.controllers.dashboard import Dashboard
    from dashboard.controllers.memory import Memory
    from dashboard.views.window import DashboardWindow
    from stream.watch.client import Watcher

    app = application()
    with Watcher(desk, pictures=True) as watcher:
        window = DashboardWindow()
        dashboard = Dashboard(watcher, window, Memory())
        window.resize(1600, 900)
        dashboard.start()
        marks: list[tuple[float, float, int, int, int]] = []

        def mark() -> None:
            books = dashboard.watched.books
            n_results = len(books.history) if books is not None else 0
            newest = books.history.newest if books is not None else None
            marks.append(
                (time.perf_counter(), time.process_time(), dashboard.n_redraws, newest or 0, n_results)
            )

        QTimer.singleShot(int(start_s * 1e3), mark)
        QTimer.singleShot(int((start_s + measured_s) * 1e3), mark)
        QTimer.singleShot(int((start_s + measured_s) * 1e3) + 50, window.close)
        app.exec()
        overrun, said = dashboard.watched.overrun, window.said
    (t0, cpu0, drawn0, seq0, _), (t1, cpu1, drawn1, seq1, _) = marks
    seconds, drawn = t1 - t0, drawn1 - drawn0
    if not drawn:
        print(f"nothing was drawn: {said}", file=sys.stderr)
        return 1
    figures = {
        "redraws_per_s": drawn / seconds,
        "cpu_ms_per_redraw": (cpu1 - cpu0) * 1e3 / drawn,
        "frames_per_s": (seq1 - seq0) / seconds,
        "left_out": overrun,
    }
    report.write_text(json.dumps(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])))

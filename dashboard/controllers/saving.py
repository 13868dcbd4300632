"""Snapshots and tables that the user saves."""

from PySide6.QtCore import QObject

from dashboard.controllers.export import save_table
from dashboard.controllers.snapshot import Snapshot, output_folder, save_snapshot
from dashboard.models.display import Display
from dashboard.models.scene import Scene
from dashboard.models.watched import Watched
from dashboard.views.window import DashboardWindow
from stream.results import StreamError


class Saving(QObject):
    """Saves what is shown into the run's folder, or beside the program where the run is elsewhere."""

    def __init__(self, watched: Watched, window: DashboardWindow) -> None:
        super().__init__(window)
        self._watched, self._window = watched, window

    def snapshot(self, scene: Scene | None, display: Display) -> None:
        """Save the window as painted, the picture's counts and what was measured."""
        session, report = self._watched.session, self._watched.report
        if scene is None or session is None:
            self._window.say("there is nothing to save yet")
            return
        health = report.health if report is not None else None
        dials = {} if health is None else {"detection": health.detection, "calcium": health.calcium}
        snapshot = Snapshot(
            self._window.grab().toImage(),
            scene,
            session,
            display,
            [(c.low, c.high) for c in self._window.images.contrast[: session.shape[0]]],
            {name: dial.value for name, dial in dials.items() if dial is not None},
        )
        try:
            path = save_snapshot(snapshot, output_folder(session, "snapshots"))
        except StreamError as error:
            self._window.say(str(error))
        else:
            self._window.say(f"saved {path} with its TIFF and JSON")

    def table(self) -> None:
        """Save the list of events as it is shown."""
        session = self._watched.session
        if session is None:
            self._window.say("there is nothing to save yet")
            return
        header, rows = self._window.events.visible_rows()
        try:
            path = save_table("events", header, rows, output_folder(session, "exports"))
        except StreamError as error:
            self._window.say(str(error))
        else:
            self._window.say(f"saved {len(rows)} events in {path}")

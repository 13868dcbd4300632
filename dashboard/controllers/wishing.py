"""What the user wants of the run: thresholds, remarks, its end; and what came of it."""

from typing import Literal

from PySide6.QtCore import QObject

from dashboard.controllers.client import Client
from dashboard.models.watched import Watched
from dashboard.views.window import DashboardWindow
from stream import wire
from stream.results import StreamError
from stream.wire.desk import Which

Wish = Which | Literal["annotation", "end"]


class Wishing(QObject):
    """Sends wishes, and shows their answers where they were made."""

    def __init__(self, client: Client, watched: Watched, window: DashboardWindow) -> None:
        super().__init__(window)
        self._client, self._watched, self._window = client, watched, window
        self._open: dict[int, Wish] = {}
        window.controls.threshold_wanted.connect(self.adjust)
        window.controls.annotation_wanted.connect(self.annotate)
        window.controls.stop_wanted.connect(self.end_run)

    def adjust(self, which: Which, value: float) -> None:
        """Ask for a threshold."""
        self._open[self._client.adjust(which, value)] = which

    def annotate(self, text: str) -> None:
        """Ask for a remark about the moment that is shown; about a track where one is selected."""
        seq, place = self._moment()
        if seq is None:
            self._window.say("there is no frame yet that a remark could be about")
            return
        try:
            self._open[self._client.annotate(text, seq, *place)] = "annotation"
        except StreamError as error:
            self._window.say(str(error))

    def end_run(self) -> None:
        """Ask for the end of the run."""
        self._open[self._client.end_run()] = "end"

    def hear(self, answers: tuple[wire.Answer, ...]) -> None:
        """Show what came of wishes."""
        for answer in answers:
            wish = self._open.pop(answer.number, None)
            if wish in ("detection", "calcium"):
                self._window.controls.answered(wish, answer.ok, answer.text, answer.seq)
            self._window.say(answer.text if answer.ok else f"refused: {answer.text}")

    def forget(self) -> None:
        """Another run: nobody answers any more."""
        self._open.clear()

    def _moment(self) -> tuple[int | None, tuple[float | None, float | None]]:
        """Frame that is shown, and where the first selected track is in it (nm)."""
        scene, session = self._window.images.scene, self._watched.session
        if scene is None or session is None:
            return None, (None, None)
        marks = scene.marks
        for track_id in scene.selected[:1]:
            for row in (marks.track_id == track_id).nonzero()[0][:1]:
                nm = session.pixel_size_nm
                return scene.seq, (float(marks.x_px[row]) * nm, float(marks.y_px[row]) * nm)
        return scene.seq, (None, None)

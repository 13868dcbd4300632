"""The mouse over the images: which punctum it means, and what is said about the place."""

from collections.abc import Callable

import numpy as np
from PySide6 import QtCore, QtGui, QtWidgets

from dashboard.models.scene import Marks
from dashboard.views.canvas import Canvas
from dashboard.views.hover import HoverLabel, described, nearest
from dashboard.views.picture import Counts
from dashboard.views.view import View
from stream.results import NO_TRACK

REACH = 10.0  # screen pixels from a punctum at which the mouse still means it
NAMES = ("PIEZO1", "calcium")


class Pointer(QtCore.QObject):
    """Follows the mouse.

    Signals
    -------
    track_clicked, place_clicked, hovered
        As of `ImagePanel`.
    moved
        The mouse is at another place, or has left.

    Attributes
    ----------
    marks, picture, to_calcium, pixel_nm
        What is shown now: puncta, counts (C, H, W), from pixels of channel 1 to those of channel 2.
    more
        What else is known of a track, for the label.
    """

    track_clicked = QtCore.Signal(int, bool)
    place_clicked = QtCore.Signal(float, float)
    hovered = QtCore.Signal(str)
    moved = QtCore.Signal()

    def __init__(self, canvas: Canvas, views: tuple[View, ...], parent: QtWidgets.QWidget) -> None:
        super().__init__(parent)
        self.canvas, self.views = canvas, views
        self.label = HoverLabel(parent)
        self.more: Callable[[int], str] | None = None
        self.marks: Marks | None = None
        self.picture: Counts | None = None
        self.to_calcium = QtGui.QTransform()
        self.pixel_nm = 100.0
        self._at: tuple[View, QtCore.QPointF] | None = None
        self._said = ""
        for view in views:
            view.pane.clicked.connect(self._clicker(view))
        canvas.scene().sigMouseMoved.connect(self._moved)
        canvas.left.connect(self.leave)

    def leave(self) -> None:
        """The mouse is elsewhere."""
        self._at = None
        self.moved.emit()

    def row(self) -> int | None:
        """Row of the punctum that the mouse means."""
        if self._at is None or self.marks is None:
            return None
        view, at = self._at
        return nearest(view.marks.on_screen(), at.x(), at.y(), REACH)

    def tell(self, row: int | None) -> None:
        """Say what is under the mouse: in the label about a punctum, else where it is and its counts."""
        if self._at is None or self.marks is None or row is None:
            self.label.hide()
            said = self._place()
        else:
            view, at = self._at
            lines = described(self.marks, row, self.pixel_nm, self.more)
            self.label.show_lines(lines, view.pane.mapToScene(at))
            said = ", ".join(lines)
        if said != self._said:
            self._said = said
            self.hovered.emit(said)

    def _place(self) -> str:
        if self._at is None:
            return ""
        view, at = self._at
        seen = view.pane.mapToView(at)
        there = QtCore.QPointF(*view.to_channel_1(seen.x(), seen.y()))
        text = f"x {there.x():.1f} px, y {there.y():.1f} px"
        places = (there, self.to_calcium.map(there))
        for name, counts, place in zip(
            NAMES, () if self.picture is None else self.picture, places, strict=False
        ):
            column, row = round(place.x()), round(place.y())
            if 0 <= row < counts.shape[0] and 0 <= column < counts.shape[1]:
                text += f", {name} {counts[row, column]:,} counts"
        return text

    def _moved(self, at: QtCore.QPointF) -> None:
        shown = self.views[: self.canvas.n_shown]
        under = next((view for view in shown if view.pane.geometry().contains(at)), None)
        self._at = None if under is None else (under, under.pane.mapFromScene(at))
        self.moved.emit()

    def _clicker(self, view: View) -> Callable[[float, float, bool], None]:
        return lambda x, y, add: self._clicked(view, x, y, add)

    def _clicked(self, view: View, x_px: float, y_px: float, add: bool) -> None:
        if self.marks is not None:
            tracked = np.flatnonzero(self.marks.track_id != NO_TRACK)
            at = view.on_screen(x_px, y_px)
            hit = nearest(view.marks.on_screen()[tracked], at.x(), at.y(), REACH)
            if hit is not None:
                self.track_clicked.emit(int(self.marks.track_id[tracked[hit]]), add)
                return
        self.place_clicked.emit(*view.to_channel_1(x_px, y_px))

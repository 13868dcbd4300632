"""Puncta over the images: circles whose look tells the calcium state, all drawn by one item."""

import numpy as np
from numpy.typing import NDArray
from PySide6 import QtCore, QtGui, QtWidgets

from dashboard.models.colours import OPEN_COLOUR
from dashboard.models.scene import Marks
from dashboard.views.guarded import guarded
from dashboard.views.pane import Layer, Pane
from dashboard.views.sprites import Sheet, corners, disc, ring
from stream.results import NO_TRACK, OPEN, UNCERTAIN

CLOSED_LOOK, UNCERTAIN_LOOK, OPEN_LOOK, GAP_LOOK, LOOSE_LOOK = range(5)
SELECTED, DOTS = 5, 6  # in the sheet: what is put around selected ones, and the first of the dots
SELECTED_COLOUR = "#56B4E9"
FAINT = "#AAB4BE"
CROWD = 1000  # in a view at a time; more are drawn as dots: circles would cover the image, and each other
SOLID, DASHED = QtCore.Qt.PenStyle.SolidLine, QtCore.Qt.PenStyle.DotLine

Places = NDArray[np.float64]


def looks(marks: Marks) -> NDArray[np.intp]:
    """How each punctum is drawn: `CLOSED_LOOK`, `UNCERTAIN_LOOK`, … (n,)."""
    look = np.full(len(marks), CLOSED_LOOK, np.intp)
    look[marks.state == UNCERTAIN] = UNCERTAIN_LOOK
    look[(marks.state == OPEN) | marks.is_open] = OPEN_LOOK
    look[marks.track_id == NO_TRACK] = LOOSE_LOOK
    look[marks.in_gap] = GAP_LOOK
    return look


def sheet() -> Sheet:
    """Looks, the frame of selected ones, and dots in the order of the looks."""
    return Sheet(
        [
            [ring(7, 1.5, "#FFFFFF", SOLID)],
            [ring(7, 1.0, FAINT, SOLID)],
            [ring(7, 1.8, OPEN_COLOUR, SOLID), disc(3.5, OPEN_COLOUR)],
            [ring(7, 1.2, FAINT, DASHED)],
            [ring(4, 1.0, FAINT, SOLID)],
            [corners(11, 2, SELECTED_COLOUR)],
            [disc(1.5, "#FFFFFF")],
            [disc(1.2, FAINT)],
            [disc(2.5, OPEN_COLOUR)],
            [disc(0.8, FAINT)],
            [disc(0.8, FAINT)],
        ],
        29,
    )


def moved(places: Places, by: QtGui.QTransform) -> Places:
    """Places (n, 2) under an affine transform."""
    linear = np.array([[by.m11(), by.m12()], [by.m21(), by.m22()]])
    return np.asarray(places @ linear + (by.dx(), by.dy()), np.float64)


class MarkLayer(Layer):
    """Draws the puncta of a view."""

    def __init__(self, pane: Pane, sprites: Sheet) -> None:
        super().__init__(pane, -8)
        self.sprites = sprites
        self.places: Places = np.empty((0, 2))
        self.look: NDArray[np.intp] = np.empty(0, np.intp)
        self.selected: NDArray[np.intp] = np.empty(0, np.intp)
        self.spread: QtCore.QRectF | None = None

    def show_marks(self, places: Places, look: NDArray[np.intp], selected: NDArray[np.intp]) -> None:
        """Draw from now on.

        Parameters
        ----------
        places
            Where the puncta are in this view, pixels (n, 2).
        look
            As from `looks`, (n,).
        selected
            Rows of the selected ones.
        """
        if len(places) or len(self.places):
            self.places, self.look, self.selected = places, look, selected
            self.update()

    def show_spread(self, spread: QtCore.QRectF | None) -> None:
        """Draw an ellipse with this box, pixels; None: none."""
        if spread != self.spread:
            self.spread = spread
            self.update()

    def on_screen(self) -> Places:
        """Where the puncta are in this pane's own coordinates (screen pixels), (n, 2)."""
        return moved(self.places, self.pane.to_screen())

    def n_dots(self) -> int:
        """Number of puncta in view if they are too many for circles, else 0."""
        if len(self.places) <= CROWD:
            return 0
        n = int(self._seen(self.on_screen()).sum())
        return n if n > CROWD else 0

    def _seen(self, at: Places) -> NDArray[np.bool_]:
        box, half = self.boundingRect(), self.sprites.side / 2
        low = (box.left() - half, box.top() - half)
        high = (box.right() + half, box.bottom() + half)
        return np.asarray(((at > low) & (at < high)).all(1))

    @guarded
    def paint(
        self,
        painter: QtGui.QPainter,
        option: QtWidgets.QStyleOptionGraphicsItem,
        widget: QtWidgets.QWidget | None = None,
    ) -> None:
        """Paint those that are seen as circles or dots, then frames around the selected ones."""
        at = self.on_screen()
        seen = self._seen(at)
        painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)  # places between the dots
        which = self.look + DOTS if seen.sum() > CROWD else self.look
        self.sprites.draw(painter, at[seen], which[seen])
        framed = self.selected[seen[self.selected]]
        self.sprites.draw(painter, at[framed], np.full(len(framed), SELECTED))
        if self.spread is not None:
            painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
            box = self.pane.to_screen().mapRect(self.spread)
            painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
            for colour, width in ((QtGui.QColor(0, 0, 0), 2.5), (QtGui.QColor(SELECTED_COLOUR), 1.2)):
                painter.setPen(QtGui.QPen(colour, width))
                painter.drawEllipse(box)

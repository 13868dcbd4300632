"""A pane with everything that is drawn on it."""

import numpy as np
from numpy.typing import NDArray
from PySide6 import QtCore, QtGui

from dashboard.models.scene import Marks
from dashboard.views.labels import LabelLayer
from dashboard.views.marks import MarkLayer, moved
from dashboard.views.pane import Pane
from dashboard.views.picture import Picture
from dashboard.views.region import Outline, Vertices
from dashboard.views.scale_bar import Captions
from dashboard.views.sprites import Sheet
from dashboard.views.tails import Lines, TailLayer


class View:
    """One image with its layers, from the picture at the bottom to the writing on top.

    Attributes
    ----------
    from_channel_1
        Where a pixel of channel 1 is drawn, in pixels of this view: elsewhere only in a calcium view that is
        shown as recorded.
    """

    def __init__(self, sprites: Sheet) -> None:
        self.pane = Pane()
        self.picture = Picture(self.pane)
        self.tails = TailLayer(self.pane)
        self.marks = MarkLayer(self.pane, sprites)
        self.labels = LabelLayer(self.pane, self.marks)
        self.outline = Outline(self.pane)
        self.captions = Captions(self.pane)
        self.from_channel_1 = QtGui.QTransform()

    def show_marks(self, marks: Marks, look: NDArray[np.intp], selected: NDArray[np.intp]) -> None:
        """Draw puncta from now on, those of the rows `selected` with a frame."""
        channel_1 = np.column_stack((marks.x_px, marks.y_px)).astype(np.float64)
        self.marks.show_marks(moved(channel_1, self.from_channel_1), look, selected)

    def show_spread(self, marks: Marks, row: int | None) -> None:
        """Draw an ellipse of one standard deviation around a punctum, None: around none."""
        ellipse = None
        if row is not None and np.isfinite(marks.x_sd_px[row] + marks.y_sd_px[row]):
            x, y = self.marks.places[row].tolist()
            sd_x, sd_y = float(marks.x_sd_px[row]), float(marks.y_sd_px[row])
            ellipse = QtCore.QRectF(x - sd_x, y - sd_y, 2 * sd_x, 2 * sd_y)
        self.marks.show_spread(ellipse)

    def show_outline(self, vertices: Vertices | None) -> None:
        """Draw a polygon, given in pixels of channel 1 (n, 2); None: none."""
        self.outline.show_vertices(None if vertices is None else moved(vertices, self.from_channel_1))

    def show_tails(self, lines: Lines) -> None:
        """Draw tails from now on."""
        self.tails.show_lines(lines, self.from_channel_1)

    def to_channel_1(self, x_px: float, y_px: float) -> tuple[float, float]:
        """Pixel of channel 1 that is drawn at a pixel of this view."""
        back, _ = self.from_channel_1.inverted()
        at = back.map(QtCore.QPointF(x_px, y_px))
        return at.x(), at.y()

    def on_screen(self, x_px: float, y_px: float) -> QtCore.QPointF:
        """Where a pixel of this view is in the pane's own coordinates."""
        return self.pane.to_screen().map(QtCore.QPointF(x_px, y_px))

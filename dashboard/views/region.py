"""A rectangle that the user draws over the image; what lies in it is counted elsewhere."""

from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6 import QtCore, QtGui, QtWidgets

from dashboard.views.pane import Layer, Pane

COLOUR = "#E69F00"
Vertices = NDArray[np.float64]


class Region:
    """A rectangle over a pane that can be moved, and pulled larger at two corners.

    Parameters
    ----------
    pane
        Where it is drawn and moved.
    changed
        Told the vertices (4, 2) in pixels of that pane whenever it is moved, and None when it is taken away.
    """

    def __init__(self, pane: Pane, changed: Callable[[Vertices | None], None]) -> None:
        self.pane = pane
        self.changed = changed
        self._roi: pg.RectROI | None = None

    @property
    def vertices(self) -> Vertices | None:
        """Its corners in order, pixels (4, 2); None where there is none."""
        if self._roi is None:
            return None
        (x0, y0), (width, height) = self._roi.pos(), self._roi.size()
        x1, y1 = x0 + width, y0 + height
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)

    def show(self) -> None:
        """Put it in the middle of what is seen, half as wide."""
        if self._roi is not None:
            return
        seen = self.pane.viewRect() & self.pane.whole
        if seen.isEmpty():
            seen = self.pane.whole
        self._roi = pg.RectROI(
            (seen.center().x() - seen.width() / 4, seen.center().y() - seen.height() / 4),
            (seen.width() / 2, seen.height() / 2),
            pen=pg.mkPen(COLOUR, width=2),
            hoverPen=pg.mkPen("#FFFFFF", width=2),
            handlePen=pg.mkPen(COLOUR, width=2),
        )
        self._roi.addScaleHandle([0, 0], [1, 1])
        self._roi.sigRegionChanged.connect(self._tell)
        self.pane.addItem(self._roi, ignoreBounds=True)
        self._tell()

    def move(self, x_px: float, y_px: float, width: float, height: float) -> None:
        """Put it elsewhere: its first corner, and its size."""
        self.show()
        assert self._roi is not None
        self._roi.setPos((x_px, y_px), update=False)
        self._roi.setSize((width, height))

    def hide(self) -> None:
        """Take it away."""
        if self._roi is not None:
            self._roi.sigRegionChanged.disconnect(self._tell)
            self.pane.removeItem(self._roi)
            self._roi = None
            self._tell()

    def _tell(self, *_: object) -> None:
        self.changed(self.vertices)


class Outline(Layer):
    """The same rectangle in the other view."""

    def __init__(self, pane: Pane) -> None:
        super().__init__(pane, 6)
        self.vertices: Vertices | None = None

    def show_vertices(self, vertices: Vertices | None) -> None:
        """Draw around these, pixels of this pane (n, 2); None: nothing."""
        self.vertices = vertices
        self.update()

    def paint(
        self,
        painter: QtGui.QPainter,
        option: QtWidgets.QStyleOptionGraphicsItem,
        widget: QtWidgets.QWidget | None = None,
    ) -> None:
        """Paint the outline."""
        if self.vertices is None:
            return
        corners = [QtCore.QPointF(x, y) for x, y in self.vertices.tolist()]
        painter.setPen(QtGui.QPen(QtGui.QColor(COLOUR), 2))
        painter.drawPolygon(self.pane.to_screen().map(QtGui.QPolygonF(corners)))

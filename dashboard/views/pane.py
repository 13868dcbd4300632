"""One view of an image: zoom, pan and flips, and what lies on it in layers."""

from typing import Any

import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

CLOSEST_PX = 4.0  # a view never shows less than so many pixels of the camera
FARTHEST = 4.0  # nor more than so many times the image
Range = tuple[tuple[float, float], tuple[float, float]]


class Pane(pg.ViewBox):
    """A view on an image whose pixel (0, 0) covers −0.5 … 0.5; y points down.

    Signals
    -------
    clicked(x_px, y_px, add)
        A click of the left button at these pixels; `add` with Ctrl.
    looked(pane)
        Another part is looked at.
    """

    clicked = QtCore.Signal(float, float, bool)
    looked = QtCore.Signal(object)

    def __init__(self) -> None:
        super().__init__(lockAspect=True, invertY=True, enableMenu=False, defaultPadding=0.0)
        self.disableAutoRange()
        self.whole = QtCore.QRectF(-0.5, -0.5, 1, 1)
        self.childGroup.setZValue(5)  # the user's rectangle lies over what is drawn, below the writing
        self.sigRangeChanged.connect(lambda *_: self.looked.emit(self))

    def begin(self, width: int, height: int) -> None:
        """An image of another size; all of it is shown."""
        self.whole = QtCore.QRectF(-0.5, -0.5, width, height)
        self.show_all()

    def show_all(self) -> None:
        """The whole image."""
        self.setRange(self.whole, padding=0)

    def flip(self, flip_x: bool, flip_y: bool) -> None:
        """Mirror the view."""
        self.invertX(flip_x)
        self.invertY(not flip_y)

    def look_like(self, other: "Pane") -> None:
        """Look at the part that another view was asked to show."""
        # Not at what it shows: that is wider on one side, and would widen both a little more every time.
        if self.targetRange() != other.targetRange():
            self.setRange(other.targetRect(), padding=0)

    def visible_range(self) -> Range:
        """First and last x, first and last y that are seen, pixels."""
        (x0, x1), (y0, y1) = self.viewRange()
        return (x0, x1), (y0, y1)

    def to_screen(self) -> QtGui.QTransform:
        """From pixels of the image to this view's own coordinates, which count screen pixels."""
        return QtGui.QTransform(self.childTransform())

    def scaleBy(self, s: Any = None, center: Any = None, x: Any = None, y: Any = None) -> None:
        """As pyqtgraph, but neither closer than `CLOSEST_PX` nor farther than `FARTHEST`."""
        factor = next((f for f in (*(s or (None, None)), x, y) if f is not None), 1.0)
        wide = self.viewRect()
        least = CLOSEST_PX / min(wide.width(), wide.height())
        most = FARTHEST * max(self.whole.width() / wide.width(), self.whole.height() / wide.height())
        factor = min(max(factor, min(least, 1.0)), max(most, 1.0))
        super().scaleBy((factor, factor), center)

    def translateBy(self, t: Any = None, x: Any = None, y: Any = None) -> None:
        """As pyqtgraph, but the middle of the view stays on the image."""
        dx, dy = (t[0], t[1]) if t is not None else (x or 0.0, y or 0.0)
        middle, whole = self.targetRect().center(), self.whole
        dx = min(max(middle.x() + dx, whole.left()), whole.right()) - middle.x()
        dy = min(max(middle.y() + dy, whole.top()), whole.bottom()) - middle.y()
        super().translateBy((dx, dy))

    def mouseClickEvent(self, ev: Any) -> None:
        """Tell where the left button was clicked."""
        if ev.button() != QtCore.Qt.MouseButton.LeftButton:
            return
        ev.accept()
        at = self.mapToView(ev.pos())
        add = bool(ev.modifiers() & QtCore.Qt.KeyboardModifier.ControlModifier)
        self.clicked.emit(at.x(), at.y(), add)


class Layer(QtWidgets.QGraphicsObject):
    """Something that is drawn over the whole of a pane, in the pane's own coordinates (screen pixels).

    Not in those of the image: a change of zoom then moves nothing in the scene, and circles and writing keep
    their size.
    """

    def __init__(self, pane: Pane, height: float) -> None:
        super().__init__(pane)
        self.pane = pane
        self.setZValue(height)
        self.setAcceptedMouseButtons(QtCore.Qt.MouseButton.NoButton)
        pane.sigResized.connect(self._resized)

    def boundingRect(self) -> QtCore.QRectF:
        """The pane."""
        return QtCore.QRectF(self.pane.rect())

    def _resized(self, _: object) -> None:
        self.prepareGeometryChange()

"""Where tracks came from: all pieces of all tails, drawn by one item with one call a colour."""

import numpy as np
from numpy.typing import NDArray
from pyqtgraph.Qt import internals
from PySide6 import QtCore, QtGui, QtWidgets

from dashboard.models.scene import Tails
from dashboard.views.guarded import guarded
from dashboard.views.pane import Layer, Pane

MOST_COLOURS = 64  # each costs a call; a scale of colours and fading tails have thousands


def by_colour(rgba: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows sorted by colour, the most opaque ones last, and where each colour begins among them.

    Where there are more than `MOST_COLOURS`, those alike in their upper four (three, two, one) bits count
    as one.
    """
    code = np.ascontiguousarray(rgba).view(np.uint32)[:, 0]
    for alike in (0xFFFFFFFF, 0xF0F0F0F0, 0xE0E0E0E0, 0xC0C0C0C0, 0x80808080):
        code = code & np.uint32(alike)
        order = np.argsort(code, kind="stable")
        starts = _starts(code[order])
        if len(starts) <= MOST_COLOURS:
            break
    return order, starts


def _starts(code: NDArray[np.uint32]) -> NDArray[np.intp]:
    return np.flatnonzero(np.r_[True, code[1:] != code[:-1]]) if len(code) else np.empty(0, np.intp)


class Lines:
    """Tails made ready for the painter; both views draw the same.

    Attributes
    ----------
    segments
        Pieces x0, y0, x1, y1 sorted by colour, pixels of channel 1 (n, 4).
    groups
        Colours, and the pieces of each.
    """

    def __init__(self, tails: Tails | None = None) -> None:
        self.segments: NDArray[np.float64] = np.empty((0, 4))
        self.groups: list[tuple[QtGui.QColor, internals.PrimitiveArray]] = []
        if tails is None or not len(tails.segments):
            return
        order, starts = by_colour(tails.rgba)
        self.segments = tails.segments[order].astype(np.float64)
        for first, end in zip(starts, [*starts[1:], len(order)], strict=True):
            pieces = internals.PrimitiveArray(QtCore.QLineF, 4)
            pieces.resize(end - first)
            pieces.ndarray()[:] = self.segments[first:end]
            self.groups.append((QtGui.QColor(*tails.rgba[order[first]].tolist()), pieces))


class TailLayer(Layer):
    """Draws the tails of a view."""

    def __init__(self, pane: Pane) -> None:
        super().__init__(pane, -9)
        self.lines = Lines()
        self.from_channel_1 = QtGui.QTransform()

    def show_lines(self, lines: Lines, from_channel_1: QtGui.QTransform) -> None:
        """Draw from now on, moved from pixels of channel 1 to those of this view."""
        self.lines, self.from_channel_1 = lines, from_channel_1
        self.update()

    @guarded
    def paint(
        self,
        painter: QtGui.QPainter,
        option: QtWidgets.QStyleOptionGraphicsItem,
        widget: QtWidgets.QWidget | None = None,
    ) -> None:
        """Paint one colour after the other."""
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing, False)  # it takes twice the time
        painter.setTransform(self.from_channel_1 * self.pane.to_screen(), True)
        for colour, pieces in self.lines.groups:
            painter.setPen(QtGui.QPen(colour, 0))
            painter.drawLines(*pieces.drawargs())

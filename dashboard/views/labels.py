"""Ids beside puncta: digits from one sheet of sprites, drawn in one call."""

import numpy as np
from numpy.typing import NDArray
from PySide6 import QtCore, QtGui, QtWidgets

from dashboard.views.guarded import guarded
from dashboard.views.marks import MarkLayer
from dashboard.views.pane import Layer, Pane
from dashboard.views.sprites import HALO, Draw, Sheet

MOST_LABELS = 300  # more can't be read
ADVANCE = 7.0  # from one digit to the next, screen pixels
FIRST = (18.0, -9.0)  # of the first digit's middle from the punctum's: beside its circle and frame


def digit(text: str) -> list[Draw]:
    """A character around the origin, with its halo."""
    path = QtGui.QPainterPath()
    font = QtGui.QFont()
    font.setPixelSize(11)
    font.setBold(True)
    path.addText(QtCore.QPointF(), font, text)
    path.translate(-path.boundingRect().center().x(), 4.0)

    def draw(painter: QtGui.QPainter) -> None:
        painter.strokePath(path, QtGui.QPen(HALO, 2.5))
        painter.fillPath(path, QtGui.QColor("#FFFFFF"))

    return [draw]


def digits(ids: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """The decimal digits of ids: row of the id, place from the left (0 is the first), and digit."""
    length = np.array([len(str(i)) for i in ids.tolist()], np.intp)
    row = np.repeat(np.arange(len(ids)), length)
    place = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    digit = ids[row] // 10 ** (length[row] - 1 - place) % 10
    return row, place, digit.astype(np.intp)


class LabelLayer(Layer):
    """Draws ids beside the puncta of a `MarkLayer`."""

    def __init__(self, pane: Pane, marks: MarkLayer) -> None:
        super().__init__(pane, -7)
        self.marks = marks
        self.sheet = Sheet([digit(str(i)) for i in range(10)], 15)
        self.n_left_out = 0
        self.rows: NDArray[np.intp] = np.empty(0, np.intp)
        self.ids: NDArray[np.int64] = np.empty(0, np.int64)

    def show_ids(self, rows: NDArray[np.intp], ids: NDArray[np.int64]) -> None:
        """Draw the ids of these rows, at most `MOST_LABELS`."""
        self.n_left_out = max(len(rows) - MOST_LABELS, 0)
        if not len(rows) and not len(self.rows):
            return
        self.rows, self.ids = rows[:MOST_LABELS], ids[:MOST_LABELS]
        self.update()

    @guarded
    def paint(
        self,
        painter: QtGui.QPainter,
        option: QtWidgets.QStyleOptionGraphicsItem,
        widget: QtWidgets.QWidget | None = None,
    ) -> None:
        """Paint the digits."""
        if not len(self.rows):
            return
        row, place, which = digits(self.ids)
        at = np.rint(self.marks.on_screen()[self.rows][row]) + FIRST
        at[:, 0] += ADVANCE * place
        self.sheet.draw(painter, at, which)

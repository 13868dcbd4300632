"""Small pictures that are drawn at many places in one call, with a dark halo so that they show on any image.

200 rings drawn one by one took 17.6 ms with smooth edges, from one sheet of sprites 0.2 ms.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyqtgraph.Qt import internals
from PySide6 import QtCore, QtGui

Draw = Callable[[QtGui.QPainter], None]
HALO = QtGui.QColor(0, 0, 0, 210)


def ring(radius: float, width: float, colour: str, style: QtCore.Qt.PenStyle) -> Draw:
    """A circle with its halo around the origin."""

    def draw(painter: QtGui.QPainter) -> None:
        painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
        for pen in (QtGui.QPen(HALO, width + 2), QtGui.QPen(QtGui.QColor(colour), width, style)):
            painter.setPen(pen)
            painter.drawEllipse(QtCore.QPointF(), radius, radius)

    return draw


def disc(radius: float, colour: str) -> Draw:
    """A filled circle with its halo around the origin."""

    def draw(painter: QtGui.QPainter) -> None:
        painter.setPen(QtGui.QPen(HALO, 2))
        painter.setBrush(QtGui.QColor(colour))
        painter.drawEllipse(QtCore.QPointF(), radius, radius)

    return draw


def corners(radius: float, width: float, colour: str) -> Draw:
    """The four corners of a square around the origin."""

    def draw(painter: QtGui.QPainter) -> None:
        arm = 0.45 * radius
        for pen in (QtGui.QPen(HALO, width + 2), QtGui.QPen(QtGui.QColor(colour), width)):
            painter.setPen(pen)
            for x in (-radius, radius):
                for y in (-radius, radius):
                    inward_x, inward_y = x - np.sign(x) * arm, y - np.sign(y) * arm
                    painter.drawLine(QtCore.QPointF(x, y), QtCore.QPointF(inward_x, y))
                    painter.drawLine(QtCore.QPointF(x, y), QtCore.QPointF(x, inward_y))

    return draw


class Sheet:
    """Sprites side by side in one picture, each in a square cell of `side` screen pixels."""

    def __init__(self, sprites: list[list[Draw]], side: int) -> None:
        self.sprites = sprites
        self.side = side
        self._sharpness = 0.0
        self._pixmap = QtGui.QPixmap()
        self._pieces = internals.PrimitiveArray(QtGui.QPainter.PixmapFragment, 10)

    def draw(
        self,
        painter: QtGui.QPainter,
        places: NDArray[np.float64],
        which: NDArray[np.intp],
    ) -> None:
        """Draw the sprites numbered `which` (n,) around `places` (n, 2), in the painter's coordinates."""
        if not len(places):
            return
        # Not the device's own ratio: a snapshot may be painted finer than the screen.
        dots = painter.deviceTransform()
        sharpness = math.hypot(dots.m11(), dots.m12())
        if sharpness != self._sharpness:
            self._render(sharpness)
        cell = round(self.side * sharpness)
        self._pieces.resize(len(places))
        pieces = self._pieces.ndarray()
        pieces[:, 0:2] = places
        pieces[:, 2] = which * cell
        pieces[:, 3] = 0
        pieces[:, 4:6] = cell
        pieces[:, 6:8] = 1 / sharpness
        pieces[:, 8] = 0
        pieces[:, 9] = 1
        first, n = self._pieces.drawargs()
        draw: Any = painter.drawPixmapFragments  # PySide's stubs know it for one piece only
        draw(first, n, self._pixmap)

    def _render(self, sharpness: float) -> None:
        cell = round(self.side * sharpness)
        sheet = QtGui.QImage(cell * len(self.sprites), cell, QtGui.QImage.Format.Format_ARGB32_Premultiplied)
        sheet.fill(0)
        painter = QtGui.QPainter(sheet)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        for i, sprite in enumerate(self.sprites):
            for draw in sprite:
                painter.resetTransform()
                painter.translate((i + 0.5) * cell, 0.5 * cell)
                painter.scale(sharpness, sharpness)
                draw(painter)
        painter.end()
        self._pixmap = QtGui.QPixmap.fromImage(sheet)
        self._sharpness = sharpness

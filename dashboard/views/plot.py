"""Base of the plots beside the images.

They paint on their own widget: pyqtgraph's scene and axes alone cost more for each redraw than all that is
drawn in them (its axes are laid out in Python whenever a range moves, and time always moves).
"""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from dashboard.models.colours import THEMES, Theme
from dashboard.views.guarded import guarded
from dashboard.views.ticks import brief, ticks

Align = Qt.AlignmentFlag


def pen(colour: str, width: float = 1.0, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
    """A pen; one of width 1 is always one pixel of the screen, which Qt draws fastest by far."""
    # A flat thin pen leaves the last pixel of every line out: pieces of a curve would not meet.
    cap = Qt.PenCapStyle.SquareCap if width == 1 else Qt.PenCapStyle.FlatCap
    made = QPen(QColor(colour), width, style, cap)
    made.setCosmetic(width == 1)
    return made


def scaled_font(font: QFont, share: float) -> QFont:
    """A font at a share of its size, however that is given."""
    font = QFont(font)
    if font.pointSizeF() > 0:
        font.setPointSizeF(font.pointSizeF() * share)
    else:
        font.setPixelSize(max(1, round(font.pixelSize() * share)))
    return font


class Plot(QWidget):
    """An area with a frame and a title to be painted in, in the colours of a theme.

    Subclasses paint in `paint`, with pixel lengths from `line_px`, so that they follow the font.
    """

    def __init__(self, name: str, meaning: str) -> None:
        super().__init__()
        self.theme = THEMES["dark"]
        self.setAccessibleName(name)
        self.setAccessibleDescription(meaning)
        self.setToolTip(meaning)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def apply_theme(self, theme: Theme) -> None:
        """Paint in these colours from now on."""
        self.theme = theme
        self.update()

    @property
    def line_px(self) -> float:
        """Height of a line of text, logical pixels."""
        return QFontMetricsF(self.font()).height()

    def text_px(self, text: str) -> float:
        """Width of a text, logical pixels."""
        return QFontMetricsF(self.font()).horizontalAdvance(text)

    def area(self) -> QRectF:
        """Where the data are drawn."""
        line = self.line_px
        return QRectF(line, 0.3 * line, self.width() - 1.5 * line, self.height() - 1.8 * line)

    def paint(self, painter: QPainter, area: QRectF) -> None:
        """Draw the data."""
        raise NotImplementedError

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """Background, data, and a frame where the keyboard is."""
        painter = QPainter(self)
        try:
            painter.fillRect(self.rect(), QColor(self.theme.panel))
            area = self.area()
            if area.width() > 1 and area.height() > 1:
                self.paint(painter, area)
            if self.hasFocus():
                width = max(2.0, self.line_px / 8)
                painter.setPen(pen(self.theme.accent, width))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                inner = QRectF(self.rect()).adjusted(width / 2, width / 2, -width / 2, -width / 2)
                painter.drawRect(inner)
        finally:
            painter.end()  # Qt aborts the program where a painter outlives its widget's paint event

    def write(
        self, painter: QPainter, at: QRectF, text: str, colour: str, align: Align = Align.AlignCenter
    ) -> None:
        """Write in one line, beyond the rectangle where it is too small."""
        painter.setPen(QColor(colour))
        painter.drawText(at, align | Qt.TextFlag.TextDontClip | Qt.TextFlag.TextSingleLine, text)

    def nothing(self, painter: QPainter, area: QRectF, words: str) -> None:
        """Say that there is nothing to be drawn."""
        self.write(painter, area, words, self.theme.text)

    def axis(
        self,
        painter: QPainter,
        area: QRectF,
        values: NDArray[np.float64],
        at_px: NDArray[np.float64],
        unit: str = "",
    ) -> None:
        """Ticks with numbers below the area, and the unit, where there is one, in the right corner."""
        line = self.line_px
        painter.setPen(pen(self.theme.weak))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        for x in at_px:
            painter.drawLine(QPointF(x, area.bottom()), QPointF(x, area.bottom() + 0.25 * line))
        below = QRectF(0, area.bottom() + 0.3 * line, 1, line)
        unit_from = self.width() - (self.text_px(unit) + 0.4 * line if unit else 0)
        free_from = -np.inf
        for value, x in zip(values, at_px, strict=True):
            text = brief(float(value))
            half = self.text_px(text) / 2
            middle = max(float(x), half) if unit else min(max(float(x), half), self.width() - half)
            if (
                middle - half >= free_from and middle + half <= unit_from + 1
            ):  # numbers don't run into each other
                self.write(painter, below.translated(middle, 0), text, self.theme.text)
                free_from = middle + half + 0.3 * line
        if unit:
            at = QRectF(unit_from, below.y(), self.text_px(unit), line)
            self.write(painter, at, unit, self.theme.text)

    def scaled_font(self, share: float) -> QFont:
        """The widget's font at a share of its size."""
        return scaled_font(self.font(), share)


class TimePlot(Plot):
    """A plot whose x axis is time in s."""

    def __init__(self, name: str, meaning: str) -> None:
        super().__init__(name, meaning)
        self.from_s, self.to_s = 0.0, 1.0

    def x_of(self, time_s: NDArray[np.float64], area: QRectF) -> NDArray[np.float64]:
        """Pixels of times."""
        return area.left() + (time_s - self.from_s) * (area.width() / (self.to_s - self.from_s))

    def time_at(self, x_px: float) -> float:
        """Time at a pixel, s, within the axis."""
        area = self.area()
        share = min(max((x_px - area.left()) / area.width(), 0.0), 1.0)
        return self.from_s + share * (self.to_s - self.from_s)

    def time_axis(self, painter: QPainter, area: QRectF) -> None:
        """Axis in s, with a number about every eight letters."""
        n = int(area.width() / max(self.text_px("00000000"), 1.0))
        values = ticks(self.from_s, self.to_s, max(n, 2))
        self.axis(painter, area, values, self.x_of(values, area), "s")

    def is_left(self, event: QMouseEvent) -> bool:
        """Whether the left button was pressed."""
        return event.button() == Qt.MouseButton.LeftButton

"""Writing on an image: scale bar, time stamp, name of the channel, and what has to be said."""

import math

from PySide6 import QtCore, QtGui, QtWidgets

from dashboard.views.guarded import guarded
from dashboard.views.pane import Layer, Pane

LONGEST = 0.25  # of the view's width
MARGIN = 8.0
BEHIND = QtGui.QColor(0, 0, 0, 150)
WRITING = QtGui.QColor("#FFFFFF")


def round_length(longest: float) -> float:
    """The longest of 1, 2, 5, 10, … (and 0.5, 0.2, …) that is not longer."""
    power = 10.0 ** math.floor(math.log10(longest))
    return next(step * power for step in (5.0, 2.0, 1.0) if step * power <= longest * (1 + 1e-9))


def length_text(um: float) -> str:
    """A length with its unit: nm below 1 µm."""
    return f"{um:g} µm" if um >= 1 else f"{um * 1000:g} nm"


def stamp(seq: int, time_s: float, picture_seq: int | None) -> str:
    """Time and frame, and whose picture it is where that is another frame's."""
    text = f"{time_s:.3f} s   frame {seq:,}"
    return text if picture_seq in (None, seq) else f"{text} (picture of {picture_seq:,})"


def behind(time_s: float, newest_s: float | None) -> str:
    """What is said where the view doesn't show the newest moment."""
    lag = 0.0 if newest_s is None else newest_s - time_s
    return "frozen" if lag < 0.0005 else f"frozen, {lag:.1f} s ago" if lag >= 0.1 else "frozen, just now"


def fitting(text: str, metrics: QtGui.QFontMetrics, room_px: float) -> str:
    """As much of a text as there is room for; a number cut off without a sign would be another number."""
    return metrics.elidedText(text, QtCore.Qt.TextElideMode.ElideRight, int(room_px))


class Captions(Layer):
    """Writes on a view.

    Attributes
    ----------
    title, stamp, notes
        Upper left, lower left and below the title.
    pixel_um
        Size of a pixel; None: no bar.
    """

    def __init__(self, pane: Pane) -> None:
        super().__init__(pane, 10)
        self.title = ""
        self.stamp = ""
        self.notes: tuple[str, ...] = ()
        self.pixel_um: float | None = None

    def write(self, title: str, stamp: str, notes: tuple[str, ...], pixel_um: float | None) -> None:
        """Write this from now on."""
        new = (title, stamp, notes, pixel_um)
        if new != (self.title, self.stamp, self.notes, self.pixel_um):
            self.title, self.stamp, self.notes, self.pixel_um = new
            self.update()

    def bar(self) -> tuple[float, str]:
        """Length of the scale bar in screen pixels, and what is written at it."""
        if not self.pixel_um:
            return 0.0, ""
        (x0, x1), _ = self.pane.visible_range()
        screen_per_um = self.pane.rect().width() / ((x1 - x0) * self.pixel_um)
        um = round_length(LONGEST * (x1 - x0) * self.pixel_um)
        return um * screen_per_um, length_text(um)

    @guarded
    def paint(
        self,
        painter: QtGui.QPainter,
        option: QtWidgets.QStyleOptionGraphicsItem,
        widget: QtWidgets.QWidget | None = None,
    ) -> None:
        """Paint the writing on dark boxes, so that it can be read on every image."""
        box = self.boundingRect()
        line = painter.fontMetrics().height()
        y = box.top() + MARGIN
        for text in (self.title, *self.notes):
            if text:
                self._write(painter, QtCore.QPointF(box.left() + MARGIN, y), text)
                y += line + 4
        y = box.bottom() - MARGIN - line
        if self.stamp:
            self._write(painter, QtCore.QPointF(box.left() + MARGIN, y), self.stamp)
        length, text = self.bar()
        if length > 0:
            wide = max(length, painter.fontMetrics().horizontalAdvance(text))
            room = box.width() - 3 * MARGIN - painter.fontMetrics().horizontalAdvance(self.stamp)
            above = line + 6 if self.stamp and room < wide else 0  # a small window: over the time stamp
            right = box.right() - MARGIN
            self._write(
                painter,
                QtCore.QPointF(right - wide, y - 6 - above),
                text,
                QtCore.QSizeF(wide, line + 6),
                QtCore.Qt.AlignmentFlag.AlignHCenter,
            )
            bar = QtCore.QRectF(right - (wide + length) / 2, y + line - 4 - above, length, 3)
            painter.fillRect(bar, WRITING)

    def _write(
        self,
        painter: QtGui.QPainter,
        at: QtCore.QPointF,
        text: str,
        size: QtCore.QSizeF | None = None,
        align: QtCore.Qt.AlignmentFlag = QtCore.Qt.AlignmentFlag.AlignLeft,
    ) -> None:
        if size is None:
            metrics = painter.fontMetrics()
            text = fitting(text, metrics, self.boundingRect().width() - 2 * MARGIN)
            size = QtCore.QSizeF(metrics.horizontalAdvance(text), metrics.height())
        place = QtCore.QRectF(at, size)
        painter.fillRect(place.adjusted(-3, -1, 3, 1), BEHIND)
        painter.setPen(WRITING)
        painter.drawText(place, int(align | QtCore.Qt.AlignmentFlag.AlignTop), text)

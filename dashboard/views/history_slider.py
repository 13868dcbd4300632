"""Slider over the frames that are kept, with the events in it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QSlider

from dashboard.models.colours import OKABE_ITO, THEMES
from dashboard.views.guarded import guarded
from dashboard.views.lines import Lines, draw_lines
from dashboard.views.plot import Align, pen

EVENT_COLOUR = OKABE_ITO[2]  # as over the traces
NOW = "now"
PAGE_S = 1.0  # by Page up and down


class HistorySlider(QSlider):
    """A slider whose range moves on while the run goes on.

    It writes itself how far back it reaches: a label that changes often would lay out the window as often.

    Signals
    -------
    moved(frame)
        The user moved it.
    """

    moved = Signal(int)

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setAccessibleName("frame that is shown")
        self.setToolTip(
            "the frames kept here, with calcium events (green); drag, or use the arrow keys and Page up/down"
        )
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.theme = THEMES["dark"]
        self.back = ""
        self._event_frames: Sequence[int] = ()
        self._frames: NDArray[np.float64] = np.empty(0)
        self.valueChanged.connect(self.moved)

    def show_frames(
        self, oldest: int, newest: int, seq: int, interval_s: float, event_frames: Sequence[int]
    ) -> None:
        """Show where the view is; nothing is told, and a handle that the user holds stays in the hand."""
        with QSignalBlocker(self):
            self.setRange(oldest, newest)
            self.setPageStep(max(round(PAGE_S / interval_s), 1))
            if not self.isSliderDown():
                self.setValue(seq)
        self.back = f"−{(newest - oldest) * interval_s:.1f} s"
        if event_frames is not self._event_frames:
            self._event_frames = event_frames
            self._frames = np.asarray(event_frames, np.float64)
        self.update()

    def ticks(self) -> Lines:
        """Events as upright lines, one a pixel at most: x0, y0, x1, y1 in logical pixels (m, 4)."""
        groove = self.groove()
        inside = self._frames[(self._frames >= self.minimum()) & (self._frames <= self.maximum())]
        x = np.unique(np.floor(groove.left() + self._share(inside) * groove.width())) + 0.5
        ends = np.full(len(x), groove.bottom())
        return np.column_stack((x, np.full(len(x), groove.top()), x, ends))

    def groove(self) -> QRectF:
        """Where the frames lie, between the captions of its ends."""
        line, letters = self._line_px(), QFontMetricsF(self.font())
        left = letters.horizontalAdvance(self.back) + 0.6 * line
        right = letters.horizontalAdvance(NOW) + 0.6 * line
        return QRectF(left, 0.25 * line, max(self.width() - left - right, 1.0), self.height() - 0.5 * line)

    def sizeHint(self) -> QSize:
        """By the font."""
        return QSize(round(14 * self._line_px()), round(1.3 * self._line_px()))

    def minimumSizeHint(self) -> QSize:
        """As narrow as it can be read."""
        return QSize(round(8 * self._line_px()), round(1.3 * self._line_px()))

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """Captions, groove, events, handle."""
        theme, line, groove = self.theme, self._line_px(), self.groove()
        with QPainter(self) as painter:
            painter.setPen(QColor(theme.text))
            for text, side in ((self.back, Align.AlignLeft), (NOW, Align.AlignRight)):
                painter.drawText(QRectF(self.rect()), side | Align.AlignVCenter, text)
            painter.fillRect(groove, QColor(theme.background))
            painter.setPen(pen(EVENT_COLOUR))
            draw_lines(painter, self.ticks())
            painter.setPen(pen(theme.accent if self.hasFocus() else theme.weak))
            painter.drawRect(groove)
            handle = QRectF(0, 0, max(4.0, 0.35 * line), groove.height() + 0.3 * line)
            handle.moveCenter(groove.center())
            handle.moveLeft(self._x_of_value(groove) - handle.width() / 2)
            painter.fillRect(handle, QColor(theme.accent))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to where it was pressed, and hold the handle."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.setSliderDown(True)
            self.setValue(self._frame_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the handle."""
        if self.isSliderDown():
            self.setValue(self._frame_at(event.position().x()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go of the handle."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.setSliderDown(False)

    def _line_px(self) -> float:
        return QFontMetricsF(self.font()).height()

    def _share(self, frames: NDArray[np.float64]) -> NDArray[np.float64]:
        return (frames - self.minimum()) / max(self.maximum() - self.minimum(), 1)

    def _x_of_value(self, groove: QRectF) -> float:
        if self.maximum() == self.minimum():
            return groove.right()  # the only frame is the newest one
        return groove.left() + float(self._share(np.array([self.value()]))[0]) * groove.width()

    def _frame_at(self, x_px: float) -> int:
        groove = self.groove()
        share = min(max((x_px - groove.left()) / max(groove.width(), 1.0), 0.0), 1.0)
        return self.minimum() + round(share * (self.maximum() - self.minimum()))

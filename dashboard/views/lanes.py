"""Base of the plots with a lane for each track over time: labels, clicks and the keyboard."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter

from dashboard.views.plot import Align, TimePlot, pen

SELECTED, OTHER = "▸", " "
SMALLEST_EM = (16, 6)  # width and height of the plot, lines of text
SMALLEST_SHARE = 0.75  # of the font's size for labels of low lanes; smaller ones can't be read


class LanePlot(TimePlot):
    """Lanes of tracks, one below the other.

    Attributes
    ----------
    track_id
        Tracks from top to bottom, (n,).
    current
        Lane where the keyboard is.

    Signals
    -------
    track_clicked(int)
        The user chose this track.
    time_clicked(float)
        The user wants to see this moment, s.
    """

    track_clicked = Signal(int)
    time_clicked = Signal(float)

    def __init__(self, name: str, meaning: str) -> None:
        super().__init__(name, meaning)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.track_id: NDArray[np.int64] = np.empty(0, np.int64)
        self.current = 0

    def set_tracks(self, track_id: NDArray[np.int64]) -> None:
        """Lanes of these tracks; the keyboard stays with its track, or else at its lane."""
        if self.current < len(self.track_id):
            at = np.flatnonzero(track_id == self.track_id[self.current])
            self.current = int(at[0]) if len(at) else self.current
        self.track_id = track_id
        self.current = min(self.current, max(len(track_id) - 1, 0))

    def area(self) -> QRectF:
        """Labels to the left of it, the time axis below."""
        line = self.line_px
        left = self.text_px(f"{SELECTED} 000000 ")
        return QRectF(left, 0.3 * line, self.width() - left - line, self.height() - 1.7 * line)

    def minimumSizeHint(self) -> QSize:
        """Room for some lanes."""
        return QSize(*(round(em * self.line_px) for em in SMALLEST_EM))

    def lane_px(self) -> float:
        """Height of a lane."""
        return self.area().height() / max(len(self.track_id), 1)

    def lane_at(self, y_px: float) -> int | None:
        """Lane at a pixel, None where there is none."""
        row = int((y_px - self.area().top()) // self.lane_px())
        return row if 0 <= row < len(self.track_id) else None

    def labels(self, painter: QPainter, area: QRectF, is_selected: NDArray[np.bool_]) -> None:
        """Ids, in smaller letters where lanes are low, and only some of them where they are lower yet."""
        lane, line = self.lane_px(), self.line_px
        share = min(1.0, max(lane / line, SMALLEST_SHARE))
        every = int(np.ceil(share * line / lane))
        painter.save()
        painter.setFont(self.scaled_font(share))
        for row, (track, chosen) in enumerate(zip(self.track_id, is_selected, strict=True)):
            at = QRectF(0, area.top() + row * lane, area.left() - 0.4 * line, lane)
            if self.hasFocus() and row == self.current:
                painter.setPen(pen(self.theme.accent))
                painter.drawRect(at.adjusted(3, 0, 0, -1))
            if chosen or row % every == 0:
                colour = self.theme.accent if chosen else self.theme.text
                text = f"{SELECTED if chosen else OTHER} {track}"
                self.write(painter, at, text, colour, Align.AlignRight | Align.AlignVCenter)
        painter.restore()

    def cursor_line(self, painter: QPainter, area: QRectF, now_s: float) -> None:
        """The moment that the images show."""
        x = float(self.x_of(np.array([now_s]), area)[0])
        x = min(x, area.right() - 1)  # at the very end it must be seen too
        if x >= area.left():
            painter.setPen(pen(self.theme.accent))
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Select the track of the lane, and go to that time where it was within the axis."""
        if not self.is_left(event) or not len(self.track_id):
            return
        at, area = event.position(), self.area()
        row = self.lane_at(at.y())
        if row is not None:
            self.current = row
            self.track_clicked.emit(int(self.track_id[row]))
        if area.left() <= at.x() <= area.right():
            self.time_clicked.emit(self.time_at(at.x()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up and down go from lane to lane, Enter selects."""
        n, key = len(self.track_id), event.key()
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down) and n:
            step = 1 if key == Qt.Key.Key_Down else -1
            self.current = min(max(self.current + step, 0), n - 1)
            self.update()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and n:
            self.entered(self.current)
        else:
            super().keyPressEvent(event)

    def entered(self, row: int) -> None:
        """Enter was pressed at a lane."""
        self.track_clicked.emit(int(self.track_id[row]))

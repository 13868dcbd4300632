"""Traces of ΔF/F0 one above the other, with events, thresholds and the moment that the images show."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter

from dashboard.models.colours import OKABE_ITO
from dashboard.models.panels import TraceView
from dashboard.views.lanes import LanePlot
from dashboard.views.lines import Lines, draw_lines, joined
from dashboard.views.plot import pen
from dashboard.views.same import same
from dashboard.views.ticks import brief, round_step

EVENT_COLOUR = OKABE_ITO[2]
ZERO_AT, HIGHEST_AT = 0.80, 0.10  # of a lane's height from its top: ΔF/F0 = 0, and the top of the scale
SMALLEST_SCALE = 0.1  # ΔF/F0 a lane; below it noise would fill the lane


def scale_of(view: TraceView) -> float:
    """ΔF/F0 that a lane is high: a round number that every track stays below for 99 % of the time shown.

    So does the peak of every event; but not each spike of noise.
    """
    highest = [SMALLEST_SCALE, *(mark.amplitude_dff for mark in view.marks)]
    n = view.dff.shape[1]
    if n and len(view.dff):
        k = int(0.99 * (n - 1))
        highest.append(float(np.partition(np.nan_to_num(view.dff, nan=-np.inf), k, axis=1)[:, k].max()))
    return round_step(max(height for height in highest if np.isfinite(height)))


class TracesPanel(LanePlot):
    """ΔF/F0 of some tracks, one lane each, all on one scale.

    Attributes
    ----------
    scale
        ΔF/F0 from zero to the top of a lane. It grows at once, and shrinks when all would fit into a third.
    """

    def __init__(self) -> None:
        super().__init__(
            "Calcium traces",
            "ΔF/F0 of the selected (▸) and the most active tracks over time. Bars: events from onset to end, "
            "dots: their peaks, dashed: threshold. Click: select the track and go to that time; "
            "up and down, then Enter: the same with the keyboard",
        )
        self._view: TraceView | None = None
        self._span_s: float | None = None
        self.scale = SMALLEST_SCALE

    def present(self, view: TraceView, span_s: float | None = None) -> None:
        """Show traces.

        Parameters
        ----------
        view
            What to draw.
        span_s
            Length of the time axis, which ends with the newest frame or the moment shown; None: from the
            oldest frame on.
        """
        if same(view, self._view) and span_s == self._span_s:
            return
        self._view, self._span_s = view, span_s
        oldest, newest = (view.time_s[0], view.time_s[-1]) if len(view.time_s) else (view.now_s, view.now_s)
        self.to_s = float(max(newest, view.now_s))
        self.from_s = self.to_s - span_s if span_s is not None else float(min(oldest, self.to_s - 1e-3))
        scale = scale_of(view)
        if scale > self.scale or scale < self.scale / 3:
            self.scale = scale
        self.set_tracks(view.track_id)
        self.update()

    def area(self) -> QRectF:
        """Labels to the left of it, the scale bar to the right, the time axis below."""
        return super().area().adjusted(0, 0, -self.text_px("00.0 "), 0)

    def y_of(self, row: NDArray[np.int64], dff: NDArray[np.floating]) -> NDArray[np.float64]:
        """Pixels of ΔF/F0 in lanes."""
        lane = self.lane_px()
        return self.area().top() + (row + ZERO_AT) * lane - dff * ((ZERO_AT - HIGHEST_AT) * lane / self.scale)

    def bars(self) -> Lines:
        """Events as upright-free bars at the foot of their lanes: x0, y, x1, y in pixels (m, 4)."""
        view, area = self._view, self.area()
        if view is None or not view.marks:
            return np.empty((0, 4))
        times = np.array([(mark.onset_s, mark.end_s) for mark in view.marks])
        x = np.clip(self.x_of(times, area), area.left(), area.right())
        rows = np.array([mark.row for mark in view.marks])
        y = area.top() + (rows + (ZERO_AT + 1) / 2) * self.lane_px()
        bars = np.column_stack((x[:, 0], y, x[:, 1], y))
        inside = (times[:, 1] >= self.from_s) & (times[:, 0] <= self.to_s)
        # An event shorter than a pixel must be seen too.
        bars[:, 2] = np.maximum(bars[:, 2], bars[:, 0] + 2)
        return bars[inside]

    def peaks(self) -> NDArray[np.float64]:
        """Peaks of events in pixels, (m, 2)."""
        view, area = self._view, self.area()
        if view is None or not view.marks:
            return np.empty((0, 2))
        times = np.array([mark.peak_s for mark in view.marks])
        rows = np.array([mark.row for mark in view.marks], np.int64)
        heights = np.array([mark.amplitude_dff for mark in view.marks])
        peaks = np.column_stack((self.x_of(times, area), self.y_of(rows, heights)))
        return peaks[(times >= self.from_s) & (times <= self.to_s)]

    def paint(self, painter: QPainter, area: QRectF) -> None:
        """Lanes from back to front: thresholds, traces, events, the cursor; then labels and axes."""
        view = self._view
        if view is None or len(view.track_id) == 0:
            self.nothing(painter, area, "no tracks with calcium yet")
            return
        rows = np.arange(len(view.track_id))
        painter.save()
        painter.setClipRect(area)
        self._thresholds(painter, area, rows)
        x = self.x_of(view.time_s, area)
        y = self.y_of(rows[:, None], view.dff)
        inside = slice(*np.searchsorted(x, (area.left() - 1, area.right() + 1)))
        x, y = x[inside], y[:, inside]
        painter.setPen(pen(self.theme.text))
        draw_lines(painter, joined(x, y[~view.is_selected], area.width()))
        painter.setPen(pen(self.theme.accent, max(2.0, self.line_px / 9)))
        draw_lines(painter, joined(x, y[view.is_selected], area.width()))
        self._events(painter)
        self.cursor_line(painter, area, view.now_s)
        painter.restore()
        self.labels(painter, area, view.is_selected)
        self._scale_bar(painter, area)
        self.time_axis(painter, area)

    def _thresholds(self, painter: QPainter, area: QRectF, rows: NDArray[np.int64]) -> None:
        view = self._view
        assert view is not None
        known = np.isfinite(view.threshold_dff)
        y = self.y_of(rows[known], view.threshold_dff[known].astype(np.float64))
        # Dashes as pieces of their own cost a tenth of Qt's dashed pen.
        dash = max(4.0, self.line_px / 3)
        starts = np.arange(area.left(), area.right(), 2 * dash)
        dashes = np.empty((len(y), len(starts), 4))
        dashes[..., 0], dashes[..., 2] = starts, starts + dash
        dashes[..., 1] = dashes[..., 3] = y[:, None]
        painter.setPen(pen(self.theme.weak))
        draw_lines(painter, dashes.reshape(-1, 4))

    def _events(self, painter: QPainter) -> None:
        painter.setPen(pen(EVENT_COLOUR, max(2.0, 0.12 * self.lane_px())))
        draw_lines(painter, self.bars())
        dots = pen(EVENT_COLOUR, max(4.0, self.line_px / 3))
        dots.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(dots)
        for x, y in self.peaks():
            painter.drawPoint(QPointF(x, y))

    def _scale_bar(self, painter: QPainter, area: QRectF) -> None:
        """An upright bar of a lane's scale beside the lowest lane that has room above it for its writing."""
        bar = (ZERO_AT - HIGHEST_AT) * self.lane_px()
        x = area.right() + 0.5 * self.line_px
        foot = area.bottom() - (1 - ZERO_AT) * self.lane_px()
        painter.setPen(pen(self.theme.text, max(2.0, self.line_px / 8)))
        painter.drawLine(QPointF(x, foot - bar), QPointF(x, foot))
        painter.save()
        small = self.scaled_font(0.85)
        painter.setFont(small)
        high = QFontMetricsF(small).height()
        at = QRectF(area.right(), foot - bar - 2 * high, self.width() - area.right(), high)
        self.write(painter, at, brief(self.scale), self.theme.text)
        self.write(painter, at.translated(0, high), "ΔF/F0", self.theme.text)
        painter.restore()

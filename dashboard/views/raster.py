"""Calcium events over time, a row for each track."""

import numpy as np
from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter

from dashboard.models.colours import OKABE_ITO
from dashboard.models.panels import RasterView
from dashboard.views.lanes import LanePlot
from dashboard.views.lines import Lines, draw_lines
from dashboard.views.plot import pen
from dashboard.views.same import same

EVENT_COLOUR = OKABE_ITO[2]  # as on the traces
SPAN_S = 60.0
HIGHEST_LANE = 1.6  # lines of text: a single row must not fill the panel
BAR = 0.6  # of a lane's height
SHORTEST_PX = 2.0  # an event shorter than a pixel must be seen too


class RasterPanel(LanePlot):
    """Bars from onset to end of events, a lane for each track that had one."""

    def __init__(self) -> None:
        super().__init__(
            "Raster of events",
            "Calcium events over time, a row for each track, bars from onset to end. Click: select the track "
            "and go to that time; up and down, then Enter: select the track and go to its newest event",
        )
        self._view: RasterView | None = None

    def present(self, view: RasterView, span_s: float = SPAN_S) -> None:
        """Show events.

        Parameters
        ----------
        view
            What to draw.
        span_s
            Length of the time axis, which ends with the moment shown or the last event.
        """
        if same(view, self._view) and span_s == self.to_s - self.from_s:
            return
        self._view = view
        self.to_s = max(view.now_s, float(view.end_s.max(initial=-np.inf)))
        self.from_s = self.to_s - span_s
        self.set_tracks(view.track_id)
        self.update()

    def lane_px(self) -> float:
        """Height of a lane."""
        return min(super().lane_px(), HIGHEST_LANE * self.line_px)

    def bars(self) -> Lines:
        """Events within the axis: x0, y, x1, y in pixels (m, 4)."""
        view, area = self._view, self.area()
        if view is None:
            return np.empty((0, 4))
        inside = (view.end_s >= self.from_s) & (view.onset_s <= self.to_s)
        x0 = np.maximum(self.x_of(view.onset_s[inside], area), area.left())
        x1 = np.minimum(self.x_of(view.end_s[inside], area), area.right())
        short = x1 - x0 < SHORTEST_PX
        x0[short] = np.minimum(x0[short], area.right() - SHORTEST_PX)
        x1[short] = x0[short] + SHORTEST_PX
        y = area.top() + (view.row[inside] + 0.5) * self.lane_px()
        return np.column_stack((x0, y, x1, y))

    def paint(self, painter: QPainter, area: QRectF) -> None:
        """Bars, the cursor, labels and the axis."""
        view = self._view
        if view is None or not len(view.onset_s):
            self.nothing(painter, area, "no calcium events here")
            if view is not None:
                self.time_axis(painter, area)
            return
        painter.setPen(pen(EVENT_COLOUR, max(1.0, BAR * self.lane_px())))
        draw_lines(painter, self.bars())
        self.cursor_line(painter, area, view.now_s)
        self.labels(painter, area, np.zeros(len(view.track_id), np.bool_))
        self.time_axis(painter, area)

    def entered(self, row: int) -> None:
        """Select the track and go to the onset of its newest event."""
        super().entered(row)
        assert self._view is not None
        onsets = self._view.onset_s[self._view.row == row]
        if len(onsets):
            self.time_clicked.emit(float(onsets.max()))

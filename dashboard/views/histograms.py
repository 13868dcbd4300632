"""Small live histograms with their number and median."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize
from PySide6.QtGui import QColor, QPainter, QResizeEvent
from PySide6.QtWidgets import QGridLayout, QWidget

from dashboard.models.colours import Theme
from dashboard.models.panels import HistogramView
from dashboard.views.plot import Align, Plot, pen
from dashboard.views.same import same
from dashboard.views.ticks import log_ticks, ticks

SMALLEST_EM = (11, 6)  # width and height of a histogram, lines of text
SMALLEST_SHARE = 0.75  # of the font's size for what is written above; smaller letters can't be read


class Histogram(Plot):
    """One histogram: name and unit, number and median above, bars, and an axis below."""

    def __init__(self, name: str) -> None:
        super().__init__(name, name)
        self._view: HistogramView | None = None

    def present(self, view: HistogramView) -> None:
        """Show a histogram; one that has not changed costs nothing."""
        if same(view, self._view):
            return
        self._view = view
        self.setAccessibleName(f"histogram of {self.title()}: {self.words()}")
        kind = "logarithmic axis" if view.is_log else "linear axis"
        self.setToolTip(f"{self.title()}, {kind}: {self.words()}. Upright line: median")
        self.update()

    def words(self) -> str:
        """Number and median with its unit."""
        view = self._view
        if view is None or view.n == 0:
            return "no data yet"
        return f"n = {view.n:,}, median {view.median:.3g}"

    def title(self) -> str:
        """Name and unit."""
        view = self._view
        if view is None:
            return self.accessibleName()
        return view.name if view.unit in ("", view.name) else f"{view.name} ({view.unit})"

    def sizeHint(self) -> QSize:
        """Room for its writing."""
        return self.minimumSizeHint()

    def minimumSizeHint(self) -> QSize:
        """Room for its writing."""
        return QSize(*(round(em * self.line_px) for em in SMALLEST_EM))

    def area(self) -> QRectF:
        """Two lines of writing above it, the axis below."""
        line = self.line_px
        return QRectF(0.6 * line, 2.3 * line, self.width() - 1.2 * line, self.height() - 3.7 * line)

    def x_of(self, values: NDArray[np.float64], area: QRectF) -> NDArray[np.float64]:
        """Pixels of values."""
        view = self._view
        assert view is not None
        edges = np.log(view.edges) if view.is_log else view.edges
        share = ((np.log(values) if view.is_log else values) - edges[0]) / (edges[-1] - edges[0])
        x: NDArray[np.float64] = area.left() + share * area.width()
        return x

    def paint(self, painter: QPainter, area: QRectF) -> None:
        """Bars, median, axis and words."""
        view, line = self._view, self.line_px
        if view is None:
            return
        at = QRectF(area.left(), 0.15 * line, area.width(), line)
        painter.save()
        for text in (self.title(), self.words()):
            share = min(1.0, max(area.width() / self.text_px(text), SMALLEST_SHARE))
            painter.setFont(self.scaled_font(share))
            self.write(painter, at, text, self.theme.text, Align.AlignLeft | Align.AlignVCenter)
            at.translate(0, line)
        painter.restore()
        self._bars(painter, area)
        if np.isfinite(view.median) and view.edges[0] <= view.median <= view.edges[-1]:
            x = float(self.x_of(np.array([view.median]), area)[0])
            painter.setPen(pen(self.theme.text))
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        low, high = float(view.edges[0]), float(view.edges[-1])
        n_most = max(int(area.width() / self.text_px("00000")), 2)
        values = log_ticks(low, high) if view.is_log else ticks(low, high, n_most)
        if view.is_log and len(values) < 2:  # less than a decade
            values = np.array([low, high])
        self.axis(painter, area, values, self.x_of(values, area))

    def _bars(self, painter: QPainter, area: QRectF) -> None:
        """From whole pixel to whole pixel, so that all look equally wide and apart."""
        view = self._view
        assert view is not None
        x = np.rint(self.x_of(view.edges, area))
        heights = view.counts * (area.height() / max(int(view.counts.max(initial=0)), 1))
        colour = QColor(self.theme.accent)
        for x0, x1, height in zip(x[:-1], x[1:], heights, strict=True):
            if height:
                gap = 1 if x1 - x0 > 2 else 0
                bar = QRectF(x0, area.bottom() - height, max(x1 - x0 - gap, 1.0), height)
                painter.fillRect(bar, colour)


class HistogramsPanel(QWidget):
    """All histograms, in as many columns as there is room for."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Histograms")
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(1)
        self._grid.setSizeConstraint(QGridLayout.SizeConstraint.SetNoConstraint)  # columns follow the width
        self.histograms: list[Histogram] = []
        self._theme: Theme | None = None
        self._n_columns = 0

    def present(self, views: Sequence[HistogramView]) -> None:
        """Show histograms, the same ones in the same order each time."""
        for view in views[len(self.histograms) :]:
            histogram = Histogram(view.name)
            if self._theme is not None:
                histogram.apply_theme(self._theme)
            self.histograms.append(histogram)
            self._n_columns = 0
        for histogram, view in zip(self.histograms, views, strict=False):
            histogram.present(view)
        self._arrange()

    def apply_theme(self, theme: Theme) -> None:
        """Paint in these colours from now on, those histograms too that are made later."""
        self._theme = theme
        for histogram in self.histograms:
            histogram.apply_theme(theme)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Other columns in another width."""
        super().resizeEvent(event)
        self._arrange()

    def minimumSizeHint(self) -> QSize:
        """Two columns."""
        if not self.histograms:
            return QSize(0, 0)
        one = self.histograms[0].minimumSizeHint()
        return QSize(2 * one.width(), one.height())

    def _arrange(self) -> None:
        if not self.histograms:
            return
        n = len(self.histograms)
        room = self.width() // self.histograms[0].minimumSizeHint().width()
        rows = -(-n // min(max(room, 1), n))
        n_columns = -(-n // rows)
        if n_columns == self._n_columns:
            return
        self._n_columns = n_columns
        for histogram in self.histograms:
            self._grid.removeWidget(histogram)
        for i, histogram in enumerate(self.histograms):
            self._grid.addWidget(histogram, *divmod(i, n_columns))

"""The surface that the views lie on side by side."""

import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

from dashboard.views.pane import Pane

GAP = 4


class Canvas(pg.GraphicsView):
    """Places its panes side by side, all equally large and at whole pixels."""

    left = QtCore.Signal()

    def __init__(self, panes: list[Pane], parent: QtWidgets.QWidget | None = None) -> None:
        self._panes: list[Pane] = []
        self.n_shown = 1
        super().__init__(parent)
        self.setCentralItem(None)
        self._panes = panes
        for pane in panes:
            self.scene().addItem(pane)
        self.show_panes(1)

    def show_panes(self, n: int) -> None:
        """Show the first `n` only."""
        self.n_shown = n
        for i, pane in enumerate(self._panes):
            pane.setVisible(i < n)
        self._place()

    def resizeEvent(self, event: QtGui.QResizeEvent | None) -> None:
        """Place the panes anew."""
        super().resizeEvent(event)
        self._place()

    def leaveEvent(self, event: QtCore.QEvent) -> None:
        """Tell that the mouse has left."""
        super().leaveEvent(event)
        self.left.emit()

    def _place(self) -> None:
        width = (self.width() - GAP * (self.n_shown - 1)) // self.n_shown
        for i, pane in enumerate(self._panes[: self.n_shown]):
            pane.setGeometry(QtCore.QRectF(i * (width + GAP), 0, max(width, 1), max(self.height(), 1)))

"""The window: images in the middle, panels around them, health always on top."""

from html import escape

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QDockWidget,
    QLabel,
    QMainWindow,
    QScrollArea,
    QSizePolicy,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from dashboard.views.contrast_panel import ContrastPanel
from dashboard.views.controls import ControlPanel
from dashboard.views.counters import CountersPanel
from dashboard.views.event_table import EventPanel
from dashboard.views.health_bar import HealthBar
from dashboard.views.histograms import HistogramsPanel
from dashboard.views.images import ImagePanel
from dashboard.views.playbar import Playbar
from dashboard.views.raster import RasterPanel
from dashboard.views.traces import TracesPanel

LEFT, RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
FIRST_SIZE = QSize(1600, 900)
SMALLEST_SIZE = QSize(1000, 600)
LONGEST, MOST_TOLD = 1000, 4000  # letters of a sentence at the foot, and of its tooltip
SIDES = (260, 430)  # widths of the panels left and right at first in a window of that size: images come first


class DashboardWindow(QMainWindow):
    """All views; what they show and what users do with them is the controller's.

    Attributes
    ----------
    images, playbar, health, traces, events, raster, histograms, counters, controls, contrast
        The views.
    docks, tabs
        The panels around the images by name, and those that hold several behind each other.

    Signals
    -------
    closing()
        The window is about to close.
    """

    closing = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("PIEZO1 Calcium Tracker")
        self.setDockNestingEnabled(True)
        self.health = HealthBar()
        self.setMenuWidget(self.health)
        self.images, self.playbar = ImagePanel(), Playbar()
        middle = QWidget()
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.images, 1)
        column.addWidget(self.playbar)
        self.setCentralWidget(middle)
        self.traces, self.events, self.raster = TracesPanel(), EventPanel(), RasterPanel()
        self.histograms, self.counters = HistogramsPanel(), CountersPanel()
        self.controls, self.contrast = ControlPanel(), ContrastPanel()
        self.docks: dict[str, QDockWidget] = {}
        # Tabs of our own: of docks behind each other, Qt leaves old tabs standing over other panels.
        self.tabs = (
            _tabs({"Control": _Scrolled(self.controls), "Contrast": _Scrolled(self.contrast)}),
            _tabs({"Events": self.events, "Raster": self.raster, "Histograms": self.histograms}),
        )
        self._dock("Numbers", self.counters, LEFT)
        self._dock("Control", self.tabs[0], LEFT)
        self._dock("Traces", self.traces, RIGHT)
        self._dock("Events", self.tabs[1], RIGHT)
        self._status, self._hint = QLabel(), QLabel()
        self._status.setTextFormat(Qt.TextFormat.PlainText)  # what others wrote may look like HTML
        self._status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.statusBar().addWidget(self._status, 1)
        self.statusBar().addPermanentWidget(self._hint)
        self.setMinimumSize(SMALLEST_SIZE)
        self.resize(FIRST_SIZE)

    def size_panels(self) -> None:
        """Give the panels their first sizes; it takes a window that is shown."""
        docks, across, down = self.docks, Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        widths = [side * self.width() // FIRST_SIZE.width() for side in SIDES]
        self.resizeDocks([docks["Control"], docks["Traces"]], widths, across)
        self.resizeDocks([docks["Traces"], docks["Events"]], [3, 2], down)

    def bring_forward(self, name: str) -> QWidget:
        """Show the panel of a tab; gives it."""
        for tabs in self.tabs:
            for i in range(tabs.count()):
                panel = tabs.widget(i)
                if tabs.tabText(i) == name and panel is not None:
                    tabs.setCurrentWidget(panel)
                    return panel
        raise ValueError(f"there is no tab {name!r}")

    def say(self, text: str) -> None:
        """Write a sentence at the foot of the window."""
        text = " ".join(text.split())  # one line, however many there were
        self._status.setText(text if len(text) <= LONGEST else text[: LONGEST - 2] + " …")
        self._status.setToolTip(f"<p>{escape(text[:MOST_TOLD])}</p>")  # as a paragraph it wraps

    def hint(self, text: str) -> None:
        """Write what is under the mouse."""
        self._hint.setText(text)

    @property
    def said(self) -> str:
        """The sentence at the foot."""
        return self._status.text()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Tell that it closes, while everything is still there."""
        self.closing.emit()
        super().closeEvent(event)

    def _dock(self, name: str, panel: QWidget, area: Qt.DockWidgetArea) -> None:
        dock = QDockWidget(name, self)
        dock.setObjectName(name)  # by which the layout is remembered
        dock.setWidget(panel)
        dock.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetMovable
            | QDockWidget.DockWidgetFeature.DockWidgetFloatable
        )
        self.addDockWidget(area, dock)
        self.docks[name] = dock


def _tabs(panels: dict[str, QWidget]) -> QTabWidget:
    """Panels behind each other, by name."""
    tabs = QTabWidget()
    for name, panel in panels.items():
        tabs.addTab(panel, name)
    return tabs


class _Scrolled(QScrollArea):
    """A panel that may be higher than its place, but not wider."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__()
        self.setWidget(panel)
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The panel needs another width: its font has changed, or what is in it."""
        panel = self.widget()
        if panel is not None and watched is panel and event.type() == QEvent.Type.LayoutRequest:
            width = panel.minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width()
            if width != self.minimumWidth():
                self.setMinimumWidth(width)
        return super().eventFilter(watched, event)

"""The button that ends the run, safe against a slip of the hand."""

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QPushButton

from dashboard.views.dress import set_level

SURE_MS = 4000
IDLE, ARMED, SENT = "Stop run", "Press again to stop", "Stop was asked for …"


class StopButton(QPushButton):
    """Ends the run when it is pressed twice within 4 s.

    Signals
    -------
    confirmed()
        It was pressed for the second time.
    """

    confirmed = Signal()

    def __init__(self) -> None:
        super().__init__(IDLE)
        self.setToolTip("ends the run for all who watch it, as Ctrl-C does; press twice within 4 s")
        self.setAccessibleDescription(self.toolTip())
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SURE_MS)
        self._timer.timeout.connect(self._calm_down)
        self.clicked.connect(self._pressed)

    @property
    def is_armed(self) -> bool:
        """Whether the next press counts."""
        return self.text() == ARMED

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """A double click is one press: the second has to be meant."""
        event.accept()

    def _pressed(self) -> None:
        was_armed = self.is_armed
        self.setText(SENT if was_armed else ARMED)
        set_level(self, "ok" if was_armed else "alarm")
        self._timer.start()
        if was_armed:
            self.confirmed.emit()

    def _calm_down(self) -> None:
        self.setText(IDLE)
        set_level(self, "ok")

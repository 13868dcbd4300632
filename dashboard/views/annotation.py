"""A line in which a remark about the moment is written."""

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from dashboard.views.inputs import button
from stream.wire.desk import MAX_ANNOTATION


class _Line(QLineEdit):
    """Esc lets go of it instead of doing what Esc does elsewhere in the window."""

    def event(self, event: QEvent) -> bool:
        """Keep Esc from being taken as a shortcut."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() == Qt.Key.Key_Escape
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc: nothing is sent."""
        if event.key() == Qt.Key.Key_Escape:
            self.clear()
            self.clearFocus()
        else:
            super().keyPressEvent(event)


class Annotation(QWidget):
    """Line and button.

    Signals
    -------
    wanted(text)
        The user wants this remark to be recorded.
    """

    wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.line = _Line()
        self.line.setMaxLength(MAX_ANNOTATION)
        self.line.setPlaceholderText("remark on this moment")
        self.line.setAccessibleName("remark on the moment that is shown")
        self.line.setToolTip("recorded with the frame and track shown (A); Enter sends it, Esc leaves")
        self.button = button("Annotate", "record the remark in the run")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        self.line.returnPressed.connect(self._send)
        self.button.clicked.connect(self._send)

    def _send(self) -> None:
        """Send, and let go of the keyboard, so that shortcuts are shortcuts again."""
        text = self.line.text().strip()
        if not text:
            return
        self.line.clear()
        self.line.clearFocus()
        self.wanted.emit(text)

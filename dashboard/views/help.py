"""The list of keys."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QDialog, QGridLayout, QLabel, QWidget

from dashboard.models.colours import THEMES, Theme
from dashboard.views.shortcuts import SHORTCUTS
from dashboard.views.theme import palette, style_sheet

HELP_KEYS = tuple(key for row in SHORTCUTS if row.action == "help" for key in row.keys)
MORE = (
    ("Click", "on a punctum or a trace: its track; with Ctrl on a punctum: one more"),
    ("Click, Enter", "on an event in the list: look at it"),
    ("Double click", "on an event in the list, or Shift+Enter: go back to its peak"),
    ("1 to 8", "in the list of events: sort by that column"),
    ("Wheel, drag", "on the images: zoom and pan"),
    ("Tab", "from control to control"),
)


class HelpPanel(QDialog):
    """All shortcuts beside the window, which can be used meanwhile; closed by the keys that open it, and Esc.

    Attributes
    ----------
    rows
        Keys and words as shown.
    """

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.setWindowTitle("Keys and mouse")
        self.setModal(False)
        table = [(" or ".join(_native(key) for key in s.keys), s.words) for s in SHORTCUTS]
        self.rows = (*table, *MORE)
        grid = QGridLayout(self)
        half = -(-len(self.rows) // 2)  # two columns fit into 720 lines of the screen
        for i, (keys, words) in enumerate(self.rows):
            shown, meaning = QLabel(f"<b>{keys}</b>"), QLabel(words)
            shown.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
            shown.setAccessibleName(keys)
            meaning.setWordWrap(True)
            meaning.setMinimumWidth(20 * meaning.fontMetrics().height())
            grid.addWidget(shown, i % half, 2 * (i // half))
            grid.addWidget(meaning, i % half, 2 * (i // half) + 1, Qt.AlignmentFlag.AlignTop)
        self.apply_theme(THEMES["dark"])

    def toggle(self) -> None:
        """Open it, or close it."""
        if self.isVisible():
            self.close()
        else:
            self.show()
            self.raise_()
            self.activateWindow()

    def apply_theme(self, theme: Theme) -> None:
        """Colours of the theme: a window of its own does not inherit the other one's palette."""
        self.setPalette(palette(theme))
        self.setStyleSheet(style_sheet(theme))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Closed by the keys that open it; Esc closes every dialog."""
        typed = QKeySequence(event.keyCombination()).toString()
        if event.key() == Qt.Key.Key_Question or typed in HELP_KEYS:
            self.close()
        else:
            super().keyPressEvent(event)


def _native(key: str) -> str:
    """A key as this system writes it."""
    words = QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
    return words.replace("Left", "←").replace("Right", "→")

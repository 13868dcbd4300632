"""Numbers that count things: name, value, and a sentence on hovering."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from dashboard.models.panels import Counter


def set_text(label: QLabel, text: str) -> None:
    """Touch a label only where its text changes: each touch lays its surroundings out anew."""
    if label.text() != text:
        label.setText(text)


class Rows(QWidget):
    """Names and values below each other."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._grid = QGridLayout(self)
        self._grid.setColumnStretch(1, 1)
        self._labels: list[tuple[QLabel, QLabel]] = []

    def show_rows(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Show rows of name, value and meaning; those that are too many are hidden."""
        while len(self._labels) < len(rows):
            self._add()
        for i, (name, value) in enumerate(self._labels):
            used = i < len(rows)
            name.setVisible(used)
            value.setVisible(used)
            if not used:
                continue
            set_text(name, rows[i][0])
            if value.text() != rows[i][1]:
                value.setText(rows[i][1])
                value.setAccessibleName(f"{rows[i][0]}: {rows[i][1]}")
            for label in (name, value):
                if label.toolTip() != rows[i][2]:
                    label.setToolTip(rows[i][2])

    def texts(self) -> list[tuple[str, str]]:
        """Names and values as shown."""
        return [(name.text(), value.text()) for name, value in self._labels if not name.isHidden()]

    def _add(self) -> None:
        at = len(self._labels)
        name, value = QLabel(), QLabel()
        value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        value.setWordWrap(True)
        # Words that were counted are there to be copied, too.
        value.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        value.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._grid.addWidget(name, at, 0)
        self._grid.addWidget(value, at, 1)
        self._labels.append((name, value))


class CountersPanel(Rows):
    """The counters."""

    def __init__(self) -> None:
        super().__init__("Counters")

    def present(self, counters: Sequence[Counter]) -> None:
        """Show counters; what has not changed costs nothing."""
        self.show_rows([(counter.name, counter.text, counter.meaning) for counter in counters])

"""Numbers that count things: name, value, and a sentence on hovering."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from dashboard.models.panels import Counter

LONG = 18  # letters of a value that doesn't fit beside its name in a panel of 260 pixels
TO_COPY = Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard


def set_text(label: QLabel, text: str) -> None:
    """Touch a label only where its text changes: each touch lays its surroundings out anew."""
    if label.text() != text:
        label.setText(text)


class Rows(QWidget):
    """Names and values below each other; a long value has a line of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._grid = QGridLayout(self)
        self._grid.setColumnStretch(1, 1)
        self._grid.setVerticalSpacing(0)
        margins = self._grid.contentsMargins()
        self._grid.setContentsMargins(margins.left(), 2, margins.right(), 2)
        self._labels: list[tuple[QLabel, QLabel]] = []
        self._is_below: list[bool] = []

    def show_rows(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Show rows of name, value and meaning; those that are too many are hidden."""
        while len(self._labels) < len(rows):
            self._add()
        for i, (name, value) in enumerate(self._labels):
            used = i < len(rows)
            for label in (name, value):
                if label.isHidden() == used:
                    label.setVisible(used)
            if not used:
                continue
            title, text, meaning = rows[i]
            set_text(name, title)
            if value.text() != text:
                value.setText(text)
                value.setAccessibleName(f"{title}: {text}")
                self._put(i, below=len(text) >= LONG)
            for label in (name, value):
                if label.toolTip() != meaning:
                    label.setToolTip(meaning)
                    label.setAccessibleDescription(meaning)

    def texts(self) -> list[tuple[str, str]]:
        """Names and values as shown."""
        return [(name.text(), value.text()) for name, value in self._labels if not name.isHidden()]

    def _put(self, i: int, below: bool) -> None:
        if self._is_below[i] == below:
            return
        self._is_below[i] = below
        value = self._labels[i][1]
        self._grid.removeWidget(value)
        value.setWordWrap(below)
        if below:
            self._grid.addWidget(value, 2 * i + 1, 0, 1, 2)
        else:
            self._grid.addWidget(value, 2 * i, 1)

    def _add(self) -> None:
        at = 2 * len(self._labels)
        name, value = QLabel(), QLabel()
        value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        value.setTextInteractionFlags(TO_COPY)
        value.setFocusPolicy(Qt.FocusPolicy.ClickFocus)  # the Tab key has enough places to stop at
        self._grid.addWidget(name, at, 0)
        self._grid.addWidget(value, at, 1)
        self._labels.append((name, value))
        self._is_below.append(False)


class CountersPanel(Rows):
    """The counters."""

    def __init__(self) -> None:
        super().__init__("Counters")

    def present(self, counters: tuple[Counter, ...]) -> None:
        """Show counters; what has not changed costs nothing."""
        self.show_rows([(counter.name, counter.text, counter.meaning) for counter in counters])

"""Inputs that change only when they are meant to: the wheel scrolls past them, clicks leave keys alone."""

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QPushButton, QSlider, QSpinBox, QWidget

TAB = Qt.FocusPolicy.TabFocus


class _WheelGuard(QObject):
    """Leaves the wheel over a widget without the keyboard to what lies around it.

    A threshold that scrolling past it turned would change the run.
    """

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt asks before the widget sees it."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


def _set_up(widget: QWidget, name: str, focus: Qt.FocusPolicy) -> None:
    widget.setAccessibleName(name)
    widget.setFocusPolicy(focus)
    widget.installEventFilter(_WheelGuard(widget))


class Slider(QSlider):
    """A horizontal slider; arrow keys move it only after Tab led there, not after the mouse pulled it."""

    def __init__(self, name: str) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        _set_up(self, name, TAB)


class Number(QDoubleSpinBox):
    """A number with decimals, told when it has been typed rather than with each digit."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setKeyboardTracking(False)
        _set_up(self, name, Qt.FocusPolicy.StrongFocus)


class Count(QSpinBox):
    """A whole number, told when it has been typed rather than with each digit."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setKeyboardTracking(False)
        _set_up(self, name, Qt.FocusPolicy.StrongFocus)


class Choice(QComboBox):
    """One of some words."""

    def __init__(self, name: str, words: dict[str, str]) -> None:
        super().__init__()
        _set_up(self, name, TAB)
        for value, word in words.items():
            self.addItem(word, value)


def button(text: str, meaning: str) -> QPushButton:
    """A button with a tooltip."""
    made = QPushButton(text)
    made.setToolTip(meaning)
    made.setAccessibleDescription(meaning)
    made.setFocusPolicy(TAB)
    return made


def check(text: str, meaning: str) -> QCheckBox:
    """A box to check with a tooltip."""
    made = QCheckBox(text)
    made.setToolTip(meaning)
    made.setAccessibleDescription(meaning)
    made.setFocusPolicy(TAB)
    return made

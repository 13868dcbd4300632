"""Text and level of widgets, touched only where they change: each touch lays their surroundings out anew."""

from PySide6.QtWidgets import QAbstractButton, QLabel, QWidget

from dashboard.models.panels import Level


def set_text(widget: QLabel | QAbstractButton, text: str) -> None:
    """Write a text on a label or button."""
    if widget.text() != text:
        widget.setText(text)


def set_level(widget: QWidget, level: Level) -> None:
    """Colour a widget by a level, as the style sheet says."""
    if widget.property("level") != level:
        widget.setProperty("level", level)
        widget.style().unpolish(widget)
        widget.style().polish(widget)

"""The two themes on Qt: palette, style sheet, and how widgets that paint themselves are told."""

from typing import Protocol, runtime_checkable

import pyqtgraph as pg
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QToolTip, QWidget

from dashboard.models.colours import THEMES, Theme
from dashboard.models.panels import Level


@runtime_checkable
class Themed(Protocol):
    """A widget that paints itself and wants to know the colours."""

    def apply_theme(self, theme: Theme) -> None:
        """Paint in these colours from now on."""


def level_colour(theme: Theme, level: Level) -> str:
    """Colour of writing at a level: text, amber or red."""
    return {"ok": theme.text, "caution": theme.caution, "alarm": theme.alarm}[level]


def palette(theme: Theme) -> QPalette:
    """Qt's colour roles in a theme."""
    made = QPalette()
    role = QPalette.ColorRole
    for roles, colour in (
        ((role.Window, role.Button, role.AlternateBase, role.ToolTipBase), theme.panel),
        ((role.Base,), theme.background),
        ((role.WindowText, role.Text, role.ButtonText, role.ToolTipText, role.BrightText), theme.text),
        ((role.PlaceholderText, role.Mid, role.Dark), theme.weak),
        ((role.Light, role.Midlight), theme.panel),
        ((role.Highlight, role.Link, role.Accent), theme.accent),
        ((role.HighlightedText,), theme.background),
    ):
        for one in roles:
            made.setColor(one, QColor(colour))
    for one in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, one, QColor(theme.weak))
    return made


def style_sheet(theme: Theme) -> str:
    """What a palette can't say: where the keyboard is, and levels of labels; lengths in em of the font."""
    kinds = ("QAbstractButton", "QLineEdit", "QAbstractSpinBox", "QComboBox", "QAbstractItemView", "QSlider")
    focus = ", ".join(f"{kind}:focus" for kind in kinds)
    # Colours of the palette again: Qt hands a palette no further down where there is a style sheet.
    return f"""
        QWidget {{ color: {theme.text}; background-color: {theme.panel};
                   selection-color: {theme.background}; selection-background-color: {theme.accent}; }}
        QWidget:disabled {{ color: {theme.weak}; }}
        QLineEdit, QAbstractSpinBox, QComboBox, QAbstractItemView, QPlainTextEdit, QTextEdit {{
            background-color: {theme.background}; alternate-background-color: {theme.panel}; }}
        QToolTip {{ color: {theme.text}; background: {theme.panel}; border: 1px solid {theme.weak}; }}
        QPushButton {{ color: {theme.text}; background: {theme.background}; border: 1px solid {theme.weak};
                       border-radius: 0.2em; padding: 0.2em 0.6em; }}
        QPushButton:hover {{ border-color: {theme.accent}; }}
        QPushButton:checked, QPushButton:pressed {{ color: {theme.background}; background: {theme.accent}; }}
        QPushButton:disabled {{ color: {theme.weak}; }}
        QPushButton[level="alarm"] {{ color: {theme.alarm}; border: 2px solid {theme.alarm}; }}
        QLabel[level="caution"] {{ color: {theme.caution}; }}
        QLabel[level="alarm"] {{ color: {theme.alarm}; font-weight: bold; }}
        QHeaderView::section {{ color: {theme.text}; background: {theme.panel}; border: 0;
                                border-bottom: 1px solid {theme.weak}; padding: 0.1em 0.3em; }}
        QTableView {{ border: 1px solid {theme.weak}; }}
        QPushButton:focus {{ border: 2px solid {theme.accent}; }}
        {focus} {{ outline: 2px solid {theme.accent}; }}
        QPushButton:focus {{ outline: none; }}  /* its border says it; an outline would cross its words */
        QLineEdit:focus, QTableView:focus, QSlider:focus {{ border: 2px solid {theme.accent}; }}
    """


def use_theme(target: QApplication | QWidget, name: str) -> Theme:
    """Colour an application or a window, and all in it, and what is made with pyqtgraph later.

    Parameters
    ----------
    target
        Application (all its windows) or window.
    name
        Key of `THEMES`.

    Raises
    ------
    ValueError
        If there is no such theme.
    """
    if name not in THEMES:
        raise ValueError(f"no theme {name!r}; there are {', '.join(THEMES)}")
    theme = THEMES[name]
    pg.setConfigOptions(background=theme.background, foreground=theme.text)
    QToolTip.setPalette(palette(theme))
    target.setStyleSheet(style_sheet(theme))
    target.setPalette(palette(theme))
    windows = QApplication.topLevelWidgets() if isinstance(target, QApplication) else [target]
    for window in windows:
        for widget in (window, *window.findChildren(QWidget)):
            if isinstance(widget, Themed):
                widget.apply_theme(theme)
    return theme

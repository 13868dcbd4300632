"""Keys and what they do."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QSlider

from dashboard.models.display import Display
from dashboard.views.help import HelpPanel
from dashboard.views.history_slider import HistorySlider
from dashboard.views.shortcuts import SHORTCUTS, Shortcut

if TYPE_CHECKING:
    from dashboard.controllers.dashboard import Dashboard
    from dashboard.views.window import DashboardWindow

Action = Callable[[], object]
Key = Qt.Key
TAILS: dict[str, Literal["off", "mobility", "age"]] = {"off": "mobility", "mobility": "age", "age": "off"}
ARROWS = frozenset({Key.Key_Left, Key.Key_Right, Key.Key_Home})


def bind_actions(window: "DashboardWindow", dashboard: "Dashboard") -> list[QShortcut]:
    """Bind every row of `SHORTCUTS` to what it does; the shortcuts belong to the window.

    Raises
    ------
    ValueError
        If a row has no action, an action no row, or a key two rows.
    """
    helper = HelpPanel(window)
    actions = {**_looks(dashboard), **_doings(window, dashboard), "help": helper.toggle}
    check(SHORTCUTS, set(actions))
    window.installEventFilter(_KeysOfControls(window))
    return [_bind(window, key, row, actions[row.action]) for row in SHORTCUTS for key in row.keys]


def check(rows: tuple[Shortcut, ...], actions: set[str]) -> None:
    """Make sure that the table of keys and the actions fit.

    Raises
    ------
    ValueError
        If they don't.
    """
    named = [row.action for row in rows]
    keys = [QKeySequence(key).toString() for row in rows for key in row.keys]
    problems = {
        "without an action": set(named) - actions,
        "without a key": actions - set(named),
        "twice in the table": {name for name in named if named.count(name) > 1},
        "of two actions": {key for key in keys if keys.count(key) > 1},
    }
    for what, names in problems.items():
        if names:
            raise ValueError(f"shortcuts {what}: {', '.join(sorted(names))}")


class _KeysOfControls(QObject):
    """Leaves a focused control the keys that it needs itself; fields that are typed into do so alone."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt asks the focused widget and all around it before a key becomes a shortcut."""
        if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
            return False
        focused, key = QApplication.focusWidget(), event.key()
        presses = isinstance(focused, (QAbstractButton, QComboBox)) and key == Key.Key_Space
        # The slider over the history does the same as the shortcuts.
        slides = isinstance(focused, QSlider) and not isinstance(focused, HistorySlider) and key in ARROWS
        if presses or slides:
            event.accept()
            return True
        return False


def _bind(window: "DashboardWindow", key: str, row: Shortcut, action: Action) -> QShortcut:
    shortcut = QShortcut(QKeySequence(key), window)
    shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
    shortcut.setAutoRepeat(row.repeats)
    shortcut.activated.connect(lambda: action())
    return shortcut


def _looks(dashboard: "Dashboard") -> dict[str, Action]:
    """Actions that change settings of the view."""

    def switch(change: Callable[[Display], dict[str, Any]]) -> Action:
        return lambda: dashboard.use_display(dashboard.display.model_copy(update=change(dashboard.display)))

    return {
        "layout": switch(lambda d: {"layout": "composite" if d.layout == "side-by-side" else "side-by-side"}),
        "puncta": switch(lambda d: {"puncta": not d.puncta}),
        "ids": switch(lambda d: {"ids": not d.ids}),
        "tails": switch(lambda d: {"tails": TAILS[d.tails]}),
        "contrast": switch(
            lambda d: {"contrast": tuple(c.model_copy(update={"auto": True}) for c in d.contrast)}
        ),
        "shift": switch(lambda d: {"shift": not d.shift}),
        "theme": switch(lambda d: {"theme": "light" if d.theme == "dark" else "dark"}),
    }


def _doings(window: "DashboardWindow", dashboard: "Dashboard") -> dict[str, Action]:
    """Actions that do something else."""
    looking = dashboard.looking

    def region() -> None:
        window.images.region = not window.images.region

    return {
        "freeze": looking.freeze_or_follow,
        "back": lambda: looking.step(-1),
        "forward": lambda: looking.step(1),
        "back_1s": lambda: looking.step_s(-1.0),
        "forward_1s": lambda: looking.step_s(1.0),
        "follow": looking.follow,
        "region": region,
        "reset": window.images.reset_view,
        "snapshot": dashboard.snapshot,
        "export": dashboard.saving.table,
        "annotate": window.controls.focus_annotation,
        "fullscreen": lambda: window.showNormal() if window.isFullScreen() else window.showFullScreen(),
        "clear": looking.clear,
    }

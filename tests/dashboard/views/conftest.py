"""Widgets on the (offscreen) screen, and what was painted."""

from collections.abc import Callable

import numpy as np
import pytest
from PySide6 import QtGui, QtWidgets
from pytestqt.qtbot import QtBot

from dashboard.models.colours import rgb
from dashboard.views.theme import use_theme


@pytest.fixture
def shown(qtbot: QtBot) -> Callable[..., QtWidgets.QWidget]:
    """`shown(widget, width, height, theme="dark")`: the widget on the screen in a theme."""

    def show(widget: QtWidgets.QWidget, width: int, height: int, theme: str = "dark") -> QtWidgets.QWidget:
        qtbot.addWidget(widget)
        use_theme(widget, theme)
        widget.resize(width, height)
        with qtbot.waitExposed(widget):
            widget.show()
        return widget

    return show


@pytest.fixture(scope="session")
def picture() -> Callable[[QtWidgets.QWidget], np.ndarray]:
    """`picture(widget)`: red, green and blue of what it paints, int (H, W, 3)."""

    def grab(widget: QtWidgets.QWidget) -> np.ndarray:
        image = widget.grab().toImage().convertToFormat(QtGui.QImage.Format.Format_RGB32)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
        return rows[:, : 4 * image.width()].reshape(image.height(), image.width(), 4)[..., 2::-1].astype(int)

    return grab


@pytest.fixture(scope="session")
def where() -> Callable[..., np.ndarray]:
    """`where(image, "#RRGGBB", within=12)`: pixels of about this colour, bool (H, W)."""

    def find(image: np.ndarray, colour: str, within: int = 12) -> np.ndarray:
        return np.abs(image - rgb(colour)).max(-1) <= within

    return find


@pytest.fixture
def paintings(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`paintings(widget, act)`: how often the widget was painted because of what `act` did."""

    def count(widget: QtWidgets.QWidget, act: Callable[[], None]) -> int:
        n = 0
        paint = widget.paintEvent

        def counted(event: QtGui.QPaintEvent) -> None:
            nonlocal n
            n += 1
            paint(event)

        QtWidgets.QApplication.processEvents()
        monkeypatch.setattr(widget, "paintEvent", counted)
        act()
        QtWidgets.QApplication.processEvents()
        monkeypatch.undo()
        return n

    return count

"""Panels with known pictures and puncta, what was painted, and where a pixel must be on the screen."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PySide6 import QtGui
from pytestqt.qtbot import QtBot

from dashboard.models.compose import marks
from dashboard.models.display import Contrast, Display
from dashboard.models.scene import Scene, Tails
from dashboard.views.images import ImagePanel

WIDTH, HEIGHT, GAP = 804, 400, 4
PLAIN = {"saturation": False, "scale_bar": False, "time_stamp": False, "tails": "off"}
LOCKED = Contrast(low=0, high=1000, auto=False)


def pixels(image: QtGui.QImage) -> np.ndarray:
    """Red, green and blue of an image, int (H, W, 3)."""
    image = image.convertToFormat(QtGui.QImage.Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 4 * image.width()].reshape(image.height(), image.width(), 4)[..., 2::-1].astype(int)


@pytest.fixture
def panel(qtbot: QtBot) -> ImagePanel:
    """An image panel on the (offscreen) screen: two views of 400 × 400, or one of 804 × 400."""
    panel = ImagePanel()
    qtbot.addWidget(panel)
    panel.resize(WIDTH, HEIGHT)
    with qtbot.waitExposed(panel):
        panel.show()
    return panel


@pytest.fixture
def painted(panel: ImagePanel) -> Callable[..., np.ndarray]:
    """`painted(view=None)`: what is on the screen, of one view or of all, (H, W, 3)."""

    def grab(view: int | None = None) -> np.ndarray:
        if view is None:
            return pixels(panel.canvas.grab().toImage())
        return pixels(panel.grab_images()[view])

    return grab


@pytest.fixture
def on_screen(panel: ImagePanel) -> Callable[..., tuple[float, float]]:
    """`on_screen(x, y, view=0, n_views=2, flip_x=False, flip_y=False)`: where a pixel must be in the panel.

    Worked out from the visible range and the panel's size alone.
    """

    def where(
        x: float, y: float, view: int = 0, n_views: int = 2, flip_x: bool = False, flip_y: bool = False
    ) -> tuple[float, float]:
        (x0, x1), (y0, y1) = panel.visible_range()
        width = (panel.width() - GAP * (n_views - 1)) / n_views
        right, down = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
        right, down = (1 - right if flip_x else right), (1 - down if flip_y else down)
        return view * (width + GAP) + right * width, down * panel.height()

    return where


@pytest.fixture(scope="session")
def make_display() -> Callable[..., Display]:
    """`make_display(**fields)`: only picture and puncta, 0 black and 1000 counts white."""

    def display(**fields: Any) -> Display:
        return Display(**{**PLAIN, "contrast": (LOCKED, LOCKED), **fields})

    return display


@pytest.fixture(scope="session")
def make_scene(make_result: Callable[..., Any]) -> Callable[..., Scene]:
    """`make_scene(picture=None, selected=(), tails=None, is_newest=True, **columns of make_result)`."""

    def scene(
        picture: Any = None,
        selected: tuple[int, ...] = (),
        tails: Tails | None = None,
        is_newest: bool = True,
        seq: int = 7,
        **columns: Any,
    ) -> Scene:
        result = make_result(seq, **columns)
        none = Tails(np.empty((0, 4), np.float32), np.empty((0, 4), np.uint8))
        counts = None if picture is None else np.asarray(picture, np.uint16)
        return Scene(
            seq=seq,
            time_s=result.time_s,
            picture=counts,
            picture_seq=None if counts is None else seq,
            marks=marks(result),
            tails=none if tails is None else tails,
            selected=selected,
            is_newest=is_newest,
        )

    return scene


@pytest.fixture(scope="session")
def middle_of() -> Callable[..., tuple[float, float]]:
    """`middle_of(image, colour, within=40)`: mean place of what has about this colour."""

    def middle(image: np.ndarray, colour: tuple[int, int, int], within: int = 40) -> tuple[float, float]:
        rows, columns = np.nonzero(np.abs(image - colour).max(-1) <= within)
        assert len(rows), f"nothing is {colour}"
        return float(columns.mean() + 0.5), float(rows.mean() + 0.5)

    return middle

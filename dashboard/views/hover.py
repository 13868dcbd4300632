"""What is known of the punctum under the mouse, as text, and the label that shows it."""

import math
from collections.abc import Callable

import numpy as np
from PySide6 import QtCore, QtWidgets

from dashboard.models.colours import Theme
from dashboard.models.scene import Marks
from stream.results import CLOSED, NO_TRACK, OPEN

STATES = {OPEN: "open", CLOSED: "closed"}


def nearest(on_screen: np.ndarray, x: float, y: float, within: float) -> int | None:
    """Row of the place (n, 2) nearest to x, y; None where none lies within that distance."""
    if not len(on_screen):
        return None
    distance = np.nan_to_num(np.hypot(on_screen[:, 0] - x, on_screen[:, 1] - y), nan=np.inf)
    row = int(np.argmin(distance))
    return row if distance[row] <= within else None


def described(marks: Marks, row: int, pixel_nm: float, more: Callable[[int], str] | None = None) -> list[str]:
    """Lines about one punctum: place and uncertainty, light, calcium, track.

    Parameters
    ----------
    marks, row
        Which punctum.
    pixel_nm
        Size of a pixel.
    more
        What else is known of a track (its diffusion coefficient), a line or nothing.
    """
    track = int(marks.track_id[row])
    lines = ["no track" if track == NO_TRACK else f"track {track}"]
    for name, at, sd in (("x", marks.x_px, marks.x_sd_px), ("y", marks.y_px, marks.y_sd_px)):
        spread = float(sd[row]) * pixel_nm
        text = f"{name} {float(at[row]) * pixel_nm:,.0f}"
        lines.append(f"{text} ± {spread:.0f} nm" if math.isfinite(spread) else f"{text} nm")
    if marks.in_gap[row]:
        lines.append("not seen in this frame: place predicted")
    if math.isfinite(marks.photons[row]):
        lines.append(f"{float(marks.photons[row]):,.0f} photons")
    if math.isfinite(marks.probability[row]):
        lines.append(f"probability {float(marks.probability[row]):.2f}")
    state = "channel " + STATES.get(int(marks.state[row]), "state uncertain")
    if marks.is_open[row]:
        state += ", event under way"
    lines.append(state)
    if math.isfinite(marks.dff[row]):
        lines.append(f"ΔF/F0 {float(marks.dff[row]):.2f}")
    if more is not None and track != NO_TRACK and (text := more(track)):
        lines.append(text)
    return lines


class HoverLabel(QtWidgets.QLabel):
    """A small label beside the mouse that never takes the mouse's events."""

    def __init__(self, parent: QtWidgets.QWidget) -> None:
        super().__init__(parent)
        self._around = parent
        self.setTextFormat(QtCore.Qt.TextFormat.PlainText)
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def apply_theme(self, theme: Theme) -> None:
        """Colours of the theme."""
        self.setStyleSheet(
            f"color: {theme.text}; background: {theme.panel}; border: 1px solid {theme.weak}; padding: 3px;"
        )

    def show_lines(self, lines: list[str], at: QtCore.QPointF) -> None:
        """Show the lines beside a place, inside the parent."""
        text = "\n".join(lines)
        if text != self.text():
            self.setText(text)
            self.adjustSize()
        room = self._around.rect()
        x, y = at.x() + 16, at.y() + 16
        if x + self.width() > room.width():
            x = at.x() - 16 - self.width()
        if y + self.height() > room.height():
            y = at.y() - 16 - self.height()
        self.move(int(max(x, 0)), int(max(y, 0)))
        self.show()

"""The items of the health bar: a badge, and readings with their word beside the colour."""

import math
from typing import NamedTuple

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from dashboard.models.colours import THEMES, Theme
from dashboard.models.panels import Badge, Level, Reading
from dashboard.views.guarded import guarded
from dashboard.views.plot import Align, pen, scaled_font
from dashboard.views.theme import level_colour

SYMBOLS: dict[Level, str] = {"ok": "", "caution": "▲", "alarm": "■"}
SMALL = 0.85  # of the font's size, for names
LONGEST = 46  # letters; only paths and names of devices are longer, and these are whole in the tooltip
SHRINKS_BELOW = 0.75  # of its width an item gets narrower, so that items don't jump about with each digit


class Look(NamedTuple):
    """How a badge looks: its word, border, roundness (share of its height), and whether it is filled."""

    word: str
    border: Qt.PenStyle
    round: float
    is_filled: bool


LOOKS = {
    "live": Look("● LIVE", Qt.PenStyle.SolidLine, 0.5, True),
    "replay": Look("▶ REPLAY", Qt.PenStyle.SolidLine, 0.0, False),
    "simulation": Look("◆ SIMULATION", Qt.PenStyle.DashLine, 0.0, False),
    "none": Look("○ NO RUN", Qt.PenStyle.DotLine, 0.5, False),
}


def shortened(text: str, longest: int = LONGEST) -> str:
    """A text whose middle is left out where it is too long: what begins and ends it is told apart by."""
    if len(text) <= longest:
        return text
    head = (longest - 1) // 2
    return f"{text[:head]}…{text[len(text) - (longest - 1 - head) :]}"


def warning(reading: Reading) -> str:
    """Symbol and word of a reading; empty where all is well."""
    return f"{SYMBOLS[reading.level]} {reading.word}".strip()


class Item(QWidget):
    """A widget as wide as its writing, that gets narrower only where much room would be left."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = THEMES["dark"]
        self._width = 0

    def apply_theme(self, theme: Theme) -> None:
        """Paint in these colours from now on."""
        self.theme = theme
        self.update()

    def needed_px(self) -> float:
        """Width of the writing."""
        raise NotImplementedError

    def fit(self, anew: bool = False) -> bool:
        """Adapt the width to what is written, in any case or where it must be; tell whether it changed."""
        old, needed = self._width, math.ceil(self.needed_px())
        if anew or needed > old or needed < SHRINKS_BELOW * old:
            self._width = needed
        return self._width != old

    def sizeHint(self) -> QSize:
        """Two lines of writing, the upper one small."""
        high = QFontMetricsF(self.small()).height() + QFontMetricsF(self.strong()).height()
        return QSize(self._width, math.ceil(high))

    def small(self) -> QFont:
        """Of names."""
        return scaled_font(self.font(), SMALL)

    def strong(self, share: float = 1.0) -> QFont:
        """Of what must not be overlooked."""
        font = scaled_font(self.font(), share)
        font.setBold(True)
        return font


class BadgeItem(Item):
    """LIVE, REPLAY, SIMULATION or NO RUN, told apart by word, symbol, border and shape."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.badge: Badge | None = None

    def present(self, badge: Badge) -> bool:
        """Show a badge; tell whether it is another one."""
        if badge == self.badge:
            return False
        self.badge = badge
        self.setAccessibleName(badge.text)
        self.setToolTip(badge.text)
        self.update()
        return True

    @property
    def look(self) -> Look:
        """How it looks."""
        return LOOKS[self.badge.kind if self.badge else "none"]

    def needed_px(self) -> float:
        """As wide for each kind, so that nothing moves."""
        metrics = QFontMetricsF(self.strong())
        return max(metrics.horizontalAdvance(look.word) for look in LOOKS.values()) + 1.6 * metrics.height()

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """A frame with a word in it."""
        look, theme = self.look, self.theme
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            width = max(2.0, self.height() / 14)
            frame = QRectF(self.rect()).adjusted(width, width, -width, -width)
            painter.setPen(QPen(QColor(theme.accent if look.is_filled else theme.text), width, look.border))
            painter.setBrush(QColor(theme.accent) if look.is_filled else Qt.BrushStyle.NoBrush)
            radius = look.round * frame.height()
            painter.drawRoundedRect(frame, radius, radius)
            painter.setFont(self.strong())
            painter.setPen(QColor(theme.background if look.is_filled else theme.text))
            painter.drawText(frame, Align.AlignCenter, look.word)


class ReadingItem(Item):
    """A reading: its name small above with the word of what is wrong, its text below."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.reading = Reading("", "")
        self._is_chosen = False

    def present(self, reading: Reading) -> bool:
        """Show a reading; tell whether it is another one."""
        if reading == self.reading:
            return False
        self.reading = reading
        self.setAccessibleName(self.said())
        self.setToolTip(f"{self.said()}\n{reading.meaning}".strip())
        self.setAccessibleDescription(reading.meaning)
        self.update()
        return True

    def said(self) -> str:
        """All that it shows, not shortened."""
        word = warning(self.reading)
        return f"{self.reading.name}: {self.reading.text}" + (f" {word}" if word else "")

    def needed_px(self) -> float:
        """Width of the longer line, and a gap."""
        gap = QFontMetricsF(self.font()).height()
        upper = QFontMetricsF(self.small()).horizontalAdvance(self.reading.name)
        word = warning(self.reading)
        if word:
            upper += 0.5 * gap + QFontMetricsF(self.strong(SMALL)).horizontalAdvance(word)
        lower = QFontMetricsF(self._font()).horizontalAdvance(shortened(self.reading.text))
        return max(upper, lower) + gap

    def choose(self, is_chosen: bool) -> None:
        """Mark it as the one that the keyboard is at."""
        if is_chosen != self._is_chosen:
            self._is_chosen = is_chosen
            self.update()

    def _font(self) -> QFont:
        return self.font() if self.reading.level == "ok" else self.strong()

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """Name and word, text, and a stripe at the left where something is wrong."""
        reading, theme = self.reading, self.theme
        with QPainter(self) as painter:
            line = QFontMetricsF(self.font()).height()
            colour = level_colour(theme, reading.level)
            if reading.level != "ok":
                stripe = max(2.0, line / 6)
                painter.setPen(pen(colour, stripe))
                painter.drawLine(QPointF(stripe / 2, 0), QPointF(stripe / 2, self.height()))
            small = QFontMetricsF(self.small())
            at = QRectF(0.4 * line, 0, self.width(), small.height())
            painter.setFont(self.small())
            painter.setPen(QColor(theme.text))
            painter.drawText(at, Align.AlignLeft | Align.AlignVCenter, reading.name)
            painter.setPen(QColor(colour))
            painter.setFont(self.strong(SMALL))
            at.adjust(small.horizontalAdvance(reading.name) + 0.5 * line, 0, 0, 0)
            painter.drawText(at, Align.AlignLeft | Align.AlignVCenter, warning(reading))
            painter.setFont(self._font())
            below = QRectF(0.4 * line, small.height(), self.width(), self.height() - small.height())
            painter.drawText(below, Align.AlignLeft | Align.AlignVCenter, shortened(reading.text))
            if self._is_chosen:
                painter.setPen(pen(theme.accent, 2.0))
                painter.drawRect(QRectF(self.rect()).adjusted(1, 1, -1, -1))

"""How the run is, always in sight: what is watched, readings, and the worst of them in a sentence."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QFocusEvent, QFontMetrics, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from dashboard.models.colours import THEMES, Theme
from dashboard.models.panels import Badge, Level, Reading
from dashboard.views.counters import set_text
from dashboard.views.flow import FlowLayout
from dashboard.views.theme import level_colour

# Told apart by word, by edge and by corners, not by colour alone.
BADGES = {
    "live": ("● LIVE", "solid", "1em", "accent"),
    "replay": ("▶ REPLAY", "double", "0", "text"),
    "simulation": ("≈ SIMULATION", "dashed", "0.4em", "caution"),
    "none": ("○ NO RUN", "dotted", "0", "text"),
}
SEVERITY = {"ok": 0, "caution": 1, "alarm": 2}
LONGEST = 44  # letters of a reading; what is longer is cut here and whole in the tooltip


class Chip(QLabel):
    """A reading: name, value, and the word that says what is wrong.

    It gets wider but never narrower, as the bar would jump with every digit.
    """

    def __init__(self) -> None:
        super().__init__()
        self._widest = 0
        self.reading: Reading | None = None

    def present(self, reading: Reading) -> None:
        """Show a reading."""
        old, self.reading = self.reading, reading
        if reading == old:
            return
        value = f"{reading.text} – {reading.word}" if reading.word else reading.text
        whole = f"{reading.name}: {value}"
        cut = whole if len(whole) <= LONGEST else f"{reading.name}: {_cut(reading)}"
        if self.text() != cut:
            self.setText(cut)
            self.setAccessibleName(whole)
        if old is None or old.level != reading.level:
            self.setProperty("level", reading.level)
            self.style().unpolish(self)
            self.style().polish(self)
        tip = f"{whole}\n{reading.meaning}" if reading.meaning else whole
        if self.toolTip() != tip:
            self.setToolTip(tip)
            self.setAccessibleDescription(reading.meaning)

    def sizeHint(self) -> QSize:
        """At least as wide as ever."""
        hint = super().sizeHint()
        self._widest = max(self._widest, hint.width())
        return QSize(self._widest, hint.height())

    def changeEvent(self, event: QEvent) -> None:
        """Another font begins anew."""
        if event.type() == QEvent.Type.FontChange:
            self._widest = 0
        super().changeEvent(event)


def _cut(reading: Reading) -> str:
    """The value cut so that the word that says what is wrong stays."""
    tail = f" – {reading.word}" if reading.word else ""
    room = max(LONGEST - len(reading.name) - 2 - len(tail) - 1, 6)
    return reading.text if len(reading.text) <= room else f"{reading.text[:room].rstrip()}…{tail}"


class Sentence(QLabel):
    """A line that ends in … where it is too long; whole in the tooltip."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Write as much as there is room for."""
        painter = QPainter(self)
        text = QFontMetrics(self.font()).elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter, text)
        painter.end()


class HealthBar(QWidget):
    """Badge, readings, and a sentence on the worst one.

    With the keyboard: up and down go from reading to reading, and the sentence says what each means.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Health of the run")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._theme = THEMES["dark"]
        self.badge, self.sentence = QLabel(), Sentence()
        self.badge.setAccessibleName("what is watched")
        line = QFontMetrics(self.font()).height()
        column = QVBoxLayout(self)
        column.setContentsMargins(line // 2, line // 4, line // 2, line // 4)
        column.setSpacing(line // 8)
        self._strip = QWidget()
        self._flow = FlowLayout(self._strip, line)
        self._flow.addWidget(self.badge)
        column.addWidget(self._strip)
        column.addWidget(self.sentence)
        self.chips: list[Chip] = []
        self._badge = Badge("none", "no run is watched")
        self._chosen: int | None = None
        self._colour_badge()

    def present(self, badge: Badge, readings: Sequence[Reading]) -> None:
        """Show what is watched and how it is; labels whose text stays are not touched."""
        if badge != self._badge:
            changed = badge.kind != self._badge.kind
            self._badge = badge
            if changed:
                self._colour_badge()
        while len(self.chips) < len(readings):
            chip = Chip()
            self.chips.append(chip)
            self._flow.addWidget(chip)
        for i, chip in enumerate(self.chips):
            if i < len(readings):
                chip.present(readings[i])
            if chip.isHidden() == (i < len(readings)):
                chip.setVisible(i < len(readings))
        self._tell()

    def apply_theme(self, theme: Theme) -> None:
        """Paint in these colours from now on."""
        self._theme = theme
        self._colour_badge()
        self._tell(anew=True)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go from reading to reading."""
        n = sum(not chip.isHidden() for chip in self.chips)
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down) and n:
            step = 1 if event.key() == Qt.Key.Key_Down else -1
            self._chosen = 0 if self._chosen is None else (self._chosen + step) % n
            self._tell()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Begin with the first reading where the user came with the Tab key."""
        if event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason):
            self._chosen = 0
            self._tell()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Say the worst again."""
        self._chosen = None
        self._tell()
        super().focusOutEvent(event)

    def _tell(self, anew: bool = False) -> None:
        """Write the sentence: on the reading that the keyboard chose, else on the worst one."""
        readings = [chip.reading for chip in self.chips if chip.reading is not None and not chip.isHidden()]
        told: Reading | None
        if self._chosen is not None and self._chosen < len(readings):
            told = readings[self._chosen]
        else:
            told = max(readings, key=lambda reading: SEVERITY[reading.level], default=None)
            if told is not None and told.level == "ok":
                told = None
        for chip in self.chips:
            chosen = told is not None and self._chosen is not None and chip.reading is told
            style = f"border: 2px solid {self._theme.accent};" if chosen else ""
            if chip.styleSheet() != style:
                chip.setStyleSheet(style)
        if told is None:
            text, level = self._badge.text, "ok"
        else:
            word = f"{told.word}: " if told.word else ""
            text, level = f"{told.name} – {word}{told.text}. {told.meaning}", told.level
        if text != self.sentence.text():
            set_text(self.sentence, text)
            self.sentence.setToolTip(text)
            self.sentence.setAccessibleName(text)
        if anew or level != self.sentence.property("level"):
            self.sentence.setProperty("level", level)
            self.sentence.setStyleSheet(f"color: {level_colour(self._theme, level)};")  # type: ignore[arg-type]

    def _colour_badge(self) -> None:
        word, edge, corner, colour = BADGES[self._badge.kind]
        set_text(self.badge, word)
        ink = getattr(self._theme, colour)
        self.badge.setStyleSheet(
            f"color: {ink}; border: 3px {edge} {ink}; border-radius: {corner};"
            "padding: 0 0.5em; font-weight: bold;"
        )
        self.badge.setToolTip(self._badge.text)
        self.badge.setAccessibleDescription(self._badge.text)

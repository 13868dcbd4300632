"""Always on top: what is watched, how it is, and a sentence about what is worst."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QFocusEvent, QFontMetricsF, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from dashboard.models.colours import THEMES, Theme
from dashboard.models.panels import Badge, Level, Reading
from dashboard.views.health_items import BadgeItem, Item, ReadingItem, warning
from dashboard.views.theme import level_colour

RANK = {"ok": 0, "caution": 1, "alarm": 2}
# Heights of a line that it is wide at least; Qt asks how high it would be in the narrowest window there is.
SMALLEST_EM = 40
BY_KEY = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)


def worst(readings: Sequence[Reading]) -> Reading | None:
    """The first of the worst readings, None where all is well."""
    bad = [reading for reading in readings if RANK[reading.level]]
    return max(bad, key=lambda reading: RANK[reading.level], default=None)


def rows_of(widths: Sequence[int], room: int) -> list[list[int]]:
    """Which items stand in which row, in their order, where each row has `room` pixels."""
    rows: list[list[int]] = [[]]
    used = 0
    for i, width in enumerate(widths):
        if rows[-1] and used + width > room:
            rows.append([])
            used = 0
        rows[-1].append(i)
        used += width
    return rows


class HealthBar(QWidget):
    """Badge and readings in as many rows as they need, and a sentence about what is worst.

    With the keyboard: left and right go from reading to reading, and the sentence says what each means.

    Attributes
    ----------
    badge, items
        Widgets of the badge and of the readings, in their order.
    sentence
        What the worst reading means and what to do about it; what is watched where all is well.
    """

    def __init__(self) -> None:
        super().__init__()
        self.theme = THEMES["dark"]
        self.setAccessibleName("Health of the run")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.badge = BadgeItem(self)
        self.badge.fit()
        self.items: list[ReadingItem] = []
        self.sentence = QLabel(self)
        self.sentence.setWordWrap(True)
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)
        self._level: Level = "ok"
        # The sentence keeps the most lines that it needed at this width: images must not jump with it.
        self._sentence_px = 0
        self._chosen: int | None = None
        self._smallest()

    def present(self, badge: Badge, readings: tuple[Reading, ...]) -> None:
        """Show how things stand; what has not changed is not touched."""
        is_other = self.badge.present(badge)
        moved = self._match(len(readings))
        for item, reading in zip(self.items, readings, strict=True):
            if item.present(reading):
                is_other = True
                moved |= item.fit()
        if is_other or moved:
            self._tell()
            self.setAccessibleDescription(self.said())
        if moved:
            self._arrange()

    def said(self) -> str:
        """All that is shown, as text."""
        lines = [self.badge.look.word, *(item.said() for item in self.items), self.sentence.text()]
        return "\n".join(line for line in lines if line)

    def apply_theme(self, theme: Theme) -> None:
        """Paint in these colours from now on, those readings too that come later."""
        self.theme = theme
        for item in self._all():
            item.apply_theme(theme)
        self._colour_sentence()

    def hasHeightForWidth(self) -> bool:
        """Rows wrap."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Height of all rows and the sentence."""
        room = self._room(width)
        rows = rows_of([item.sizeHint().width() for item in self._all()], room)
        sentence = max(self._sentence_px, self.sentence.heightForWidth(room))
        return self._gap() + len(rows) * (self.badge.sizeHint().height() + self._gap()) + sentence

    def sizeHint(self) -> QSize:
        """Before any window says how wide it is, the narrowest."""
        width = self.width() if self.isVisible() else self.minimumWidth()
        return QSize(width, self.heightForWidth(width))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Other rows in another width."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._sentence_px = self.sentence.heightForWidth(self._room(self.width()))
        self._place()

    def changeEvent(self, event: QEvent) -> None:
        """Another font has other sizes."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            for item in self._all():
                item.fit(anew=True)
            self._sentence_px = 0
            self._smallest()
            self._arrange()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go from reading to reading."""
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1}
        step = steps.get(Qt.Key(event.key()))
        if step is None or not self.items:
            super().keyPressEvent(event)
        else:
            self._choose(0 if self._chosen is None else (self._chosen + step) % len(self.items))

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Begin with the first reading where the user came with the keyboard."""
        super().focusInEvent(event)
        if event.reason() in BY_KEY and self.items:
            self._choose(0)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Tell the worst again."""
        super().focusOutEvent(event)
        self._choose(None)

    def _choose(self, at: int | None) -> None:
        self._chosen = at
        for i, item in enumerate(self.items):
            item.choose(i == at)
        self._tell()

    def _all(self) -> list[Item]:
        return [self.badge, *self.items]

    def _line(self) -> float:
        return QFontMetricsF(self.font()).height()

    def _smallest(self) -> None:
        self.setMinimumWidth(round(SMALLEST_EM * self._line()))

    def _gap(self) -> int:
        return max(2, round(0.2 * self._line()))

    def _room(self, width: int) -> int:
        return max(width - 2 * self._gap(), 1)

    def _match(self, n: int) -> bool:
        """As many items as readings; tell whether that changed anything."""
        if n == len(self.items):
            return False
        self._chosen = None
        for item in self.items[n:]:
            item.hide()
            item.deleteLater()
        del self.items[n:]
        while len(self.items) < n:
            item = ReadingItem(self)
            item.apply_theme(self.theme)
            item.show()
            self.items.append(item)
        return True

    def _tell(self) -> None:
        """Write the sentence: on the reading that the keyboard chose, else on the worst one."""
        readings = [item.reading for item in self.items]
        told = worst(readings) if self._chosen is None else readings[self._chosen]
        text = self.badge.toolTip()
        level: Level = "ok"
        if told is not None:
            word = f"{warning(told)} – " if warning(told) else ""
            text, level = f"{word}{told.name}: {told.meaning}", told.level
        if level != self._level:
            self._level = level
            self._colour_sentence()
        if text == self.sentence.text():
            return
        self.sentence.setText(text)
        needed = self.sentence.heightForWidth(self._room(self.width()))
        if needed > self._sentence_px:
            self._sentence_px = needed
            self._arrange()

    def _colour_sentence(self) -> None:
        self.sentence.setStyleSheet(f"color: {level_colour(self.theme, self._level)}")

    def _arrange(self) -> None:
        self.updateGeometry()
        self._place()

    def _place(self) -> None:
        gap, items, room = self._gap(), self._all(), self._room(self.width())
        y = gap
        for row in rows_of([item.sizeHint().width() for item in items], room):
            x = gap
            for i in row:
                size = items[i].sizeHint()
                items[i].setGeometry(x, y, min(size.width(), room), size.height())
                x += size.width()
            y += self.badge.sizeHint().height() + gap
        self.sentence.setGeometry(gap, y, room, max(self.height() - y, 0))

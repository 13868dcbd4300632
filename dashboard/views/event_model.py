"""The event list as Qt's views want it: sorted, and changed row by row."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QFont

from dashboard.views.event_columns import COLUMNS
from stream.results import CalciumEvent

Index = QModelIndex | QPersistentModelIndex
Key = tuple[bool, float, float]
Role = Qt.ItemDataRole
SELECTED = "▸"
NOWHERE = QModelIndex()
RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


class EventModel(QAbstractTableModel):
    """Events in the order of a column.

    Rows are put in and taken out where they belong, so that nothing is sorted or laid out anew when some
    events come; a proxy model would ask for thousands of numbers through Python instead.

    Attributes
    ----------
    events
        In the order shown.
    column, order
        By which they are sorted; what is not known comes last in both orders.
    """

    def __init__(self) -> None:
        super().__init__()
        self.column, self.order = 0, Qt.SortOrder.AscendingOrder
        self.events: list[CalciumEvent] = []
        self._keys: list[Key] = []
        self._taken: tuple[CalciumEvent, ...] = ()
        self._selected: int | None = None
        self._accent = QColor()
        self._bold = QFont()
        self._bold.setBold(True)

    def take(self, events: tuple[CalciumEvent, ...]) -> None:
        """Show these events, told oldest first; those that stay are the same objects as before."""
        if events is self._taken:
            return
        before, self._taken = self._taken, events
        n_gone = _n_gone(before, events)
        self._take_out(before[:n_gone])
        self._put_in(events[len(before) - n_gone :])

    def select(self, event_id: int | None) -> None:
        """Mark an event instead of the one that was."""
        if event_id == self._selected:
            return
        changed = (self._selected, event_id)
        self._selected = event_id
        for row, event in enumerate(self.events):
            if event.event_id in changed:
                self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))

    def mark_with(self, colour: str) -> None:
        """Colour of the selected event."""
        self._accent = QColor(colour)

    def row_of(self, event_id: int) -> int | None:
        """Row of an event."""
        return next((row for row, event in enumerate(self.events) if event.event_id == event_id), None)

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """Number of events."""
        return 0 if parent.isValid() else len(self.events)

    def columnCount(self, parent: Index = NOWHERE) -> int:
        """Number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: Index, role: int = Role.DisplayRole) -> Any:
        """What Qt asks of a cell."""
        event, column = self.events[index.row()], index.column()
        if role == Role.DisplayRole:
            text = COLUMNS[column].text(event)
            return f"{SELECTED} {text}" if column == 0 and event.event_id == self._selected else text
        if role == Role.TextAlignmentRole:
            return RIGHT
        if role == Role.FontRole and event.event_id == self._selected:
            return self._bold
        if role == Role.ForegroundRole and event.event_id == self._selected:
            return self._accent
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Role.DisplayRole) -> Any:
        """Names of the columns."""
        if orientation == Qt.Orientation.Horizontal and 0 <= section < len(COLUMNS):
            if role == Role.DisplayRole:
                return COLUMNS[section].name
            if role == Role.ToolTipRole:
                return COLUMNS[section].meaning
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column."""
        if not 0 <= column < len(COLUMNS):
            return
        self.layoutAboutToBeChanged.emit()
        held = [(old, self.events[old.row()].event_id) for old in self.persistentIndexList()]
        self.column, self.order = column, order
        key = self._key()
        self.events.sort(key=key)
        self._keys = [key(event) for event in self.events]
        rows = {event.event_id: row for row, event in enumerate(self.events)}
        for old, event_id in held:
            self.changePersistentIndex(old, self.index(rows[event_id], old.column()))
        self.layoutChanged.emit()

    def _key(self) -> Callable[[CalciumEvent], Key]:
        """Where an event belongs; no two have the same key, as the event's number is part of it."""
        value = COLUMNS[self.column].value
        sign = 1.0 if self.order == Qt.SortOrder.AscendingOrder else -1.0

        def key(event: CalciumEvent) -> Key:
            number = float(value(event))
            is_unknown = math.isnan(number)
            return is_unknown, 0.0 if is_unknown else sign * number, sign * event.event_id

        return key

    def _take_out(self, events: Sequence[CalciumEvent]) -> None:
        key = self._key()
        rows = sorted((bisect_left(self._keys, key(event)) for event in events), reverse=True)
        # Neighbours go together, the last ones first, so that the rows of the others stay as they are.
        for _, run in groupby(enumerate(rows), key=lambda pair: pair[0] + pair[1]):
            together = [row for _, row in run]
            last, first = together[0], together[-1]
            self.beginRemoveRows(NOWHERE, first, last)
            del self.events[first : last + 1], self._keys[first : last + 1]
            self.endRemoveRows()

    def _put_in(self, events: Sequence[CalciumEvent]) -> None:
        key = self._key()
        placed = [(bisect_left(self._keys, key(event)), event) for event in sorted(events, key=key)]
        groups = [(row, [event for _, event in group]) for row, group in groupby(placed, key=lambda p: p[0])]
        for row, group in reversed(groups):  # the last ones first, as above
            self.beginInsertRows(NOWHERE, row, row + len(group) - 1)
            self.events[row:row] = group
            self._keys[row:row] = [key(event) for event in group]
            self.endInsertRows()


def _n_gone(before: tuple[CalciumEvent, ...], after: tuple[CalciumEvent, ...]) -> int:
    """How many of the oldest events are gone; all of them where these are events of another run."""
    for n, event in enumerate(before):
        if after and event is after[0]:
            n_stay = len(before) - n
            return n if n_stay <= len(after) and before[-1] is after[n_stay - 1] else len(before)
    return len(before)

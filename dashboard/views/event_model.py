"""Calcium events as a table that Qt can show: new ones are put where they belong, the others stay."""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from dashboard.models.panels import EventView
from stream.results import CalciumEvent

Index = QModelIndex | QPersistentModelIndex
Role, ROOT = Qt.ItemDataRole, QModelIndex()
ASCENDING = Qt.SortOrder.AscendingOrder
ALIGN = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


@dataclass(frozen=True, slots=True)
class EventColumn:
    """A column: its title, what stands in it, how that is written, and what it means."""

    title: str
    value: Callable[[CalciumEvent], float | int | bool]
    text: Callable[[Any], str]
    meaning: str


COLUMNS = (
    EventColumn("event", lambda e: e.event_id, str, "number of the event in this run"),
    EventColumn("track", lambda e: e.track_id, str, "track of the punctum that it belongs to"),
    EventColumn("onset (s)", lambda e: e.onset_s, "{:.2f}".format, "first frame above rest"),
    EventColumn(
        "duration (s)",
        lambda e: e.end_s - e.onset_s,
        "{:.2f}".format,
        "from onset to the last frame with a tenth of the peak, or to the next event",
    ),
    EventColumn("ΔF/F0", lambda e: e.amplitude_dff, "{:.2f}".format, "at the peak"),
    EventColumn("SNR", lambda e: e.snr, "{:.1f}".format, "amplitude in standard deviations of a matched filter"),
    EventColumn(
        "probability", lambda e: e.calcium_probability, "{:.2f}".format, "that the event is real"
    ),
    EventColumn(
        "in wave", lambda e: e.in_wave, lambda v: "yes" if v else "no", "whether a wave passed meanwhile"
    ),
)
ID_COLUMN, ONSET_COLUMN = 0, 2
Key = tuple[bool, float, int]


class EventModel(QAbstractTableModel):
    """Events in the order of one column; events that are alike there in the order of their ids.

    Rows are kept sorted, so that a new event costs a search by halves rather than a reset, which would lose
    the selection and the place that the user scrolled to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taken: tuple[CalciumEvent, ...] = ()
        self._rows: list[CalciumEvent] = []
        self._keys: list[Key] = []
        self.column, self.order = ID_COLUMN, ASCENDING

    def take(self, view: EventView) -> None:
        """Put new events in, and take out those that are not kept any more."""
        old, new = self.taken, view.events
        if new is old:
            return
        self.taken = new
        first = new[0].event_id if new else None
        gone = next((i for i, event in enumerate(old) if event.event_id == first), len(old))
        kept = len(old) - gone
        if kept == 0 or kept > len(new) or new[kept - 1] != old[-1]:
            self.beginResetModel()  # another run, or a first or long pause
            self._rows = sorted(new, key=self._key)
            self._keys = [self._key(event) for event in self._rows]
            self.endResetModel()
            return
        for event in old[:gone]:
            at = bisect_left(self._keys, self._key(event))
            self.beginRemoveRows(ROOT, at, at)
            del self._rows[at], self._keys[at]
            self.endRemoveRows()
        for event in new[kept:]:
            key = self._key(event)
            at = bisect_left(self._keys, key)
            self.beginInsertRows(ROOT, at, at)
            self._rows.insert(at, event)
            self._keys.insert(at, key)
            self.endInsertRows()

    def event_at(self, row: int) -> CalciumEvent:
        """The event in a row."""
        return self._rows[row]

    def row_of(self, event_id: int | None) -> int | None:
        """Row of an event, None where it is not there."""
        # As every lookup is of an event that somebody chose, a search from end to end will do.
        return next((i for i, event in enumerate(self._rows) if event.event_id == event_id), None)

    def events(self) -> list[CalciumEvent]:
        """The events in the order shown."""
        return list(self._rows)

    def rowCount(self, parent: Index = ROOT) -> int:
        """Events."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = ROOT) -> int:
        """Columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: Index, role: int = Role.DisplayRole) -> Any:
        """Text of a cell."""
        if role == Role.DisplayRole:
            column = COLUMNS[index.column()]
            return column.text(column.value(self._rows[index.row()]))
        if role == Role.TextAlignmentRole:
            return ALIGN
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Role.DisplayRole) -> Any:
        """Titles, and what they mean."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Role.DisplayRole:
                return COLUMNS[section].title
            if role == Role.ToolTipRole:
                return COLUMNS[section].meaning
        return None

    def sort(self, column: int, order: Qt.SortOrder = ASCENDING) -> None:
        """Order by a column; the selection stays with its events."""
        self.layoutAboutToBeChanged.emit()
        old = self.persistentIndexList()
        events = [self._rows[index.row()] for index in old]
        self.column, self.order = column, order
        self._rows.sort(key=self._key)
        self._keys = [self._key(event) for event in self._rows]
        rows = [bisect_left(self._keys, self._key(event)) for event in events]
        new = [self.index(row, index.column()) for row, index in zip(rows, old, strict=True)]
        self.changePersistentIndexList(old, new)
        self.layoutChanged.emit()

    def _key(self, event: CalciumEvent) -> Key:
        """Order of rows; values that are not known come last either way."""
        sign = 1 if self.order == ASCENDING else -1
        value = float(COLUMNS[self.column].value(event))
        unknown = math.isnan(value)
        return unknown, 0.0 if unknown else sign * value, sign * event.event_id

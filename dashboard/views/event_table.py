"""List of the calcium events."""

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QLabel, QTableView, QVBoxLayout, QWidget

from dashboard.models.colours import THEMES, Theme
from dashboard.models.panels import EventView
from dashboard.views.event_columns import COLUMNS, IN_TIME
from dashboard.views.event_model import EventModel

Key = Qt.Key
MEANING = (
    "Calcium events of the tracks. Click or Enter: select the track and look at it; double click or "
    "Shift+Enter: go back to the event's peak; click on a header or 1 to 8: sort by that column, again: the "
    "other way round"
)


class EventTable(QTableView):
    """The table itself, with what the keyboard does in it.

    Signals
    -------
    chosen(row, jump)
        Enter, or Shift+Enter (`jump`), on a row.
    """

    chosen = Signal(int, bool)

    def __init__(self, model: EventModel) -> None:
        super().__init__()
        self.setModel(model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.setTabKeyNavigation(False)  # Tab goes on to the next panel
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.setAccessibleName("Calcium events")
        self.setAccessibleDescription(MEANING)
        self.setToolTip(MEANING)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setStretchLastSection(True)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)

    def fit(self) -> None:
        """Widths and heights that go with the font."""
        letters = QFontMetrics(self.font())
        self.verticalHeader().setDefaultSectionSize(round(1.35 * letters.height()))
        for i, column in enumerate(COLUMNS):
            widest = max(letters.horizontalAdvance(text) for text in (column.name, column.sample))
            self.setColumnWidth(i, round(widest + 0.6 * letters.height()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter chooses a row, digits sort by a column."""
        key, row = event.key(), self.currentIndex().row()
        if key in (Key.Key_Return, Key.Key_Enter):
            if row >= 0:
                self.chosen.emit(row, bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
        elif event.text().isdigit() and 1 <= int(event.text()) <= len(COLUMNS):
            self.sort_by(int(event.text()) - 1)
        else:
            super().keyPressEvent(event)

    def sort_by(self, column: int) -> None:
        """Sort by a column, the other way round where it was already."""
        header = self.horizontalHeader()
        is_again = (header.sortIndicatorSection(), header.sortIndicatorOrder()) == (
            column,
            Qt.SortOrder.AscendingOrder,
        )
        order = Qt.SortOrder.DescendingOrder if is_again else Qt.SortOrder.AscendingOrder
        self.sortByColumn(column, order)


class EventPanel(QWidget):
    """The events, and a line that says how many there are.

    The list stays where it was scrolled to while events come; at its newest end, it follows them.

    Signals
    -------
    event_clicked(event_id)
        An event was clicked, or Enter pressed on it.
    event_double_clicked(event_id)
        An event was double-clicked, or Shift+Enter pressed on it.
    """

    event_clicked = Signal(int)
    event_double_clicked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.model = EventModel()
        self.table = EventTable(self.model)
        self.summary = QLabel("no events yet")
        self._selected: int | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(2, 2, 2, 2)
        column.setSpacing(2)
        column.addWidget(self.summary)
        column.addWidget(self.table, 1)
        self.table.clicked.connect(self._clicked)
        self.table.doubleClicked.connect(self._double_clicked)
        self.table.chosen.connect(self._chosen)
        self.apply_theme(THEMES["dark"])

    def present(self, view: EventView) -> None:
        """Show events."""
        bar, at = self.table.verticalScrollBar(), self.table.verticalScrollBar().value()
        follows = at == bar.maximum() and self._newest_is_last()
        anchor = self.model.events[at] if 0 < at < len(self.model.events) else None
        self.model.take(view.events)
        if follows:
            self.table.scrollToBottom()
        elif anchor is not None:
            row = self.model.row_of(anchor.event_id)
            bar.setValue(row if row is not None else min(at, bar.maximum()))
        self._say(view)
        self._select(view.selected)

    def visible_rows(self) -> tuple[list[str], list[list[object]]]:
        """Header and all rows of the list, rounded and in the order as they are shown."""
        rows: list[list[object]] = [[c.shown(event) for c in COLUMNS] for event in self.model.events]
        return [c.name for c in COLUMNS], rows

    def apply_theme(self, theme: Theme) -> None:
        """Colour of the selected event, and sizes of the font in force."""
        self.model.mark_with(theme.accent)
        self.table.fit()
        self.table.viewport().update()

    def _newest_is_last(self) -> bool:
        return self.model.column in IN_TIME and self.model.order == Qt.SortOrder.AscendingOrder

    def _say(self, view: EventView) -> None:
        n, n_kept = view.n_all, len(view.events)
        text = "no events yet" if n == 0 else f"{n:,} {'event' if n == 1 else 'events'}"
        if n > n_kept:
            text += f", the newest {n_kept:,} are listed"
        if text != self.summary.text():
            self.summary.setText(text)

    def _select(self, event_id: int | None) -> None:
        """Mark the event, and bring it into sight when it was not selected before."""
        self.model.select(event_id)
        if event_id == self._selected:
            return
        self._selected = event_id
        row = self.model.row_of(event_id) if event_id is not None else None
        if row is None:
            self.table.clearSelection()
        elif row != self.table.currentIndex().row():
            self.table.setCurrentIndex(self.model.index(row, 0))

    def _clicked(self, index: QModelIndex) -> None:
        self.event_clicked.emit(self.model.events[index.row()].event_id)

    def _double_clicked(self, index: QModelIndex) -> None:
        self.event_double_clicked.emit(self.model.events[index.row()].event_id)

    def _chosen(self, row: int, jump: bool) -> None:
        told = self.event_double_clicked if jump else self.event_clicked
        told.emit(self.model.events[row].event_id)

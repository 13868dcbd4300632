"""The list of calcium events."""

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QLabel, QTableView, QVBoxLayout, QWidget

from dashboard.models.panels import EventView
from dashboard.views.counters import set_text
from dashboard.views.event_model import ASCENDING, COLUMNS, ID_COLUMN, ONSET_COLUMN, EventModel

MOVES = (
    Qt.Key.Key_Up,
    Qt.Key.Key_Down,
    Qt.Key.Key_PageUp,
    Qt.Key.Key_PageDown,
    Qt.Key.Key_Home,
    Qt.Key.Key_End,
)


class _Table(QTableView):
    """A table that tells which row the keyboard chose."""

    moved, entered_row = Signal(int), Signal(int)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Moves choose an event, Enter jumps to it."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.entered_row.emit(self.currentIndex().row())
            return
        super().keyPressEvent(event)
        if event.key() in MOVES and self.currentIndex().isValid():
            self.moved.emit(self.currentIndex().row())


class EventPanel(QWidget):
    """Calcium events in a table that can be sorted by each column.

    Where the end of the table at which new events appear is in sight, they stay in sight; else the rows that
    the user looks at stay where they are.

    Signals
    -------
    event_clicked(event_id)
        The user chose an event, with mouse or keyboard.
    event_double_clicked(event_id)
        The user wants to see it: double click, or Enter.
    """

    event_clicked = Signal(int)
    event_double_clicked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._n = QLabel()
        self.table, self.model = _Table(), EventModel()
        self.table.setModel(self.model)
        self.table.setAccessibleName("Calcium events")
        self.table.setAccessibleDescription(
            "Up and down choose an event, Enter shows its moment, the titles sort"
        )
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.table.setTabKeyNavigation(False)  # Tab goes on to the next panel
        self.table.setAlternatingRowColors(True)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSortIndicator(ID_COLUMN, ASCENDING)
        self.table.setSortingEnabled(True)
        self._fit()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._n)
        column.addWidget(self.table, 1)
        self.table.clicked.connect(lambda index: self._tell(index.row(), self.event_clicked))
        self.table.moved.connect(lambda row: self._tell(row, self.event_clicked))
        self.table.doubleClicked.connect(lambda index: self._tell(index.row(), self.event_double_clicked))
        self.table.entered_row.connect(lambda row: self._tell(row, self.event_double_clicked))
        self._selected: int | None = None
        self._say(0, 0)

    def present(self, view: EventView) -> None:
        """Show events and which of them is selected; only what has changed is touched."""
        if view.events is not self.model.taken:
            self._take(view)
            self._say(len(view.events), view.n_all)
        current = self.table.currentIndex()
        shown = self.model.event_at(current.row()).event_id if current.isValid() else None
        if view.selected != shown:
            # Scrolled to only where it was just selected: not whenever new events push it out of sight.
            self._choose(view.selected, scroll=view.selected != self._selected)
        self._selected = view.selected

    def visible_rows(self) -> tuple[list[str], list[list[float | int | bool]]]:
        """The table as it is shown, in its order, with all digits: titles and rows."""
        rows = [[column.value(event) for column in COLUMNS] for event in self.model.events()]
        return [column.title for column in COLUMNS], rows

    def _take(self, view: EventView) -> None:
        bar = self.table.verticalScrollBar()
        at_top, at_bottom = bar.value() == bar.minimum(), bar.value() == bar.maximum()
        in_time = self.model.column in (ID_COLUMN, ONSET_COLUMN)
        rising = self.model.order == ASCENDING
        top = self.table.rowAt(0)
        anchor = self.model.event_at(top).event_id if top >= 0 else None
        self.model.take(view)
        if in_time and rising and at_bottom:
            self.table.scrollToBottom()
        elif not (in_time and not rising and at_top) and anchor is not None:
            row = self.model.row_of(anchor)
            if row is not None and row != self.table.rowAt(0):
                self.table.scrollTo(self.model.index(row, 0), QAbstractItemView.ScrollHint.PositionAtTop)

    def _choose(self, event_id: int | None, scroll: bool) -> None:
        row = self.model.row_of(event_id) if event_id is not None else None
        if row is None:
            self.table.setCurrentIndex(QModelIndex())
            self.table.clearSelection()
            return
        index = self.model.index(row, max(self.table.currentIndex().column(), 0))
        flag = QItemSelectionModel.SelectionFlag
        # setCurrentIndex of the view would scroll.
        if scroll:
            self.table.scrollTo(index)
        automatic = self.table.hasAutoScroll()
        self.table.setAutoScroll(False)
        self.table.selectionModel().setCurrentIndex(index, flag.ClearAndSelect | flag.Rows)
        self.table.setAutoScroll(automatic)

    def _say(self, n: int, n_all: int) -> None:
        if n_all == 0:
            set_text(self._n, "no calcium events yet")
        elif n < n_all:
            set_text(self._n, f"{n_all:,} events, the newest {n:,} of them:")
        else:
            set_text(self._n, f"{n_all:,} events")

    def _tell(self, row: int, signal: object) -> None:
        event_id = self.model.event_at(row).event_id
        self._selected = event_id  # it is in sight: no need to scroll when this comes back
        signal.emit(event_id)  # type: ignore[attr-defined]

    def _fit(self) -> None:
        """Rows and columns as high and wide as the writing in them."""
        metrics = QFontMetrics(self.font())
        self.table.verticalHeader().setMinimumSectionSize(1)
        self.table.verticalHeader().setDefaultSectionSize(round(1.25 * metrics.height()))
        header = self.table.horizontalHeader()
        header.setMinimumSectionSize(round(metrics.horizontalAdvance("00000")))
        for i, column in enumerate(COLUMNS):
            header.resizeSection(i, metrics.horizontalAdvance(column.title) + 3 * metrics.height() // 2)
        header.setStretchLastSection(True)

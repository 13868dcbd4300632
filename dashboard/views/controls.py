"""What the user can do: hold the view, save it, turn thresholds, remark, stop, and set how it looks."""

import time
from collections.abc import Callable

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from dashboard.models.display import Display
from dashboard.views.annotation import Annotation
from dashboard.views.counters import Rows
from dashboard.views.dials import DialControl
from dashboard.views.display_controls import DisplayControls
from dashboard.views.dress import set_text
from dashboard.views.inputs import button
from dashboard.views.stop_button import StopButton
from stream import wire
from stream.wire.desk import Which

FREEZE, FOLLOW = "Freeze", "Follow"


class ControlPanel(QWidget):
    """All controls; what comes of them is told, and shown by those who tell this panel.

    Parameters
    ----------
    clock
        Seconds on a clock that only goes forward; tests bring their own.

    Signals
    -------
    freeze_wanted()
        Hold the moment that is shown, or let go of it.
    snapshot_wanted(), export_wanted()
        Save what is shown, or the list of events.
    region_wanted(on)
        Show the rectangle, or take it away.
    stop_wanted()
        End the run; the user has confirmed it.
    annotation_wanted(text)
        Record a remark.
    threshold_wanted(which, value)
        Change the threshold "detection" or "calcium" of the running analysis.
    display_changed(display)
        Show things another way.
    """

    freeze_wanted = Signal()
    snapshot_wanted = Signal()
    export_wanted = Signal()
    region_wanted = Signal(bool)
    stop_wanted = Signal()
    annotation_wanted = Signal(str)
    threshold_wanted = Signal(str, float)
    display_changed = Signal(object)

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.setAccessibleName("Control")
        self.freeze = button(FREEZE, "hold this moment while the run goes on, or follow it again (Space)")
        self.snapshot = button("Snapshot", "save the window as PNG, the picture as TIFF, numbers as JSON (S)")
        self.export = button("Export", "save the list of events as it is shown, as CSV (E)")
        self.region = button("Region", "statistics of a rectangle in the images (R)")
        self.region.setCheckable(True)
        self.position = QLabel()
        self.position.setWordWrap(True)
        self.region_rows = Rows("Statistics of the region")
        self.region_rows.hide()
        self.dials: dict[Which, DialControl] = {
            "detection": DialControl("detection", clock),
            "calcium": DialControl("calcium", clock),
        }
        self.annotation, self.stop = Annotation(), StopButton()
        self.display = DisplayControls()
        self._lay_out()
        self.freeze.clicked.connect(lambda: self.freeze_wanted.emit())
        self.snapshot.clicked.connect(lambda: self.snapshot_wanted.emit())
        self.export.clicked.connect(lambda: self.export_wanted.emit())
        self.region.toggled.connect(self.region_wanted)
        self.stop.confirmed.connect(self.stop_wanted)
        self.annotation.wanted.connect(self.annotation_wanted)
        for which, dial in self.dials.items():
            dial.wanted.connect(lambda value, w=which: self.threshold_wanted.emit(w, value))
        self.display.changed.connect(self.display_changed)

    def set_dial(self, which: Which, dial: wire.Dial | None) -> None:
        """Show a threshold as reported; None: it can't be turned."""
        self.dials[which].set_dial(dial)

    def answered(self, which: Which, ok: bool, text: str, seq: int) -> None:
        """Show what came of a wish for a threshold: in force from frame `seq`, or why it was refused."""
        self.dials[which].answered(ok, text, seq)

    def set_display(self, display: Display) -> None:
        """Show settings of the view; nothing is told."""
        self.display.set_display(display)

    def set_position(self, text: str, is_following: bool) -> None:
        """Say which moment is shown."""
        set_text(self.freeze, FREEZE if is_following else FOLLOW)
        set_text(self.position, text)

    def set_region(self, on: bool) -> None:
        """Show whether the rectangle is there; nothing is told."""
        with QSignalBlocker(self.region):
            self.region.setChecked(on)

    def set_region_rows(self, rows: list[tuple[str, str]]) -> None:
        """Show names and values of the region; none: the table is hidden."""
        self.region_rows.show_rows([(name, value, "") for name, value in rows])
        if self.region_rows.isHidden() == bool(rows):
            self.region_rows.setVisible(bool(rows))

    def focus_annotation(self) -> None:
        """Let the user write a remark."""
        self.annotation.line.setFocus()
        self.annotation.line.selectAll()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        buttons = QGridLayout()
        for i, made in enumerate((self.freeze, self.snapshot, self.export, self.region)):
            buttons.addWidget(made, i // 2, i % 2)
        column.addLayout(buttons)
        for widget in (
            self.position,
            self.region_rows,
            *self.dials.values(),
            self.annotation,
            self.stop,
            self.display,
        ):
            column.addWidget(widget)
        column.addStretch(1)

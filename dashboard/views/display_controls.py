"""How things are shown: everything of `Display` but the contrast."""

from typing import Any

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from dashboard.models.display import Display
from dashboard.views.inputs import Choice, Count, Number, check

SWITCHES = {
    "puncta": ("puncta", "mark puncta: a ring, thicker while an event is on (P)"),
    "ids": ("track ids", "number of every track; without it only of the selected ones (I)"),
    "saturation": ("saturation", "mark pixels where the camera is saturated"),
    "shift": ("shift", "show the calcium channel as registered on the PIEZO1 channel (B)"),
    "flip_x": ("flip left–right", "mirror the images left to right"),
    "flip_y": ("flip up–down", "mirror the images upside down"),
    "scale_bar": ("scale bar", "a bar of a round number of µm"),
    "time_stamp": ("time stamp", "time and number of the frame in the first image"),
}
CHOICES = {
    "layout": ("layout", "the two channels, or both in one picture (L)"),
    "theme": ("theme", "colours of the window (D)"),
    "tails": ("tails", "where the tracks came from, coloured by this (T)"),
}
WORDS = {
    "layout": {"side-by-side": "side by side", "composite": "composite"},
    "theme": {"dark": "dark", "light": "light"},
    "tails": {"off": "off", "mobility": "by mobility", "age": "by age"},
}
NUMBERS = {
    "tail_frames": ("tail length", " frames", "newest frames of a track that its tail shows"),
    "n_traces": ("traces", "", "number of traces: of selected tracks, then of the most active ones"),
    "trace_s": ("trace length", " s", "time axis of the traces"),
}
ORDER = ("layout", "tails", "tail_frames", "n_traces", "trace_s", "theme")


class DisplayControls(QWidget):
    """Boxes, choices and numbers.

    Signals
    -------
    changed(display)
        The user wants another `Display`; it is valid.
    """

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._display = Display()
        self.switches = {field: check(name, tip) for field, (name, tip) in SWITCHES.items()}
        self.choices = {field: Choice(name, WORDS[field]) for field, (name, _) in CHOICES.items()}
        self.numbers: dict[str, Count | Number] = {
            "tail_frames": Count("length of the tails"),
            "n_traces": Count("number of traces"),
            "trace_s": Number("length of the traces"),
        }
        for field, switch in self.switches.items():
            switch.toggled.connect(lambda on, f=field: self._want(f, on))
        for field, choice in self.choices.items():
            choice.setToolTip(CHOICES[field][1])
            choice.currentIndexChanged.connect(lambda _, f=field, c=choice: self._want(f, c.currentData()))
        for field, number in self.numbers.items():
            self._limit(number, field)
            number.setSuffix(NUMBERS[field][1])
            number.setToolTip(NUMBERS[field][2])
            number.valueChanged.connect(lambda value, f=field: self._want(f, value))
        self._lay_out()
        self.set_display(self._display)

    def set_display(self, display: Display) -> None:
        """Show settings; nothing is told."""
        self._display = display
        for field, switch in self.switches.items():
            with QSignalBlocker(switch):
                switch.setChecked(getattr(display, field))
        for field, choice in self.choices.items():
            with QSignalBlocker(choice):
                choice.setCurrentIndex(choice.findData(getattr(display, field)))
        for field, number in self.numbers.items():
            # A number that is being typed is left alone.
            if not (number.hasFocus() and number.lineEdit().isModified()):
                with QSignalBlocker(number):
                    number.setValue(getattr(display, field))
        self.numbers["tail_frames"].setEnabled(display.tails != "off")

    def _want(self, field: str, value: Any) -> None:
        self._display = Display.model_validate({**self._display.model_dump(), field: value})
        self.numbers["tail_frames"].setEnabled(self._display.tails != "off")
        self.changed.emit(self._display)

    def _limit(self, number: Count | Number, field: str) -> None:
        """Limits that `Display` sets itself."""
        rules = Display.model_fields[field].metadata
        low = next(rule.ge for rule in rules if hasattr(rule, "ge"))
        high = next(rule.le for rule in rules if hasattr(rule, "le"))
        if isinstance(number, Count):
            number.setRange(int(low), int(high))
        else:
            number.setDecimals(1)
            number.setRange(float(low), float(high))

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        for row, field in enumerate(ORDER):
            control: QWidget = self.choices[field] if field in self.choices else self.numbers[field]
            label = QLabel((CHOICES[field] if field in CHOICES else NUMBERS[field])[0])
            label.setBuddy(control)
            grid.addWidget(label, row, 0)
            grid.addWidget(control, row, 1)
        boxes = QGridLayout()
        for i, switch in enumerate(self.switches.values()):
            boxes.addWidget(switch, i // 2, i % 2)
        grid.addLayout(boxes, len(ORDER), 0, 1, 2)

"""A threshold that can be turned while the analysis runs."""

import math
import time
from collections.abc import Callable

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from dashboard.models.panels import Level
from dashboard.views.dress import set_level, set_text
from dashboard.views.inputs import Number, Slider
from dashboard.views.ticks import round_step
from stream import wire

REST_MS = 300  # a control that is left alone for so long says what it was turned to
ANSWER_S = 5.0  # a wish without an answer for so long has been lost
MOST_DECIMALS = 9  # more are no threshold's, and the number would not fit
POSITIONS = 200  # of the slider, at most


class DialControl(QWidget):
    """Slider and number of a threshold, and what became of the last wish.

    What the analysis reports is shown, except while the user turns it or a wish is under way: a report may be
    older than the wish.

    Parameters
    ----------
    name
        "detection" or "calcium".
    clock
        Seconds on a clock that only goes forward; tests bring their own.

    Signals
    -------
    wanted(value)
        The user wants this value; told once, when the slider is let go of or nothing moves for 300 ms.
    """

    wanted = Signal(float)

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._dial: wire.Dial | None = None
        self._step = 1.0
        self._asked: float | None = None
        self._asked_s = -math.inf
        self._n_open = 0
        self._is_moved = False  # by the user, since it was told last
        self.slider, self.spin = Slider(f"{name} threshold, slider"), Number(f"{name} threshold")
        self.unit, self.state = QLabel(), QLabel()
        self.state.setWordWrap(True)
        for label in (self.unit, self.state):  # others' words: they may be long, and look like HTML
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._tell)
        title = QLabel(f"{name} threshold")
        title.setBuddy(self.spin)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(title, 0, 0, 1, 2)
        grid.addWidget(self.slider, 1, 0, 1, 2)
        grid.addWidget(self.spin, 2, 0)
        grid.addWidget(self.unit, 2, 1)
        grid.addWidget(self.state, 3, 0, 1, 2)
        grid.setColumnStretch(1, 1)
        self.slider.valueChanged.connect(self._slid)
        self.slider.sliderReleased.connect(self._tell)
        self.spin.valueChanged.connect(self._typed)
        self.set_dial(None)

    @property
    def value(self) -> float:
        """What the control is turned to."""
        return self.spin.value()

    def set_dial(self, dial: wire.Dial | None) -> None:
        """Show what the analysis reports; None: there is no such threshold at present."""
        before, self._dial = self._dial, dial
        self.setEnabled(dial is not None)
        if dial is None:
            self._rest.stop()
            self._asked, self._n_open, self._is_moved = None, 0, False
            self._say("cannot be turned at present" if before is None else "not in use any more")
            return
        if before is None or (before.low, before.high, before.unit) != (dial.low, dial.high, dial.unit):
            self._set_limits(dial)
        if before is None:
            self._say("")
        if self._asked is not None:
            arrived = math.isclose(dial.value, self._asked, rel_tol=1e-6, abs_tol=1e-9)
            late = self._clock() - self._asked_s >= ANSWER_S
            if late and self._n_open:
                self._say(f"no answer to {self._text(self._asked)}", "caution")
            if late or (arrived and not self._n_open):
                self._asked, self._n_open = None, 0
        if self._asked is None and not self._is_turned():
            self._show(dial.value)

    def answered(self, ok: bool, text: str, seq: int) -> None:
        """What came of a wish; of several under way, the last answer counts."""
        if self._n_open > 1:
            self._n_open -= 1
            return
        self._n_open = 0
        if ok:
            # Reports that are older than this answer don't count, so `_asked` stays until one shows it.
            self._say(f"in force from frame {seq}")
            return
        self._asked = None
        self._say(f"refused: {text}", "alarm")
        if self._dial is not None and not self._is_turned():
            self._show(self._dial.value)

    def _is_turned(self) -> bool:
        """Whether the user is at it."""
        typing = self.spin.hasFocus() and self.spin.lineEdit().isModified()
        return self.slider.isSliderDown() or self._rest.isActive() or typing

    def _set_limits(self, dial: wire.Dial) -> None:
        span = dial.high - dial.low
        self._step = round_step(span / POSITIONS) if span > 0 else 1.0
        decimals = min(max(0, -math.floor(math.log10(self._step) + 1e-9)), MOST_DECIMALS)
        with QSignalBlocker(self.slider), QSignalBlocker(self.spin):
            self.slider.setRange(0, max(round(span / self._step), 1))
            self.slider.setPageStep(max(self.slider.maximum() // 20, 1))
            self.spin.setDecimals(decimals)
            self.spin.setRange(dial.low, dial.high)
            self.spin.setSingleStep(self._step)
        self.unit.setText(dial.unit)
        tip = f"{self._text(dial.low)} to {self._text(dial.high)} {dial.unit}; changes the running analysis"
        for control in (self.slider, self.spin):
            control.setToolTip(tip)
            control.setAccessibleDescription(tip)

    def _show(self, value: float) -> None:
        with QSignalBlocker(self.slider), QSignalBlocker(self.spin):
            self.spin.setValue(value)
            self._slide_to(value)

    def _slide_to(self, value: float) -> None:
        assert self._dial is not None
        with QSignalBlocker(self.slider):
            self.slider.setValue(round((value - self._dial.low) / self._step))

    def _slid(self, position: int) -> None:
        assert self._dial is not None
        with QSignalBlocker(self.spin):
            self.spin.setValue(self._dial.low + position * self._step)
        self._moved()

    def _typed(self, value: float) -> None:
        self._slide_to(value)
        self._moved()

    def _moved(self) -> None:
        self._is_moved = True
        self._rest.start()

    def _tell(self) -> None:
        """Ask for what it is turned to, unless that is in force or asked for already."""
        self._rest.stop()
        if self._dial is None or not self._is_moved:
            return
        self._is_moved = False
        self.spin.lineEdit().setModified(False)
        # The limits may have more digits than the number shown.
        value = min(max(self.value, self._dial.low), self._dial.high)
        due = self._asked if self._asked is not None else self._dial.value
        if self._text(value) == self._text(due):
            return
        self._asked, self._asked_s = value, self._clock()
        self._n_open += 1
        self._say(f"asked for {self._text(value)} …")
        self.wanted.emit(value)

    def _text(self, value: float) -> str:
        return f"{value:.{self.spin.decimals()}f}"

    def _say(self, text: str, level: Level = "ok") -> None:
        set_text(self.state, text)
        set_level(self.state, level)

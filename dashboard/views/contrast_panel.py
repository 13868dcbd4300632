"""Contrast of each channel: its histogram with two lines to pull, gamma, and automatic levels or a lock."""

import math
from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6 import QtCore, QtWidgets

from dashboard.models.colours import THEMES, Theme
from dashboard.models.contrast import histogram
from dashboard.models.display import Contrast, Display

NAMES = ("PIEZO1", "calcium")
SQUEEZED = 4.0  # a white so many times as bright as the brightest pixel is left outside the histogram


class ChannelContrast(QtWidgets.QGroupBox):
    """Contrast of one channel.

    Signals
    -------
    changed(contrast)
        The user wants another `Contrast`.

    Attributes
    ----------
    contrast
        What is shown.
    """

    changed = QtCore.Signal(object)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.contrast = Contrast()
        self._quiet = False
        self.plot = pg.PlotWidget(enableMenu=False)
        self.plot.setMouseEnabled(False, False)
        self.plot.hideButtons()
        self.plot.hideAxis("left")
        self.plot.setMinimumHeight(70)
        self.curve = pg.PlotCurveItem([0.0, 1.0], [0.0], stepMode="center", fillLevel=0)
        self.plot.addItem(self.curve)
        self.lines = tuple(pg.InfiniteLine(angle=90, movable=True) for _ in range(2))
        for line in self.lines:
            self.plot.addItem(line, ignoreBounds=True)
            line.sigDragged.connect(self._dragged)
        self.low = self._spin(0, 65535, 0, "counts shown black")
        self.high = self._spin(0, 65535, 0, "counts shown white")
        self.gamma = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self.gamma.setRange(-100, round(100 * math.log10(5)))  # a hundredth of a decade each: 0.1 to 5
        self.gamma.setPageStep(10)
        self.gamma.setToolTip("gamma: below 1 shows dark structures, above 1 hides them")
        self.gamma.setAccessibleName(f"gamma of {name}")
        self.gamma_text = QtWidgets.QLabel()
        self.auto = QtWidgets.QCheckBox("&auto")
        self.auto.setToolTip("follow the percentiles of the picture; without it black and white are locked")
        self.low_percentile = self._spin(0, 100, 2, "percentile of the pixels that auto shows black")
        self.high_percentile = self._spin(0, 100, 2, "percentile of the pixels that auto shows white")
        self._lay_out()
        self.low.valueChanged.connect(lambda value: self._want(low=value, auto=False))
        self.high.valueChanged.connect(lambda value: self._want(high=value, auto=False))
        self.gamma.valueChanged.connect(lambda value: self._want(gamma=round(10 ** (value / 100), 2)))
        self.auto.toggled.connect(lambda on: self._want(auto=on))
        self.low_percentile.valueChanged.connect(lambda value: self._want(low_percentile=value))
        self.high_percentile.valueChanged.connect(lambda value: self._want(high_percentile=value))
        self.show_contrast(self.contrast)

    def show_contrast(self, contrast: Contrast, also_while_typing: bool = False) -> None:
        """Set the controls; nothing is told, and a number that is being typed is left alone."""
        self.contrast = contrast
        self._quiet = True
        try:
            for spin, value in (
                (self.low, contrast.low),
                (self.high, contrast.high),
                (self.low_percentile, contrast.low_percentile),
                (self.high_percentile, contrast.high_percentile),
            ):
                if also_while_typing or not spin.hasFocus():
                    spin.setValue(value)
            self.gamma.setValue(round(100 * math.log10(contrast.gamma)))
            self.auto.setChecked(contrast.auto)
            for line, value in zip(self.lines, (contrast.low, contrast.high), strict=True):
                if not line.moving:
                    line.setValue(value)
        finally:
            self._quiet = False
        self.gamma_text.setText(f"γ {contrast.gamma:.2f}")
        for spin in (self.low_percentile, self.high_percentile):
            spin.setEnabled(contrast.auto)

    def show_counts(self, counts: NDArray[np.uint16]) -> None:
        """Draw the histogram of a channel (H, W)."""
        edges, n = histogram(counts)
        heights = np.log1p(n)  # puncta are few pixels among many
        self.curve.setData(edges, heights)
        first, last = min(edges[0], self.contrast.low), max(edges[-1], self.contrast.high)
        if self.contrast.high > SQUEEZED * edges[-1]:
            last = edges[-1]
        self.plot.setXRange(first, last, padding=0.02)
        self.plot.setYRange(0, max(float(heights.max()), 1.0), padding=0.02)

    def apply_theme(self, theme: Theme) -> None:
        """Colours of the theme."""
        self.plot.setBackground(theme.background)
        self.plot.getAxis("bottom").setPen(theme.weak)
        self.plot.getAxis("bottom").setTextPen(theme.text)
        self.curve.setPen(pg.mkPen(theme.weak))
        self.curve.setBrush(pg.mkBrush(theme.weak))
        for line in self.lines:
            line.setPen(pg.mkPen(theme.accent, width=2))
            line.setHoverPen(pg.mkPen(theme.text, width=3))

    def _lay_out(self) -> None:
        grid = QtWidgets.QGridLayout(self)
        grid.addWidget(self.plot, 0, 0, 1, 4)
        grid.addWidget(QtWidgets.QLabel("black"), 1, 0)
        grid.addWidget(self.low, 1, 1)
        grid.addWidget(QtWidgets.QLabel("white"), 1, 2)
        grid.addWidget(self.high, 1, 3)
        grid.addWidget(self.gamma_text, 2, 0)
        grid.addWidget(self.gamma, 2, 1, 1, 3)
        grid.addWidget(self.auto, 3, 0)
        grid.addWidget(self.low_percentile, 3, 1)
        grid.addWidget(QtWidgets.QLabel("to"), 3, 2)
        grid.addWidget(self.high_percentile, 3, 3)

    def _spin(self, low: float, high: float, decimals: int, tip: str) -> QtWidgets.QDoubleSpinBox:
        spin = QtWidgets.QDoubleSpinBox()
        spin.setRange(low, high)
        spin.setDecimals(decimals)
        spin.setKeyboardTracking(False)  # a number is taken when it is finished
        spin.setToolTip(tip)
        spin.setAccessibleName(f"{tip}, {self.title()}")
        if decimals:
            spin.setSuffix(" %")
            spin.setSingleStep(0.1)
        return spin

    def _dragged(self, line: pg.InfiniteLine) -> None:
        value = min(max(float(line.value()), 0.0), 65535.0)
        if line is self.lines[0]:
            self._want(low=min(value, self.contrast.high - 1), auto=False)
        else:
            self._want(high=max(value, self.contrast.low + 1), auto=False)

    def _want(self, **changes: object) -> None:
        """Tell what the user wants, unless black would not be below white: then show what holds."""
        if self._quiet:
            return
        wanted = {**self.contrast.model_dump(), **changes}
        if wanted["low"] < wanted["high"] and wanted["low_percentile"] < wanted["high_percentile"]:
            self.contrast = Contrast.model_validate(wanted)
            self.show_contrast(self.contrast, also_while_typing=True)
            self.changed.emit(self.contrast)
        else:
            self.show_contrast(self.contrast, also_while_typing=True)


class ContrastPanel(QtWidgets.QWidget):
    """Contrast of the channels.

    Signals
    -------
    contrast_changed(channel, contrast)
        The user wants another `Contrast` for channel 0 or 1.
    """

    contrast_changed = QtCore.Signal(int, object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.channels = tuple(ChannelContrast(name) for name in NAMES)
        for i, channel in enumerate(self.channels):
            layout.addWidget(channel)
            channel.changed.connect(self._teller(i))
        self.apply(Display())

    def begin(self, n_channels: int) -> None:
        """Another run with one or two channels."""
        self.channels[1].setVisible(n_channels == 2)

    def apply(self, display: Display) -> None:
        """Take other settings; of a contrast that is automatic the levels come with the picture."""
        for channel, contrast in zip(self.channels, display.contrast, strict=True):
            held = channel.contrast
            if contrast.auto and held.auto:
                contrast = contrast.model_copy(update={"low": held.low, "high": held.high})
            channel.show_contrast(contrast)
        self.apply_theme(THEMES[display.theme])

    def apply_theme(self, theme: Theme) -> None:
        """Colours of the theme."""
        for channel in self.channels:
            channel.apply_theme(theme)

    def show_picture(self, picture: NDArray[np.uint16], contrasts: tuple[Contrast, Contrast]) -> None:
        """Draw the histograms of a picture (C, H, W), and the contrast in force.

        A histogram takes about a millisecond: a few pictures a second are enough.
        """
        for channel, counts, contrast in zip(self.channels, picture, contrasts, strict=False):
            channel.show_contrast(contrast)
            channel.show_counts(counts)

    def _teller(self, i: int) -> Callable[[Contrast], None]:
        return lambda contrast: self.contrast_changed.emit(i, contrast)

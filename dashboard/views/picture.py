"""The camera's pixels on the screen: counts through a table to colours, then scaled by the painter."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PySide6 import QtCore, QtGui, QtWidgets

from dashboard.views.guarded import guarded
from dashboard.views.pane import Layer, Pane

Counts = NDArray[np.uint16]
Pixels = NDArray[np.uint32]
Blend = Literal["over", "add", "mask"]
COARSEST = 8
GREYED = 0.35  # opacity of a picture that is not of this moment


@dataclass(frozen=True, slots=True, eq=False)
class Plate:
    """One channel as it is painted.

    Attributes
    ----------
    counts
        (H, W) camera counts.
    table
        (65536,) colour 0xAARRGGBB of each count.
    to_channel_1
        From this channel's pixels to those of channel 1.
    blend
        over: covers what lies below; add: adds its light; mask: only where its colour is not 0.
    """

    counts: Counts
    table: Pixels
    to_channel_1: QtGui.QTransform
    blend: Blend = "over"


def coarsened(counts: Counts, by: int, peak: bool = False) -> Counts:
    """Blocks of `by` × `by` pixels as one: their mean, or their highest count; the last ones may be cut off.

    Painting every n-th pixel instead would lose puncta and saturated pixels between them.
    """
    if by == 1:
        return counts
    height, width = (-(-side // by) * by for side in counts.shape)
    padding = ((0, height - counts.shape[0]), (0, width - counts.shape[1]))
    whole = np.pad(counts, padding, mode="edge") if any(p[1] for p in padding) else counts
    parts = [whole[i::by, j::by] for i in range(by) for j in range(by)]
    if peak:
        highest: Counts = np.maximum.reduce(parts)
        return highest
    total = np.zeros(parts[0].shape, np.uint32)
    for part in parts:
        total += part
    return (total // (by * by)).astype(np.uint16)


def coarseness(pixels_per_dot: float) -> int:
    """How many pixels of the camera (1, 2, 4, 8) are painted as one, where so many fall on a screen's dot."""
    by = 1
    while by < COARSEST and pixels_per_dot >= 1.5 * by:  # midway (in ratio) would be 1.41
        by *= 2
    return by


class Picture(Layer):
    """Draws the plates of a view."""

    def __init__(self, pane: Pane) -> None:
        super().__init__(pane, -10)
        self.plates: tuple[Plate, ...] = ()
        self.greyed = False
        self._painted: dict[Plate, tuple[int, QtGui.QImage, Pixels]] = {}

    def show_plates(self, plates: tuple[Plate, ...], greyed: bool = False) -> None:
        """Draw these from now on; nothing is done when they are the ones already drawn."""
        if plates == self.plates and greyed == self.greyed:
            return
        self.plates, self.greyed = plates, greyed
        self._painted = {plate: image for plate, image in self._painted.items() if plate in plates}
        self.update()

    @guarded
    def paint(
        self,
        painter: QtGui.QPainter,
        option: QtWidgets.QStyleOptionGraphicsItem,
        widget: QtWidgets.QWidget | None = None,
    ) -> None:
        """Paint the visible part of each plate."""
        painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform, False)
        to_screen = self.pane.to_screen()
        mode = QtGui.QPainter.CompositionMode
        for plate in self.plates:
            painter.save()
            if self.greyed:
                painter.setOpacity(GREYED)
            if plate.blend == "add":
                painter.setCompositionMode(mode.CompositionMode_Plus)
            painter.setTransform(to_screen, True)
            if plate.blend == "add":  # beside channel 1 there is nothing that light could be added to
                painter.setClipRect(self.pane.whole, QtCore.Qt.ClipOperation.IntersectClip)
            painter.setTransform(plate.to_channel_1, True)
            shown, _ = plate.to_channel_1.inverted()
            self._paint(painter, plate, shown.mapRect(QtCore.QRectF(self.pane.viewRect())))
            painter.restore()

    def _paint(self, painter: QtGui.QPainter, plate: Plate, seen: QtCore.QRectF) -> None:
        dots = painter.deviceTransform()
        by = coarseness(1 / max(np.hypot(dots.m11(), dots.m12()), 1e-6))
        image = self._image(plate, by)
        # Only whole pixels that are seen: the painter counts in 1/65536 of a pixel, and over a whole image
        # that is zoomed in much would be off by many dots of the screen.
        height, width = plate.counts.shape
        left = max(int(np.floor((seen.left() + 0.5) / by)), 0)
        top = max(int(np.floor((seen.top() + 0.5) / by)), 0)
        right = min((seen.right() + 0.5) // by + 1, width / by)
        bottom = min((seen.bottom() + 0.5) // by + 1, height / by)
        if right > left and bottom > top:
            part = QtCore.QRectF(left, top, right - left, bottom - top)
            place = QtCore.QRectF(left * by - 0.5, top * by - 0.5, part.width() * by, part.height() * by)
            painter.drawImage(place, image, part)

    def _image(self, plate: Plate, by: int) -> QtGui.QImage:
        known = self._painted.get(plate)
        if known is None or known[0] != by:
            colours = np.take(plate.table, coarsened(plate.counts, by, plate.blend == "mask"), mode="clip")
            height, width = colours.shape
            kinds = QtGui.QImage.Format
            kind = kinds.Format_ARGB32_Premultiplied if plate.blend == "mask" else kinds.Format_RGB32
            image = QtGui.QImage(colours.data, width, height, 4 * width, kind)
            known = self._painted[plate] = (by, image, colours)  # the image does not keep its memory alive
        return known[1]

"""Which colours the channels' counts are painted in, for the two layouts."""

import time

import numpy as np
from numpy.typing import NDArray
from PySide6 import QtGui

from dashboard.models.contrast import levels, lookup, saturated
from dashboard.models.display import Contrast, Display
from dashboard.views.picture import Counts, Pixels, Plate

SATURATED_COLOUR = 0xFFFF0000  # red, as in the Hi-Lo table of ImageJ; nothing else on the images is red
GREY, MAGENTA, GREEN = 0x010101, 0x010001, 0x000100
OPAQUE = 0xFF000000
AUTO_EVERY_S = 0.1  # levels take a third of a millisecond, and follow by a share each time
Grey = NDArray[np.uint8]


def tinted(grey: Grey, tint: int) -> Pixels:
    """Opaque colours 0xAARRGGBB of a table of greys (65536,)."""
    return grey.astype(np.uint32) * np.uint32(tint) | np.uint32(OPAQUE)


def side_by_side(
    counts: Counts, grey: Grey, saturated_at: int | None, to_channel_1: QtGui.QTransform
) -> tuple[Plate, ...]:
    """Plates of a view of one channel.

    Parameters
    ----------
    counts
        (H, W).
    grey
        (65536,) brightness of each count.
    saturated_at
        Counts from which on a pixel is marked, None: none is.
    to_channel_1
        From this channel's pixels to those of the view.
    """
    table = tinted(grey, GREY)
    over = Plate(counts, table, to_channel_1)
    return (over, *_mask([over], saturated_at))


def composite(
    counts: NDArray[np.uint16],
    greys: tuple[Grey, Grey],
    saturated_at: int | None,
    to_channel_1: QtGui.QTransform,
) -> tuple[Plate, ...]:
    """Plates of both channels (2, H, W) in one view: PIEZO1 magenta, calcium green, both white."""
    piezo1 = Plate(counts[0], tinted(greys[0], MAGENTA), QtGui.QTransform())
    calcium = Plate(counts[1], tinted(greys[1], GREEN), to_channel_1, "add")
    return (piezo1, calcium, *_mask([piezo1, calcium], saturated_at))


def _mask(plates: list[Plate], saturated_at: int | None) -> list[Plate]:
    """What marks saturated pixels: plates that are painted last, where there are such pixels."""
    if saturated_at is None:
        return []
    table = np.zeros(65536, np.uint32)
    table[saturated_at:] = SATURATED_COLOUR
    return [
        Plate(plate.counts, table, plate.to_channel_1, "mask")
        for plate in plates
        if plate.counts.size and plate.counts.max() >= saturated_at
    ]


class Shader:
    """Makes plates of pictures, and keeps the contrast in force.

    Attributes
    ----------
    contrast
        Contrast in force: where it is automatic, with the levels of the picture.
    n_saturated
        Saturated pixels of the last picture by channel.
    """

    def __init__(self) -> None:
        self.contrast = (Contrast(), Contrast())
        self.n_saturated = [0, 0]
        self._followed: list[Contrast | None] = [None, None]
        self._levelled_at = -np.inf
        self._tables: list[tuple[Contrast, Grey] | None] = [None, None]

    def forget(self) -> None:
        """Take exactly the levels of the next picture, whenever it comes."""
        self._followed = [None, None]
        self._levelled_at = -np.inf

    def plates(
        self, picture: NDArray[np.uint16], display: Display, bit_depth: int, to_channel_1: QtGui.QTransform
    ) -> tuple[tuple[Plate, ...], tuple[Plate, ...]]:
        """Plates of the first and of the second view.

        Parameters
        ----------
        picture
            Counts (C, H, W).
        display
            Layout, contrast, whether saturated pixels are marked.
        bit_depth
            Of the camera: the highest count is saturated.
        to_channel_1
            From pixels of channel 2 to those of the first view.
        """
        if time.monotonic() - self._levelled_at >= AUTO_EVERY_S:
            self._levelled_at = time.monotonic()
            self._level(picture, display, bit_depth)
        greys = (self._grey(0), self._grey(1))
        full = 2**bit_depth - 1
        marked = full if display.saturation else None
        self.n_saturated = [
            int(saturated(counts, bit_depth).sum()) if display.saturation and counts.max() >= full else 0
            for counts in picture
        ]
        if len(picture) == 1:
            return side_by_side(picture[0], greys[0], marked, QtGui.QTransform()), ()
        if display.layout == "composite":
            return composite(picture, greys, marked, to_channel_1), ()
        first = side_by_side(picture[0], greys[0], marked, QtGui.QTransform())
        return first, side_by_side(picture[1], greys[1], marked, to_channel_1)

    def _level(self, picture: NDArray[np.uint16], display: Display, bit_depth: int) -> None:
        new = list(display.contrast)
        for i, counts in enumerate(picture):
            new[i] = levels(counts, display.contrast[i], bit_depth, self._followed[i])
            self._followed[i] = new[i]
        self.contrast = (new[0], new[1])

    def _grey(self, i: int) -> Grey:
        known, contrast = self._tables[i], self.contrast[i]
        if known is None or known[0] != contrast:
            known = self._tables[i] = (contrast, lookup(contrast))
        return known[1]

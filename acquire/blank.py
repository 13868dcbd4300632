"""Planes without a single count: space that the recording software reserved and never filled."""

import numpy as np
from numpy.typing import NDArray

from acquire.pages import LostPlane
from acquire.recording import PlaneReader


class EmptyChannel(Exception):
    """No plane of the channel that can be read has a pixel above 0."""


def is_blank(pixels: NDArray[np.uint16] | NDArray[np.uint8]) -> bool:
    """Whether every pixel is 0; the first row answers for nearly all planes."""
    return not pixels[0].any() and not pixels.any()


def is_never_black(planes: PlaneReader, column: NDArray[np.int64]) -> bool:
    """Whether a blank plane of this channel cannot be a picture, so that it was never written.

    A camera adds a pedestal, so even with the shutter closed it counts some 100 in every pixel. A
    movie without one, simulated or with its background subtracted, may turn black for real. The
    channel's first plane that is not blank tells them apart: with a pedestal most of its pixels
    are above 0 (not all: a sensor has dead ones). 8-bit movies are often rescaled for display,
    which turns dim pixels black, so their black planes are kept.

    Parameters
    ----------
    planes, column
        Where the channel is read from: addresses in order of time, int64 (T,).

    Raises
    ------
    EmptyChannel
        If there is no other plane than blank or lost ones.
    """
    for plane in column:
        try:
            pixels = planes.read(int(plane))
        except LostPlane:
            continue
        if not is_blank(pixels):
            return planes.bits > 8 and bool(np.median(pixels) > 0)
    raise EmptyChannel

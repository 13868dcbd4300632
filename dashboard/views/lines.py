"""Many straight lines with one call of Qt."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF
from PySide6.QtGui import QPainter
from shiboken6 import Shiboken

Lines = NDArray[np.float64]


def draw_lines(painter: QPainter, lines: Lines) -> None:
    """Draw straight lines with the painter's pen.

    A QLineF is four doubles, so Qt reads NumPy's memory: as 200 curves of pyqtgraph it took three times as
    long, and as one QPainterPath or polyline with a pen of more than one pixel ten times.

    Parameters
    ----------
    painter
        An active painter.
    lines
        x0, y0, x1, y1 in logical pixels, float64 (n, 4).
    """
    if len(lines) == 0:
        return
    packed = np.ascontiguousarray(lines, np.float64)
    painter.drawLines(Shiboken.wrapInstance(packed.ctypes.data, QLineF), len(packed))  # type: ignore[call-overload]


def joined(x: NDArray[np.float64], y: NDArray[np.float64], columns: float) -> Lines:
    """Pieces that join the points of each row, with gaps where a point is NaN.

    Where there are more points than columns of pixels, each column gets one upright piece over all that lies
    in it and up to the last point before it: what is seen is the same, and no peak is lost.

    Parameters
    ----------
    x
        (T,) pixels, not decreasing.
    y
        (n, T) pixels, NaN in gaps.
    columns
        Width of the picture in pixels.

    Returns
    -------
    lines
        (m, 4) as `draw_lines` takes them, row by row.
    """
    n, length = y.shape
    if length < 2 or n == 0:
        return np.empty((0, 4))
    if length <= columns:
        pieces = np.empty((n, length - 1, 4))
        pieces[..., 0], pieces[..., 2] = x[:-1], x[1:]
        pieces[..., 1], pieces[..., 3] = y[:, :-1], y[:, 1:]
    else:
        column = np.floor(x)
        starts = np.flatnonzero(np.diff(column, prepend=-np.inf))
        low, high = np.fmin.reduceat(y, starts, axis=1), np.fmax.reduceat(y, starts, axis=1)
        before = np.full_like(low, np.nan)
        before[:, 1:] = y[:, starts[1:] - 1]
        before[np.isnan(y[:, starts])] = np.nan  # a gap lies between
        pieces = np.empty((n, len(starts), 4))
        pieces[..., 0] = pieces[..., 2] = column[starts] + 0.5
        pieces[..., 1] = np.fmin(low, before)
        # A line of no length would not be drawn.
        pieces[..., 3] = np.maximum(np.fmax(high, before), pieces[..., 1] + 0.5)
    flat: Lines = pieces.reshape(-1, 4)
    known = np.flatnonzero(~np.isnan(flat[:, 1] + flat[:, 3]))
    # take is six times as fast as an index array.
    return flat if len(known) == len(flat) else np.take(flat, known, axis=0)

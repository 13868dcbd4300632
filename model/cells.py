"""Points sorted into square cells: those near a place are found without looking at all the others."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from model.optics import Array

Index = NDArray[np.int64]

NO_POINT = -1

# x and y of the first cell's corner, side of a cell, first point of each cell (rows, columns), and for
# each point the next one in its cell.
Cells = tuple[float, float, float, Index, Index]


@njit(cache=True, nogil=True)
def empty_cells(x: Array, y: Array, reach: float) -> Cells:
    """Cells that the points (n,) will fit in, at least `reach` wide and at most about 3 n in number."""
    n = max(len(x), 1)
    left, top, width, height = 0.0, 0.0, 0.0, 0.0
    if len(x):
        left, top = x.min(), y.min()
        width, height = x.max() - left, y.max() - top
    side = max(reach, math.sqrt(width * height / n), (width + height) / n)
    first = np.full((int(height / side) + 1, int(width / side) + 1), NO_POINT)
    return left, top, side, first, np.full(n, NO_POINT)


@njit(cache=True, nogil=True)
def put(cells: Cells, point: int, x: float, y: float) -> None:
    """Put a point into its cell."""
    left, top, side, first, following = cells
    row, column = math.floor((y - top) / side), math.floor((x - left) / side)
    following[point] = first[row, column]
    first[row, column] = point


@njit(cache=True, nogil=True)
def candidates(cells: Cells, x: float, y: float, found: Index) -> int:
    """Points put so far in the cell of a place and the eight around it: all within `reach`, and more.

    They are written to `found` (n,), whose used length is returned. (A generator would read better, but
    numba cannot load one from its cache into a function that is compiled anew.)
    """
    left, top, side, first, following = cells
    rows, columns = first.shape
    row, column = math.floor((y - top) / side), math.floor((x - left) / side)
    count = 0
    for r in range(max(row - 1, 0), min(row + 2, rows)):
        for c in range(max(column - 1, 0), min(column + 2, columns)):
            point = first[r, c]
            while point != NO_POINT:
                found[count] = point
                count += 1
                point = following[point]
    return count

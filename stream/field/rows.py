"""Rows of the transients under way, for `stream.field.sparks`: which end, which go on and which are new."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream.field.maps import Mask

Rows = NDArray[np.void]  # of SPARK

CLOSE_FRAMES = 2  # frames below OFF_Z that end a transient

SPARK = np.dtype(
    [
        ("row0", np.int64),  # bin where it was found
        ("column0", np.int64),
        ("row", np.int64),  # bin of the highest value so far
        ("column", np.int64),
        ("best_z", np.float64),  # that value
        ("dated_z", np.float64),  # value when the onset was dated
        ("floor", np.int64),  # onsets are not dated before this frame
        ("onset", np.int64),
        ("onset_s", np.float64),
        ("peak", np.int64),
        ("dff", np.float64),  # highest ΔF/F0 of the core
        ("end", np.int64),
        ("end_s", np.float64),
        ("x", np.float64),  # bins
        ("y", np.float64),
        ("area", np.float64),  # bins
        ("in_wave", np.bool_),
        ("low_frames", np.int64),
        ("dip_z", np.float64),  # lowest value since the highest
        ("dip", np.int64),
        ("dip_s", np.float64),
        ("again", np.bool_),  # rises again from the dip
    ]
)


@njit(cache=True, nogil=True)
def is_over(spark: np.void) -> bool:
    """Whether it has been low for long enough."""
    return bool(spark["low_frames"] >= CLOSE_FRAMES)


@njit(cache=True, nogil=True)
def renew(rows: Rows, seq: int, max_frames: int, found: NDArray[np.int64], ended: Mask, after: Rows) -> int:
    """Mark those of `rows` that `ended`; put what stays, rises again and was `found` (n, 2) into `after`.

    `after` comes as zeros, with room for all of `rows` and `found`; gives how many it then holds.
    """
    n = 0
    for k in range(len(rows)):
        row = rows[k]
        ended[k] = is_over(row) or row["again"]
        if row["again"] and row["end"] > row["dip"]:
            # The end of the one is where the next begins, at the latest.
            row["end"], row["end_s"] = row["dip"], row["dip_s"]
        if not ended[k] and seq - row["onset"] < max_frames:
            after[n] = row
            n += 1
    for k in range(len(rows)):
        if rows[k]["again"]:
            _start(after[n], rows[k]["row"], rows[k]["column"], rows[k]["dip"] + 1)
            n += 1
    for k in range(len(found)):
        _start(after[n], found[k, 0], found[k, 1], 0)
        n += 1
    return n


@njit(cache=True, nogil=True)
def _start(spark: np.void, row: int, column: int, floor: int) -> None:
    spark["row"] = spark["row0"] = row
    spark["column"] = spark["column0"] = column
    spark["floor"] = floor


@njit(cache=True, nogil=True)
def without_doubles(rows: Rows) -> int:
    """Move the first of those that have come to follow the same maximum to the front; gives how many."""
    n = 0
    for k in range(len(rows)):
        is_first = True
        for i in range(n):
            if rows[i]["row"] == rows[k]["row"] and rows[i]["column"] == rows[k]["column"]:
                is_first = False
        if is_first:
            rows[n] = rows[k]
            n += 1
    return n

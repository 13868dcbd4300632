"""Candidates: puncta that are near each other in space and time, at a cost linear in their number."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial import KDTree

from stream.refine.spots import Array, Index, Spots

CHUNK_PUNCTA = 200_000  # sought at once: some 100 MB of trees and pairs
NOWHERE = np.zeros(2)


def near(
    spots: Spots,
    early: Index,
    late: Index,
    distance: float,
    max_frames: int,
    chunk: int = CHUNK_PUNCTA,
    shift: Array = NOWHERE,
) -> tuple[Index, Index, Array]:
    """Pairs of an early and a late punctum, 1 to `max_frames` frames apart and nearer than `distance`.

    What laptrack (and TrackMate) would find by comparing all with all.

    Parameters
    ----------
    spots
        All puncta.
    early, late
        Rows of `spots` that may be the earlier and the later one of a pair, ascending.
    distance
        In the unit of the positions.
    max_frames
        Greatest difference of their frames.
    chunk
        Early puncta that are sought at once; the pairs do not depend on it.
    shift
        Displacement of the early ones, (2,).

    Returns
    -------
    tuple
        Rows of the early and of the late punctum and their squared distance, (P,) each, by early row,
        then late row.
    """
    found = list(_chunks(spots, early, late, distance, max_frames, chunk, shift))
    a, b, cost = (np.concatenate([c[k] for c in found]) for k in range(3)) if found else _NOTHING
    return a.astype(np.intp), b.astype(np.intp), cost


_NOTHING = (np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0))


def _chunks(
    spots: Spots, early: Index, late: Index, distance: float, max_frames: int, chunk: int, shift: Array
) -> Iterator[tuple[Index, Index, Array]]:
    late_frame = spots.frame[late]
    for start in range(0, len(early), chunk):
        a = early[start : start + chunk]
        # The chunk overlaps the next ones by as many frames as a pair may lie apart.
        first, last = np.searchsorted(
            late_frame, [spots.frame[a[0]] + 1, spots.frame[a[-1]] + max_frames + 1]
        )
        b = late[first:last]
        if len(b):
            yield _pairs(spots, a, b, distance, max_frames, shift)


def _pairs(
    spots: Spots, early: Index, late: Index, distance: float, max_frames: int, shift: Array
) -> tuple[Index, Index, Array]:
    # Frames become a third dimension in which 1 … max_frames later is within ±1: the middle is put at 0.
    middle, half = (max_frames + 1) / 2, max_frames / 2
    trees = []
    xy = (spots.xy[early] + shift, spots.xy[late])
    for rows, place, ahead in ((early, xy[0], middle), (late, xy[1], 0.0)):
        time = (spots.frame[rows] - spots.frame[early[0]] + ahead) / half
        trees.append(KDTree(np.column_stack([place / distance, time])))
    box = trees[0].sparse_distance_matrix(trees[1], 1.0, p=np.inf, output_type="ndarray")
    i, j = box["i"], box["j"]
    squared = ((xy[0][i] - xy[1][j]) ** 2).sum(axis=1)
    apart = spots.frame[late[j]] - spots.frame[early[i]]
    good = (squared < distance**2) & (apart >= 1) & (apart <= max_frames)
    i, j, squared = i[good], j[good], squared[good]
    order = np.lexsort((j, i))
    return early[i[order]], late[j[order]], squared[order]

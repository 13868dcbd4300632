"""Frame-to-frame linking of all puncta, as laptrack (and TrackMate) do it, without their dense matrices."""

from itertools import pairwise

import numpy as np
from laptrack._coo_matrix_builder import coo_matrix_builder
from laptrack._cost_matrix import build_frame_cost_matrix
from laptrack._optimization import lap_optimization

from stream.refine.near import CHUNK_PUNCTA, near
from stream.refine.spots import Array, Edges, Index, Spots, no_edges


def link_frames(spots: Spots, distance: float, chunk: int = CHUNK_PUNCTA) -> Edges:
    """Link the puncta of successive frames so that the summed squared distance is least.

    The first step of Jaqaman et al., Nat. Methods 5, 695 (2008): not to link costs 1.05 times the largest
    squared distance that occurs between the two frames. The links are those of `laptrack.LapTrack`, whose
    cost matrix and solver these are; only the pairs nearer than `distance` are found by a tree.

    Parameters
    ----------
    spots
        All puncta. Over a missing frame nothing is linked: that is gap closing.
    distance
        Longest link, in the unit of the positions.
    chunk
        Puncta for which candidates are sought at once; the links do not depend on it.
    """
    edges = [no_edges()]
    starts = np.flatnonzero(np.diff(spots.frame, prepend=-1))
    bounds = np.append(starts, len(spots))
    frame_of = np.searchsorted(starts, np.arange(0, len(spots), max(chunk, 1)), side="right") - 1
    # Whole frames at a time, at least one.
    cuts = np.unique(np.append(frame_of, len(starts)))
    for first, stop in pairwise(cuts.tolist()):
        begin, end = bounds[first], bounds[stop]
        after = bounds[min(stop + 1, len(starts))]
        a, b, cost = near(spots, np.arange(begin, end), np.arange(begin, after), distance, 1)
        splits = np.searchsorted(a, bounds[first : stop + 1])
        for k in range(stop - first):
            pairs = slice(splits[k], splits[k + 1])
            if pairs.stop > pairs.start:
                edges.append(_link(a[pairs], b[pairs], cost[pairs]))
    return Edges(
        np.concatenate([e.source for e in edges]),
        np.concatenate([e.target for e in edges]),
    )


def _link(a: Index, b: Index, cost: Array) -> Edges:
    """The best links among the candidates of one pair of frames."""
    sources, i = np.unique(a, return_inverse=True)
    targets, j = np.unique(b, return_inverse=True)
    # Puncta without any candidate stay out: they can only stay alone.
    distances = coo_matrix_builder((len(sources), len(targets)), i, j, cost)
    costs = build_frame_cost_matrix(distances, track_start_cost=None, track_end_cost=None)
    to, _ = lap_optimization(costs)
    chosen = to[: len(sources)]
    linked = np.flatnonzero(chosen < len(targets))
    return Edges(sources[linked], targets[chosen[linked]])

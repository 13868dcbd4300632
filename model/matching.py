"""Pairs of true and found positions: the assignment that every evaluation uses."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import KDTree

Points = NDArray[np.floating]
Index = NDArray[np.intp]


def match_localizations(truth_xy: Points, found_xy: Points, radius: float) -> tuple[Index, Index]:
    """Pair true with found positions of one frame, each at most once and never further than `radius`.

    Of all assignments with the most pairs it gives the one of least total distance (the Hungarian
    assignment; solved sparsely, so time grows with the pairs within reach).

    Parameters
    ----------
    truth_xy, found_xy
        Positions (N, 2) and (M, 2), in the unit of `radius`.
    radius
        Largest distance of a pair, inclusive.

    Returns
    -------
    Indices into `truth_xy` and into `found_xy`, of equal length, in ascending order of the first.
    """
    n, m = len(truth_xy), len(found_xy)
    if not n or not m:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    near = KDTree(truth_xy).sparse_distance_matrix(KDTree(found_xy), radius, output_type="ndarray")
    return assign_pairs(near["i"], near["j"], near["v"], n, m)


def assign_pairs(
    truth: Index, found: Index, cost: NDArray[np.floating], n_truth: int, n_found: int
) -> tuple[Index, Index]:
    """Choose among candidate pairs the most that exclude each other, at the least total cost.

    Candidate k pairs `truth[k]` with `found[k]` at `cost[k]` ≥ 0, each pair at most once. Returns the
    indices of the chosen pairs as `match_localizations` does.
    """
    if not len(cost):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    # Each truth may stay alone, with a stand-in that costs more than all real pairs together. Adding
    # `scale` to each cost keeps it positive, as the solver needs, and changes no assignment of equal size.
    scale = float(np.max(cost)) or 1.0
    lone = np.arange(n_truth)
    rows = np.concatenate([truth, lone])
    columns = np.concatenate([found, n_found + lone])
    costs = np.concatenate([cost + scale, np.full(n_truth, 2.0 * scale * (n_truth + 1))])
    graph = csr_array((costs, (rows, columns)), shape=(n_truth, n_found + n_truth))
    chosen_truth, chosen_found = min_weight_full_bipartite_matching(graph)
    paired = chosen_found < n_found
    return chosen_truth[paired].astype(np.intp), chosen_found[paired].astype(np.intp)

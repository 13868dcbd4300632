"""Linking one frame: which living track is seen again in which localization.

Links maximize the summed log-likelihood ratio of "the same punctum, seen again" against "track unseen,
localization new or false" (Blackman & Popoli, Design and Analysis of Modern Tracking Systems (1999),
ch. 6): candidates within a gate, then one sparse assignment.
"""

import math

import numpy as np
from numba import njit
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from stream.tracking.kalman import Array, Index, Sightings, Tracks

GATE = 25.0  # χ² with 3 degrees of freedom, 99.998 %
NEIGHBOURS = 10  # best candidates a track, so that the assignment stays small in any crowd
FEW_PAIRS = 500  # solved at once; more of them in batches of about …
BATCH_PAIRS = 64
DENSE = 10_000  # cells of a table up to which the dense solver is the faster one
LN_2PI = math.log(2 * math.pi)


def link(tracks: Tracks, seen: Sightings, log_odds: Array, log_clutter: Array) -> tuple[Index, Index]:
    """Rows of tracks and rows of the sightings they are linked to, (L,) each, every row at most once.

    Parameters
    ----------
    tracks, seen
        n tracks, predicted to this frame, and its N sightings.
    log_odds
        Log odds that each track is seen, (n,).
    log_clutter
        Log density of new and false localizations at each sighting, (N,).
    """
    order = np.argsort(seen.value[:, 0], kind="stable")
    near = seen.select(order)
    spots, gains = _candidates(
        tracks.mean, tracks.variance, tracks.weight, log_odds, near.value, near.variance, log_clutter[order]
    )
    row, rank = np.nonzero(spots >= 0)
    return assign(row, order[spots[row, rank]], gains[row, rank])


@njit(cache=True, nogil=True)
def _candidates(
    mean: Array,
    variance: Array,
    weight: Array,
    log_odds: Array,
    value: Array,
    noise: Array,
    log_clutter: Array,
) -> tuple[Index, Array]:
    """Best sightings of each track and their gains above 0, (n, NEIGHBOURS), −1 where there are no more.

    Sightings come in order of x; the gain is the log of the predictive likelihood, summed over the classes
    by their probability, over the clutter's density, plus the odds of being seen.
    """
    n, n_classes = weight.shape
    spots = np.full((n, NEIGHBOURS), -1, np.intp)
    gains = np.zeros((n, NEIGHBOURS))
    if not len(value):
        return spots, gains
    noisiest = noise[:, :2].max()
    for i in range(n):
        reach = math.sqrt(GATE * (variance[i, :, :2].max() + noisiest))
        x_low, x_high = mean[i, :, 0].min() - reach, mean[i, :, 0].max() + reach
        y_low, y_high = mean[i, :, 1].min() - reach, mean[i, :, 1].max() + reach
        for j in range(np.searchsorted(value[:, 0], x_low), len(value)):
            if value[j, 0] > x_high:
                break
            if not y_low <= value[j, 1] <= y_high:
                continue
            likelihood, nearest2 = 0.0, math.inf
            for k in range(n_classes):
                distance2, log_norm = 0.0, 3 * LN_2PI
                for axis in range(3):
                    spread = variance[i, k, axis] + noise[j, axis]
                    distance2 += (value[j, axis] - mean[i, k, axis]) ** 2 / spread
                    log_norm += math.log(spread)
                likelihood += weight[i, k] * math.exp(-0.5 * (distance2 + log_norm))
                nearest2 = min(nearest2, distance2)
            if nearest2 >= GATE or likelihood <= 0.0:
                continue
            gain = math.log(likelihood) + log_odds[i] - log_clutter[j]
            rank = NEIGHBOURS
            while rank > 0 and gain > gains[i, rank - 1]:
                rank -= 1
            if rank < NEIGHBOURS:
                spots[i, rank + 1 :] = spots[i, rank:-1].copy()
                gains[i, rank + 1 :] = gains[i, rank:-1].copy()
                spots[i, rank], gains[i, rank] = j, gain
    return spots, gains


def assign(row: Index, spot: Index, gain: Array) -> tuple[Index, Index]:
    """Choose the pairs, each row and spot at most once, that have the greatest summed gain.

    Pairs (P,) must have gains above 0. A pair without rivals is taken as it is.
    """
    rivals = (np.bincount(row)[row] > 1) | (np.bincount(spot)[spot] > 1)
    taken = [np.flatnonzero(~rivals)]
    contested = np.flatnonzero(rivals)
    if len(contested):
        for part in _parts(row[contested], spot[contested]):
            batch = contested[part]
            taken.append(batch[_best_pairs(row[batch], spot[batch], gain[batch])])
    pairs = np.concatenate(taken)
    pairs = pairs[np.argsort(row[pairs])]
    return row[pairs], spot[pairs]


def _parts(row: Index, spot: Index) -> list[Index]:
    """Numbers of the pairs in parts that share no row or spot: the cost grows with the square of a part.

    A few pairs are solved at once, as finding the parts would cost more than it saves.
    """
    if len(row) <= FEW_PAIRS:
        return [np.arange(len(row))]
    n_rows = int(row.max()) + 1
    n = n_rows + int(spot.max()) + 1
    graph = coo_array((np.ones(len(row)), (row, n_rows + spot)), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    group = component[row]
    order = np.argsort(group, kind="stable")
    # Whole components, as many as make a batch: one by one, the calls would cost more than the work.
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    cuts = first[np.flatnonzero(np.diff(first // BATCH_PAIRS)) + 1]
    return np.split(order, cuts)


def _best_pairs(row: Index, spot: Index, gain: Array) -> Index:
    """Numbers of the pairs that have the greatest summed gain."""
    rows, i = np.unique(row, return_inverse=True)
    spots, j = np.unique(spot, return_inverse=True)
    if len(rows) * len(spots) <= DENSE:
        table = np.zeros((len(rows), len(spots)))
        table[i, j] = gain
        to = np.full(len(rows), -1)
        first, second = linear_sum_assignment(table, maximize=True)
        to[first] = second
    else:
        # Every track may also stay unlinked, for no gain, so a full matching always exists. The same
        # constant on all weights changes nothing but makes them positive: explicit zeros would vanish.
        alone = np.arange(len(rows))
        weight = gain.max() + 1.0 - np.concatenate([gain, np.zeros(len(rows))])
        ends = (np.concatenate([i, alone]), np.concatenate([j, len(spots) + alone]))
        matching = coo_array((weight, ends), shape=(len(rows), len(spots) + len(rows))).tocsr()
        _, to = min_weight_full_bipartite_matching(matching)
    chosen: Index = np.flatnonzero(to[i] == j)
    return chosen

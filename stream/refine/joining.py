"""Gap closing, splitting and merging of segments, as laptrack (and TrackMate) do it, in independent parts."""

from dataclasses import dataclass

import numpy as np
from laptrack._cost_matrix import EPSILON, build_segment_cost_matrix
from laptrack._optimization import lap_optimization
from scipy.sparse import coo_array, coo_matrix
from scipy.sparse.csgraph import connected_components

from stream.refine.chance import displaced, likely_cost
from stream.refine.near import CHUNK_PUNCTA, NOWHERE, near
from stream.refine.spots import Array, Edges, Index, Spots, no_edges

# Defaults of TrackMate (CUTOFF_PERCENTILE, ALTERNATIVE_LINKING_COST_FACTOR) and laptrack.
ALTERNATIVE_PERCENTILE = 90
ALTERNATIVE_FACTOR = 1.05
BATCH_PAIRS = 512  # solved at once: fewer and the calls cost more than the work, more and the matrices do


@dataclass(frozen=True, slots=True)
class JoinOptions:
    """What may be joined, and at what cost.

    Attributes
    ----------
    gap_distance, max_frame_gap
        Longest distance from the end of a segment to the start of another, and the most frames from the
        one to the other (TrackMate's and laptrack's meaning: 2 bridges one missing frame).
    split_distance, merge_distance
        Longest distance of a start from a punctum of the frame before, and of an end from one of the frame
        after; None: no splitting, no merging.
    alternative_cost
        Cost of leaving a segment's end or start alone, squared distance; distances at splits and merges then
        count relative to their own limits, as those over gaps to theirs. None: as TrackMate, 1.05 times
        the 90th percentile of all candidates' squared distances.
    brightness_penalty
        Weight of TrackMate's feature penalty on the segments' mean brightness: the distance over a gap
        counts 1 + 3 · weight · |a − b| / (a + b) times.
    beyond_chance
        Close only such gaps as occur more often than by chance: see `stream.refine.chance`.
    """

    gap_distance: float
    max_frame_gap: int
    split_distance: float | None = None
    merge_distance: float | None = None
    alternative_cost: float | None = None
    brightness_penalty: float = 0.0
    beyond_chance: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """Edges that join segments: closed gaps; splits (parent to start) and merges (end to parent)."""

    gaps: Edges
    splits: Edges
    merges: Edges


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Pairs that could be joined: their kind (GAP, SPLIT, MERGE), rows of both puncta, squared distance."""

    kind: Index
    source: Index
    target: Index
    cost: Array


GAP, SPLIT, MERGE = 0, 1, 2


def join_segments(
    spots: Spots,
    member: Index,
    inner: Edges,
    options: JoinOptions,
    brightness: Array,
    chunk: int = CHUNK_PUNCTA,
) -> Joined:
    """Join segments so that the summed cost is least: the second step of Jaqaman et al. (2008).

    The joints are those of `laptrack.LapTrack`, whose cost matrix and solver these are. Candidates are
    found by trees; candidates that share no end and no start do not compete, so they are solved apart,
    and the cost is linear in the segments.

    Parameters
    ----------
    spots
        All puncta.
    member
        Rows of those that belong to segments, ascending.
    inner
        Links within segments; each punctum has at most one before and one after it.
    options
        What may be joined.
    brightness
        Mean brightness of the segment that each punctum is in, above 0, (N,).
    chunk
        Puncta for which candidates are sought at once; the result does not depend on it.
    """
    ends = np.setdiff1d(member, inner.source, assume_unique=True)
    starts = np.setdiff1d(member, inner.target, assume_unique=True)

    def gap_costs(early: Index, shift: Array = NOWHERE) -> tuple[Index, Index, Array]:
        a, b, cost = near(spots, early, starts, options.gap_distance, options.max_frame_gap, chunk, shift)
        unlike = np.abs(brightness[a] - brightness[b]) / (brightness[a] + brightness[b])
        return a, b, cost * (1 + 3 * options.brightness_penalty * unlike) ** 2

    a, b, cost = gap_costs(ends)
    if options.beyond_chance and len(cost):
        elsewhere = displaced(spots, ends, options.gap_distance)
        by_chance = np.concatenate([gap_costs(early, shift)[2] for early, shift in elsewhere])
        trials = sum(len(early) for early, _ in elsewhere) / len(ends)
        # In a field too small for the distance nothing tells chance, and only lone pairs are beyond doubt.
        in_doubt = trials < 1 and len(cost) > len(ends) // 2
        likely = cost <= (-np.inf if in_doubt else likely_cost(cost, by_chance, trials))
        a, b, cost = a[likely], b[likely], cost[likely]
    parts = [(GAP, a, b, cost)]
    for kind, limit, early, late in (
        (SPLIT, options.split_distance, member, starts),
        (MERGE, options.merge_distance, ends, member),
    ):
        if limit:
            a, b, cost = near(spots, early, late, limit, 1, chunk)
            scale = 1.0 if options.alternative_cost is None else (options.gap_distance / limit) ** 2
            parts.append((kind, a, b, cost * scale))
    candidates = _Candidates(
        np.concatenate([np.full(len(source), kind) for kind, source, _, _ in parts]),
        np.concatenate([source for _, source, _, _ in parts]),
        np.concatenate([target for _, _, target, _ in parts]),
        np.concatenate([cost for _, _, _, cost in parts]),
    )
    if not len(candidates.cost):
        return Joined(no_edges(), no_edges(), no_edges())
    alone = options.alternative_cost
    if alone is None:
        costs = candidates.cost.astype(np.float32)  # as laptrack's matrix
        alone = float(np.percentile(costs, ALTERNATIVE_PERCENTILE, method="lower")) * ALTERNATIVE_FACTOR
    chosen = _solve(candidates, max(alone, EPSILON), len(spots))
    return Joined(*(_edges(candidates, chosen[candidates.kind[chosen] == k]) for k in (GAP, SPLIT, MERGE)))


def _edges(candidates: _Candidates, chosen: Index) -> Edges:
    return Edges(candidates.source[chosen], candidates.target[chosen])


def _solve(candidates: _Candidates, alone: float, n_spots: int) -> Index:
    """Numbers of the best candidates."""
    # Ends compete for what follows, starts for what was before. A punctum in the middle of a segment can be
    # parent of one split (as what was before) and of one merge (as what follows).
    before, after = _places(candidates, n_spots)
    places, number = np.unique(np.concatenate([before, after]), return_inverse=True)
    n = len(before)
    graph = coo_array((np.ones(n, np.int8), (number[:n], number[n:])), shape=(len(places), len(places)))
    _, component = connected_components(graph, directed=False)
    group = component[number[:n]]
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    cuts = first[np.flatnonzero(np.diff(first // BATCH_PAIRS)) + 1]
    chosen = [batch[_solve_batch(candidates, batch, alone)] for batch in np.split(order, cuts)]
    return np.sort(np.concatenate(chosen))


def _places(candidates: _Candidates, n_spots: int) -> tuple[Index, Index]:
    """Rows and columns of the cost matrix, numbered so that all differ."""
    split, merge = candidates.kind == SPLIT, candidates.kind == MERGE
    before = candidates.source + np.where(split, n_spots, 0)
    after = candidates.target + np.where(merge, 3 * n_spots, 2 * n_spots)
    return before, after


def _solve_batch(candidates: _Candidates, batch: Index, alone: float) -> Index:
    """Numbers within the batch of the best candidates."""
    kind, source = candidates.kind[batch], candidates.source[batch]
    target, cost = candidates.target[batch], candidates.cost[batch]
    ends, end = np.unique(source[kind != SPLIT], return_inverse=True)
    starts, start = np.unique(target[kind != MERGE], return_inverse=True)
    split_parents, split = np.unique(source[kind == SPLIT], return_inverse=True)
    merge_parents, merge = np.unique(target[kind == MERGE], return_inverse=True)
    m = max(len(ends), len(starts))  # the matrix wants as many ends as starts; who has no candidate is inert
    row, column = np.zeros(len(batch), np.intp), np.zeros(len(batch), np.intp)
    row[kind != SPLIT], column[kind != MERGE] = end, start
    row[kind == SPLIT], column[kind == MERGE] = m + split, m + merge
    gap_matrix, split_matrix, merge_matrix = (
        coo_matrix((cost[kind == k], (i[kind == k], j[kind == k])), shape=shape)
        for k, i, j, shape in (
            (GAP, row, column, (m, m)),
            (SPLIT, column, row - m, (m, len(split_parents))),
            (MERGE, row, column - m, (m, len(merge_parents))),
        )
    )
    costs = build_segment_cost_matrix(gap_matrix, split_matrix, merge_matrix, alone, alone, alone, alone)
    if costs is None:  # only without candidates
        return np.empty(0, np.intp)
    to, _ = lap_optimization(costs)
    chosen: Index = np.flatnonzero(to[row] == column)
    return chosen

"""Found tracks against true ones: the scores of the Particle Tracking Challenge, and plainer ones."""

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

Array = NDArray[np.float64]
Index = NDArray[np.intp]

GATE_PX = 5.0  # ε of the challenge
LONG_FRAMES = 10  # completeness is told of longer true tracks


@dataclass(frozen=True, slots=True)
class PairedTracks:
    """True and found tracks paired one to one, as the Particle Tracking Challenge does it.

    Gaps of true and found tracks are bridged by straight lines. The distance of two tracks is the sum over
    all frames of their distance there, at most ε, and ε where only one of them is; found tracks are paired
    with true ones so that the sum over the true tracks is least; one without partner counts ε a frame
    (Chenouard et al., Nat. Methods 11, 281 (2014), supplementary note 3).

    Attributes
    ----------
    n_true, n_found, n_paired
        Tracks.
    alpha
        1 − distance of the true from the found tracks over that from nothing: 1 is perfect, 0 useless.
    beta
        The same, with ε for every frame of a found track without partner added to the denominator.
    jsc
        TP / (TP + FN + FP) of positions, those of paired tracks nearer than ε being true.
    jsc_theta
        Pairs over all tracks, TP / (TP + FN + FP).
    rmse_nm
        Per axis, of the true positives: √(mean(Δx² + Δy²) / 2).
    pairs
        Ids of the true and the found tracks that are paired.
    """

    n_true: int
    n_found: int
    n_paired: int
    alpha: float
    beta: float
    jsc: float
    jsc_theta: float
    rmse_nm: float
    pairs: tuple[tuple[int, int], ...] = field(compare=False, repr=False)


def pair_tracks(true: pd.DataFrame, found: pd.DataFrame, gate_nm: float) -> PairedTracks:
    """Pair and score tracks.

    Parameters
    ----------
    true, found
        Positions: columns `frame`, `track_id` (negative: no track), `x_nm`, `y_nm`; at most one row for each
        track and frame.
    gate_nm
        ε in nm.
    """
    x, y = _Tracks(true), _Tracks(found)
    t, f, distance = _near(x, y, gate_nm)
    shape = (len(x.first), len(y.first))
    closeness = coo_array((gate_nm - distance, (x.track[t], y.track[f])), shape).tocsr().tocoo()
    i, j = (np.asarray(rows, np.intp) for rows in closeness.coords)
    overlap = np.minimum(x.last[i], y.last[j]) - np.maximum(x.first[i], y.first[j]) + 1
    gain = closeness.data - gate_nm * (y.length[j] - overlap)
    partner, total = _best_pairs(i, j, gain, shape)

    paired = partner[x.track[t]] == y.track[f]
    n_right, n_paired = int(np.count_nonzero(paired)), int(np.count_nonzero(partner >= 0))
    nothing = gate_nm * len(x.track)
    spurious = gate_nm * (len(y.track) - y.length[partner[partner >= 0]].sum())
    return PairedTracks(
        n_true=shape[0],
        n_found=shape[1],
        n_paired=n_paired,
        alpha=_ratio(total, nothing),
        beta=_ratio(total, nothing + spurious),
        jsc=_ratio(n_right, len(x.track) + len(y.track) - n_right),
        jsc_theta=_ratio(n_paired, sum(shape) - n_paired),
        rmse_nm=float(np.sqrt(np.mean(distance[paired] ** 2) / 2)) if n_right else math.nan,
        pairs=tuple((int(x.ids[a]), int(y.ids[partner[a]])) for a in np.flatnonzero(partner >= 0)),
    )


@dataclass(frozen=True, slots=True)
class Wholeness:
    """In how many pieces true tracks were found; of localizations that belong to a true punctum.

    Attributes
    ----------
    n_long, completeness
        True tracks that shine in more than `LONG_FRAMES` frames, and the mean share of these frames that
        the one found track holding most of them has; 0 for a true track that was not found. Frames in
        which a punctum is dark, or beyond the image, do not count.
    purity
        Mean share of a found track's localizations that come from the punctum it has most of.
    continuous_frames
        Mean number of successive localizations of one punctum that stay in one found track.
    switches
        Times that the next localization of a punctum is in another found track.
    """

    n_long: int
    completeness: float
    purity: float
    continuous_frames: float
    switches: int


def wholeness(emitter: NDArray[np.int64], found: pd.DataFrame, true_frames: pd.Series) -> Wholeness:
    """Score the pieces.

    Parameters
    ----------
    emitter
        True track of each found localization, negative for none.
    found
        The localizations: columns `frame` and `track_id` (negative: no track).
    true_frames
        Number of frames of each true track, by its id.
    """
    tracked = pd.DataFrame({"emitter": emitter, "frame": found["frame"], "track": found["track_id"]})
    tracked = tracked[tracked["track"] >= 0]
    pure = tracked.groupby("track")["emitter"].agg(lambda e: e[e >= 0].value_counts().max() / len(e))
    of_true = tracked[tracked["emitter"] >= 0].sort_values(["emitter", "frame"])
    most = of_true.groupby(["emitter", "track"]).size().groupby("emitter").max()
    long = true_frames[true_frames > LONG_FRAMES]
    same = of_true["emitter"].diff().eq(0)
    switches = int((same & of_true["track"].diff().ne(0)).sum())
    n_pieces = of_true["emitter"].nunique() + switches
    return Wholeness(
        n_long=len(long),
        completeness=float((most.reindex(long.index).fillna(0) / long).mean()),
        purity=float(pure.fillna(0).mean()),
        continuous_frames=_ratio(len(of_true), n_pieces),
        switches=switches,
    )


class _Tracks:
    """Positions of tracks without gaps, in rows; tracks are numbered from 0."""

    def __init__(self, table: pd.DataFrame) -> None:
        table = table[table["track_id"] >= 0].sort_values(["track_id", "frame"])
        seen = table["frame"].to_numpy(np.int64)
        ids, start, count = np.unique(table["track_id"].to_numpy(), return_index=True, return_counts=True)
        self.first, self.last = seen[start], seen[start + count - 1]
        self.ids, self.length = ids, self.last - self.first + 1
        self.track: Index = np.repeat(np.arange(len(ids)), self.length)
        self.frame = _counted(self.length) + np.repeat(self.first, self.length)
        # Along a line on which tracks follow each other, one interpolation bridges the gaps of all.
        offset = np.cumsum(self.length) - self.length - self.first
        line = np.repeat(offset, self.length) + self.frame
        at = np.repeat(offset, count) + seen
        self.xy: Array = np.empty((len(line), 2))
        for k, name in enumerate(("x_nm", "y_nm")):
            if len(line):
                self.xy[:, k] = np.interp(line, at, table[name].to_numpy(np.float64))


def _counted(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, … for each length, one after the other."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _near(x: _Tracks, y: _Tracks, gate_nm: float) -> tuple[Index, Index, Array]:
    """Rows of both in the same frame and nearer than the gate, and their distances."""
    if not len(x.frame) or not len(y.frame):
        return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
    # Frames lie so far apart in a third dimension that only neighbours within a frame are near.
    apart = 2 * gate_nm
    trees = [KDTree(np.column_stack([p.xy, apart * p.frame])) for p in (x, y)]
    near = trees[0].sparse_distance_matrix(trees[1], gate_nm, output_type="ndarray")
    near = near[near["v"] < gate_nm]
    return near["i"], near["j"], near["v"]


def _best_pairs(i: Index, j: Index, gain: Array, shape: tuple[int, int]) -> tuple[Index, float]:
    """Partner of each true track (−1: none) with the largest sum of gains, and that sum."""
    partner: Index = np.full(shape[0], -1, np.intp)
    worth = gain > 0
    i, j, gain = i[worth], j[worth], gain[worth]
    if not len(i):
        return partner, 0.0
    graph = coo_array((np.ones(len(i)), (i, shape[0] + j)), (sum(shape), sum(shape)))
    _, group = connected_components(graph, directed=False)
    total, order = 0.0, np.argsort(group[i], kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(group[i][order])) + 1):
        rows, r = np.unique(i[members], return_inverse=True)
        columns, c = np.unique(j[members], return_inverse=True)
        matrix = np.zeros((len(rows), len(columns)))
        matrix[r, c] = gain[members]
        a, b = linear_sum_assignment(matrix, maximize=True)
        real = matrix[a, b] > 0
        partner[rows[a[real]]] = columns[b[real]]
        total += float(matrix[a, b].sum())
    return partner, total


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else math.nan

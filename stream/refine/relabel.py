"""From links between puncta to tracks: who is in which, and which came from which."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stream.refine.joining import Joined
from stream.refine.spots import Edges, Index, Spots
from stream.results import NO_TRACK, Ids

SPLIT, MERGE = "split", "merge"


@dataclass(frozen=True, slots=True)
class Lineage:
    """Tracks that came from others at a split or merge, and the first frame after it, (L,) each."""

    parent: Ids
    child: Ids
    kind: tuple[str, ...]
    frame: Ids


@dataclass(frozen=True, slots=True)
class Relabelled:
    """Track of each punctum, int64 (N,), −1 for none; the lineage; and trees that were too short."""

    track_id: Ids
    n_tracks: int
    lineage: Lineage
    n_dropped: int


def segments(n: int, links: Edges) -> Index:
    """Number of the segment that each of `n` puncta is in, (n,); alone it is a segment of its own."""
    graph = coo_array((np.ones(len(links), np.int8), (links.source, links.target)), shape=(n, n))
    _, segment = connected_components(graph, directed=False)
    number: Index = segment.astype(np.intp)
    return number


def relabel(spots: Spots, member: Index, inner: Edges, joined: Joined, min_puncta: int) -> Relabelled:
    """Number the tracks from 0 in the order in which they begin.

    A track ends where it splits or is merged into: what follows are tracks of their own, as in laptrack
    (TrackMate calls the whole tree a track), so each has its own motion and events.

    Parameters
    ----------
    spots, member, inner, joined
        As for and from `join_segments`.
    min_puncta
        Trees of fewer puncta are no tracks.
    """
    parts = [inner, joined.gaps, joined.splits, joined.merges]
    every = Edges(
        np.concatenate([edges.source for edges in parts]), np.concatenate([edges.target for edges in parts])
    )
    n = len(spots)
    forks = np.bincount(every.source, minlength=n)[every.source] > 1
    joins = np.bincount(every.target, minlength=n)[every.target] > 1
    branch = forks | joins
    track = segments(n, Edges(every.source[~branch], every.target[~branch]))
    tree = segments(n, every) if branch.any() else track
    is_member = np.zeros(n, np.bool_)
    is_member[member] = True
    size = np.bincount(tree, minlength=1)
    kept = is_member & (size[tree] >= min_puncta)

    rows = np.flatnonzero(kept)
    first = np.full(n, n)
    first[track[rows][::-1]] = rows[::-1]  # of equal indices NumPy keeps what was assigned last
    begins = np.sort(first[first < n])
    number = np.full(n, NO_TRACK, np.int64)
    number[track[begins]] = np.arange(len(begins))
    track_id = np.where(kept, number[track], NO_TRACK)

    link = np.flatnonzero(branch)[kept[every.source[branch]]]
    source, target = every.source[link], every.target[link]
    lineage = Lineage(
        parent=track_id[source],
        child=track_id[target],
        kind=tuple(np.where(forks[link], SPLIT, MERGE).tolist()),
        frame=spots.frame[target],
    )
    dropped = np.unique(tree[is_member & ~kept])
    return Relabelled(track_id, len(begins), lineage, len(dropped))

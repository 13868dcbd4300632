"""Tracks of a whole run: links within segments, joints between them, and the tracks they make."""

from dataclasses import dataclass

import numpy as np

from stream.refine.joining import Joined, join_segments
from stream.refine.linking import link_frames
from stream.refine.near import CHUNK_PUNCTA
from stream.refine.options import Plan
from stream.refine.relabel import Relabelled, relabel, segments
from stream.refine.spots import Array, Edges, Index, Spots
from stream.results import NO_TRACK, Ids


@dataclass(frozen=True, slots=True)
class Refined:
    """The new tracks, and what they are made of: segments, links within them, and joints between them.

    `n_joined` counts the segments that are joined to another one.
    """

    tracks: Relabelled
    joined: Joined
    n_segments: int
    n_joined: int
    n_links: int


def refine_spots(
    spots: Spots, old_track_id: Ids, photons: Array, plan: Plan, chunk: int = CHUNK_PUNCTA
) -> Refined:
    """Join the online tracks, or link all puncta again and join what that gives.

    Parameters
    ----------
    spots
        All puncta, nm.
    old_track_id
        The online track of each, −1 for none, (N,).
    photons
        Of each, (N,).
    plan
        What may be linked and joined.
    chunk
        Puncta for which candidates are sought at once; the tracks do not depend on it.
    """
    if plan.linking_distance_nm is None:
        member = np.flatnonzero(old_track_id != NO_TRACK)
        inner = _successive(member, old_track_id)
    else:
        member = np.arange(len(spots))
        inner = link_frames(spots, plan.linking_distance_nm, chunk)
    segment = segments(len(spots), inner)
    light = np.maximum(np.nan_to_num(photons, nan=1.0), 1.0).astype(np.float64)
    brightness = (np.bincount(segment, light) / np.maximum(np.bincount(segment), 1))[segment]
    joined = join_segments(spots, member, inner, plan.join, brightness, chunk)
    ends = [e for edges in (joined.gaps, joined.splits, joined.merges) for e in (edges.source, edges.target)]
    return Refined(
        tracks=relabel(spots, member, inner, joined, plan.min_puncta),
        joined=joined,
        n_segments=len(member) - len(inner),
        n_joined=len(np.unique(segment[np.concatenate(ends)])),
        n_links=len(inner),
    )


def _successive(member: Index, track_id: Ids) -> Edges:
    """Links between successive observations of each track."""
    rows = member[np.argsort(track_id[member], kind="stable")]
    same = track_id[rows[1:]] == track_id[rows[:-1]]
    return Edges(rows[:-1][same], rows[1:][same])

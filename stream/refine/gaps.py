"""Rows of the trajectories table for frames in which a track was not seen."""

from dataclasses import dataclass

import numpy as np

from stream.refine.spots import Array, Spots
from stream.results import NO_TRACK, Ids


@dataclass(frozen=True, slots=True)
class GapRows:
    """Tracks in gaps, one row a track and recorded frame, by ascending frame, (G,) each.

    Attributes
    ----------
    track_id, frame, xy
        The track, the frame, and a position on the straight line over the gap, (G, 2).
    old_track_id
        The online track that was in this gap too, −1 where there is none.
    """

    track_id: Ids
    frame: Ids
    time_s: Array
    xy: Array
    old_track_id: Ids


def gap_rows(spots: Spots, track_id: Ids, old_track_id: Ids, recorded: Ids, time_s: Array) -> GapRows:
    """Bridge the gaps of tracks by straight lines: the most probable path of a random walk between two ends.

    Parameters
    ----------
    spots
        All puncta.
    track_id, old_track_id
        New and online track of each, −1 for none, (N,).
    recorded, time_s
        Frames that the run has, ascending, and their times.
    """
    rows = np.flatnonzero(track_id != NO_TRACK)
    rows = rows[np.argsort(track_id[rows], kind="stable")]  # within a track they stay in order of frame
    before, after = rows[:-1], rows[1:]
    gap = (track_id[before] == track_id[after]) & (spots.frame[after] - spots.frame[before] > 1)
    before, after = before[gap], after[gap]
    first = np.searchsorted(recorded, spots.frame[before], side="right")
    n_between = np.searchsorted(recorded, spots.frame[after]) - first
    each = np.repeat(np.arange(len(before)), n_between)
    step = np.arange(len(each)) - np.repeat(np.cumsum(n_between) - n_between, n_between)
    index = first[each] + step  # among the recorded frames
    order = np.argsort(index, kind="stable")
    index, each = index[order], each[order]
    frame = recorded[index]
    before, after = before[each], after[each]
    part = (frame - spots.frame[before]) / (spots.frame[after] - spots.frame[before])
    same = old_track_id[before] == old_track_id[after]
    return GapRows(
        track_id=track_id[before],
        frame=frame,
        time_s=time_s[index],
        xy=spots.xy[before] + part[:, None] * (spots.xy[after] - spots.xy[before]),
        old_track_id=np.where(same, old_track_id[before], NO_TRACK),
    )

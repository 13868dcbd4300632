"""Calcium events of the online tracks, given to the refined ones."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stream.refine.spots import Index, Spots
from stream.results import NO_TRACK, Ids


@dataclass(frozen=True, slots=True)
class Reassociated:
    """The events with their new tracks, and how many are not among them.

    Attributes
    ----------
    table
        Columns as before.
    n_dropped
        Events whose punctum belongs to no track any more.
    n_repeated
        Events that another one of the same track overlaps: see `reassociate`.
    """

    table: pa.Table
    n_dropped: int
    n_repeated: int


def reassociate(events: pa.Table, spots: Spots, old_track_id: Ids, track_id: Ids) -> Reassociated:
    """Give each event to the track that now holds its old track's observation nearest to the event's peak.

    Where tracks are joined in the middle of an event, both may have reported a part of it. Events of one
    track that overlap, or follow each other without a frame between, are such parts: the one with the
    higher signal to noise stays, as it was measured, and the others are left out and counted. Nothing is
    measured again: the pixels are not in the run.

    Parameters
    ----------
    events
        Rows of the table calcium_events.
    spots, old_track_id, track_id
        All puncta, the online and the new track of each, −1 for none, (N,).
    """
    old = events["track_id"].to_numpy()
    peak = events["peak_frame"].to_numpy()
    row = _nearest(spots, old_track_id, old, peak)
    new = np.where(row >= 0, track_id[row], NO_TRACK) if len(spots) else np.full(len(old), NO_TRACK)
    onset, end = events["onset_frame"].to_numpy(), events["end_frame"].to_numpy()
    kept = np.flatnonzero(new != NO_TRACK)
    n_dropped = len(new) - len(kept)
    strongest = _strongest(new[kept], onset[kept], end[kept], events["snr"].to_numpy()[kept])
    column = events.schema.get_field_index("track_id")
    table = events.set_column(column, events.schema.field(column), pa.array(new, pa.int64()))
    return Reassociated(table.take(pa.array(kept[strongest])), n_dropped, len(kept) - len(strongest))


def _nearest(spots: Spots, old_track_id: Ids, track: Ids, frame: Ids) -> Index:
    """Row of each track's observation nearest to the frame, the earlier of two; −1 for an unknown track."""
    rows = np.flatnonzero(old_track_id != NO_TRACK)
    rows = rows[np.argsort(old_track_id[rows], kind="stable")]
    if not len(rows):
        return np.full(len(track), -1, np.intp)
    span = int(max(spots.frame[-1], frame.max(initial=0))) + 1  # track and frame in one number
    key = old_track_id[rows] * span + spots.frame[rows]
    after = np.searchsorted(key, track * span + frame)
    best, distance = np.full(len(track), -1, np.intp), np.full(len(track), np.iinfo(np.int64).max)
    for place in (after - 1, after):
        row = rows[np.clip(place, 0, len(rows) - 1)]
        apart = np.abs(spots.frame[row] - frame)
        nearer = (old_track_id[row] == track) & (apart < distance)
        best[nearer], distance[nearer] = row[nearer], apart[nearer]
    return best


def _strongest(track: Ids, onset: Ids, end: Ids, snr: np.ndarray) -> Index:
    """Numbers of the events that stay, ascending: the strongest of each group that overlaps or touches."""
    stay = []
    order = np.lexsort((onset, track))
    group: list[int] = []
    until = -1
    for k in order.tolist():
        if group and (track[k] != track[group[0]] or onset[k] > until + 1):
            stay.append(max(group, key=lambda i: snr[i]))
            group = []
        until = max(until, int(end[k])) if group else int(end[k])
        group.append(k)
    if group:
        stay.append(max(group, key=lambda i: snr[i]))
    return np.sort(np.array(stay, np.intp))

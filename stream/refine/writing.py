"""The tables of a refined run, written block by block beside each other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from stream.motion.statistics import TrackStatistics
from stream.record.confirmed import ConfirmedTracks
from stream.record.fold import add_frames, write_tracks
from stream.record.run import read_info
from stream.record.table_files import TableFiles
from stream.refine.gaps import GapRows
from stream.refine.reading import BLOCK_ROWS, FrameReader, blocks
from stream.refine.relabel import Lineage
from stream.refine.spots import Index, Spots
from stream.results import NO_TRACK, Ids

TRACK_MAP = pa.schema([("old_track_id", pa.int64()), ("new_track_id", pa.int64()), ("n_puncta", pa.int64())])
LINEAGE = pa.schema(
    [
        ("parent_track_id", pa.int64()),
        ("child_track_id", pa.int64()),
        ("kind", pa.string()),
        ("frame", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Labels:
    """All puncta with their online and their new tracks, −1 for none, (N,) each."""

    spots: Spots
    old: Ids
    new: Ids


def write_puncta_and_trajectories(
    run: Path, folder: Path, labels: Labels, gaps: GapRows, csv: bool, rows: int = BLOCK_ROWS
) -> TrackStatistics:
    """Write both tables as those of the run, with the new tracks; gives the statistics of the tracks."""
    statistics = TrackStatistics(read_info(run)["engine_window"])
    with (
        FrameReader(run, "puncta") as puncta,
        FrameReader(run, "trajectories") as trajectories,
        TableFiles(folder, "puncta", puncta.schema, csv) as puncta_files,
        TableFiles(folder, "trajectories", trajectories.schema, csv) as trajectory_files,
    ):
        gap = 0
        for here, frame_stop in blocks(labels.spots.frame, rows):
            seen = _with_column(puncta.until(frame_stop), "track_id", labels.new[here])
            _write(puncta_files, seen)
            tracked = np.flatnonzero(labels.new[here] != NO_TRACK)
            seen, old = seen.take(pa.array(tracked)), labels.old[here][tracked]
            add_frames(statistics, seen)
            bridged = slice(gap, int(np.searchsorted(gaps.frame, frame_stop)))
            gap = bridged.stop
            before = trajectories.until(frame_stop)
            _write(trajectory_files, _trajectories(seen, old, gaps, bridged, before))
    return statistics


def _trajectories(seen: pa.Table, old: Ids, gaps: GapRows, here: slice, before: pa.Table) -> pa.Table:
    """Rows of a stretch of frames: tracks that were seen, and tracks in gaps; `before` holds the online ones.

    Whatever was measured at a punctum, or at the online track in a gap, is kept; where two tracks were
    joined nothing was: NaN, and −1 in columns of whole numbers.
    """
    n = len(seen)
    frame = np.concatenate([seen["frame"].to_numpy(), gaps.frame[here]])
    row = _find(before, np.concatenate([old, gaps.old_track_id[here]]), frame)
    measured = before.take(pa.array(row, mask=row < 0))
    bridged: dict[str, NDArray[Any]] = {
        "track_id": gaps.track_id[here],
        "frame": gaps.frame[here],
        "time_s": gaps.time_s[here],
    }
    was_predicted = row[n:] >= 0
    for k, name in enumerate(("x_nm", "y_nm")):
        bridged[name] = np.where(was_predicted, measured[name].to_numpy()[n:], gaps.xy[here, k])
    columns = []
    for field in before.schema:
        column = measured[field.name].fill_null(np.nan if pa.types.is_floating(field.type) else -1).to_numpy()
        of_seen = seen[field.name].to_numpy() if field.name in seen.schema.names else column[:n]
        of_gap = bridged.get(field.name, column[n:])
        columns.append(pa.array(np.concatenate([of_seen, of_gap])).cast(field.type))
    table = pa.table(columns, schema=before.schema)
    # Every punctum in a track was observed, also one that had no track before.
    table = _with_column(table, "observed", np.arange(len(frame)) < n)
    return table.take(pa.array(np.argsort(frame, kind="stable")))


def write_tracks_of(
    folder: Path,
    labels: Labels,
    time_s: NDArray[np.float64],
    statistics: pd.DataFrame,
    events: Ids,
    csv: bool,
) -> None:
    """Write the table of tracks, from the time of each punctum (N,) and the track of each event."""
    n_tracks = len(statistics)
    rows = np.flatnonzero(labels.new != NO_TRACK)
    track = labels.new[rows]
    first_s, last_s, last_frame = np.zeros(n_tracks), np.zeros(n_tracks), np.zeros(n_tracks, np.int64)
    # Rows are in order of frame; where a track comes twice, NumPy keeps what was assigned last.
    first_s[track[::-1]] = time_s[rows[::-1]]
    last_s[track], last_frame[track] = time_s[rows], labels.spots.frame[rows]
    tracks = ConfirmedTracks(np.arange(n_tracks), last_frame, last_s - first_s)
    write_tracks(folder, csv, statistics, tracks, np.bincount(events, minlength=n_tracks))


def write_table(folder: Path, name: str, table: pa.Table, csv: bool) -> None:
    """Write a table that is small."""
    with TableFiles(folder, name, table.schema, csv) as files:
        _write(files, table)


def track_map(labels: Labels) -> pa.Table:
    """How many puncta of each online track are in each new one; −1: in none."""
    shared = (labels.old != NO_TRACK) | (labels.new != NO_TRACK)
    old, new = labels.old[shared], labels.new[shared]
    span = int(new.max(initial=0)) + 2  # both in one number, for a sort of numbers instead of pairs
    pair, count = np.unique((old + 1) * span + new + 1, return_counts=True)
    return pa.table([pair // span - 1, pair % span - 1, count], schema=TRACK_MAP)


def lineage_table(lineage: Lineage) -> pa.Table:
    """Parents and children at splits and merges."""
    columns = [lineage.parent, lineage.child, pa.array(lineage.kind, pa.string()), lineage.frame]
    return pa.table(columns, schema=LINEAGE)


def _find(before: pa.Table, track: Ids, frame: Ids) -> Index:
    """Rows of `before` with these tracks in these frames, −1 where there is none."""
    if not len(before):
        return np.full(len(track), -1, np.intp)
    first = int(before["frame"][0].as_py())
    span = int(before["frame"][-1].as_py()) - first + 1
    key = before["track_id"].to_numpy() * span + before["frame"].to_numpy() - first
    order = np.argsort(key)
    wanted = track * span + frame - first
    place = order[np.minimum(np.searchsorted(key, wanted, sorter=order), len(key) - 1)]
    # A frame outside of the stretch would be taken for another track's.
    within = (track != NO_TRACK) & (frame >= first) & (frame < first + span)
    found: Index = np.where(within & (key[place] == wanted), place, -1)
    return found


def _with_column(table: pa.Table, name: str, values: NDArray[Any]) -> pa.Table:
    index = table.schema.get_field_index(name)
    field = table.schema.field(index)
    return table.set_column(index, field, pa.array(values).cast(field.type))


def _write(files: TableFiles, table: pa.Table) -> None:
    for batch in table.combine_chunks().to_batches():
        files.write(batch)

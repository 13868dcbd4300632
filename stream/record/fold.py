"""Folding: from the journal of a run to its tables, Parquet and CSV.

Batch by batch, so memory does not grow with the puncta; what is kept are a few numbers a track and four
bytes a frame. The tables are written in a folder of their own and moved when all of them are whole.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from stream.motion.statistics import TrackStatistics
from stream.record.confirmed import ConfirmedTracks
from stream.record.frame_summary import FrameSummary
from stream.record.journal import Journal
from stream.record.run import JOURNAL, Info, cannot_write, replace
from stream.record.table_files import TableFiles
from stream.record.tables import (
    EVENTS,
    PUNCTA,
    TRACKS,
    TRAJECTORIES,
    TRANSIENTS,
    TRIGGER_JOURNAL,
    TRIGGERS,
    frames_schema,
    schemas,
)
from stream.record.trigger_tables import fold_triggers
from stream.results import NO_TRACK, Ids

STAGING = "folding"


@dataclass(frozen=True, slots=True)
class Folded:
    """What the tables hold: entries of `run.json`, the summary of its frames, and `Journal.unread`.

    `rules` are the triggers by rule; empty where there are no rules.
    """

    counts: Info
    rules: Info
    mobility: Info
    frames: FrameSummary
    warnings: list[str]
    unread: int


def fold(run: Path, *, csv: bool, window: int = 1, rules: Sequence[Mapping[str, Any]] = ()) -> Folded:
    """Make a run's tables from its journal, which stays as it is; may be repeated after any failure.

    Tracks that were never confirmed vanish: their puncta keep no track, their events are dropped and
    counted. So do predictions, and events that begin, after a track's last observation. `window` is that of
    the engine that found the puncta, `rules` are those of the configuration in `run.json`.

    Raises
    ------
    StreamError
        If the tables cannot be written.
    """
    staging = run / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir()
        tables = [*schemas(), *(TRIGGER_JOURNAL if rules else ())]
        folded = _write_tables(Journal.open(run / JOURNAL, tables), staging, csv, window, rules)
        for path in sorted(staging.iterdir()):
            with path.open("r+b") as file:
                os.fsync(file.fileno())  # the journal goes next, but not before its heirs are on the disk
            replace(path, run / path.name)
    except OSError as error:
        raise cannot_write(staging, error, f"make room, then run `piezo1 recover {run}`") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folded


def _write_tables(
    journal: Journal, folder: Path, csv: bool, window: int, rules: Sequence[Mapping[str, Any]]
) -> Folded:
    tracks = ConfirmedTracks.of(journal)
    statistics = TrackStatistics(window)
    with TableFiles(folder, "trajectories", TRAJECTORIES, csv) as table:
        for batch in journal.batches("trajectories"):
            bridged = batch["frame"].to_numpy() <= tracks.last_frame_of(batch["track_id"])
            kept = batch.filter(pa.array(bridged))
            table.write(kept)
    with TableFiles(folder, "puncta", PUNCTA, csv) as table:
        column = PUNCTA.get_field_index("track_id")
        for batch in journal.batches("puncta"):
            track_id = np.where(tracks.known(batch["track_id"]), batch["track_id"].to_numpy(), NO_TRACK)
            table.write(batch.set_column(column, PUNCTA.field(column), pa.array(track_id)))
            add_frames(statistics, batch.filter(pa.array(track_id != NO_TRACK)))
        n_puncta = table.n_rows
    n_events, n_orphans = np.zeros(len(tracks), np.int64), 0
    with TableFiles(folder, "calcium_events", EVENTS, csv) as table:
        for batch in journal.batches("calcium_events"):
            # An event that begins when its track is not seen any more is nobody's.
            began = batch["onset_frame"].to_numpy() <= tracks.last_frame_of(batch["track_id"])
            kept = batch.filter(pa.array(began))
            table.write(kept)
            np.add.at(n_events, tracks.row_of(kept["track_id"]), 1)
            n_orphans += len(batch) - len(kept)
    with TableFiles(folder, "calcium_transients", TRANSIENTS, csv) as table:
        for batch in journal.batches("calcium_transients"):
            table.write(batch)
        n_transients = table.n_rows
    write_tracks(folder, csv, statistics.table(), tracks, n_events)
    frames = _write_frames(journal, folder, csv)
    of_rules: Info = {}
    warnings: list[str] = []
    if rules:
        with TableFiles(folder, "triggers", TRIGGERS, csv) as table:
            of_rules, warnings = fold_triggers(journal, tracks, rules, table)
    if journal.torn:
        torn = ", ".join(journal.torn)
        warnings.append(f"the journal is torn or missing ({torn}): the frames from there on are lost")
    if n_orphans:
        warnings.append(
            f"{n_orphans} calcium events were dropped: their tracks were never confirmed, "
            "or were not seen any more when the events began"
        )
    counts = {
        "puncta": n_puncta,
        "tracks": len(tracks),
        "calcium_events": int(n_events.sum()),
        "calcium_events_dropped": n_orphans,
        "calcium_transients": n_transients,
        **({"triggers": sum(count["fired"] for count in of_rules.values())} if rules else {}),
    }
    shares = statistics.mobility_shares() if len(tracks) else {}
    mobility = {name: asdict(share) for name, share in shares.items()}
    return Folded(counts, of_rules, mobility, frames, warnings, journal.unread)


def add_frames(statistics: TrackStatistics, observed: pa.RecordBatch | pa.Table) -> None:
    """Feed tracked puncta, in order of frame and whole frames, to the statistics frame by frame."""
    names = ("frame", "time_s", "track_id", "x_nm", "y_nm", "x_sd_nm", "y_sd_nm", "photons")
    frame, time_s, *columns = (observed[name].to_numpy() for name in names)
    starts = np.flatnonzero(np.diff(frame, prepend=-1))
    for start, stop in pairwise([*starts.tolist(), len(frame)]):
        statistics.add(int(frame[start]), float(time_s[start]), *(c[start:stop] for c in columns))


def write_tracks(
    folder: Path, csv: bool, statistics: pd.DataFrame, tracks: ConfirmedTracks, n_events: Ids
) -> None:
    """Motion of each track, and its calcium events per second of its life (NaN for a life of one frame)."""
    lifetime_s = np.where(tracks.lifetime_s > 0, tracks.lifetime_s, np.nan)
    activity = pd.DataFrame(
        {"track_id": tracks.track_id, "n_events": n_events, "event_rate_hz": n_events / lifetime_s}
    )
    merged = statistics.merge(activity, on="track_id", validate="one_to_one")
    columns = [pa.array(merged[field.name].to_numpy(), field.type) for field in TRACKS]
    with TableFiles(folder, "tracks", TRACKS, csv) as table:
        table.write(pa.RecordBatch.from_arrays(columns, schema=TRACKS))


def _write_frames(journal: Journal, folder: Path, csv: bool) -> FrameSummary:
    summary = FrameSummary()
    batches = journal.batches("frames")
    first = next(batches, None)
    schema = frames_schema(()) if first is None else first.schema
    with TableFiles(folder, "frames", schema, csv) as table:
        while first is not None:
            table.write(first)
            summary.add(first)
            first = next(batches, None)
    return summary

"""Refining a finished run: its tracks once more, with the whole run in view."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from stream.record.provenance import timestamp
from stream.record.run import Info, Run, cannot_write, open_run, replace, write_info
from stream.refine.events import Reassociated, reassociate
from stream.refine.gaps import gap_rows
from stream.refine.options import Plan, RefineOptions, plan
from stream.refine.reading import read_column, read_spots
from stream.refine.solve import Refined, refine_spots
from stream.refine.writing import (
    Labels,
    lineage_table,
    track_map,
    write_puncta_and_trajectories,
    write_table,
    write_tracks_of,
)
from stream.results import NO_TRACK, StreamError

REFINED = "refined"
STAGING = "refining"
REPLACED = "refined-replaced"
REFINE_JSON = "refine.json"
UNTRACKED = ("frames", "calcium_transients")  # tables that know no tracks
PACKAGES = ("piezo1-calcium-tracker", "laptrack", "numpy", "scipy", "pandas", "pyarrow")


@dataclass(frozen=True, slots=True)
class Refinement:
    """A refined run: its folder, and what was done (`refine.json`)."""

    folder: Path
    info: Info

    def summary(self) -> str:
        """A sentence for people."""
        counts = self.info["counts"]
        return (
            f"{self.folder}: {counts['tracks_before']} tracks became {counts['tracks_after']} "
            f"({counts['gaps_closed']} gaps closed, {counts['splits']} splits, {counts['merges']} merges); "
            f"{counts['calcium_events_after']} of {counts['calcium_events_before']} calcium events"
        )


def refine(
    path: Path | str,
    options: RefineOptions | None = None,
    *,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Refinement:
    """Refine the tracks of a finished run into its folder `refined`; the run itself stays as it is.

    `refined` is a run folder of its own: `open_run` reads it. It appears when all of it is written.

    Parameters
    ----------
    path
        The run folder.
    options
        How.
    overwrite
        Replace an earlier refinement.
    report
        Is told what is being done.

    Raises
    ------
    StreamError
        If the run is not finished, was refined before, or its tables cannot be read or written.
    ConfigError
        If an option makes no sense.
    """
    run = open_run(path)
    target = run.path / REFINED
    if (run.path / REFINE_JSON).exists():
        raise StreamError(f"{run.path} is itself a refined run; give the run it was made from")
    if target.exists() and not overwrite:
        raise StreamError(f"{target} exists and is kept; give --overwrite to replace it, or move it away")
    options = options or RefineOptions()
    plan_ = plan(options, run)
    staging = run.path / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir()
        info = _refine(run, staging, options, plan_, report)
        for file in sorted(staging.iterdir()):
            with file.open("r+b") as opened:
                os.fsync(opened.fileno())
        _put_in_place(staging, target)
    except OSError as error:
        raise cannot_write(staging, error, "make room and refine again; the run is as it was") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Refinement(target, info)


def _put_in_place(staging: Path, target: Path) -> None:
    """Rename, so that whoever looks finds the old or the new result, or none, but never half of one."""
    old = target.with_name(REPLACED)
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        replace(target, old)
    replace(staging, target)
    shutil.rmtree(old, ignore_errors=True)


def _refine(
    run: Run, folder: Path, options: RefineOptions, plan_: Plan, report: Callable[[str], None]
) -> Info:
    csv = bool(run.info["configuration"]["output"]["csv"])
    report("reading puncta")
    spots = read_spots(run.path)
    old = read_column(run.path, "puncta", "track_id")
    frames = run.frames()
    recorded, recorded_s = frames["frame"].to_numpy(), frames["time_s"].to_numpy()
    report("linking")
    refined = refine_spots(spots, old, read_column(run.path, "puncta", "photons"), plan_)
    labels = Labels(spots, old, refined.tracks.track_id)
    report("writing tables")
    gaps = gap_rows(spots, labels.new, old, recorded, recorded_s)
    statistics = write_puncta_and_trajectories(run.path, folder, labels, gaps, csv)
    events = reassociate(_read(run, "calcium_events"), spots, old, labels.new)
    write_table(folder, "calcium_events", events.table, csv)
    time_s = read_column(run.path, "puncta", "time_s")
    write_tracks_of(folder, labels, time_s, statistics.table(), events.table["track_id"].to_numpy(), csv)
    write_table(folder, "track_map", track_map(labels), csv)
    write_table(folder, "lineage", lineage_table(refined.tracks.lineage), csv)
    for name in UNTRACKED:
        if (run.path / f"{name}.parquet").exists():
            write_table(folder, name, _read(run, name), csv)

    counts = _counts(run, labels, refined, events)
    info = {
        "refined_at": timestamp(),
        "options": asdict(options),
        "used": asdict(plan_),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "counts": counts,
    }
    with (folder / REFINE_JSON).open("w", encoding="utf-8", newline="\n") as file:
        json.dump(info, file, indent=2, ensure_ascii=False)
    of_tables = {"tracks": counts["tracks_after"], "calcium_events": counts["calcium_events_after"]}
    shares = statistics.mobility_shares() if counts["tracks_after"] else {}
    # The refined tables read as a run of their own, by every command that reads runs.
    of_run = {
        **run.info,
        "counts": {**run.info["counts"], **of_tables},
        "mobility": {name: asdict(share) for name, share in shares.items()},
    }
    write_info(folder, of_run)
    return info


def _read(run: Run, name: str) -> pa.Table:
    path = run.path / f"{name}.parquet"
    try:
        return pa.parquet.read_table(path).combine_chunks()
    except (OSError, ValueError) as error:
        raise StreamError(
            f"cannot read {path}: {error}; it belongs to the run and must not be moved"
        ) from error


def _counts(run: Run, labels: Labels, refined: Refined, events: Reassociated) -> Info:
    old, new = labels.old != NO_TRACK, labels.new != NO_TRACK
    joined = refined.joined
    return {
        "puncta": len(labels.new),
        "puncta_in_tracks_before": int(old.sum()),
        "puncta_in_tracks_after": int(new.sum()),
        "puncta_taken_up": int((new & ~old).sum()),
        "puncta_dropped": int((old & ~new).sum()),
        "tracks_before": int(run.info["counts"]["tracks"]),
        "tracks_after": refined.tracks.n_tracks,
        "segments": refined.n_segments,
        "segments_joined": refined.n_joined,
        "links_within_segments": refined.n_links,
        "gaps_closed": len(joined.gaps),
        "splits": len(joined.splits),
        "merges": len(joined.merges),
        "tracks_too_short_dropped": refined.tracks.n_dropped,
        "calcium_events_before": int(run.info["counts"]["calcium_events"]),
        "calcium_events_after": len(events.table),
        "calcium_events_without_track_dropped": events.n_dropped,
        "calcium_events_repeated_dropped": events.n_repeated,
    }

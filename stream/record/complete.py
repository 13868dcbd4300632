"""Completing a run: at its regular end, or later, when it was killed."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from stream.alive import is_alive, is_here
from stream.record.fold import fold
from stream.record.provenance import timestamp
from stream.record.run import JOURNAL, RUN_JSON, Info, cannot_write, read_info, write_info
from stream.results import StreamError


def complete(
    run: Path, info: Info, state: str, *, n_recorded: int = 0, recorder_s: float | None = None
) -> Info:
    """Fold the journal, write the final `run.json` and remove the journal; returns that `run.json`.

    The order makes it safe to be killed at any point: the journal goes last, when everything that it
    held is on the disk, and until `run.json` says "tables" it can be folded again. A journal that gives
    back fewer than the `n_recorded` frames written to it makes the run a failed one, and stays.

    Raises
    ------
    StreamError
        If the results cannot be written; the journal stays.
    """
    configuration = info["configuration"]
    folded = fold(
        run,
        csv=configuration["output"]["csv"],
        window=info["engine_window"],
        rules=configuration.get("rules", ()),
    )
    frames = folded.frames.counts(info["counts"].get("frames_in"))
    lost = frames["frames_out"] < n_recorded
    if lost:
        loss = (
            f"{n_recorded} frames were recorded, but only {frames['frames_out']} could be read back from "
            f"{run / JOURNAL}, which was deleted or damaged during the run"
        )
        state = f"{state}; {loss}" if state.startswith("failed") else f"failed: {loss}"
    counts = {**info["counts"], **frames, **folded.counts}
    final = {
        **info,
        "state": state,
        "results": "tables",
        "ended": timestamp(),
        "counts": counts,
        **({"rules": _with_rests(folded.rules, info)} if folded.rules else {}),
        "mobility": folded.mobility,
        "timings": folded.frames.timings(recorder_s),
        "warnings": [*info["warnings"], *folded.warnings, *_unexplained(counts)],
    }
    try:
        write_info(run, final)
    except OSError as error:
        raise cannot_write(run / RUN_JSON, error, f"make room, then run `piezo1 recover {run}`") from error
    # A run of another machine may still be written there, and a journal may hold more than could be read:
    # they stay.
    if not lost and folded.unread <= 1 and is_here(info["process"]):
        shutil.rmtree(run / JOURNAL, ignore_errors=True)
    return final


def _with_rests(rules: Info, info: Info) -> Info:
    """Counts by rule, and where the run could still tell, how often each did not fire as it rested."""
    rests = info.get("rules", {})
    return {rule: {**count, **rests.get(rule, {})} for rule, count in rules.items()}


def _unexplained(counts: Info) -> list[str]:
    """A sentence where the causes that were told do not account for the missing frames."""
    if "missing_by_cause" not in counts:  # killed before anybody could tell
        return []
    missing, told = counts["frames_missing"], sum(counts["missing_by_cause"].values())
    if missing == told:
        return []
    return [f"{missing} frames are missing, but the causes in missing_by_cause add up to {told}"]


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `recover` did: a sentence for people, whether it changed anything, and the run's `run.json`."""

    message: str
    changed: bool
    info: Info


def recover(path: Path) -> Recovery:
    """Finish a run whose process was killed, with whatever its journal holds.

    On a run that is finished already it changes nothing. It may itself be killed and repeated.

    Raises
    ------
    StreamError
        If `path` is no run folder, the run is still going on, or the results cannot be written.
    """
    info = read_info(path)
    if info["results"] == "tables":
        return Recovery(f"{path} is {info['state']}: nothing to recover", False, info)
    state = info["state"]
    if state == "running" and is_alive(info["process"]):
        pid = info["process"]["pid"]
        raise StreamError(
            f"run {path} is still being recorded by process {pid}; wait for its end, or stop it"
        )
    how = "its process was killed" if state == "running" else f"it had ended as {state!r}"
    info = {**info, "warnings": [*info["warnings"], f"recovered from the journal: {how}"]}
    info = complete(path, info, "recovered")
    counts = info["counts"]
    last = f" (the last is {counts['last_frame']})" if counts["frames_out"] else ""
    return Recovery(
        f"{path} is recovered: {counts['frames_out']} frames{last}, "
        f"{counts['puncta']} puncta, {counts['tracks']} tracks, {counts['calcium_events']} calcium events",
        True,
        info,
    )

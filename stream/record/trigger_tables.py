"""The table of triggers: journalled as they fire and as they are answered, joined when a run is folded."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from stream.record.confirmed import ConfirmedTracks
from stream.record.journal import Journal
from stream.record.run import Info
from stream.record.table_files import TableFiles
from stream.record.tables import TRIGGER_JOURNAL, TRIGGERS
from stream.results import NO_TRACK
from stream.wire import Acted, Trigger

UNKNOWN = ("not known: the run was cut off before the answer came", 0, np.nan, np.nan)


def trigger_rows(fired: Sequence[Trigger], answers: Sequence[Acted]) -> dict[str, pa.RecordBatch]:
    """Rows of the journal's tables."""
    rows = {
        "triggers": [_fired_row(trigger) for trigger in fired],
        "trigger_answers": [_answer_row(acted) for acted in answers],
    }
    return {name: _batch(schema, rows[name]) for name, schema in TRIGGER_JOURNAL.items()}


def fold_triggers(
    journal: Journal, tracks: ConfirmedTracks, rules: Sequence[Mapping[str, Any]], table: TableFiles
) -> tuple[Info, list[str]]:
    """Write the table of triggers; gives counts by rule, and a sentence for each that never was done.

    `rules` are those of the configuration in `run.json`. Tracks that were never confirmed vanish, as in all
    tables.
    """
    answers: dict[int, tuple[Any, ...]] = {}
    for batch in journal.batches("trigger_answers"):
        for trigger_id, *answer in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            answers[trigger_id] = tuple(answer)
    by_title = {rule["name"] or rule["when"]: rule for rule in rules}
    counts = {title: {"fired": 0, "done": 0, "not_done": 0} for title in by_title}
    last_outcome: dict[str, str] = {}
    for batch in journal.batches("triggers"):
        known = tracks.known(batch["track_id"])
        rows = []
        for row, is_known in zip(batch.to_pylist(), known.tolist(), strict=True):
            rule = by_title[row["rule"]]
            outcome, ok, *latencies = answers.get(row["trigger_id"], UNKNOWN)
            row["track_id"] = row["track_id"] if is_known else NO_TRACK
            value = f"{rule['value']:g}" if isinstance(rule["value"], float) else rule["value"]
            rows.append([*row.values(), rule["do"], value, outcome, ok, *latencies])
            counts[row["rule"]]["fired"] += 1
            counts[row["rule"]]["done" if ok else "not_done"] += 1
            last_outcome[row["rule"]] = outcome
        table.write(_batch(TRIGGERS, rows))
    warnings = [
        f"rule {title!r} fired {count['fired']} times, but nothing was done: {last_outcome[title]}"
        for title, count in counts.items()
        if count["fired"] and not count["done"]
    ]
    return counts, warnings


def _fired_row(trigger: Trigger) -> list[Any]:
    measured = " ".join(f"{name}={value:.6g}" for name, value in trigger.measured.items())
    place = [np.nan if at is None else at for at in (trigger.x_nm, trigger.y_nm)]
    return [
        trigger.trigger_id,
        trigger.rule,
        trigger.seq,
        trigger.newest_seq,
        trigger.time_s,
        trigger.what,
        trigger.track_id,
        *place,
        measured,
    ]


def _answer_row(acted: Acted) -> list[Any]:
    latencies = (acted.latency_ms, acted.newest_latency_ms)
    return [
        acted.trigger_id,
        acted.outcome,
        int(acted.ok),
        *(np.nan if latency is None else latency for latency in latencies),
    ]


def _batch(schema: pa.Schema, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)

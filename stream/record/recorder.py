"""The recorder: writes every result into the run's journal, and finishes the run."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from stream.record.complete import complete
from stream.record.journal import JournalWriter
from stream.record.provenance import RunStart, describe
from stream.record.remarks import Remarks
from stream.record.run import JOURNAL, RUN_JSON, Info, cannot_write, write_info
from stream.record.tables import STAGES, TRIGGER_JOURNAL, rows, schemas
from stream.record.trigger_tables import trigger_rows
from stream.results import CalciumEvent, CalciumTransient, FrameResult, StreamError
from stream.wire import Acted, Trigger

FLUSH_S = 0.5
FLUSH_PUNCTA = 10_000
UNWRITTEN = "analysed, but could not be written"
KEPT = "the run stops here, and what was recorded before is kept"


class Recorder:
    """Records one run into its folder.

    Results are collected and written together, at least every half second of wall time while they
    come, so a process that is killed loses less than a second. A recorder belongs to one thread.

    Parameters
    ----------
    folder
        The run folder (`create_run_folder`); it may hold logs, but no run.
    start
        What is known of the run; positions are written in nm with its pixel size.
    stages
        Names in `FrameResult.stage_ms`, each a column `<stage>_ms` of the frames table.

    Attributes
    ----------
    remarks
        Takes what people do and say while the run goes on.

    Raises
    ------
    StreamError
        If the folder cannot be written, or holds a run already.
    """

    def __init__(self, folder: Path, start: RunStart, stages: Sequence[str] = STAGES) -> None:
        self.folder = folder
        self._pixel_size_nm = start.pixel_size_nm
        self._stages = tuple(stages)
        self._info = describe(start)
        self.remarks = Remarks(folder, self._info)
        self._problem: StreamError | None = None
        self._closed = False
        self._finished: Info | None = None
        self._results: list[FrameResult] = []
        self._elapsed_s: list[float] = []
        self._has_rules = bool(start.config.rules)
        self._triggers: list[Trigger] = []
        self._answers: list[Acted] = []
        self._n_puncta = 0
        self._n_taken = self._n_recorded = 0
        self._last_seq = -1
        self._spent_s = 0.0
        self._began_s = self._flushed_s = time.perf_counter()
        if (folder / RUN_JSON).exists():
            raise StreamError(
                f"{folder} holds a run, which is never overwritten; `piezo1 recover {folder}` finishes it"
            )
        try:
            write_info(folder, self._info)
            self._journal = JournalWriter(
                folder / JOURNAL, {**schemas(self._stages), **(TRIGGER_JOURNAL if self._has_rules else {})}
            )
        except OSError as error:
            raise cannot_write(folder / JOURNAL, error, "nothing can be recorded there") from error

    @property
    def n_recorded(self) -> int:
        """Frames that are in the journal."""
        return self._n_recorded

    def append(self, result: FrameResult) -> None:
        """Record a frame's result.

        Raises
        ------
        StreamError
            If the journal cannot be written (disk full); what it holds stays readable.
        ValueError
            If the result breaks the contract: `seq` not increasing, columns of unequal length, a stage
            that was not announced.
        """
        now_s = time.perf_counter()
        if self._problem is not None:
            raise self._problem
        if self._closed:
            raise ValueError(f"frame {result.seq} was recorded after the end of the run")
        self._check(result)
        self._last_seq = result.seq
        self._results.append(result)
        self._elapsed_s.append(now_s - self._began_s)
        self._n_puncta += len(result.localizations)
        if now_s - self._flushed_s >= FLUSH_S or self._n_puncta >= FLUSH_PUNCTA:
            self.flush()
        self._n_taken += 1
        self._spent_s += time.perf_counter() - now_s

    def append_triggers(self, triggers: Sequence[Trigger], answers: Sequence[Acted] = ()) -> None:
        """Record triggers that fired, and what came of these or earlier ones, with the next results.

        Raises
        ------
        ValueError
            If the run's configuration has no rules.
        """
        if (triggers or answers) and not self._has_rules:
            raise ValueError("a trigger was recorded in a run that has no rules")
        self._triggers += triggers
        self._answers += answers

    def flush(self, events: Sequence[CalciumEvent] = (), transients: Sequence[CalciumTransient] = ()) -> None:
        """Write what is collected, and these besides; call it when the stream pauses.

        Raises
        ------
        StreamError
            If the journal cannot be written.
        """
        if self._problem is not None:
            raise self._problem
        self._flushed_s = time.perf_counter()
        if not (self._results or events or transients or self._triggers or self._answers):
            return
        batches = rows(self._results, self._elapsed_s, events, transients, self._pixel_size_nm, self._stages)
        if self._has_rules:
            batches |= trigger_rows(self._triggers, self._answers)
        try:
            self._journal.write(batches)
        except OSError as error:
            self._problem = cannot_write(self.folder / JOURNAL, error, KEPT)
            raise self._problem from error
        self._n_recorded += len(self._results)
        self._results, self._elapsed_s, self._n_puncta = [], [], 0
        self._triggers, self._answers = [], []

    def finish(
        self,
        state: str = "finished",
        *,
        frames_in: int | None = None,
        missing: Mapping[str, int] | None = None,
        warnings: Sequence[str] = (),
        events: Sequence[CalciumEvent] = (),
        transients: Sequence[CalciumTransient] = (),
        source: Mapping[str, Any] | None = None,
        rested: Mapping[str, int] | None = None,
    ) -> Info:
        """Fold the journal into tables and write the final `run.json`, which is returned.

        A second call changes nothing. A journal that could not be written to its end, or does not give
        back every frame, is folded as far as it goes, and the state says that the run failed.

        Parameters
        ----------
        state
            "finished", "interrupted", or "failed: " and a sentence.
        frames_in
            Frames of the source, where it said.
        missing
            Lost frames by cause, in words.
        warnings
            More sentences for people.
        events, transients
            Calcium events and transients that ended with the run.
        source
            What the source reported of itself at the end, e.g. its CPU time a frame.
        rested
            How often each rule did not fire because it rested.

        Raises
        ------
        StreamError
            If the tables cannot be written; the journal is kept, and `recover` can finish the run later.
        """
        if self._finished is not None:
            return self._finished
        self.remarks.close()
        self._close_journal(events, transients)
        if self._problem is not None and not state.startswith("failed"):
            state = f"failed: {self._problem}"
        unwritten = self._n_taken - self._n_recorded
        by_cause = {**(missing or {}), **({UNWRITTEN: unwritten} if unwritten > 0 else {})}
        info = {
            **self._info,
            **self.remarks.entries(),
            "source": {**self._info["source"], **(source or {})},
            "counts": {"frames_in": frames_in, "missing_by_cause": by_cause},
            **({"rules": {rule: {"rested": n} for rule, n in rested.items()}} if rested else {}),
            "warnings": [*self._info["warnings"], *warnings],
        }
        try:
            self._finished = complete(
                self.folder, info, state, n_recorded=self._n_recorded, recorder_s=self._spent_s
            )
        except StreamError as error:
            with suppress(OSError):  # the disk may have no room for this either; `recover` does not need it
                write_info(self.folder, {**info, "state": f"failed: {error}"})
            raise
        return self._finished

    def _close_journal(self, events: Sequence[CalciumEvent], transients: Sequence[CalciumTransient]) -> None:
        """Write the last rows; a full disk now is a failed run, not a reason to lose its results."""
        if self._closed:
            return
        self._closed = True
        began_s = time.perf_counter()
        try:
            if self._problem is None:
                self.flush(events, transients)
            self._journal.close()
        except StreamError:
            with suppress(OSError):
                self._journal.close()
        except OSError as error:
            self._problem = self._problem or cannot_write(self.folder / JOURNAL, error, KEPT)
        self._spent_s += time.perf_counter() - began_s

    def _check(self, result: FrameResult) -> None:
        n, n_gap = len(result.localizations), len(result.tracks.gap_track_id)
        if result.seq <= self._last_seq:
            raise ValueError(
                f"frame {result.seq} was recorded after frame {self._last_seq}; seq must increase"
            )
        if not n == len(result.tracks.track_id) == len(result.calcium.dff):
            raise ValueError(f"frame {result.seq}: localizations, track ids and ΔF/F0 are of unequal length")
        if (
            not n_gap
            == len(result.tracks.gap_x_px)
            == len(result.tracks.gap_y_px)
            == len(result.calcium.gap_dff)
        ):
            raise ValueError(f"frame {result.seq}: the columns of tracks in a gap are of unequal length")
        unknown = set(result.stage_ms) - set(self._stages)
        if unknown:
            raise ValueError(f"frame {result.seq} timed stages {sorted(unknown)} that were not announced")

"""How many frames a run had, which were missing, and how fast it was."""

import numpy as np
import pyarrow as pa

from stream.record.run import Info

WAITING = ("source", "queue")  # stages that only wait: they have no share of the work


class FrameSummary:
    """Sums up the frames table, batch by batch; keeps four bytes a frame for the percentiles."""

    def __init__(self) -> None:
        self._n = 0
        self._missing = 0
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, float] | None = None
        self._latency_ms: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []
        self._stage_ms: dict[str, float] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next rows of the frames table."""
        if not len(batch):
            return
        self._n += len(batch)
        self._missing += int(np.sum(batch["missing_before"].to_numpy()))
        ends = [(batch["frame"][i].as_py(), batch["elapsed_s"][i].as_py()) for i in (0, len(batch) - 1)]
        self._first = self._first or ends[0]
        self._last = ends[1]
        self._latency_ms.append(batch["latency_ms"].to_numpy())
        for name in batch.schema.names:
            if name.endswith("_ms") and name != "latency_ms":
                timed = batch[name].to_numpy()[~np.isnan(batch[name].to_numpy())]
                if len(timed):
                    stage = name.removesuffix("_ms")
                    spent = float(np.sum(timed, dtype=np.float64))
                    self._stage_ms[stage] = self._stage_ms.get(stage, 0.0) + spent

    def counts(self, frames_in: int | None = None) -> Info:
        """Frames that came out and how many are missing of the `frames_in` of the source.

        Where the source did not say how many it had, only those before a frame that came are known.
        """
        return {
            "frames_out": self._n,
            "frames_missing": self._missing if frames_in is None else frames_in - self._n,
            "first_frame": self._first[0] if self._first else None,
            "last_frame": self._last[0] if self._last else None,
        }

    def timings(self, recorder_s: float | None = None) -> Info:
        """Frame rate, latency, and what each stage took; `recorder_s` is what recording took, if known.

        `stage_share` is of the work, so without the time frames waited in the queue.
        """
        if self._first is None or self._last is None:
            return {}
        elapsed_s = self._last[1] - self._first[1]
        stages = dict(self._stage_ms)
        if recorder_s is not None:
            stages["recorder"] = recorder_s * 1e3
        work = sum(spent for stage, spent in stages.items() if stage not in WAITING)
        p50, p95, p99 = np.percentile(np.concatenate(self._latency_ms), [50, 95, 99]).tolist()
        return {
            "frames_per_s": (self._n - 1) / elapsed_s if elapsed_s > 0 else None,
            "latency_ms": {"p50": p50, "p95": p95, "p99": p99},
            "stage_ms": {stage: spent / self._n for stage, spent in stages.items()},
            "stage_share": {
                stage: spent / work for stage, spent in stages.items() if stage not in WAITING and work > 0
            },
        }

"""How fast a run goes: frames in and out, latency, time by stage, and what it writes, over the last seconds.

Rates are differences between the run's own reports, by the clock of the computer that the analysis runs on,
so that nothing this window does or fails to do changes them. Latency and stages are those of the results
that came lately. Clocks may jump and reports may stop: then a rate is not known for a while, and never wrong.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream import wire
from stream.results import FrameResult

WINDOW_S = 5.0  # of rates, latencies and stages
SHORTEST_S = 1.0  # a difference over less time says little: the source tells how far it is 5 times a second
LONG_S = 60.0  # of what is written, and what was lost "lately": those come in bursts
MOST_REPORTS = 600  # of that minute, asked for twice a second
MOST_RESULTS = 2_000
MOST_STAGES = 16
REFRESH_S = 0.25  # percentiles are worked out anew so often; nobody reads faster


@dataclass(frozen=True, slots=True)
class Stage:
    """Time that a stage takes for a frame, median and 99th percentile, ms."""

    name: str
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class RatesView:
    """How fast it goes; NaN where something is not known (yet).

    Attributes
    ----------
    frames_in, frames_out
        Frames per second that the source sends, and that get their result; after the last frame those of the
        last seconds before it.
    latency_p50_ms, latency_p99_ms, stages
        Over the results that came in the `WINDOW_S` up to the newest one.
    newest_seq, newest_time_s, age_s
        The newest result's frame (None before the first), its time on the camera's clock, and seconds since
        it came here.
    lost_lately, lost_share
        Frames that went missing in the last `LONG_S`, and their share of the frames of that time.
    bytes_per_s
        What disappears from the disk or is added to the journal, whichever is more, over `LONG_S`; not known
        in the first `WINDOW_S`.
    overrun_lately
        Results that this window left out in the last `WINDOW_S`.
    """

    frames_in: float
    frames_out: float
    latency_p50_ms: float
    latency_p99_ms: float
    stages: tuple[Stage, ...]
    newest_seq: int | None
    newest_time_s: float
    age_s: float
    lost_lately: int
    lost_share: float
    bytes_per_s: float
    overrun_lately: int


@dataclass(frozen=True, slots=True)
class _Told:
    """What counts of a report."""

    clock_s: float
    n_in: int
    n_out: int
    missing: int
    run_bytes: int
    free_bytes: int


class Rates:
    """Follows results and reports.

    All times `now_s` are of this computer's monotonic clock.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything: another run."""
        self._told: deque[_Told] = deque(maxlen=MOST_REPORTS)
        self._clock_ns = -1
        self._n = 0  # results so far
        self._came: NDArray[np.float64] = np.full(MOST_RESULTS, -np.inf)
        self._ms: NDArray[np.float32] = np.full((MOST_RESULTS, 1 + MOST_STAGES), np.nan, np.float32)
        self._stages: dict[str, int] = {}  # column by name, in the order of a frame's way
        self._newest: FrameResult | None = None
        self._overruns: deque[tuple[float, int]] = deque(maxlen=MOST_REPORTS)
        self._percentiles: tuple[float, float, tuple[Stage, ...]] = (math.nan, math.nan, ())
        self._worked_out_s = -math.inf

    def add(self, results: Sequence[FrameResult], now_s: float, overrun: int = 0) -> None:
        """Take in results that came `now_s`, and how many were left out since the last time."""
        for result in results[-MOST_RESULTS:]:
            at = self._n % MOST_RESULTS
            self._came[at] = now_s
            self._ms[at] = np.nan
            self._ms[at, 0] = result.latency_ms
            for name, ms in result.stage_ms.items():
                column = self._stages.get(name)
                if column is None:
                    if len(self._stages) == MOST_STAGES:
                        continue
                    column = self._stages[name] = len(self._stages) + 1
                self._ms[at, column] = ms
            self._n += 1
            self._newest = result
        if overrun:
            self._overruns.append((now_s, overrun))

    def hear(self, report: wire.Report) -> None:
        """Take in a report; one that is known already counts once, and nothing after the last frame counts.

        Reports are told apart by their clock: whoever asks may give all questions the same number.
        """
        health = report.health
        if health is None or report.stage != "running" or report.clock_ns == self._clock_ns:
            return
        self._clock_ns = report.clock_ns
        told = _Told(
            report.clock_ns / 1e9,
            health.n_sent,
            health.n_out,
            sum(health.missing.values()),
            health.run_bytes,
            health.disk_free_bytes,
        )
        last = self._told[-1] if self._told else None
        if last and (told.clock_s <= last.clock_s or told.n_in < last.n_in or told.n_out < last.n_out):
            self._told.clear()  # the clock was set back, or it is another run
        while self._told and told.clock_s - self._told[0].clock_s > LONG_S:
            self._told.popleft()
        self._told.append(told)

    def view(self, now_s: float) -> RatesView:
        """How fast it goes at the moment `now_s`."""
        if not 0 <= now_s - self._worked_out_s < REFRESH_S:
            self._percentiles = self._work_out()
            self._worked_out_s = now_s
        while self._overruns and not 0 <= now_s - self._overruns[0][0] <= WINDOW_S:
            self._overruns.popleft()
        p50, p99, stages = self._percentiles
        frames_in, frames_out = self._frame_rates()
        lost, share, bytes_per_s = self._lately()
        came_s = float(self._came[(self._n - 1) % MOST_RESULTS]) if self._n else math.nan
        return RatesView(
            frames_in=frames_in,
            frames_out=frames_out,
            latency_p50_ms=p50,
            latency_p99_ms=p99,
            stages=stages,
            newest_seq=self._newest.seq if self._newest else None,
            newest_time_s=self._newest.time_s if self._newest else math.nan,
            age_s=max(now_s - came_s, 0.0) if self._n else math.nan,
            lost_lately=lost,
            lost_share=share,
            bytes_per_s=bytes_per_s,
            overrun_lately=sum(n for _, n in self._overruns),
        )

    def _frame_rates(self) -> tuple[float, float]:
        if not self._told:
            return math.nan, math.nan
        last = self._told[-1]
        first = next(t for t in self._told if last.clock_s - t.clock_s <= WINDOW_S)
        elapsed_s = last.clock_s - first.clock_s
        if elapsed_s < SHORTEST_S:
            return math.nan, math.nan
        return (last.n_in - first.n_in) / elapsed_s, (last.n_out - first.n_out) / elapsed_s

    def _lately(self) -> tuple[int, float, float]:
        """Frames lost over the long window, their share, and bytes written a second."""
        if not self._told:
            return 0, 0.0, math.nan
        first, last = self._told[0], self._told[-1]
        lost = max(last.missing - first.missing, 0)
        frames = max(last.n_out - first.n_out, 0) + lost
        elapsed_s = last.clock_s - first.clock_s
        if elapsed_s < WINDOW_S:  # a burst is not how it goes on
            return lost, lost / frames if frames else 0.0, math.nan
        written = max(last.run_bytes - first.run_bytes, first.free_bytes - last.free_bytes, 0)
        return lost, lost / frames if frames else 0.0, written / elapsed_s

    def _work_out(self) -> tuple[float, float, tuple[Stage, ...]]:
        """Latency and stages of the results of the window before the newest one.

        Not before now: in a pause, and when a run is over, they would be those of fewer and fewer results.
        """
        if not self._n:
            return math.nan, math.nan, ()
        newest_s = self._came[(self._n - 1) % MOST_RESULTS]
        here = np.flatnonzero(np.abs(newest_s - self._came) <= WINDOW_S)
        ms = self._ms[here, : 1 + len(self._stages)]
        known = np.asarray(np.isfinite(ms).any(axis=0))
        p50, p99 = np.full((2, ms.shape[1]), np.nan)
        p50[known], p99[known] = np.nanpercentile(ms[:, known], (50, 99), axis=0)
        stages = tuple(
            Stage(name, float(p50[column]), float(p99[column]))
            for name, column in self._stages.items()
            if known[column]
        )
        return float(p50[0]), float(p99[0]), stages

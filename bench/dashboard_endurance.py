"""Memory of the dashboard over a long run: the real window, fed results as fast as it takes them."""

import gc
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console

from acquire.frame import Frame
from bench.outputs import save_figures
from model.localizations import Localizations
from stream import wire
from stream.results import (
    NO_IDS,
    CalciumEvent,
    CalciumTransient,
    CalciumUpdate,
    Column,
    FrameResult,
    TrackUpdate,
)
from stream.watch.news import Link, News

INTERVAL_S, SIDE, N_TRACKS = 0.01, 64, 50
PER_TICK = 40  # results: as many as come where a window is held up for a while
PAINT_EVERY = 50  # ticks
MEASURE_EVERY = 10_000  # results
LINK = Link("watching", "watching the endurance run")


def session() -> wire.Session:
    """Of a run with small pictures, so that what is kept of them is full soon."""
    return wire.Session(
        "endurance", "made up", "live", "runs/endurance", "here", (2, SIDE, SIDE), None, INTERVAL_S, 108.0,
        16, "live", True, None, "none", "", [],
    )  # fmt: skip


class LongRun:
    """News of a run without an end: tracks are born and die, channels open, waves pass.

    It stands in for the client: `take` gives the news of the next tick, a clock's `now_s` goes with it.
    """

    def __init__(self, n_tracks: int = N_TRACKS, seed: int = 0) -> None:
        self.n_tracks, self.now_s, self.seq, self.n_events = n_tracks, 0.0, 0, 0
        self._random = np.random.default_rng(seed)
        self._ids = np.arange(n_tracks)
        self._places = self._random.uniform(2, SIDE - 2, (n_tracks, 2)).astype(np.float32)
        self._next = n_tracks
        self._pixels = self._random.integers(90, 400, (8, 2, SIDE, SIDE), np.uint16)

    def take(self) -> News:
        """What has come since the last time."""
        results = tuple(self._result() for _ in range(PER_TICK))
        self.now_s += PER_TICK * INTERVAL_S
        picture = Frame(self.seq - 1, results[-1].time_s, self._pixels[self.seq // PER_TICK % 8].copy())
        return News(LINK, self._report(), results, (picture,))

    def adjust(self, which: Any, value: float) -> int:
        """Nobody turns anything here."""
        return 0

    def annotate(self, text: str, seq: int, x_nm: float | None = None, y_nm: float | None = None) -> int:
        """Nobody says anything here."""
        return 0

    def end_run(self) -> int:
        """It has no end."""
        return 0

    def _report(self) -> wire.Report:
        dial = wire.Dial(4.5, 2.0, 12.0, "SD")
        health = wire.Health(
            self.seq, self.seq, 0, {}, self.seq, 200 * self.seq, 10**12, None, dial, dial, []
        )
        clock_ns = int(self.now_s * 1e9)
        number = self.seq // PER_TICK
        return wire.Report(number, "endurance", "running", "", clock_ns, "", "", session(), health)

    def _result(self) -> FrameResult:
        """Half of the frames have a track that dies and one that is born, and an event that ends."""
        seq, random, n = self.seq, self._random, self.n_tracks
        self.seq += 1
        died, born = NO_IDS, NO_IDS
        if seq % 2:
            row = int(random.integers(n))
            died, born = self._ids[row : row + 1].copy(), np.array([self._next])
            self._ids[row], self._next = self._next, self._next + 1
            self._places[row] = random.uniform(2, SIDE - 2, 2)
        self._places += random.normal(0, 0.2, (n, 2)).astype(np.float32)
        np.clip(self._places, 0, SIDE - 1, out=self._places)
        x, y = self._places.T.copy()
        return FrameResult(
            seq,
            seq * INTERVAL_S,
            0,
            Localizations.from_columns(
                x_px=x, y_px=y, x_sd_px=_all(n, 0.2), y_sd_px=_all(n, 0.2), photons=_all(n, 900),
                background=_all(n, 20), psf_sigma_px=_all(n, 1.4),
            ),
            TrackUpdate(self._ids.copy(), NO_IDS, _all(0), _all(0), born, born, died, NO_IDS),
            CalciumUpdate(
                random.normal(0, 0.1, n).astype(np.float32),
                np.zeros(n, np.bool_),
                np.zeros(n, np.int8),
                _all(0),
                np.zeros(0, np.bool_),
                np.zeros(0, np.int8),
                tuple(self._events(seq)),
                tuple(self._transients(seq)),
            ),
            {"engine": 4.0, "tracker": 1.0},
            10.0,
        )  # fmt: skip

    def _events(self, seq: int) -> Iterator[CalciumEvent]:
        if seq % 2 and seq > 20:
            row, t = int(self._random.integers(self.n_tracks)), seq * INTERVAL_S
            x, y = self._places[row].tolist()
            yield CalciumEvent(
                self.n_events, int(self._ids[row]), seq - 20, seq - 17, seq, t - 0.2, t - 0.17, t, 0.5, 0.02,
                0.05, 0.03, 8.0, 0.9, False, x, y,
            )  # fmt: skip
            self.n_events += 1

    def _transients(self, seq: int) -> Iterator[CalciumTransient]:
        if seq % 10 == 0 and seq > 20:
            t, (x, y) = seq * INTERVAL_S, self._random.uniform(0, SIDE, 2).tolist()
            yield CalciumTransient(
                seq, seq - 20, seq - 17, seq, t - 0.2, t, x, y, 0.5, 8.0, 9.0, seq % 500 == 0, False
            )


@dataclass(frozen=True, slots=True)
class Size:
    """How large this process was after some results."""

    n_results: int
    rss_bytes: int


def sizes(n_results: int, every: int) -> Iterator[Size]:
    """Watch a long run in the real window, and measure this process now and then.

    `QT_QPA_PLATFORM=offscreen` and `PIEZO1_SETTINGS` should be set.
    """
    from dashboard.app import application
    from dashboard.controllers.dashboard import Dashboard
    from dashboard.controllers.memory import Memory
    from dashboard.views.window import DashboardWindow

    app, run, process = application(), LongRun(), psutil.Process()
    window = DashboardWindow()
    dashboard = Dashboard(run, window, Memory(), clock=lambda: run.now_s)
    window.show()
    for tick in range(1, n_results // PER_TICK + 1):
        dashboard.tick()
        if tick % PAINT_EVERY == 0:
            app.processEvents()
        if tick * PER_TICK % every == 0:
            gc.collect()
            yield Size(tick * PER_TICK, process.memory_info().rss)
    window.close()
    window.deleteLater()
    app.processEvents()


def growth(measured: list[Size]) -> float:
    """Bytes a result over the second half, from a straight line."""
    half = measured[len(measured) // 2 :]
    return float(np.polyfit([s.n_results for s in half], [s.rss_bytes for s in half], 1)[0])


def run(json_path: Path | None, console: Console, n_results: int = 100_000) -> dict[str, Any]:
    """Measure, print and save."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    measured: list[Size] = []
    began_s = time.process_time()
    with tempfile.TemporaryDirectory(prefix="piezo1-bench-") as folder:
        os.environ["PIEZO1_SETTINGS"] = str(Path(folder) / "settings.ini")
        for size in sizes(n_results, MEASURE_EVERY):
            measured.append(size)
            console.print(f"{size.n_results:>9,} results: {size.rss_bytes / 1e6:.1f} MB")
    per_result = growth(measured)
    console.print(f"second half: {per_result:+.0f} bytes a result; {time.process_time() - began_s:.0f} CPU-s")
    figures = {
        "rss_mb": {str(s.n_results): s.rss_bytes / 1e6 for s in measured},
        "bytes_a_result_in_the_second_half": per_result,
    }
    save_figures(json_path, figures)
    return figures


def _all(n: int, value: float = 0.0) -> Column:
    return np.full(n, value, np.float32)

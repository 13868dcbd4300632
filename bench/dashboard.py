"""What watching costs: CPU time of a redraw, and what the run notices of an open dashboard.

One run at 2 × 512² and 100 frames/s with 200 puncta, in which the dashboard is opened and closed in turn. The
places of the puncta come from the simulation (`bench.crowd`); source, transport, tracker, calcium stage,
recorder and dashboard are the real ones, and the window is painted into memory.
"""

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
import psutil
import tifffile
from rich.console import Console

from bench.crowd import Crowd
from bench.outputs import save_figures
from stream.load import load_config
from stream.pipeline import RunOutcome, Supervisor
from stream.record.run import open_run, read_info
from stream.results import StreamError
from stream.status import Bound, Status

SIDE, N_PUNCTA, INTERVAL_S = 512, 200, 0.01
SETTLE_S = 8.0  # of the run: compilation, tracks that are still few
START_S = 4.0  # of a dashboard: imports, and the window's first pictures
MEASURED_S = 10.0
CLOSE_S = 5.0
BAR_HZ, BAR_MS, BAR_SLOWER = 25.0, 25.0, 0.03


@dataclass(frozen=True, slots=True)
class Phase:
    """Some seconds of the run: whether a dashboard was open, wall clock (s), and CPU time of the analysis."""

    is_open: bool
    began: float
    ended: float
    cpu_s: float


def run(json_path: Path | None, console: Console, rounds: int = 4) -> dict[str, Any]:
    """Measure, print and save.

    Raises
    ------
    StreamError
        If the run or a dashboard fails.
    """
    with tempfile.TemporaryDirectory(prefix="piezo1-bench-") as name:
        folder = Path(name)
        figures = _measure(folder, rounds)
    save_figures(json_path, figures)
    redraw = figures["dashboard"]
    console.print(
        f"redraws/s {redraw['redraws_per_s']:.1f} (at least {BAR_HZ:g}), "
        f"{redraw['cpu_ms_per_redraw']:.1f} CPU-ms each (at most {BAR_MS:g}), "
        f"{redraw['frames_per_s']:.0f} frames/s watched, {redraw['left_out']:.0f} results left out"
    )
    for name, closed, opened in figures["compared"]:
        change = f" ({opened / closed - 1:+.1%})" if closed else ""
        console.print(f"{name}: closed {closed:.3f}, open {opened:.3f}{change}")
    console.print(
        f"frames: {figures['counts']['frames_in']} in, {figures['counts']['frames_out']} out, "
        f"missing {figures['counts']['missing_by_cause'] or 'none'}, "
        f"{figures['missing_while_opening']:.0f} of them in the {START_S:g} s that a dashboard takes to open"
    )
    return figures


def _measure(folder: Path, rounds: int) -> dict[str, Any]:
    # A dashboard takes a while to close, and the run must outlast them all.
    total_s = SETTLE_S + rounds * (2 * (START_S + MEASURED_S) + CLOSE_S) + 5
    crowd = folder / "crowd.npz"
    Crowd.simulate(SIDE, N_PUNCTA, INTERVAL_S).save(crowd)
    # The supervisor asks this one for its name and size; the frames come from the crowd.
    movie = folder / "crowd.ome.tif"
    tifffile.imwrite(movie, np.zeros((2, 2, SIDE, SIDE), np.uint16), ome=True, metadata={"axes": "TCYX"})
    child = (
        sys.executable,
        "-m",
        "bench.crowd_child",
        str(crowd),
        str(int(total_s / INTERVAL_S)),
        str(INTERVAL_S),
    )
    config = load_config(
        options={
            "source.path": movie,
            "source.delivery": "live",
            "source.speed": "realtime",
            "source.interval_ms": INTERVAL_S * 1e3,
            "optics.pixel_size_nm": 108.0,
            "camera.offset": 100.0,
            "output.folder": folder / "runs",
            "output.csv": False,
        }
    )
    desks: list[str] = []
    outcomes: list[RunOutcome] = []

    def hear(status: Status) -> None:
        if isinstance(status, Bound) and status.desk:
            desks.append(status.desk)

    supervisor = Supervisor(config, on_status=hear, child=child)
    run_thread = Thread(target=lambda: outcomes.append(supervisor.run()))
    run_thread.start()
    try:
        analysis, begun = _analysis(folder / "runs", run_thread)
        time.sleep(SETTLE_S)
        phases: list[Phase] = []
        watched: list[dict[str, float]] = []
        for i in range(2 * rounds):
            phases.append(_phase(analysis, folder, desks[0], is_open=i % 2 == 1, watched=watched))
    finally:
        run_thread.join()
    outcome = outcomes[0]
    if outcome.problem:
        raise StreamError(outcome.problem)
    frames = open_run(outcome.folder).frames()
    frames["at"] = begun + frames["elapsed_s"]
    opening = sum(_missing(frames, p.began - START_S, p.began) for p in phases if p.is_open)
    return _summed_up(phases, watched, frames) | {
        "counts": outcome.info["counts"],
        "missing_while_opening": opening,
    }


def _analysis(runs: Path, run_thread: Thread) -> tuple[psutil.Process, float]:
    """The analysis' process, and the time (s) when it began to record."""
    while run_thread.is_alive():
        for found in runs.glob("*/run.json"):
            return psutil.Process(read_info(found.parent)["process"]["pid"]), time.time()
        time.sleep(0.02)
    raise StreamError("the run ended before its first frame")


def _phase(
    analysis: psutil.Process, folder: Path, desk: str, *, is_open: bool, watched: list[dict[str, float]]
) -> Phase:
    """Measure for some seconds; an open dashboard measures itself in the same ones."""
    child = None
    if is_open:
        report = folder / "dashboard.json"
        report.unlink(missing_ok=True)
        command = (
            sys.executable,
            "-m",
            "bench.dashboard_child",
            desk,
            str(START_S),
            str(MEASURED_S),
            str(report),
        )
        child = Popen(command)
    time.sleep(START_S)
    before, began = analysis.cpu_times(), time.time()
    time.sleep(MEASURED_S)
    after, ended = analysis.cpu_times(), time.time()
    spent_s = after.user + after.system - before.user - before.system
    if child is not None:
        if child.wait(60):
            raise StreamError("the dashboard failed")
        watched.append(json.loads(report.read_text()))
    return Phase(is_open, began, ended, spent_s)


def _summed_up(phases: list[Phase], watched: list[dict[str, float]], frames: pd.DataFrame) -> dict[str, Any]:
    """Means over the phases; `compared` holds name, closed and open."""
    rows = {is_open: [_row(p, frames) for p in phases if p.is_open == is_open] for is_open in (False, True)}
    closed, opened = (pd.DataFrame(rows[is_open]) for is_open in (False, True))
    return {
        "dashboard": pd.DataFrame(watched).mean().to_dict(),
        "compared": [(name, float(closed[name].mean()), float(opened[name].mean())) for name in closed],
        "phases": {"closed": rows[False], "open": rows[True]},
    }


def _row(phase: Phase, frames: pd.DataFrame) -> dict[str, float]:
    """What the frames of a phase took."""
    taken = frames[(frames["at"] >= phase.began) & (frames["at"] < phase.ended)]
    work = taken[["receive_ms", "engine_ms", "tracker_ms", "calcium_ms"]].sum(axis=1)
    return {
        "frames/s": len(taken) / (phase.ended - phase.began),
        "CPU of the analysis, ms a frame": phase.cpu_s * 1e3 / max(len(taken), 1),
        "stages, ms a frame (median)": float(work.median()),
        "latency p50, ms": float(taken["latency_ms"].median()),
        "latency p99, ms": float(taken["latency_ms"].quantile(0.99)),
        "frames missing": _missing(frames, phase.began, phase.ended),
    }


def _missing(frames: pd.DataFrame, began: float, ended: float) -> float:
    """Frames that went missing between two times (wall clock, s)."""
    return float(frames.loc[(frames["at"] >= began) & (frames["at"] < ended), "missing_before"].sum())

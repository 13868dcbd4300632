"""`kill -9` on the analysis at random moments: what `recover` brings back, and how much time is lost."""

import random
import tempfile
from pathlib import Path
from threading import Timer
from typing import Any

from rich.console import Console

from bench.measure import children
from bench.outputs import save_figures
from stream.load import load_config
from stream.pipeline import Supervisor
from stream.record.complete import recover
from stream.record.run import open_run
from stream.status import Progress, Status
from train.movie import write_sample
from train.simulation_config import SimulationConfig

INTERVAL_S = 0.02
LONGEST_S = 6.0


class _Killer:
    """Kills the analysis `delay_s` after its first results; remembers how far it had come."""

    def __init__(self, delay_s: float) -> None:
        self._timer = Timer(delay_s, self._kill)
        self._progress: Progress | None = None
        self.n_out_at_kill = 0

    def hear(self, status: Status) -> None:
        if isinstance(status, Progress):
            if self._progress is None:
                self._timer.start()
            self._progress = status

    def _kill(self) -> None:
        analysis = children().get("analysis")
        if analysis is not None and self._progress is not None:
            analysis.kill()
            self.n_out_at_kill = self._progress.n_out


def run(json: Path | None, console: Console, kills: int = 20, seed: int = 0) -> dict[str, Any]:
    """Kill, recover and compare `kills` times; a replay in real time at 50 frames/s."""
    rng = random.Random(seed)
    losses_s, unreadable = [], 0
    with tempfile.TemporaryDirectory(prefix="piezo1-bench-") as folder:
        sample = Path(folder) / "sample_00000"
        n_frames = round((LONGEST_S + 3) / INTERVAL_S)
        write_sample(
            sample,
            SimulationConfig(image_size=(64, 64), n_frames=n_frames, interval_ms=INTERVAL_S * 1e3),
            seed,
        )
        options = {
            "source.path": sample / "movie.tif",
            "source.speed": "realtime",
            "camera.offset": 100.0,
            "output.folder": folder,
        }
        for _ in range(kills):
            killer = _Killer(rng.uniform(0, LONGEST_S))
            outcome = Supervisor(load_config(options=options), on_status=killer.hear).run()
            recovered = recover(outcome.folder)
            frames = open_run(outcome.folder).frames()
            if recovered.info["state"] != "recovered" or not frames["frame"].is_monotonic_increasing:
                unreadable += 1
            losses_s.append((killer.n_out_at_kill - len(frames)) * INTERVAL_S)
    figures = {"kills": kills, "unreadable": unreadable, "lost_s": losses_s}
    console.print(
        f"{kills} kills of the analysis: {unreadable} unreadable runs; results lost before the kill: "
        f"median {sorted(losses_s)[len(losses_s) // 2]:.2f} s, most {max(losses_s):.2f} s"
    )
    save_figures(json, figures)
    return figures

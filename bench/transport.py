"""The stream's promises under load: lossless with a slow consumer, live with one too slow for the camera."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.measure import PeakMemory, noise_movie
from bench.outputs import save_figures
from stream.load import load_config
from stream.pipeline import Supervisor
from stream.record.run import open_run

SIDE = 128
LIVE_INTERVAL_S = 0.01
LIVE_DELAY_S = 0.03


def measure(
    n_frames: int, delay_s: float, delivery: str, *, interval_s: float = LIVE_INTERVAL_S, side: int = SIDE
) -> dict[str, Any]:
    """Replay a noise movie into an analysis that takes `delay_s` longer for each frame."""
    with noise_movie(n_frames, side, interval_s) as movie, tempfile.TemporaryDirectory() as runs:
        config = load_config(
            options={
                "source.path": movie,
                "source.delivery": delivery,
                "source.speed": "realtime" if delivery == "live" else "max",
                "output.folder": runs,
                "output.csv": False,
            }
        )
        child = (sys.executable, "-m", "bench.slow_child", str(delay_s))
        with PeakMemory() as memory:
            outcome = Supervisor(config, child=child).run()
        run = open_run(outcome.folder)
        seq = run.frames()["frame"]
        counts = run.info["counts"]
        return {
            "delivery": delivery,
            "frames_sent": n_frames,
            "frames_out": len(seq),
            "seq_increases": bool(seq.is_monotonic_increasing and seq.is_unique),
            "missing_recorded": sum(counts["missing_by_cause"].values()),
            "missing_true": n_frames - len(seq),
            "missing_by_cause": counts["missing_by_cause"],
            "longest_wait_ms": run.info["source"]["longest_wait_ms"],
            "latency_ms": run.info["timings"]["latency_ms"],
            "state": run.info["state"],
            "problem": outcome.problem,
            "peak_mib": {role: round(mib) for role, mib in memory.peak_mib.items()},
        }


def run(json: Path | None, console: Console, n_lossless: int = 5000, n_live: int = 3000) -> None:
    """Print both promises with their figures."""
    lossless = measure(n_lossless, 0.002, "lossless")
    console.print(
        f"lossless, consumer slowed by 2 ms: {lossless['frames_sent']} in, {lossless['frames_out']} out, "
        f"{lossless['missing_recorded']} missing, seq without gaps: {lossless['seq_increases']}, "
        f"peak {lossless['peak_mib']} MiB, {lossless['state']}"
    )
    live = measure(n_live, LIVE_DELAY_S, "live")
    console.print(
        f"live at {1 / LIVE_INTERVAL_S:.0f} frames/s, consumer slowed by {LIVE_DELAY_S * 1e3:.0f} ms: "
        f"{live['frames_sent']} sent, {live['frames_out']} out, missing {live['missing_recorded']} recorded, "
        f"{live['missing_true']} true {live['missing_by_cause']}; longest wait of the source "
        f"{live['longest_wait_ms']:.2f} ms; latency {live['latency_ms']}; {live['state']}"
    )
    save_figures(json, {"lossless": lossless, "live": live})

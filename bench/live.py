"""Live imaging on Micro-Manager's demo cameras: what the hook costs, from camera to result, what is lost."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bench.outputs import save_figures
from stream.config_live import RuleConfig
from stream.load import load_config
from stream.pipeline import Supervisor
from stream.process import CHILD
from stream.record.run import open_run
from train.movie import write_sample
from train.simulation_config import SimulationConfig

EVENT = "calcium event at a confirmed track with snr > 6"
MARK = (RuleConfig(when=EVENT, do="mark", name="mark"),)
SEED = 17
# Side, exposure, engine, how much the analysis is slowed, whether triggers act.
CASES = (
    (256, 20.0, "wavelet", 0.0, False),
    (256, 20.0, "wavelet", 0.0, True),
    (128, 20.0, "network", 0.0, False),
    (256, 50.0, "network", 0.0, False),
    (512, 50.0, "wavelet", 0.0, False),
    (512, 250.0, "network", 0.0, False),
    (128, 10.0, "wavelet", 30.0, False),
)


def exposure_rules(exposure_ms: float) -> tuple[RuleConfig, ...]:
    """Rules that lengthen the exposure when calcium rises, and shorten it when it is over."""
    ended = "calcium event ended at a confirmed track"
    return (
        RuleConfig(when=EVENT, do="exposure", value=exposure_ms + 2, pause_s=1, name="longer"),
        RuleConfig(when=ended, do="exposure", value=exposure_ms, pause_s=1, name="back"),
    )


def measure(
    side: int,
    backend: str,
    *,
    exposure_ms: float,
    n_frames: int,
    engine: str,
    slowed_ms: float = 0.0,
    acts: bool = False,
) -> dict[str, Any]:
    """Image `n_frames` of `side`² with two demo cameras; figures of the run.

    Parameters
    ----------
    side
        Of the images, pixels, which show a simulated scene with 100 puncta in 256².
    backend
        As `microscope.backend`.
    exposure_ms
        Of both cameras, which image as fast as it allows.
    engine
        As `engine.name`.
    slowed_ms
        What the analysis takes longer for each frame.
    acts
        Triggers change the exposure, instead of only being marked.
    """
    with tempfile.TemporaryDirectory(prefix="piezo1-bench-") as folder:
        puncta = 100 * side**2 // 256**2
        simulation = SimulationConfig(image_size=(side, side), n_frames=100, num_puncta_mean=puncta)
        write_sample(Path(folder) / "scene", simulation, SEED)
        options = {
            "source.kind": "microscope",
            "source.delivery": "live",
            "microscope.camera": "demo",
            "microscope.scene": Path(folder) / "scene" / "movie.tif",
            "optics.pixel_size_nm": simulation.pixel_size_nm,
            "camera.offset": 100.0,
            "microscope.backend": backend,
            "microscope.exposure_ms": exposure_ms,
            "source.max_frames": n_frames,
            "engine.name": engine,
            "output.folder": folder,
            "output.csv": False,
        }
        slow = (sys.executable, "-m", "bench.slow_child", str(slowed_ms / 1e3))
        config = load_config(options=options).model_copy(
            update={"rules": exposure_rules(exposure_ms) if acts else MARK}
        )
        outcome = Supervisor(config, child=slow if slowed_ms else CHILD).run()
        run = open_run(outcome.folder)
        frames, triggers = run.frames(), run.triggers()
        counts, source = run.info["counts"], run.info["source"]
        latency = frames["latency_ms"].to_numpy()
        return {
            "side": side,
            "backend": backend,
            "engine": engine,
            "exposure_ms": exposure_ms,
            "slowed_ms": slowed_ms,
            "acts": acts,
            "frames_in": counts["frames_in"],
            "frames_out": counts["frames_out"],
            "missing_by_cause": counts["missing_by_cause"],
            "missing_true": counts["frames_in"] - len(frames),
            "camera_frames_per_s": _rate(frames["frame"].to_numpy(), frames["time_s"].to_numpy()),
            "source": source["figures"],
            "longest_wait_ms": source["longest_wait_ms"],
            "latency_ms": _percentiles(latency),
            "latency_by_stage_ms": run.info["timings"]["stage_ms"],
            "triggers": len(triggers),
            "trigger_latency_ms": _percentiles(triggers["latency_ms"].to_numpy(float)),
            "newest_latency_ms": _percentiles(triggers["newest_latency_ms"].to_numpy(float)),
            "puncta_per_frame": counts["puncta"] / max(1, counts["frames_out"]),
            "state": run.info["state"],
        }


def _rate(seq: "np.ndarray[Any, Any]", time_s: "np.ndarray[Any, Any]") -> float:
    """Frames/s that the camera made, by its own clock."""
    return float((seq[-1] - seq[0]) / (time_s[-1] - time_s[0])) if len(seq) > 1 else float("nan")


def _percentiles(values: "np.ndarray[Any, Any]") -> dict[str, float]:
    known = values[np.isfinite(values)]
    return {f"p{q}": float(np.percentile(known, q)) for q in (50, 99)} if len(known) else {}


def run(json: Path | None, console: Console, n_frames: int = 600, backends: tuple[str, ...] = ()) -> None:
    """Print hook, latency and losses at 256² and 512², and under an analysis that is too slow."""
    rows = []
    for backend in backends or ("python", "sequence"):
        for side, exposure_ms, engine, slowed_ms, acts in CASES:
            row = measure(
                side,
                backend,
                exposure_ms=exposure_ms,
                n_frames=n_frames if exposure_ms < 100 else n_frames // 5,
                engine=engine,
                slowed_ms=slowed_ms,
                acts=acts,
            )
            rows.append(row)
            _print(row, console)
    save_figures(json, {"live": rows})


def _print(row: dict[str, Any], console: Console) -> None:
    slowed = f", analysis slowed by {row['slowed_ms']:g} ms" if row["slowed_ms"] else ""
    console.print(
        f"[bold]{row['side']}² at {row['exposure_ms']:g} ms, {row['backend']}, {row['engine']}{slowed}[/]: "
        f"{row['frames_in']} frames in at {row['camera_frames_per_s']:.1f}/s, {row['frames_out']} out, "
        f"missing {row['missing_by_cause'] or 'none'} (true {row['missing_true']}), {row['state']}"
    )
    latency, trigger = row["latency_ms"], row["trigger_latency_ms"]
    console.print(
        f"  camera to result p50 {latency['p50']:.1f}, p99 {latency['p99']:.1f} ms; "
        f"source {row['source']}; longest wait of the publisher {row['longest_wait_ms']:.2f} ms"
    )
    if trigger:
        newest, what = row["newest_latency_ms"], "exposure changed" if row["acts"] else "marked"
        console.print(
            f"  {row['triggers']} triggers, last pixel of the event to {what} p50 {trigger['p50']:.1f}, "
            f"p99 {trigger['p99']:.1f} ms; of the newest frame that was looked at p50 {newest['p50']:.1f}, "
            f"p99 {newest['p99']:.1f} ms"
        )

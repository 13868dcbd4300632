"""End to end: read, sockets, engine, tracker, calcium, recorder; frames/s and the share of each stage."""

import statistics
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.outputs import save_figures
from stream.load import load_config
from stream.pipeline import Supervisor
from train.movie import write_sample
from train.simulation_config import SimulationConfig


def run(
    json: Path | None, console: Console, n_frames: int = 1000, n_puncta: int = 100, repeats: int = 3
) -> dict[str, Any]:
    """Replay one simulated 256 × 256 dual-channel movie several times; print medians."""
    simulation = SimulationConfig(image_size=(256, 256), n_frames=n_frames, num_puncta_mean=n_puncta)
    with tempfile.TemporaryDirectory(prefix="piezo1-bench-") as folder:
        sample = Path(folder) / "sample_00000"
        write_sample(sample, simulation, 11)
        options = {"source.path": sample / "movie.tif", "camera.offset": 100.0, "output.folder": folder}
        runs = [Supervisor(load_config(options=options)).run().info for _ in range(repeats)]
    rates = [info["timings"]["frames_per_s"] for info in runs]
    source = _medians([info["source"]["cpu_ms"] for info in runs])
    stages = _medians([info["timings"]["stage_ms"] for info in runs])
    for waits in ("source", "queue"):
        stages.pop(waits)
    puncta = runs[0]["counts"]["puncta"] / runs[0]["counts"]["frames_out"]
    console.print(
        f"{statistics.median(rates):.0f} frames/s ({min(rates):.0f} to {max(rates):.0f} in {repeats} runs of "
        f"{n_frames} frames), 256 × 256 dual channel, {puncta:.0f} puncta a frame found"
    )
    for process, parts in (("source process", source), ("analysis process", stages)):
        total = sum(parts.values())
        console.print(f"{process}, {total:.2f} ms a frame")
        for name, ms in parts.items():
            console.print(f"  {name:9} {ms:6.2f} ms  {ms / total:5.1%}")
    figures = {"frames_per_s": rates, "source_cpu_ms": source, "stage_ms": stages, "puncta_per_frame": puncta}
    save_figures(json, figures)
    return figures


def _medians(samples: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}

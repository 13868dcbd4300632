"""Peak memory of a replay against the length of the movie."""

import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.measure import PeakMemory, noise_movie
from bench.outputs import save_figures
from stream.load import load_config
from stream.pipeline import Supervisor

LENGTHS = (500, 5000, 16_500)  # the last is 4.3 GB, a BigTIFF


def run(json: Path | None, console: Console, lengths: tuple[int, ...] = LENGTHS) -> dict[str, Any]:
    """Replay noise movies of 256 × 256 dual-channel frames; print peak MiB by process."""
    figures: dict[str, Any] = {}
    for n_frames in lengths:
        with noise_movie(n_frames, 256, 0.05) as movie, tempfile.TemporaryDirectory() as runs:
            options = {"source.path": movie, "output.folder": runs, "output.csv": False}
            with PeakMemory() as memory:
                outcome = Supervisor(load_config(options=options)).run()
            size_gb = movie.stat().st_size / 1e9
        peaks = {role: round(mib) for role, mib in memory.peak_mib.items()}
        out = outcome.info["counts"]["frames_out"]
        figures[str(n_frames)] = {"movie_gb": size_gb, "frames_out": out, "peak_mib": peaks}
        console.print(f"{n_frames} frames ({size_gb:.1f} GB), {out} out: peak MiB {peaks}")
    save_figures(json, figures)
    return figures

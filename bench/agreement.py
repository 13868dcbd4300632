"""Do engines answer as PyTorch does? Asked on simulated frames, each engine in a process of its own."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.spatial import KDTree

from bench.calcium_movies import calcium_movie
from bench.engine_process import ask, path_of
from model.engines.names import REFERENCE
from model.engines.session import Table
from train.simulation_config import SimulationConfig

N_MOVIES, N_FRAMES = 20, 5
SEED = 77001
RADIUS_PX = {"f32": 0.01, "fp32": 0.01, "bf16": 0.05, "fp16": 0.05}


@dataclass(frozen=True, slots=True)
class Agreement:
    """A backend's puncta against PyTorch's in single precision.

    Attributes
    ----------
    share
        Of the puncta of both, those that have a partner within `radius_px`.
    median_px, largest_px
        Distance between partners.
    """

    backend: str
    problem: str = ""
    puncta: int = 0
    radius_px: float = float("nan")
    share: float = float("nan")
    median_px: float = float("nan")
    largest_px: float = float("nan")


def agree(backends: Sequence[str], model: Path | None, console: Console) -> list[Agreement]:
    """Compare backends with PyTorch on 100 simulated frames with waves; print a row for each."""
    if not backends:
        return []
    with tempfile.TemporaryDirectory(prefix="piezo1-bench-") as folder:
        movies = Path(folder) / "movies.npy"
        np.save(movies, simulated_movies())
        wanted, said = _answers(REFERENCE, model, movies)
        agreements = []
        for name in backends:
            found, description = _answers(name, model, movies) if wanted else ([], f"PyTorch: {said}")
            radius = next((px for precision, px in RADIUS_PX.items() if f", {precision}" in description), 0.0)
            agreement = (
                compare(name, wanted, found, radius)
                if found
                else Agreement(backend=name, problem=description)
            )
            agreements.append(agreement)
            console.print(_row(agreement), markup=False, soft_wrap=True)
        return agreements


def compare(backend: str, wanted: Sequence[Table], found: Sequence[Table], radius_px: float) -> Agreement:
    """How many puncta have a partner, and how far they are apart."""
    distances = [d for a, b in zip(wanted, found, strict=True) for d in (_nearest(a, b), _nearest(b, a))]
    apart = np.concatenate([np.empty(0), *distances])
    close = apart[apart <= radius_px]
    return Agreement(
        backend=backend,
        puncta=sum(len(table) for table in wanted),
        radius_px=radius_px,
        share=len(close) / max(len(apart), 1),
        median_px=float(np.median(apart)) if len(apart) else float("nan"),
        largest_px=float(close.max()) if len(close) else float("nan"),
    )


def simulated_movies() -> NDArray[np.uint16]:
    """Raw counts (M, T, 2, H, W)."""
    config = SimulationConfig(image_size=(128, 128), n_frames=N_FRAMES, num_puncta_mean=100, wave_rate_hz=2.0)
    return np.stack(
        [np.stack([frame.counts for frame in calcium_movie(config, SEED + k)]) for k in range(N_MOVIES)]
    )


def _answers(backend: str, model: Path | None, movies: Path) -> tuple[list[Table], str]:
    """Tables by frame and the engine's description; or none and what went wrong."""
    out = movies.with_name(f"{backend}.npz")
    answer = ask({"backend": backend, "model": path_of(model), "movies": str(movies), "out": str(out)})
    if "problem" in answer:
        return [], str(answer["problem"])
    with np.load(out) as tables:
        return [tables[name] for name in tables.files], str(answer["description"])


def _nearest(a: Table, b: Table) -> NDArray[np.float64]:
    """Distance of each punctum of `a` from the nearest of `b`, infinite where there is none."""
    if not len(a) or not len(b):
        return np.full(len(a), np.inf)
    distance = KDTree(b[:, :2].astype(float)).query(a[:, :2].astype(float))[0]
    return np.asarray(distance, np.float64)


def _row(a: Agreement) -> str:
    if a.problem:
        return f"{a.backend:12} against PyTorch: {a.problem}"
    return (
        f"{a.backend:12} against PyTorch: {a.share:.3%} of {a.puncta} puncta within {a.radius_px:g} px, "
        f"median {a.median_px:.5f}, largest {a.largest_px:.4f} px"
    )

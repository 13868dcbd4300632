"""Every engine that runs here: frames/s, latency, memory, and whether it answers as PyTorch does."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.outputs import UsageError, save_figures
from model.card import SHIPPED_MODEL
from model.engines.backends import BACKENDS
from model.engines.names import AUTO, REFERENCE

SIDES = (128, 256, 512, 1024, 2048)
TIME_LIMIT_S = 600


@dataclass(frozen=True, slots=True)
class Timing:
    """A backend on frames of one size.

    Attributes
    ----------
    backend, side
        Which, and side of the square frames in pixels.
    problem
        Why there are no figures, else "".
    description
        Library, its version, device and precision.
    open_s
        From the model's bytes to the first answer: building or compiling, or reading from a cache.
    frames_per_s
        With as many steps under way as the engine takes.
    p50_ms, p95_ms, p99_ms
        Latency of one step at a time, from pixels in memory to puncta in memory.
    cpu_ms
        CPU time a frame, of all threads.
    memory_mib, gpu_mib
        Memory that opening and running took; None where it is not known.
    """

    backend: str
    side: int
    problem: str = ""
    description: str = ""
    open_s: float = float("nan")
    frames_per_s: float = float("nan")
    p50_ms: float = float("nan")
    p95_ms: float = float("nan")
    p99_ms: float = float("nan")
    cpu_ms: float = float("nan")
    frames: int = 0
    memory_mib: float = float("nan")
    gpu_mib: float | None = None
    puncta: int = 0


def run(
    json_path: Path | None,
    figure: Path | None,
    console: Console,
    model: Path | None = None,
    backends: Sequence[str] = (),
    sides: Sequence[int] = SIDES,
    seconds: float = 3.0,
    compare: bool = True,
) -> dict[str, Any]:
    """Measure; print a row for each backend and size, and how far they agree if they are compared.

    Raises
    ------
    UsageError
        If a backend is not known.
    """
    for name in backends:
        if name not in BACKENDS:
            raise UsageError(f"backend {name!r} is not known; choose of {', '.join(BACKENDS)}")
    chosen = list(backends) or [*AUTO, REFERENCE]
    timings: list[Timing] = []
    for backend in chosen:
        for side in sides:
            timing = time_backend(backend, side, model, seconds)
            timings.append(timing)
            console.print(_row(timing), markup=False, soft_wrap=True)
            if timing.problem:
                break
    works = {timing.backend for timing in timings if not timing.problem} - {REFERENCE}
    agreements = []
    if compare:
        from bench.agreement import agree  # needs PyTorch

        agreements = agree([name for name in chosen if name in works], model, console)
    figures = {"timings": [asdict(t) for t in timings], "agreement": [asdict(a) for a in agreements]}
    save_figures(json_path, figures)
    if figure is not None:
        from bench.engine_figure import draw_engines

        draw_engines(timings, figure)
    return figures


def time_backend(backend: str, side: int, model: Path | None, seconds: float) -> Timing:
    """Figures of a backend, measured in a process of its own."""
    answer = ask({"backend": backend, "side": side, "seconds": seconds, "model": path_of(model)})
    return Timing(backend=backend, side=side, **answer)


def ask(request: dict[str, Any]) -> dict[str, Any]:
    """Let a process of its own answer; a crash is an answer too."""
    command = [sys.executable, "-m", "bench.engine_child", json.dumps(request)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_S)
    except subprocess.TimeoutExpired:
        return {"problem": f"gave no answer in {TIME_LIMIT_S} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return {"problem": f"its process ended with {done.returncode}: {why}"}
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def path_of(model: Path | None) -> str:
    """File of a network; None: of the one that ships."""
    return str(model or SHIPPED_MODEL)


def _row(t: Timing) -> str:
    if t.problem:
        return f"{t.backend:12} {t.side:5}²  {t.problem}"
    return (
        f"{t.backend:12} {t.side:5}²  {t.frames_per_s:8.1f} frames/s  latency p50 {t.p50_ms:7.2f}  "
        f"p95 {t.p95_ms:7.2f}  p99 {t.p99_ms:7.2f} ms  CPU {t.cpu_ms:7.1f} ms  {t.memory_mib:6.0f} MiB  "
        f"opened in {t.open_s:.1f} s  {t.puncta} puncta  {t.description}"
    )

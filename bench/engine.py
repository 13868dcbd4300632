"""Every engine that runs here: frames/s, latency, memory, and whether it answers as PyTorch does."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.engine_process import Timing, time_backend
from bench.outputs import UsageError, save_figures
from model.engines.backends import BACKENDS
from model.engines.names import AUTO, REFERENCE

SIDES = (128, 256, 512, 1024, 2048)


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


def _row(t: Timing) -> str:
    if t.problem:
        return f"{t.backend:12} {t.side:5}²  {t.problem}"
    return (
        f"{t.backend:12} {t.side:5}²  {t.frames_per_s:8.1f} frames/s  latency p50 {t.p50_ms:7.2f}  "
        f"p95 {t.p95_ms:7.2f}  p99 {t.p99_ms:7.2f} ms  CPU {t.cpu_ms:7.1f} ms  {t.memory_mib:6.0f} MiB  "
        f"opened in {t.open_s:.1f} s  {t.puncta} puncta  {t.description}"
    )

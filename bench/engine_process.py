"""Asking one engine something in a process of its own."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.card import SHIPPED_MODEL

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

"""Everything that needs a GPU in one command, and a report that says on what and when it was measured."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import engine
from bench.engine_report import write_report
from bench.outputs import UsageError

BACKENDS = ("tensorrt", "torch_cuda", "onnxruntime")
# What the project promises of a GPU: side, backend, least frames/s, largest p99 in ms (None: no promise).
BARS = ((512, "torch_cuda", 1000.0, 3.0), (2048, "torch_cuda", 60.0, None))
TESTS = "tests/gpu"


def run(report: Path, console: Console, seconds: float) -> None:
    """Time the engines, run the GPU's tests, and write the report.

    Raises
    ------
    UsageError
        If there is no GPU.
    OutputError
        If the report cannot be written.
    """
    device = gpu_name()
    console.print(f"{device}", markup=False)
    figures = engine.run(
        report.with_suffix(".json"), report.with_suffix(".png"), console, None, BACKENDS, seconds=seconds
    )
    tests = run_tests()
    console.print(tests, markup=False)
    remarks = [*bars(figures), tests]
    write_report(report, "Performance on a GPU", device, figures, remarks)
    console.print(f"report: {report}", markup=False)


def gpu_name() -> str:
    """Name, driver and libraries of the GPU that is used.

    Raises
    ------
    UsageError
        If there is none.
    """
    try:
        import torch
    except ImportError as error:
        raise UsageError("PyTorch is not installed: pip install -e '.[gpu]'") from error
    if not torch.cuda.is_available():
        raise UsageError("there is no NVIDIA GPU that PyTorch can use; `piezo1 bench engine` times the CPU")
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return (
        f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, compute capability "
        f"{properties.major}.{properties.minor}, CUDA {torch.version.cuda}, PyTorch {torch.__version__}"
    )


def run_tests() -> str:
    """Closing line of the tests that need a GPU."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", TESTS], capture_output=True, text=True, check=False
    )
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()
    return f"{TESTS}: {lines[-1] if lines else 'said nothing'}"


def bars(figures: dict[str, Any]) -> list[str]:
    """The promises, and whether they are kept."""
    lines = []
    for side, backend, least, longest in BARS:
        promised = f"{backend} at {side}²: at least {least:g} frames/s"
        promised += f", p99 at most {longest:g} ms" if longest is not None else ""
        t = next((t for t in figures["timings"] if (t["side"], t["backend"]) == (side, backend)), None)
        if t is None or t["problem"]:
            lines.append(f"{promised}: not measured")
            continue
        kept = t["frames_per_s"] >= least and (longest is None or t["p99_ms"] <= longest)
        verdict = "kept" if kept else "MISSED"
        lines.append(f"{promised}: {verdict} ({t['frames_per_s']:.0f} frames/s, {t['p99_ms']:.2f} ms)")
    return lines

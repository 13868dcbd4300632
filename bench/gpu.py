"""Everything that needs a GPU in one command, and a report that says on what and when it was measured."""

import datetime
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import engine
from bench.outputs import OutputError, UsageError
from model.card import SHIPPED_MODEL, half_precision

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
    try:
        report.write_text(text(device, figures, tests, report), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {report}: {error.strerror}") from error
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


def text(device: str, figures: dict[str, Any], tests: str, report: Path) -> str:
    """The report in Markdown."""
    return "\n".join(
        [
            "# Performance on a GPU",
            "",
            f"Written by `piezo1 bench gpu` on {datetime.date.today()}: {device}; {platform.platform()}, "
            f"Python {platform.python_version()}. Network: {SHIPPED_MODEL.name} (TensorRT: "
            f"{half_precision(SHIPPED_MODEL).name}). Latency is one step at a time, from pixels in host "
            "memory to puncta in host memory; frames/s with two steps under way.",
            "",
            f"![Frames/s and latency by engine]({report.with_suffix('.png').name})",
            "",
            "| engine | frame | frames/s | p50 ms | p95 ms | p99 ms | opened in s | GPU MiB | |",
            "|---|---|---|---|---|---|---|---|---|",
            *(_timing_row(t) for t in figures["timings"]),
            "",
            "Puncta against PyTorch in single precision on the CPU, 100 simulated frames:",
            "",
            "| engine | agree | puncta | within px | median px | largest px |",
            "|---|---|---|---|---|---|",
            *(_agreement_row(a) for a in figures["agreement"]),
            "",
            *(f"- {line}" for line in (*bars(figures), tests)),
            "",
        ]
    )


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


def _timing_row(t: dict[str, Any]) -> str:
    if t["problem"]:
        return f"| {t['backend']} | {t['side']}² | – | – | – | – | – | – | {t['problem']} |"
    latency = " | ".join(f"{t[name]:.2f}" for name in ("p50_ms", "p95_ms", "p99_ms"))
    return (
        f"| {t['backend']} | {t['side']}² | {t['frames_per_s']:.0f} | {latency} | {t['open_s']:.1f} | "
        f"{_number(t['gpu_mib'])} | {t['description']} |"
    )


def _agreement_row(a: dict[str, Any]) -> str:
    if a["problem"]:
        return f"| {a['backend']} | {a['problem']} | – | – | – | – |"
    apart = f"{a['radius_px']:g} | {a['median_px']:.5f} | {a['largest_px']:.4f}"
    return f"| {a['backend']} | {a['share']:.3%} | {a['puncta']} | {apart} |"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"

"""A report of the engines' figures that says on what and when they were measured, in Markdown."""

import datetime
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.outputs import OutputError
from model.card import SHIPPED_MODEL, half_precision
from model.engines.threads import usable_threads


def write_report(
    path: Path,
    title: str,
    device: str,
    figures: dict[str, Any],
    remarks: Sequence[str],
    model: Path = SHIPPED_MODEL,
) -> None:
    """Write figures of `bench.engine.run`; their picture lies beside the report under the same name.

    Raises
    ------
    OutputError
        If the report cannot be written.
    """
    text = "\n".join(
        [
            f"# {title}",
            "",
            f"Written by `{_command()}` on {datetime.date.today()}: {device}; {platform.platform()}, "
            f"Python {platform.python_version()}. Network: {model.name} (TensorRT: "
            f"{half_precision(model).name}, where it is). Latency is one step at a time, from pixels in host "
            "memory to puncta in host memory; frames/s with as many steps under way as the engine takes.",
            "",
            f"![Frames/s and latency by engine]({path.with_suffix('.png').name})",
            "",
            "| engine | frame | frames/s | p50 ms | p95 ms | p99 ms | CPU ms | open s | MiB | GPU MiB | |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            *(_timing_row(t) for t in figures["timings"]),
            "",
            "Puncta against PyTorch in single precision on the CPU, 100 simulated frames:",
            "",
            "| engine | agree | puncta | within px | median px | largest px |",
            "|---|---|---|---|---|---|",
            *(_agreement_row(a) for a in figures["agreement"]),
            "",
            *(f"- {line}" for line in remarks),
            "",
        ]
    )
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def processor() -> str:
    """Name of the processor and how many of its cores this process may use."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")  # platform.processor() says nothing on most Linux systems
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {usable_threads()} cores"


def _command() -> str:
    """What was called, options and all."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _timing_row(t: dict[str, Any]) -> str:
    if t["problem"]:
        return f"| {t['backend']} | {t['side']}² |{' – |' * 8} {t['problem']} |"
    rate = f"{t['frames_per_s']:.0f}" if t["frames_per_s"] >= 10 else f"{t['frames_per_s']:.2f}"
    latency = " | ".join(f"{t[name]:.2f}" for name in ("p50_ms", "p95_ms", "p99_ms"))
    return (
        f"| {t['backend']} | {t['side']}² | {rate} | {latency} | {t['cpu_ms']:.1f} | "
        f"{t['open_s']:.1f} | {t['memory_mib']:.0f} | {_number(t['gpu_mib'])} | {t['description']} |"
    )


def _agreement_row(a: dict[str, Any]) -> str:
    if a["problem"]:
        return f"| {a['backend']} | {a['problem']} | – | – | – | – |"
    apart = f"{a['radius_px']:g} | {a['median_px']:.5f} | {a['largest_px']:.4f}"
    return f"| {a['backend']} | {a['share']:.3%} | {a['puncta']} | {apart} |"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"

"""Engines as a picture: frames/s and latency over the size of the frames."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.engine_process import Timing

# Okabe & Ito's colour-blind safe colours; markers tell the engines apart without any colour.
STYLES = {
    "tensorrt": ("#009E73", "^"),
    "torch_cuda": ("#D55E00", "o"),
    "openvino": ("#0072B2", "s"),
    "onnxruntime": ("#56B4E9", "D"),
    "torch": ("#999999", "v"),
}


def draw_engines(timings: Sequence[Timing], path: Path) -> None:
    """Write the figure, a .png or .svg file."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    sides = sorted({timing.side for timing in timings})
    for backend, (colour, marker) in STYLES.items():
        mine = [timing for timing in timings if timing.backend == backend and not timing.problem]
        if not mine:
            continue
        side = [timing.side for timing in mine]
        left.plot(side, [t.frames_per_s for t in mine], color=colour, marker=marker, label=backend)
        right.plot(side, [t.p50_ms for t in mine], color=colour, marker=marker, label=backend)
        right.plot(side, [t.p99_ms for t in mine], color=colour, marker=marker, ls=":", mfc="none")
    for axes, label in ((left, "frames/s"), (right, "latency (ms), p50 and (dotted) p99")):
        axes.set(xscale="log", yscale="log", xlabel="side of the dual-channel frame (px)", ylabel=label)
        axes.set_xticks(sides, [str(side) for side in sides])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    left.legend(frameon=False)
    figure.savefig(path, dpi=130)

"""The localization benchmark as a picture: accuracy over density, ours beside the peers, and calibration."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.conditions import DENSITIES, PHOTONS
from bench.ours import NETWORK, WAVELET
from bench.report import Result, scores_of

# Okabe & Ito's colour-blind safe colours; markers tell the methods apart without any colour.
STYLES: dict[str, tuple[str, str]] = {
    NETWORK: ("#D55E00", "o"),
    WAVELET: ("#0072B2", "s"),
    "wavelet, tuned": ("#56B4E9", "D"),
    "trackpy, tuned": ("#009E73", "^"),
    "Picasso, tuned": ("#CC79A7", "v"),
    "SMAPpy, tuned": ("#E69F00", "P"),
}
ROWS = (("jaccard", "Jaccard"), ("rmse_nm", "RMSE per axis (nm)"))


def draw_figure(results: Sequence[Result], path: Path) -> None:
    """Write the figure: Jaccard and RMSE over density for each photon level, and claimed against true error.

    Parameters
    ----------
    results
        Of any conditions; those of the sCMOS camera by density are drawn.
    path
        A .png or .svg file.
    """
    scores = scores_of(results)
    present = [name for name in STYLES if any(method == name for _, method in scores)]
    ours = NETWORK if NETWORK in present else WAVELET
    figure = Figure(figsize=(13, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 1.3))
    for row, (name, label) in enumerate(ROWS):
        first: Axes | None = None
        for column, photons in enumerate(PHOTONS):
            axes = figure.add_subplot(grid[row, column], sharey=first)
            first = first or axes
            for method in present:
                colour, marker = STYLES[method]
                points = [
                    (density, getattr(scores[key], name))
                    for density in DENSITIES
                    if (key := (f"sCMOS {density:g}/µm² {photons} photons", method)) in scores
                ]
                width = 2.2 if method == ours else 1.2
                x, y = np.array(points).reshape(-1, 2).T
                axes.plot(x, y, marker=marker, color=colour, label=method, lw=width, ms=5)
            axes.set(xscale="log", xticks=DENSITIES, xticklabels=[f"{d:g}" for d in DENSITIES])
            axes.minorticks_off()
            axes.grid(alpha=0.3)
            if not row:
                axes.set_title(f"{photons} photons")
            else:
                axes.set_xlabel("emitters per µm²")
                axes.set_ylim(bottom=0)
            if not column:
                axes.set_ylabel(label)
    _draw_calibration(figure.add_subplot(grid[:, 3]), results, ours)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(len(present), 1), frameon=False)
    figure.savefig(path, dpi=150)


def _draw_calibration(axes: Axes, results: Sequence[Result], method: str) -> None:
    """Claimed against true error of one method, a line for each density."""
    colours = ("#0072B2", "#009E73", "#E69F00", "#D55E00")
    scores = scores_of(results)
    seen: list[float] = []
    for density, colour in zip(DENSITIES, colours, strict=True):
        for photons, marker in zip(PHOTONS, ("o", "s", "^"), strict=True):
            found = scores.get((f"sCMOS {density:g}/µm² {photons} photons", method))
            if found is not None and found.calibration:
                claimed, true = np.array(found.calibration).T
                label = f"{density:g}/µm², {photons}"
                axes.plot(claimed, true, marker=marker, color=colour, lw=0.8, ms=4, label=label)
                seen += [*claimed, *true]
    if seen:
        limits = (min(seen) / 1.2, max(seen) * 1.2)
        axes.plot(limits, limits, color="black", lw=1, ls="--")
        ticks = [nm for nm in (1, 2, 5, 10, 20, 50, 100, 200) if limits[0] <= nm <= limits[1]]
        axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(ticks, labels=[str(nm) for nm in ticks])
            axis.set_ticks([], minor=True)
        axes.legend(title="density, photons", loc="upper left", fontsize=7, title_fontsize=7, frameon=False)
    axes.set(xlabel="claimed error (nm)", ylabel="true error (nm)", title=f"calibration of {method}")
    axes.set_aspect("equal", adjustable="box")
    axes.grid(alpha=0.3)

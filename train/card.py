"""The data-set card: one picture of what a simulation makes, to be held beside real recordings."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from train.card_data import Array, CardData, Example
from train.simulation_config import SimulationError

# Okabe & Ito's palette, distinguishable by colour-blind readers.
PUNCTUM, ON, BARS = "#56B4E9", "#E69F00", "#0072B2"
CROP_PX = 96  # examples are cut to their middle, so that puncta can be seen
MAX_BINS = 40
LOG_SPAN = 20.0  # quantities that span more than this factor get a logarithmic axis
SCALE_BAR_UM = 1.0
DPI = 110


def save_card(data: CardData, path: Path) -> None:
    """Draw a card and write it as an image (format by the suffix, e.g. PNG).

    Examples of both channels stand above, the truth marked in their right half; histograms below, with
    the median and the range of the middle 90 %.

    Raises
    ------
    SimulationError
        If it cannot be written.
    """
    columns = len(data.examples)
    has_calcium = any(example.calcium is not None for example in data.examples)
    rows = 2 if has_calcium else 1
    names = list(data.values)
    n_rows = -(-len(names) // 3)
    figure = Figure(figsize=(13.5, 2.25 * (rows + n_rows) + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{data.title}\n{data.subtitle}", fontsize=13, x=0.01, ha="left")
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(rows, n_rows))
    pictures, histograms = parts[:, 0]
    grid = pictures.subplots(rows, columns, squeeze=False)
    for k, example in enumerate(data.examples):
        marked = k >= columns // 2
        _show(grid[0, k], example, example.piezo1, marked, "PIEZO1" if k == 0 else "")
        if has_calcium:
            _show(grid[1, k], example, example.calcium, marked, "calcium" if k == 0 else "")
    bar = np.array([0.05, 0.05 + SCALE_BAR_UM * 1000 / data.pixel_size_nm / _shown_width(data.examples[0])])
    grid[0, 0].plot(bar, [0.05, 0.05], color="white", lw=3, transform=grid[0, 0].transAxes)
    grid[0, 0].set_title(f"scale bar {SCALE_BAR_UM:g} µm", loc="left", fontsize=9)
    note = "truth marked: ○ punctum" + (", orange: its calcium event is on" if has_calcium else "")
    grid[0, columns // 2].set_title(note, loc="left", fontsize=9)
    for i, axes in enumerate(histograms.subplots(n_rows, 3, squeeze=False).flat):
        if i < len(names):
            _histogram(axes, data.values[names[i]], names[i])
        else:
            axes.axis("off")
    try:
        figure.savefig(path, dpi=DPI)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SimulationError(f"cannot write the card {path}: {reason}") from error


def _show(axes: Axes, example: Example, image: NDArray[np.float32] | None, marked: bool, label: str) -> None:
    axes.set(xticks=[], yticks=[])
    axes.set_ylabel(label)
    if image is None:
        axes.axis("off")
        return
    low, high = np.percentile(image, [1.0, 99.8])
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1), interpolation="nearest")
    centre = (np.array(image.shape[::-1]) - 1) / 2
    half = np.minimum(image.shape[::-1], CROP_PX) / 2
    (left, top), (right, bottom) = centre - half, centre + half
    axes.set(xlim=(left, right), ylim=(bottom, top))
    if marked:
        seen = np.all(np.abs(example.xy - centre) < half, axis=1)
        x, y = example.xy[seen].T
        edges = np.where(example.is_on[seen], ON, PUNCTUM)
        axes.scatter(x, y, s=34, facecolors="none", edgecolors=edges.tolist(), linewidths=0.9)


def _shown_width(example: Example) -> int:
    """Pixels across the picture of an example."""
    return min(int(example.piezo1.shape[1]), CROP_PX)


def _histogram(axes: Axes, values: Array, name: str) -> None:
    values = values[np.isfinite(values)]
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(name, fontsize=9)
    if not len(values):
        axes.set_xticks([])
        axes.text(0.5, 0.5, "none", ha="center", transform=axes.transAxes, color="0.5")
        return
    low, p5, median, p95, high = np.percentile(values, [0.5, 5, 50, 95, 99.5]).tolist()
    axes.hist(values, bins=_bins(values, low, high).tolist(), color=BARS, alpha=0.85)
    if _is_wide(low, high) and not _is_whole(values, low, high):
        axes.set_xscale("log")
    axes.axvline(median, color="black", lw=1.0)
    title = f"median {_short(median)}   (5–95 %: {_short(p5)} – {_short(p95)})"
    axes.set_title(title, fontsize=9, loc="left")


def _bins(values: Array, low: float, high: float) -> Array:
    """Edges of the bars: one a whole number, or equal ones on the axis, fewer where values are few."""
    if low == high:
        return low + max(0.02 * abs(low), 1e-3) * np.array([-5.0, -0.5, 0.5, 5.0])
    if _is_whole(values, low, high):
        return np.arange(low, high + 2) - 0.5
    n_distinct = len(np.unique(values))
    n = MAX_BINS if n_distinct > 4 * MAX_BINS else max(n_distinct // 3, 8)
    return np.geomspace(low, high, n + 1) if _is_wide(low, high) else np.linspace(low, high, n + 1)


def _is_wide(low: float, high: float) -> bool:
    return low > 0 and high / low > LOG_SPAN


def _is_whole(values: Array, low: float, high: float) -> bool:
    return high - low < MAX_BINS and bool((values == np.rint(values)).all())


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

"""A picture of what was found beside what is true."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model.localizations import Localizations
from train.batch import Batch
from train.validation import true_positions

N_CROPS = 4


def overlay(batch: Batch, found: list[Localizations]) -> NDArray[np.uint8]:
    """RGB (H, W, 3) of a batch's first crops: true puncta as circles, found ones as crosses."""
    n = min(N_CROPS, len(found))
    figure = Figure(figsize=(4 * n, 4.3), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for i, axes in enumerate(figure.subplots(1, n, squeeze=False)[0]):
        middle = batch.frames.shape[1] // 2
        axes.imshow(batch.frames[i, middle, 0].cpu().numpy(), cmap="gray")
        truth = true_positions(batch, i)
        axes.scatter(*truth.T, s=60, facecolors="none", edgecolors="tab:green", linewidths=1, label="true")
        axes.scatter(found[i].x_px, found[i].y_px, s=20, marker="x", c="tab:red", linewidths=1, label="found")
        axes.set_title(f"{len(truth)} true, {len(found[i])} found")
        axes.set_axis_off()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]

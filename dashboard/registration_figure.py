"""One picture of a registration: both channels over each other before and after, and how far spots lie."""

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from acquire.registration import Registration
from acquire.registration_fit import WORST_PX, Pairs
from dashboard.models.colours import OKABE_ITO
from dashboard.overview import DPI, FOUND
from model.registration import resample
from stream.register import Registered
from stream.results import StreamError

WRONG = OKABE_ITO[3]
CLOSE_PX = 32  # side of the window that is shown close up
ARROW_SHARE = 0.08  # of the image's width: length of a typical error's arrow
ENDS = (1.0, 99.8)  # percentiles of the images that are black and full


def save_registration_figure(registered: Registered, path: Path) -> None:
    """Draw a registration and write it as an image (format by the suffix, e.g. PNG or PDF).

    Channel 1 is magenta, channel 2 green, so what coincides is white. Arrows show, magnified, how far each
    spot lies from where the map puts it that was fitted without it.

    Raises
    ------
    StreamError
        If it cannot be written.
    """
    registration, pairs = registered.registration, registered.pairs
    one, two = registered.images
    figure = Figure(figsize=(13.8, 9.6), layout="constrained")
    FigureCanvasAgg(figure)
    title, text = f"Registration of {registration.source}", registration
    figure.suptitle(title, fontsize=15, fontweight="bold", x=0.01, ha="left")
    figure.supxlabel("\n".join([text.in_words(), text.quality(), *text.cautions]), fontsize=11)
    axes = figure.subplots(2, 3)
    corner = _close_up(pairs, registration)
    after = resample(two, registration.transform)
    for column, (title, other) in enumerate((("before", two), ("after", after))):
        _overlay(axes[0, column], one, other)
        axes[0, column].set_title(f"PIEZO1 magenta, calcium green · {title}", loc="left", fontsize=11)
        frame = Rectangle(corner, CLOSE_PX, CLOSE_PX, fill=False, edgecolor="white", linewidth=1.3)
        axes[0, column].add_patch(frame)
        _overlay(axes[1, column], one, other)
        axes[1, column].set_title(f"the square · {title}", loc="left", fontsize=11)
        axes[1, column].set(xlim=(corner[0], corner[0] + CLOSE_PX), ylim=(corner[1] + CLOSE_PX, corner[1]))
    _arrows(axes[0, 2], pairs, registration)
    _histogram(axes[1, 2], pairs, registration)
    try:
        figure.savefig(path, dpi=DPI)
    except OSError as error:
        raise StreamError(f"cannot write {path}: {error.strerror or error}") from error


def _close_up(pairs: Pairs, registration: Registration) -> tuple[float, float]:
    """Corner of a window around the spot that the registration moves farthest."""
    height, width = registration.image_size
    farthest = pairs.one[int(np.argmax(np.abs(pairs.two - pairs.one)))]
    x, y = (
        float(np.clip(at - CLOSE_PX / 2, -0.5, max(side - 0.5 - CLOSE_PX, -0.5)))
        for at, side in ((farthest.real, width), (farthest.imag, height))
    )
    return x, y


def _overlay(axes: Axes, one: NDArray[np.float32], two: NDArray[np.float32]) -> None:
    magenta, green = (_grey(image) for image in (one, two))
    axes.imshow(np.stack([magenta, green, magenta], axis=-1), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _grey(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """From 0 to 1; the square root lets dim spots be seen beside bright ones."""
    low, high = np.percentile(image, ENDS)
    return np.asarray(np.sqrt(np.clip((image - low) / max(high - low, 1e-6), 0, 1)), np.float32)


def _arrows(axes: Axes, pairs: Pairs, registration: Registration) -> None:
    height, width = registration.image_size
    typical = registration.residual_px if registration.residual_px > 0 else 1.0
    longer = 10.0 ** math.floor(math.log10(ARROW_SHARE * width / typical))
    known = np.isfinite(pairs.error)
    start, arrow = pairs.one[known], pairs.error[known] * longer
    arrows = (start.real, start.imag, arrow.real, arrow.imag)
    axes.quiver(*arrows, color=FOUND, angles="xy", scale_units="xy", scale=1, width=0.004)
    axes.scatter(pairs.one.real, pairs.one.imag, s=8, color=FOUND)
    axes.scatter(pairs.wrong_one.real, pairs.wrong_one.imag, s=30, marker="x", color=WRONG, label="outlier")
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
    axes.set(xlabel="x / px", ylabel="y / px")
    axes.set_title(f"residuals, {longer:g} times as long", loc="left", fontsize=11)
    if len(pairs.wrong_one):
        axes.legend(loc="lower left", fontsize=9, framealpha=0.75)


def _histogram(axes: Axes, pairs: Pairs, registration: Registration) -> None:
    distance = np.abs(pairs.error[np.isfinite(pairs.error)])
    axes.hist(distance, bins="sqrt", color=FOUND)
    for at, name, style in (
        (registration.residual_px, f"residual {registration.residual_px:.3f} px", "-"),
        (registration.localization_px, f"localization alone {registration.localization_px:.3f} px", ":"),
        (WORST_PX, "half a pixel", "--"),
    ):
        # Half a pixel is far from what good registrations show.
        if math.isfinite(at) and (at != WORST_PX or np.max(distance, initial=0.0) > WORST_PX / 2):
            axes.axvline(at, color="black", lw=1.2, linestyle=style, label=name)
    axes.set(xlabel="distance of a spot from where the others put it / px", ylabel="pairs of spots")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=9, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)

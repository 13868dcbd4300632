"""Colours that colour-blind people can tell apart, and those of the two themes."""

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

Rgb = tuple[int, int, int]

# Okabe & Ito, "Color Universal Design" (2008), without its black; its yellow, which white paper swallows,
# comes last.
OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#0072B2", "#F0E442")
MOBILITY_COLOURS = {
    "immobile": "#0072B2",
    "intermediate": "#56B4E9",
    "mobile": "#E69F00",
    "unknown": "#999999",
}
OPEN_COLOUR = "#F0E442"  # of puncta where calcium flows


def rgb(colour: str) -> Rgb:
    """Red, green and blue of `#RRGGBB`."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def viridis(n: int = 256) -> NDArray[np.uint8]:
    """Matplotlib's viridis in `n` steps, (n, 3)."""
    shades = np.asarray(colormaps["viridis"](np.linspace(0, 1, n)))[:, :3]
    steps: NDArray[np.uint8] = np.rint(shades * 255).astype(np.uint8)
    return steps


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of the window: what lies behind, writing, weak lines, and what must not be overlooked."""

    background: str
    panel: str
    text: str
    weak: str
    accent: str
    caution: str
    alarm: str


THEMES = {
    "dark": Theme("#15181C", "#20252B", "#E8EAED", "#6A7682", "#56B4E9", "#E69F00", "#FF7A45"),
    "light": Theme("#FFFFFF", "#F1F3F5", "#1B1F24", "#7E8892", "#0072B2", "#8A5A00", "#8E0018"),
}

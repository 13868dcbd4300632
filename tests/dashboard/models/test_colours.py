"""Colours that stand side by side are told apart by colour-blind people, too."""

from itertools import combinations

import numpy as np
import pytest

from dashboard.models.colours import MOBILITY_COLOURS, OPEN_COLOUR, THEMES, rgb

# Machado, Oliveira & Fernandes, IEEE Trans. Vis. Comput. Graph. 15, 1291 (2009): full severity, linear RGB.
SEEN_BY = {
    "trichromats": np.eye(3),
    "protanopes": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopes": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = TO_XYZ.sum(axis=1)
TOLD_APART = 15.0  # CIE76; beside each other, one notices 2.3


def lab(colour, seen_by):
    """CIELAB of `#RRGGBB` as somebody sees it."""
    share = np.array(rgb(colour)) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    x, y, z = (TO_XYZ @ np.clip(SEEN_BY[seen_by] @ linear, 0, 1)) / WHITE
    f = [np.cbrt(v) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize(
    "side_by_side",
    [
        [*MOBILITY_COLOURS.values(), "#000000"],
        [OPEN_COLOUR, "#FFFFFF", MOBILITY_COLOURS["mobile"]],
        *([t.text, t.accent, t.caution, t.alarm, t.weak, t.background] for t in THEMES.values()),
        ["#FF0000", "#FFFFFF", "#808080", "#000000"],  # saturated pixels in a grey picture
        ["#FF0000", "#FF00FF", "#00FF00", "#FFFFFF"],  # and in the composite
    ],
    ids=["mobility", "puncta", *THEMES, "saturated", "composite"],
)
def test_colours_side_by_side_are_told_apart(side_by_side, seen_by):
    for one, other in combinations(side_by_side, 2):
        assert np.linalg.norm(lab(one, seen_by) - lab(other, seen_by)) > TOLD_APART, (one, other)


def test_lightness_is_that_of_the_definition():
    assert lab("#FFFFFF", "deuteranopes") == pytest.approx([100, 0, 0], abs=0.1)
    assert lab("#777777", "trichromats") == pytest.approx([50.0, 0, 0], abs=0.1)

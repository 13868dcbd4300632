"""The light of the whole field: the lamp's factor on all of it, and where calcium is up over a wide area.

A lamp that flickers, and bleaching, change every place by one factor at once; a wave is graded, lasts and
travels. So the lamp is read off the places outside the wave as it was, and while a wave leaves none, the
lamp is taken as it was before.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.field.blocks import Blocks, median_of_9

Mask = NDArray[np.bool_]

WAVE_ON_DFF, WAVE_ON_Z = 0.06, 5.0  # a wave is this high somewhere, in ΔF/F0 and in noise sd …
WAVE_OFF_DFF, WAVE_OFF_Z = 0.03, 3.0  # … and reaches as far as it is this high
FEWEST_QUIET = 0.15  # share of the field that must be outside waves to read the lamp off it
LAMP_RATE = 0.1  # of the exponential mean that stands in for the lamp
MIN_LAMP = 0.1  # of that mean


@dataclass(frozen=True, slots=True)
class FieldLight:
    """One frame: the lamp's factor, and the rise (ΔF/F0) of each block with its noise sd, (h, w)."""

    lamp: float
    rise: Blocks
    noise: Blocks


class Lamp:
    """Follows the factor on all light relative to the rest that is known of every place."""

    def __init__(self) -> None:
        self._usual = 1.0

    def step(self, light: Blocks, rest: Blocks, variance: Blocks, wave: Mask) -> FieldLight:
        """Read the lamp of one frame.

        Parameters
        ----------
        light, rest
            Sums over blocks of the light in this frame and at rest, (h, w).
        variance
            Relative to the light: that of a block's sum.
        wave
            Blocks in a wave in the last frame, with a margin.
        """
        ratio = light / rest
        noise = np.sqrt(variance / rest)
        quiet = ~wave
        if quiet.mean() < FEWEST_QUIET:
            lamp = self._usual
        else:
            # Nothing is seen with less light, but the ratio must stay one.
            lamp = max(_lowest_mode(ratio[quiet], noise[quiet]), MIN_LAMP * self._usual)
            self._usual += LAMP_RATE * (lamp - self._usual)
        noise = noise / np.sqrt(lamp)
        rise = np.empty_like(ratio)
        median_of_9(ratio / lamp - 1.0, rise)
        return FieldLight(lamp, rise, noise)


def _lowest_mode(ratio: Blocks, noise: Blocks) -> float:
    """Mean of the ratios that agree with the lowest quarter: what rises in a part is left out."""
    quarter = len(ratio) // 4
    low = np.partition(ratio, quarter)[quarter]
    weight = (ratio < low + 4 * noise) / noise**2
    return float((weight @ ratio) / weight.sum())

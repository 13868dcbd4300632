"""The frames from which the rest of a field is first taken, once enough of them are equally bright."""

from collections import deque

import numpy as np

from stream.field.maps import DARK_PHOTONS, Map
from stream.field.rest import WARM_UP_FRAMES, Rest

# A frame this many times darker (shutter, lamp off) or brighter (flash) than usual is not measured.
LIGHT_RANGE = 5.0


def is_usual(light: float, usual: float) -> bool:
    """Whether the mean of a frame is within LIGHT_RANGE of what it usually is."""
    return usual < light * LIGHT_RANGE and light < usual * LIGHT_RANGE


class WarmUp:
    """Collects frames.

    Parameters
    ----------
    n_blocks
        Blocks along both sides.
    """

    def __init__(self, n_blocks: tuple[int, int]) -> None:
        self._n_blocks = n_blocks
        # Twice as many as are needed: with flashes among them there are still enough.
        self._frames: deque[tuple[Map, float]] = deque(maxlen=2 * WARM_UP_FRAMES)

    def step(self, bins: Map, light: float) -> tuple[Rest, float] | None:
        """Take a frame and its mean; gives the rest and the usual mean once there are enough alike.

        Alike are those within LIGHT_RANGE of the median, so that no frame alone decides. Black ones do not
        count.
        """
        if light < DARK_PHOTONS:
            return None
        self._frames.append((bins / np.float32(light), light))
        median = sorted(mean for _, mean in self._frames)[len(self._frames) // 2]
        alike = [frame for frame in self._frames if is_usual(frame[1], median)][-WARM_UP_FRAMES:]
        if len(alike) < WARM_UP_FRAMES:
            return None
        usual = float(np.mean([mean for _, mean in alike]))
        return Rest(np.array([frame for frame, _ in alike]), usual, self._n_blocks), usual

    def forget(self) -> None:
        """Begin anew: the light is as it was."""
        self._frames.clear()

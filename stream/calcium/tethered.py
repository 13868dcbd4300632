"""Calcium of an indicator that is tethered to the channels: the light of a spot over its own at rest.

The spot's light is counted in units of the level around it, so waves, bleaching and the lamp cancel. A spot
that blinks off says nothing about calcium: those frames are not measured.
"""

import numpy as np

from stream.calcium.cytosolic import Measured
from stream.calcium.photometry import SHOT_FACTOR, Spots, measure_spots
from stream.calcium.sampling import Array, Image
from stream.calcium.survivors import survivors
from stream.calcium.traces import Traces

# Before a spot has been seen, it is taken for a typical one, known to about the scatter between spots.
SPREAD = 0.35
DARK_SHARE = 0.5  # of the resting light: a spot below has blinked off
RATE = 0.02  # of the resting light's mean, in the end
KNOWN_FRAMES = 5  # at rest, and a spot counts for what is typical
TYPICAL_RATE = 0.05
MIN_LEVEL = 1e-3  # photons

SPOT = np.dtype([("id", np.int64), ("rest", np.float64), ("variance", np.float64), ("frames", np.int64)])


class SpotGauge:
    """Measures spots at tracks.

    Parameters
    ----------
    sigma_px, annulus_px
        σ of the spots, and the radii of the ring that tells the level around them.
    """

    def __init__(self, sigma_px: float, annulus_px: tuple[float, float]) -> None:
        self._sigma, self._annulus = sigma_px, annulus_px
        self.found: Spots | None = None  # what the last frame showed
        self._spots = np.zeros(0, SPOT)  # of living tracks, by ascending id
        self._typical = np.nan

    def measure(self, traces: Traces, image: Image, at: tuple[Array, Array]) -> Measured:
        """ΔF/F0 at all traces (ascending ids); their tracks are `at` x and y in `image`, photons (H, W)."""
        self.found = found = measure_spots(image, *at, self._sigma, self._annulus)
        level = np.maximum(found.background, MIN_LEVEL)
        light = found.photons / level
        variance = (
            found.dark_variance + SHOT_FACTOR * found.excess * np.maximum(found.photons, 0)
        ) / level**2
        seen = np.isfinite(light) & np.isfinite(variance) & (variance > 0)
        self._follow(traces.state["id"], light[seen])
        spots, n = self._spots, len(light)
        rest = np.maximum(spots["rest"], 1e-9)
        lit = seen & (light > DARK_SHARE * rest)
        dff = np.where(lit, light / rest - 1, np.nan)
        # What is not known of the rest shows in all frames alike, and more in bright ones.
        doubt = spots["variance"] * np.maximum(light / rest, 1) ** 2
        sd = np.sqrt(np.where(lit, variance + doubt, np.nan)) / rest
        self._light, self._variance = np.where(lit, light, np.nan), variance
        return Measured(dff, sd, np.zeros((n, 0, 0), np.float32), np.zeros(n))

    def learn(self, traces: Traces) -> None:
        """Take the frame last measured into the resting light, of the spots without an event."""
        spots, light, variance = self._spots, self._light, self._variance
        quiet = np.isfinite(light) & ~traces.state["open"]
        gain = np.maximum(spots["variance"] / (spots["variance"] + variance), RATE)[quiet]
        spots["rest"][quiet] += gain * (light - spots["rest"])[quiet]
        spots["variance"][quiet] = (1 - gain) * spots["variance"][quiet] + RATE**2 * variance[quiet]
        spots["frames"][quiet] += 1

    def _follow(self, ids: np.ndarray, light: Array) -> None:
        """Bring the spots to the tracks `ids`; `light` is what all show now."""
        old = self._spots
        known = old["rest"][old["frames"] > KNOWN_FRAMES]
        if len(known) and np.isfinite(self._typical):
            self._typical += TYPICAL_RATE * (float(np.median(known)) - self._typical)
        elif not np.isfinite(self._typical) and len(light):
            self._typical = float(np.median(light))
        spots = np.zeros(len(ids), SPOT)
        spots["id"] = ids
        stays, rows = survivors(old["id"], ids)
        spots[stays] = old[rows]
        new = ~stays | (spots["frames"] == 0)
        spots["rest"][new], spots["variance"][new] = self._typical, (SPREAD * self._typical) ** 2
        self._spots = spots

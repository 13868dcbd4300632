"""Calcium of an indicator that is tethered to the channels: the light of a spot over its own at rest.

The spot's light is counted in units of the level around it, so waves, bleaching and the lamp cancel. A spot
that blinks off says nothing about calcium: those frames are not measured, nor are those without a level.
"""

import numpy as np

from stream.calcium.advance import end_event
from stream.calcium.cytosolic import Measured
from stream.calcium.photometry import SHOT_FACTOR, Spots, measure_spots
from stream.calcium.sampling import BRIGHT_Z, Array, Image
from stream.calcium.survivors import survivors
from stream.calcium.traces import Mask, Traces

# Before a spot has been seen, it is taken for a typical one, known to about the scatter between spots.
SPREAD = 0.35
DARK_SHARE = 0.5  # of the resting light: a spot below has blinked off
RATE = 0.02  # of the resting light's mean, in the end
KNOWN_FRAMES = 5  # at rest, and a spot counts for what is typical
ENOUGH_KNOWN = 5  # spots that tell what is typical; while there are fewer, all that shine now do
TYPICAL_RATE = 0.05
# Standard deviations of the photons above which a spot shines for sure, and the least light, in pixels of
# the level around it: rounding errors of an image without any noise are no spots.
LIT_Z, MIN_LIGHT = 5.0, 1e-2
LOST_FRAMES = 50  # that a spot shines well below its rest in a row: longer than blinks, so the rest is wrong

SPOT = np.dtype(
    [
        ("id", np.int64),
        ("rest", np.float64),  # NaN until any spot has shone
        ("variance", np.float64),
        ("frames", np.int64),  # at rest
        ("lost_frames", np.int64),  # since it last was so bright as at rest; it shone in all of them
    ]
)


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
        # Without a level (the lamp is off, or a shutter closed) there is nothing to count the light in.
        has_level = found.background > BRIGHT_Z * np.sqrt(found.background_variance)
        level = np.where(has_level, found.background, np.nan)
        light = found.photons / level
        variance = (
            found.dark_variance + SHOT_FACTOR * found.excess * np.maximum(found.photons, 0)
        ) / level**2
        seen = np.isfinite(light) & np.isfinite(variance) & (variance > 0)
        shines = seen & (found.photons > LIT_Z * np.sqrt(found.dark_variance)) & (light > MIN_LIGHT)
        self._follow(traces.state["id"], light, shines)
        spots, n = self._spots, len(light)
        rest = spots["rest"]
        lit = seen & (light > DARK_SHARE * rest)
        self._lost = shines & (light <= DARK_SHARE * rest)
        dff = np.where(lit, light / rest - 1, np.nan)
        # What is not known of the rest shows in all frames alike, and more in bright ones.
        doubt = spots["variance"] * np.maximum(light / rest, 1) ** 2
        sd = np.sqrt(np.where(lit, variance + doubt, np.nan)) / rest
        self._light, self._variance = np.where(lit | self._lost, light, np.nan), variance
        return Measured(dff, sd, np.zeros((n, 0, 0), np.float32), np.zeros(n))

    def learn(self, traces: Traces) -> None:
        """Take the frame last measured into the resting light, of the spots without an event."""
        self._accept_lasting(traces)
        spots, light, variance, lost = self._spots, self._light, self._variance, self._lost
        spots["lost_frames"] = np.where(lost, spots["lost_frames"] + 1, spots["lost_frames"])
        spots["lost_frames"][np.isfinite(light) & ~lost] = 0
        # A rest that was seen in a few frames only is given up after about as many.
        patience = np.minimum(spots["frames"] + KNOWN_FRAMES, LOST_FRAMES)
        wrong = lost & (spots["lost_frames"] > patience)
        self._begin(wrong, light, variance)
        quiet = np.isfinite(light) & ~lost & ~traces.state["open"]
        gain = np.maximum(spots["variance"] / (spots["variance"] + variance), RATE)[quiet]
        spots["rest"][quiet] += gain * (light - spots["rest"])[quiet]
        spots["variance"][quiet] = (1 - gain) * spots["variance"][quiet] + RATE**2 * variance[quiet]
        spots["frames"][quiet] += 1

    def _accept_lasting(self, traces: Traces) -> None:
        """End events that are too long for one; what lasts is the new rest."""
        state = traces.state
        lasting = state["open"] & state["void"]
        if not lasting.any():
            return
        weight = np.maximum(state["fast_weight"], 1e-9)
        up, rest = 1 + state["fast"] / weight, self._spots["rest"].copy()
        self._begin(lasting, rest * up, state["fast_variance"] * (rest / weight) ** 2)
        for row in np.flatnonzero(lasting).tolist():
            end_event(state, traces.course, traces.total, row, int(state["length"][row]))
        state["length"][lasting] = 0  # that was counted in the old rest

    def _begin(self, spots: Mask, light: Array, variance: Array) -> None:
        """Give these spots a new rest, as if they had been seen once."""
        self._spots["rest"][spots], self._spots["variance"][spots] = light[spots], variance[spots]
        self._spots["frames"][spots], self._spots["lost_frames"][spots] = 1, 0

    def _follow(self, ids: np.ndarray, light: Array, shines: Mask) -> None:
        """Bring the spots to the tracks `ids`, of which some shine now with that light."""
        spots = np.zeros(len(ids), SPOT)
        spots["id"] = ids
        stays, rows = survivors(self._spots["id"], ids)
        spots[stays] = self._spots[rows]
        known = spots["frames"] > KNOWN_FRAMES
        if np.count_nonzero(known) >= ENOUGH_KNOWN:
            self._typical += TYPICAL_RATE * (float(np.median(spots["rest"][known])) - self._typical)
        elif (known | shines).any():
            self._typical = float(np.median(np.where(known, spots["rest"], light)[known | shines]))
        new = spots["frames"] == 0
        spots["rest"][new], spots["variance"][new] = self._typical, (SPREAD * self._typical) ** 2
        self._spots = spots

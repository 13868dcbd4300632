"""Which events come from the punctum they were seen at, and which from beside it."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream.calcium.cloud import HEIGHT, SIGMA, X, Y, fit_cloud
from stream.calcium.sampling import RADIUS_PX, SIDE, Array, Image, Index
from stream.calcium.traces import Records, Traces

# An event comes from its punctum if its centre lies within 3 standard deviations of it. Localization, motion
# in an exposure and registration add PLACE_SD_PX; what lies farther off than FARTHEST_PX is a spark, however
# unsure its place (simulated ones keep 3 px off; a match in the evaluation is within 2.3).
CENTRE_Z, PLACE_SD_PX, FARTHEST_PX = 3.0, 0.5, 2.5
NEAR_PX, NEARER_PX = 0.7, 0.3  # farther off than this, a track nearer by that much is where it comes from
SURE_SD_PX, SURE_FRAMES = 0.25, 3  # known this well after so many frames, the place is settled …
FADED = 0.6  # … and below this share of its height, an event tells nothing new about it
FIRST_STEPS, STEPS = 8, 1  # of the fit when an event opens, and later
SOURCE_Z = 6.0  # events this clear are explained away at other tracks
SAME_SOURCE_PX = 2.0  # centres of one event, seen from two tracks


def locate(traces: Traces, x: Array, y: Array, noise: float) -> None:
    """Fit the clouds of all events that are on, and tell which come from their own track, in place.

    Parameters
    ----------
    x, y
        Positions of the tracks, (n,).
    noise
        Noise relative to that of the photons.
    """
    _locate(traces.state, traces.total, x, y, noise)


@njit(cache=True, nogil=True)
def _locate(states: Records, totals: Image, x: Array, y: Array, noise: float) -> None:
    for i in range(len(states)):
        s = states[i]
        if not s.open or not s.weight > 0.0:
            continue
        cloud = s.cloud
        first = cloud[HEIGHT] == 0.0
        if not first:
            settled = s.centre_sd < SURE_SD_PX and s.length - s.opened >= SURE_FRAMES
            if settled or s.fast < FADED * s.top * s.fast_weight:
                continue
        else:
            cloud[HEIGHT] = s.top
        variance = fit_cloud(
            totals[s.slot], s.weight, s.offset / s.weight, cloud, FIRST_STEPS if first else STEPS
        )
        s.centre_sd = noise * math.sqrt(variance * s.weight_variance) / s.weight
        away = math.hypot(cloud[X], cloud[Y])
        s.centred = cloud[HEIGHT] > 0.0 and away < min(
            CENTRE_Z * math.hypot(s.centre_sd, PLACE_SD_PX), FARTHEST_PX
        )
        if s.centred and away > NEAR_PX:
            for j in range(len(states)):
                if math.hypot(x[j] - x[i] - cloud[X], y[j] - y[i] - cloud[Y]) < away - NEARER_PX:
                    s.centred = False


def sources(traces: Traces, x: Array, y: Array) -> tuple[Array, Array, Array, Index]:
    """Clouds of the clear events: x, y, σ and the track each was seen at, for `calcium.sampling.sample`."""
    state = traces.state
    cloud = state["cloud"]
    rows = np.flatnonzero(state["open"] & (state["peak_z"] > SOURCE_Z) & (cloud[:, HEIGHT] > 0))
    # An event seen from several tracks is told once, by its own one if there is.
    rows = rows[np.lexsort((-state["peak_z"][rows], ~state["centred"][rows]))]
    at_x, at_y = x[rows] + cloud[rows, X], y[rows] + cloud[rows, Y]
    kept = _first_of_each(at_x, at_y)
    rows = rows[kept]
    return at_x[kept], at_y[kept], np.ascontiguousarray(cloud[rows, SIGMA]), rows


@njit(cache=True, nogil=True)
def _first_of_each(x: Array, y: Array) -> NDArray[np.bool_]:
    kept = np.ones(len(x), np.bool_)
    for i in range(len(x)):
        for j in range(i):
            if kept[j] and math.hypot(x[i] - x[j], y[i] - y[j]) < SAME_SOURCE_PX:
                kept[i] = False
    return kept


def template_gain(sigma_px: float, away_px: float, template_px: float) -> float:
    """Height that a spot of `template_px`, fitted with a level, gives a cloud of height 1.

    Clouds narrower than the spot read too low, wider ones too high by up to a fifth (their skirts lower the
    level less than their core lifts the spot).
    """
    at = np.arange(SIDE) - RADIUS_PX
    inside = np.hypot(at[:, None], at) <= RADIUS_PX + 0.5
    spot = np.exp(-0.5 * (at[:, None] ** 2 + at**2) / template_px**2)[inside]
    cloud = np.exp(-0.5 * (at[:, None] ** 2 + (at - away_px) ** 2) / sigma_px**2)[inside]
    spot = spot - spot.mean()
    return float(spot @ cloud / (spot @ spot))

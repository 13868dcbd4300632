"""Follows the calcium traces frame by frame: when an event is on.

A leaky sum of ΔF/F0, the matched filter of a rise that decays exponentially, opens an event above `on_z`
noise standard deviations. It ends when a faster one has stayed below `off_z`, or where the trace rises anew
before that: then the next one begins. What an event was like is told at its end, from the frames kept here.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stream.calcium.cloud import SIGMA, START_SIGMA_PX
from stream.calcium.sampling import Array, Image
from stream.calcium.traces import BEFORE, Records, Rows, Traces

LEAK = 0.8  # of the matched filter, a frame: with decays over 3 to 10 frames it loses less than a tenth
FAST_LEAK = 0.5  # of the one that ends events
LOWEST_Z = -2.0  # deeper frames count as this: one bad frame must not hide what follows
CLOSE_FRAMES = 2  # frames below off_z that end an event
KEPT = 3  # frames of an event's end that may belong to the next one's beginning
# A new rise within an event: the trace has lost this share of its height, then gains as much noise as opens
# an event, and this share of the height, which multiplicative fluctuations do not reach.
LOST_SHARE, GAIN_SHARE = 0.3, 0.15


def advance(
    traces: Traces,
    rows: Rows,
    now: Records,
    elapsed: int,
    patch: Image,
    pixel_variance: Array,
    z: tuple[float, float],
) -> NDArray[np.int64]:
    """Take one frame into the traces, in place.

    Parameters
    ----------
    traces, rows
        Those that are measured, (m,); one that comes again takes its frames in this order.
    now
        Their frames, rows of `MOMENT` (m,); a NaN ΔF/F0 was not measured.
    elapsed
        Frames since the last one.
    patch, pixel_variance
        Images around the tracks (m, SIDE, SIDE), or (m, 0, 0), and the variance of their pixels (m,).
    z
        Noise standard deviations that open an event, and below which it ends.

    Returns
    -------
    ended
        Where an event ended, the number of moments in the course that were its; else 0. Call
        `end_event` for those, when the event has been told.
    """
    ended = np.zeros(len(rows), np.int64)
    _advance(traces.state, traces.course, traces.total, rows, now, elapsed, patch, pixel_variance, *z, ended)
    return ended


@njit(cache=True, nogil=True)
def _advance(
    states: Records,
    courses: Records,
    totals: Image,
    rows: Rows,
    now: Records,
    elapsed: int,
    patch: Image,
    pixel_variance: Array,
    on_z: float,
    off_z: float,
    ended: NDArray[np.int64],
) -> None:
    leak, fast = LEAK**elapsed, FAST_LEAK**elapsed
    for k in range(len(rows)):
        s, m = states[rows[k]], now[k]
        course, total = courses[s.slot], totals[s.slot]
        s.sum *= leak
        s.power *= leak * leak
        s.fast *= fast
        s.fast_weight *= fast
        s.fast_variance *= fast * fast
        variance = float(m.sd) ** 2
        if math.isnan(m.dff) or not 0.0 < variance < math.inf:
            continue
        s.sum += max(m.dff, LOWEST_Z * m.sd) / variance
        s.power += 1.0 / variance
        s.fast += m.dff
        s.fast_weight += 1.0
        s.fast_variance += variance
        z = s.sum / math.sqrt(s.power)
        mean, mean_sd = s.fast / s.fast_weight, math.sqrt(s.fast_variance) / s.fast_weight
        _remember(s, course, m)
        _add_image(s, total, m, max(mean, 0.0), patch[k], pixel_variance[k])
        if not s.open:
            if z > on_z and s.length > 1:
                s.open, s.void, s.opened, s.low_frames = True, False, s.length, 0
                s.peak_z, s.top, s.bottom = z, mean, np.inf
            continue
        s.peak_z = max(s.peak_z, z)
        if s.bottom == np.inf:
            s.top = max(s.top, mean)
        if mean < (1.0 - LOST_SHARE) * s.top and mean < s.bottom:
            s.bottom, s.bottom_at = mean, s.length - 1
        s.low_frames = s.low_frames + 1 if mean < off_z * mean_sd else 0
        if s.low_frames >= CLOSE_FRAMES:
            ended[k] = s.length
        elif mean - s.bottom > max(on_z * mean_sd, GAIN_SHARE * s.top) and m.dff > s.bottom:
            ended[k] = s.bottom_at + 1


@njit(cache=True, nogil=True)
def _remember(s: Any, course: Records, m: Any) -> None:
    """Append a moment; a course that is full loses its first one, and with it the event its beginning."""
    full = len(course) if s.open else BEFORE
    if s.length >= full:
        s.void = s.open
        for i in range(1, s.length):
            course[i - 1] = course[i]
        s.length -= 1
        s.bottom_at -= 1
        if s.bottom_at < 0:
            s.bottom = np.inf  # it is forgotten too
    course[s.length] = m
    s.length += 1


@njit(cache=True, nogil=True)
def _add_image(s: Any, total: Image, m: Any, mean: float, patch: Image, variance: float) -> None:
    """Add a patch with the weight of its calcium; what leads up to an event fades."""
    if patch.size == 0:
        return
    weight, fade = mean, 1.0
    if not s.open:
        weight, fade = max(float(m.dff), 0.0), FAST_LEAK
        s.weight *= fade
        s.weight_variance *= fade * fade
        s.offset[0] *= fade
        s.offset[1] *= fade
    old, new = np.float32(fade), np.float32(weight)
    flat, added = total.reshape(-1), patch.reshape(-1)
    if weight > 0.0:
        for i in range(len(flat)):
            flat[i] = old * flat[i] + new * added[i]
        s.weight += weight
        s.weight_variance += weight * weight * variance
        s.offset[0] += weight * (m.x - round(m.x))
        s.offset[1] += weight * (m.y - round(m.y))
    elif fade < 1.0:
        for i in range(len(flat)):
            flat[i] *= old


@njit(cache=True, nogil=True)
def end_event(states: Records, courses: Records, totals: Image, row: int, length: int) -> None:
    """Forget an event that had the first `length` moments; if the trace rises anew, the next one is on."""
    s = states[row]
    course = courses[s.slot]
    anew = length < s.length
    first = max(min(length, s.length) - KEPT, 0)
    for i in range(first, s.length):
        course[i - first] = course[i]
    s.length -= first
    totals[s.slot] = 0.0
    s.weight, s.weight_variance, s.offset[:] = 0.0, 0.0, 0.0
    s.cloud[:] = 0.0
    s.cloud[SIGMA] = START_SIGMA_PX
    s.centred, s.centre_sd = False, 0.0
    s.void, s.low_frames, s.bottom = False, 0, np.inf
    s.open, s.opened, s.owner = anew, s.length, s.id
    if anew:
        s.top = s.fast / s.fast_weight
        s.peak_z = s.sum / math.sqrt(s.power)
    else:
        s.sum, s.power, s.fast, s.fast_weight, s.fast_variance = 0.0, 0.0, 0.0, 0.0, 0.0

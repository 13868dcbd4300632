"""A forward filter of a tethered indicator's spot under every hypothesis of its levels.

Light has a ladder of levels: the spot's resting brightness F0 is one of `N_RESTS` rungs around the track's
own scale, an opening lifts it by one of `OPENINGS`. PIEZO1 is a trimer, so a spot may hold up to three
fluorophores: a blink of one of them leaves ⅔, ½ or ⅓ of the light. All of that is a grid of hypotheses, and
a hidden Markov model is filtered (Rabiner, Proc. IEEE 77, 257 (1989)) under each, so levels need no fit and
have no local optimum. What the compiled code knows is all in this file, as its cache watches no other.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = NDArray[np.float32]

RUNG = 2**0.2  # ratio of neighbouring levels: 3, 5 and 8 rungs are 1.52, 2 and 3.03
N_RESTS = 16  # hypotheses of F0, a factor of 3 each way
REST_0 = N_RESTS // 2
OPENINGS = np.array([3, 4, 5, 6, 7, 8, 10, 12])  # rungs: F/F0 of 1.5, 1.7, 2, 2.3, 2.6, 3, 4, 5.3
DIMMINGS = np.array([3, 5, 8])  # rungs: ⅔, ½ and ⅓ of the light
N_LEVELS = int(DIMMINGS[-1] + N_RESTS + OPENINGS[-1])
# Levels relative to the track's scale; rung DIMMINGS[-1] + k is the hypothesis k of F0.
LADDER = (RUNG ** (np.arange(N_LEVELS) - DIMMINGS[-1] - REST_0)).astype(np.float32)

# The grid of hypotheses: each opening with each rest, then each rest of a channel that never opens.
FIRST_NEVER = len(OPENINGS) * N_RESTS
N_GRID = FIRST_NEVER + N_RESTS

# States. BETWEEN is a frame in which something changed: light is the mean over the exposure, so it may lie
# anywhere up to the open level. Dimmed states follow, closed ones first, where one of several
# fluorophores is dark.
DARK, BETWEEN, CLOSED, OPEN = range(4)
N_SINGLE = 4
DIM_CLOSED = 4 + np.arange(len(DIMMINGS))
DIM_OPEN = DIM_CLOSED[-1] + 1 + np.arange(len(DIMMINGS))
N_STATES = int(DIM_OPEN[-1]) + 1
IS_OPEN = np.isin(np.arange(N_STATES), [OPEN, *DIM_OPEN])
DROP = np.concatenate([np.zeros(N_SINGLE, np.int64), DIMMINGS, DIMMINGS])

# Prior share of channels that never open; without them, the highest level seen is too often an opening.
NEVER = 0.3
OPENING_PRIOR = np.append(np.full(len(OPENINGS), (1 - NEVER) / len(OPENINGS)), NEVER)
# Rungs of each opening; a channel that never opens is as bright open as closed.
LIFTS = np.append(OPENINGS, 0)
PRIOR = OPENING_PRIOR.astype(np.float32)
LOWEST = int(DIMMINGS[-1])
# Light varies by more than its photons: position, focus, and levels that fall between two rungs (±7 %).
LEVEL_SD = 0.08
# Frames that nothing explains: a share of .002, spread over six times the resting light, 5 × that in BETWEEN.
OUTLIER = 0.002 / 6
SQRT_2PI = math.sqrt(2 * math.pi)
# Hypotheses drift, so that bleaching is followed: a rung up or down in 250 frames each, another size of
# opening in 2000. Moved every 8th frame, as that is as good and cheaper.
DRIFT_FRAMES = 8
DRIFT = 0.002 * DRIFT_FRAMES * 2
REDRAW = 0.0005 * DRIFT_FRAMES
TINY = 1e-10  # no hypothesis is ever ruled out
RECENTRE = 1.5  # rungs that F0 may be off the grid's centre


@njit(cache=True, nogil=True, fastmath=True)
def filter_frame(
    slots: NDArray[np.int64],
    drifts: NDArray[np.bool_],
    photons: Array,
    dark_variance: Array,
    shot: float,
    single_weights: Weights,
    several_weights: Weights,
    scale: Array,
    rest: Array,
    single: tuple[Weights, Weights],
    several: tuple[Weights, Weights],
    posterior: Array,
) -> None:
    """Take one frame of n spots into their filters, in place.

    Parameters
    ----------
    slots
        Row of each spot in the weights, `scale` and `rest` (n,).
    drifts
        Whether its hypotheses move now (n,).
    photons, dark_variance
        As in `stream.calcium.photometry.Spots`, all finite (n,).
    shot
        Variance that each photon of the spot adds.
    single_weights, several_weights
        Joint posterior of the states of a lone fluorophore (slots, 4, 144), and of several (slots, 10, 144),
        under each hypothesis; all sum to 1.
    scale
        Photons of the grid's centre (slots,).
    rest
        Mean of F0 in photons (slots,), renewed with each drift.
    single, several
        Chances (4, 4) and (10, 10), of channels that open and of those that never do.
    posterior
        Filled: probability of closed and of open (n, 2).
    """
    levels = np.empty((2, N_LEVELS), np.float32)
    floor = np.empty(N_RESTS, np.float32)
    gain = np.empty((N_STATES, N_GRID), np.float32)
    new_single, total_single = np.empty((N_SINGLE, N_GRID), np.float32), np.empty(N_SINGLE, np.float32)
    new_several, total_several = np.empty((N_STATES, N_GRID), np.float32), np.empty(N_STATES, np.float32)
    for i in range(len(slots)):
        slot = slots[i]
        of_single, of_several = single_weights[slot], several_weights[slot]
        _gains(photons[i], dark_variance[i], shot, scale[slot], levels, floor, gain)
        _advance(of_single, new_single, single, gain, total_single)
        _advance(of_several, new_several, several, gain, total_several)
        norm = np.float32(1.0) / (total_single.sum() + total_several.sum())
        _scale(new_single, norm, of_single)
        _scale(new_several, norm, of_several)
        posterior[i, 0] = (total_single[CLOSED] + total_several[CLOSED]) * norm
        posterior[i, 1] = (total_single[OPEN] + total_several[OPEN]) * norm
        if drifts[i]:
            off = _mean_rest(of_single) + _mean_rest(of_several) - REST_0
            rest[slot] = scale[slot] * RUNG**off
            shift = (off > RECENTRE) - (off < -RECENTRE)
            scale[slot] *= RUNG**shift
            _drift(of_single, shift)
            _drift(of_several, shift)


@njit(cache=True, nogil=True, fastmath=True)
def _scale(source: Weights, factor: float, target: Weights) -> None:
    """Write the multiple of an array (states, 144) into another."""
    for state in range(len(source)):
        for h in range(N_GRID):
            target[state, h] = factor * source[state, h]


@njit(cache=True, nogil=True, fastmath=True)
def _gains(
    photons: float,
    dark_variance: float,
    shot: float,
    scale: float,
    levels: Weights,
    floor: Weights,
    gain: Weights,
) -> None:
    """Likelihood of the frame, times √2π, in every state under every hypothesis (10, 144).

    `levels` (2, N_LEVELS) and `floor` (N_RESTS,) are room to work in.
    """
    s, unit, dark_sd = np.float32(photons), np.float32(scale), np.float32(math.sqrt(dark_variance))
    half, root = np.float32(-0.5), np.float32(SQRT_2PI)
    at_level, up_to_level = levels[0], levels[1]
    low = np.float32(-2.0) * dark_sd
    for j in range(N_LEVELS):
        level = LADDER[j] * unit
        variance = np.float32(dark_variance) + np.float32(shot) * level
        sd = math.sqrt(variance + np.float32(LEVEL_SD * LEVEL_SD) * level * level)
        at_level[j] = math.exp(half * ((s - level) / sd) ** 2) / sd
        high = level + np.float32(2.0) * sd
        up_to_level[j] = root / (high - low) if low < s < high else np.float32(0.0)
    dark_gain = np.float32(math.exp(half * (s / dark_sd) ** 2) / dark_sd)
    for k in range(N_RESTS):
        floor[k] = np.float32(OUTLIER) * root / (LADDER[LOWEST + k] * unit)
    for m in range(len(LIFTS)):
        lift, at = LIFTS[m], m * N_RESTS
        for k in range(N_RESTS):
            gain[DARK, at + k] = dark_gain + floor[k]
            gain[BETWEEN, at + k] = np.float32(5.0) * floor[k] + up_to_level[LOWEST + lift + k]
        for state in range(CLOSED, N_STATES):
            first = LOWEST - DROP[state] + IS_OPEN[state] * lift
            for k in range(N_RESTS):
                gain[state, at + k] = at_level[first + k] + floor[k]


@njit(cache=True, nogil=True, fastmath=True)
def _advance(
    old: Weights, new: Weights, chances: tuple[Weights, Weights], gain: Weights, total: Weights
) -> None:
    """Predict and update the weights (states, 144) of one spot; `total` is their sum over hypotheses."""
    opening, never = chances
    for to in range(len(old)):
        row = new[to]
        for h in range(N_GRID):
            row[h] = 0.0
        for state in range(len(old)):
            source = old[state]
            chance = opening[state, to]
            if chance > 0.0:
                for h in range(FIRST_NEVER):
                    row[h] += chance * source[h]
            chance = never[state, to]
            if chance > 0.0:
                for h in range(FIRST_NEVER, N_GRID):
                    row[h] += chance * source[h]
        likelihood = gain[to]
        summed = np.float32(0.0)
        for h in range(N_GRID):
            row[h] *= likelihood[h]
            summed += row[h]
        total[to] = summed


@njit(cache=True, nogil=True, fastmath=True)
def _mean_rest(weights: Weights) -> float:
    """Mean hypothesis of F0, in rungs."""
    mean = 0.0
    for state in range(len(weights)):
        for h in range(N_GRID):
            mean += weights[state, h] * (h % N_RESTS)
    return mean


@njit(cache=True, nogil=True, fastmath=True)
def _drift(weights: Weights, shift: int) -> None:
    """Blur the hypotheses of one spot a little, after moving the grid up by `shift` rungs."""
    old = np.empty(N_GRID, np.float32)
    any_opening = np.empty(N_RESTS, np.float32)
    spread, redraw = np.float32(DRIFT / 2), np.float32(REDRAW)
    for state in range(len(weights)):
        any_opening[:] = 0.0
        for h in range(N_GRID):
            old[h] = weights[state, h]
        for h in range(N_GRID):
            k = h % N_RESTS
            at = k + shift
            if 0 <= at < N_RESTS:
                here = old[h + shift]
                below = old[h + shift - 1] if at > 0 else here
                above = old[h + shift + 1] if at < N_RESTS - 1 else here
                here += spread * (below + above - here - here)
            else:
                here = np.float32(0.0)
            weights[state, h] = here
            any_opening[k] += here
        for h in range(N_GRID):
            share = redraw * any_opening[h % N_RESTS] * PRIOR[h // N_RESTS]
            weights[state, h] = (np.float32(1.0) - redraw) * weights[state, h] + share + np.float32(TINY)

"""What an event was like: a linear rise, perhaps a plateau, and an exponential decay fitted to its trace."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Frames from the onset to the peak, of a plateau, and time constants of the decay in frames, that are tried.
RISES = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0])
NO_PLATEAU = np.zeros(1)
PLATEAUS = np.concatenate([np.arange(13.0), [14.0, 16.0, 18.0, 21.0, 25.0, 30.0]])
DECAYS = np.concatenate([np.arange(0.5, 6.0, 0.5), np.arange(6.0, 12.0), [14.0, 17.0, 20.0, 30.0, 50.0]])
# Rises last a few frames; one of this many more is e times less likely, so that what happened to lie
# before an event is not taken for its beginning. A plateau needs evidence of e² in its favour.
RISE_SCALE, PLATEAU_COST = 2.0, 2.0
MISFIT = 3.0  # standard deviations of χ² above its mean: only then a plateau is tried
NEAR_PEAK = 0.7  # the amplitude rests on frames with at least this share of it, whatever comes later
UNSEEN_FRAMES = 10  # the onset may lie so many before a frame of the trace
FAINT = 1e-3  # of the peak: the decay is over
LONGEST = 256  # frames of a decay
DECAY_TABLE = np.exp(-np.arange(LONGEST) / DECAYS[:, None])


class Transient(NamedTuple):
    """An event's shape.

    Attributes
    ----------
    onset
        Its first frame.
    rise_frames, plateau_frames
        Frames of the linear rise, the onset's and the peak's included, and of the plateau after it.
    decay_frames
        Time constant of the decay.
    amplitude
        Height of the peak.
    snr
        Amplitude in standard deviations of a matched filter on all frames.
    """

    onset: float
    rise_frames: float
    plateau_frames: float
    decay_frames: float
    amplitude: float
    snr: float

    def heights(self, frame: Array) -> Array:
        """Heights in frames (n,)."""
        age = frame - self.onset + 1
        top = self.rise_frames + self.plateau_frames
        rising = np.minimum(np.maximum(age, 0.0) / self.rise_frames, 1.0)
        return self.amplitude * np.where(
            age <= top, rising, np.exp(np.minimum(top - age, 0.0) / self.decay_frames)
        )


def fit_transient(frame: Array, height: Array, sd: Array, first: int, last: int) -> Transient:
    """Fit a transient whose onset lies from frame `first` to `last`, in a frame of the trace or just before.

    Parameters
    ----------
    frame
        Whole frame numbers, ascending, (n,); some may be missing.
    height, sd
        The trace in these frames and its noise, (n,).
    """
    weight = 1.0 / sd**2
    # The punctum may have been off, or frames missing; but not each of a million missing ones is tried.
    onsets = np.unique(frame[(frame >= first) & (frame <= last)][:, None] - np.arange(UNSEEN_FRAMES + 1))
    onsets = onsets[onsets >= first]
    shape = Transient(*_fit(frame, height, weight, onsets, NO_PLATEAU, DECAY_TABLE).tolist())
    left = float((weight * height**2).sum()) - shape.snr**2
    if left > len(frame) + MISFIT * math.sqrt(2 * len(frame)):
        shape = Transient(*_fit(frame, height, weight, onsets, PLATEAUS, DECAY_TABLE).tolist())
    unit = shape._replace(amplitude=1.0).heights(frame)
    near = unit >= NEAR_PEAK
    if near.any():
        power = float((weight * unit**2)[near].sum())
        return shape._replace(amplitude=float((weight * unit * height)[near].sum()) / power)
    return shape  # the peak was not seen


@njit(cache=True, nogil=True)
def _fit(frame: Array, height: Array, weight: Array, onsets: Array, plateaus: Array, decays: Array) -> Array:
    """All combinations; least squares, less what speaks against long rises and plateaus."""
    best, out = -np.inf, np.array([onsets[0], RISES[0], 0.0, DECAYS[0], 0.0, 0.0])
    for onset in onsets:
        for rise in RISES:
            for plateau in plateaus:
                top = rise + plateau
                cost = rise / RISE_SCALE + (PLATEAU_COST if plateau > 0 else 0.0)
                # Up to the end of the plateau all decays agree.
                found, power, begin = 0.0, 0.0, len(frame)
                for i in range(len(frame)):
                    age = frame[i] - onset + 1
                    if age > top:
                        begin = i
                        break
                    if age > 0:
                        value = min(age / rise, 1.0)
                        found += weight[i] * value * height[i]
                        power += weight[i] * value * value
                for k in range(len(DECAYS)):
                    all_found, all_power = found, power
                    for i in range(begin, len(frame)):
                        late = int(frame[i] - onset + 1 - top)
                        value = decays[k, late] if late < LONGEST else 0.0
                        if value < FAINT:
                            break
                        all_found += weight[i] * value * height[i]
                        all_power += weight[i] * value * value
                    if all_power > 0.0 and all_found > 0.0:
                        score = 0.5 * all_found * all_found / all_power - cost
                        if score > best:
                            best = score
                            out[0], out[1], out[2], out[3] = onset, rise, plateau, DECAYS[k]
                            out[4], out[5] = all_found / all_power, all_found / math.sqrt(all_power)
    return out

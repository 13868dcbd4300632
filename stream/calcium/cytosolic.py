"""Calcium of a cytosolic indicator at tracks: the height of a cloud over the resting light."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from stream.calcium.origin import sources
from stream.calcium.resting import RATE, RestingLight
from stream.calcium.sampling import SIDE, Array, Image, Index, sample_frames
from stream.calcium.traces import BEFORE, MOMENT, Records, Traces

# The front of a wave is curved like a wide, faint cloud: this share of its height counts as noise.
WAVE_CURVATURE = 0.06
PRIOR_FRAMES = 3  # that the photons' own noise counts for in the beginning
NOISE_RATE = 0.05  # of the noise's exponential mean
MIN_QUIET = 5  # tracks below zero that tell a frame's noise
NOISE = (0.1, 10.0)  # believable, relative to the photons' own; averaged movies have less than 1
MEDIAN_TO_SD = 1.4826  # of a normal deviate's absolute value

PAST = np.dtype([("seq", np.int64), ("time_s", np.float64), ("lamp", np.float64), ("place", np.intp)])


@dataclass(frozen=True, slots=True)
class Measured:
    """Calcium at n tracks in one frame.

    Attributes
    ----------
    dff, sd
        ΔF/F0 and its noise, (n,); NaN where nothing could be measured.
    patch
        The images around them, float32 (n, SIDE, SIDE) in units of F0, or (n, 0, 0): none.
    pixel_variance
        Variance of the patches' pixels (n,).
    """

    dff: Array
    sd: Array
    patch: Image
    pixel_variance: Array


class CloudGauge:
    """Measures the calcium channel at tracks, and what it was at new ones before they were found.

    Parameters
    ----------
    sigma_px
        σ of the cloud that is sought.
    patience_frames
        What stays up for longer is the new rest.
    """

    def __init__(self, sigma_px: float, patience_frames: int) -> None:
        self._sigma = sigma_px
        self._rest = RestingLight(patience_frames)
        self._noise_frames = 0
        # The last frames, oldest first; their images stay in place and are overwritten in turn.
        self._past = np.zeros(0, PAST)
        self._images: Image = np.zeros((BEFORE - 1, 0, 0), np.float32)
        self.noise = 1.0  # relative to that of the photons

    def measure(
        self, traces: Traces, seq: int, time_s: float, image: Image, at: tuple[Array, Array]
    ) -> Measured:
        """ΔF/F0 at all traces, whose tracks are `at` x and y (n,) each, in `image`, photons (H, W)."""
        self._rest.look(image)
        now, one = np.zeros(len(at[0]), np.intp), np.ones(1, np.float32)
        measured = self._measure(image[None], one, now, at, sources(traces, *at))
        if self._rest.frames:  # the first frame is its own reference
            self._learn_noise(measured, traces)
        return measured

    def learn(self, seq: int, time_s: float, image: Image) -> None:
        """Take the frame into what is known of the rest, and of the past."""
        if self._rest.level > 0:
            if self._images.shape[1:] != image.shape:
                self._images, self._past = np.zeros((BEFORE - 1, *image.shape), np.float32), self._past[:0]
            full = len(self._past) == len(self._images)
            place = self._past["place"][0] if full else len(self._past)
            self._images[place] = image
            this = np.array([(seq, time_s, self._rest.level, place)], PAST)
            self._past = np.concatenate([self._past[int(full) :], this])
        self._rest.learn(image, self.noise)

    def past(self, at: tuple[Array, Array]) -> tuple[Records, Measured]:
        """What the last f frames show at n places where tracks begin now: moments (f · n,), oldest first."""
        past = self._past
        if (
            not self._rest.frames
            or not self._rest.level > 0
            or self._images.shape[1:] != self._rest.reference.shape
        ):
            past = past[:0]
        before = np.repeat(past, len(at[0]))
        places = np.tile(at[0], len(past)), np.tile(at[1], len(past))
        lamps = np.ones(len(self._images), np.float32)
        lamps[past["place"]] = past["lamp"] / self._rest.level
        nobody = np.empty(0), np.empty(0), np.empty(0), np.empty(0, np.intp)
        measured = self._measure(self._images, lamps, before["place"], places, nobody)
        return moments(before["seq"], before["time_s"], measured, places), measured

    def _measure(
        self,
        images: Image,
        lamps: Image,
        frame: Index,
        at: tuple[Array, Array],
        others: tuple[Array, Array, Array, Index],
    ) -> Measured:
        """ΔF/F0 at n places, each in a frame of `images` (F, H, W); `lamps` count in the last frame's."""
        n = len(at[0])
        if not self._rest.level > 0 or not n:
            nothing = np.full(n, np.nan)
            return Measured(nothing, nothing, np.zeros((n, SIDE, SIDE), np.float32), nothing)
        reference = self._rest.reference
        height, level, sd, patch = sample_frames(images, lamps, frame, reference, at, self._sigma, others)
        frames = max(self._rest.frames, 1)
        variance = (sd * self.noise) ** 2 * (1 + max(1 / frames, RATE / (2 - RATE)))
        variance += (WAVE_CURVATURE * np.maximum(level - 1, 0)) ** 2
        photons = np.maximum(float(reference.mean()) * lamps[frame].astype(np.float64), 1e-6)
        return Measured(height, np.sqrt(variance), patch, 1 / photons)

    def _learn_noise(self, measured: Measured, traces: Traces) -> None:
        """Below zero there is noise only, whatever calcium does."""
        quiet = ~traces.state["open"] & (measured.dff < 0)
        if np.count_nonzero(quiet) < MIN_QUIET:
            return
        deviation = _median(-measured.dff[quiet] / measured.sd[quiet]) * MEDIAN_TO_SD * self.noise
        self._noise_frames += 1
        rate = max(1 / (self._noise_frames + PRIOR_FRAMES), NOISE_RATE)
        self.noise = float(np.clip(self.noise + rate * (deviation - self.noise), *NOISE))


@njit(cache=True, nogil=True)
def _median(values: Array) -> float:
    """NumPy's own takes ten times as long for so few."""
    return np.median(values)


def moments(seq: ArrayLike, time_s: ArrayLike, measured: Measured, at: tuple[Array, Array]) -> Records:
    """The frame as rows of `MOMENT`, without the network's word, outside waves."""
    now = np.zeros(len(measured.dff), MOMENT)
    now["seq"], now["time_s"], now["log_odds"] = seq, time_s, np.nan
    now["dff"], now["sd"] = measured.dff, measured.sd
    now["x"], now["y"] = at
    return now

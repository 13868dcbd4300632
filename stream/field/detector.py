"""Calcium in the whole field of view, whatever lies there: waves, and transients anywhere.

The image is compared with a slow baseline (`stream.field.rest`) times the lamp's present factor
(`stream.field.light`). Wide areas that rise are waves (`stream.field.waves`). What rises above them in a
spot is a transient (`stream.field.sparks`): a maximum of the residuals, in units of their noise, after
a filter that is Gaussian in space and exponential in time. Thresholds in units of the noise of a filtered
image are how calcium sparks have always been found (Cheng et al., Biophys. J. 76, 606 (1999)).
"""

import math
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from stream.config import CalciumConfig
from stream.field.blocks import block_sums, widened
from stream.field.light import Lamp
from stream.field.maps import (
    BIN_PX,
    BLOCK,
    BLOCK_PX,
    Mask,
    bin_pixels,
    fill,
    residuals,
    smooth,
    taps,
)
from stream.field.rest import WARM_UP_FRAMES, Rest
from stream.field.sparks import Past, SparkFrame, Sparks
from stream.field.warm_up import WarmUp, is_usual
from stream.field.waves import Waves
from stream.results import CalciumTransient

LEAK = 0.6  # of the filter in time, a frame
MIN_SIDE_PX = 2 * BLOCK_PX  # a smaller image has no field to speak of
# A field of which this share is 5 sd darker than it was has been moved; waves and flicker leave under 1 %.
MOVED_SHARE = 0.03


@dataclass(frozen=True, slots=True)
class FieldUpdate:
    """Calcium in the whole field in one frame.

    Attributes
    ----------
    transients
        Those that ended in this frame.
    wave
        Blocks of `BLOCK_PX` × `BLOCK_PX` pixels that are in a wave, bool (h, w).
    """

    transients: tuple[CalciumTransient, ...]
    wave: Mask

    @property
    def wave_fraction(self) -> float:
        """Share of the field that is in a wave."""
        return float(self.wave.mean()) if self.wave.size else 0.0

    def in_wave(self, x_px: NDArray[np.floating], y_px: NDArray[np.floating]) -> Mask:
        """Whether places (n,), in pixels, lie in a wave; those outside the image count as its edge."""
        if not self.wave.any():
            return np.zeros(len(x_px), np.bool_)
        row, column = (
            np.clip(np.floor((np.nan_to_num(place) + 0.5) / BLOCK_PX), 0, side - 1).astype(np.intp)
            for place, side in zip((y_px, x_px), self.wave.shape, strict=True)
        )
        inside: Mask = self.wave[row, column]
        return inside


class CalciumField:
    """Finds waves and transients in the calcium channel, frame by frame.

    Nothing is found in the first 10 frames, from which the baseline is taken, nor in as many after the
    image has changed its size, the stage has jumped or the lamp has been set five times brighter or darker.
    A single frame of such light, or a black one, is passed over: it ends what is on.

    Parameters
    ----------
    config
        Its `max_duration_frames`: what lasts longer is new baseline.
    """

    def __init__(self, config: CalciumConfig) -> None:
        self._max_frames = config.max_duration_frames
        self._taps = taps()
        self._seq: int | None = None
        self._ids = count()  # never used again
        self._restart((0, 0))

    def step(self, seq: int, time_s: float, image: NDArray[np.float32]) -> FieldUpdate:
        """Take one frame; frames come in order, missing ones are simply not given.

        Parameters
        ----------
        seq, time_s
            Index and time (s) of the frame.
        image
            Its calcium channel in photons, float32 (H, W). An odd last row or column is not looked at;
            pixels that are not finite count as at rest.

        Raises
        ------
        ValueError
            If `seq` is not greater than the last one.
        """
        if self._seq is not None and seq <= self._seq:
            raise ValueError(
                f"frame {seq} came to the calcium field after frame {self._seq}; seq must increase"
            )
        self._seq = seq
        ended: list[CalciumTransient] = []
        if image.shape != self._shape:
            ended = self._end()
            self._restart((image.shape[0], image.shape[1]))
        if min(self._shape) < MIN_SIDE_PX:
            return FieldUpdate((), self._waves.mask)
        light = bin_pixels(np.ascontiguousarray(image, np.float32), self._bins)
        if not math.isfinite(light):
            light = fill(self._bins, None if self._rest is None else self._rest.light)
        if self._rest is not None and is_usual(light, self._usual_light):
            self._warm_up.forget()
            self._usual_light += 0.1 * (light - self._usual_light)
            ended += self._measure(self._rest, (seq, time_s))
        else:
            ended += self._pause(seq)
            begun = self._warm_up.step(self._bins, light)
            if begun is not None:
                self._restart(self._shape, *begun)
        return FieldUpdate(tuple(ended), self._waves.mask)

    def flush(self) -> tuple[CalciumTransient, ...]:
        """End the transients that are still on, and forget the field."""
        ended = tuple(self._end())
        self._restart((0, 0))
        return ended

    def _restart(self, shape: tuple[int, int], rest: Rest | None = None, usual_light: float = 0.0) -> None:
        """Begin anew with images of `shape` (H, W), with the rest and the mean light where they are known."""
        self._shape = shape
        bins = (shape[0] // BIN_PX, shape[1] // BIN_PX)
        blocks = (-(-bins[0] // BLOCK), -(-bins[1] // BLOCK))
        self._bins, self._leaky, self._z = (np.zeros(bins, np.float32) for _ in range(3))
        self._leaky_power = self._leaky_ones = 0.0
        self._light = np.zeros(blocks)
        self._beside_wave: Mask = np.zeros(blocks, np.bool_)
        self._warm_up = WarmUp(blocks)
        self._rest, self._usual_light = rest, usual_light
        self._measured_seq: int | None = None
        self._lamp, self._waves = Lamp(), Waves(blocks, self._ids)
        self._past, self._sparks = Past(bins), Sparks(self._taps, self._max_frames, self._ids)

    def _pause(self, seq: int) -> list[CalciumTransient]:
        """Pass over a frame whose light is not the usual: what is on ends, what comes is not dated before."""
        self._leaky[:] = 0.0
        self._leaky_power = self._leaky_ones = 0.0
        self._past.n = 0
        if self._measured_seq is not None and seq - self._measured_seq > WARM_UP_FRAMES:
            self._beside_wave[:] = False  # a wave goes on after a blink, but not after a long time
        return self._end()

    def _measure(self, rest: Rest, now: tuple[int, float]) -> list[CalciumTransient]:
        elapsed = 1 if self._measured_seq is None else now[0] - self._measured_seq
        self._measured_seq, decay = now[0], LEAK**elapsed
        block_sums(self._bins, self._light)
        light = self._lamp.step(self._light, *rest.blocks(), self._beside_wave)
        ended = self._waves.step(*now, light)
        wave = self._waves.mask
        self._beside_wave = widened(wave)
        deviation = self._past.push(*now)
        n_dark = residuals(
            self._bins, rest.light, rest.variance, light.lamp, light.rise, decay, deviation, self._leaky
        )
        if n_dark > MOVED_SHARE * self._bins.size:
            ended += self._end()
            self._restart(self._shape)
            return ended
        # Frames scatter by their noise, and all alike by that of the baseline.
        self._leaky_power = self._leaky_power * decay**2 + 1.0
        self._leaky_ones = self._leaky_ones * decay + 1.0
        sd = math.sqrt(self._leaky_power + self._leaky_ones**2 * rest.uncertainty)
        smooth(self._leaky, self._taps, 1 / sd, self._z)
        frame = SparkFrame(self._z, rest.light, rest.variance, light.lamp, self._beside_wave)
        ended += self._sparks.step(self._past, frame)
        rest.learn(self._bins, deviation, self._z, self._beside_wave, light.lamp, self._max_frames)
        return ended

    def _end(self) -> list[CalciumTransient]:
        return [*self._waves.flush(), *self._sparks.flush()]

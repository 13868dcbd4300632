"""Waves: wide connected areas of raised calcium, followed from frame to frame by their overlap."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stream.field.blocks import widened
from stream.field.light import WAVE_OFF_DFF, WAVE_OFF_Z, WAVE_ON_DFF, WAVE_ON_Z, FieldLight
from stream.field.maps import BLOCK_PX
from stream.results import CalciumTransient

Mask = NDArray[np.bool_]

# The widest sparks (σ 4 px, ΔF/F0 1.2) raise 4 or 5 blocks above WAVE_OFF_DFF; a few of them that happen to
# touch must not make a wave. Fixed on simulated movies with 0.4 sparks/µm² and second.
MIN_BLOCKS = 20
MIN_HIGH_BLOCKS = 8
REMNANT_BLOCKS = 3  # what is left of a wave that passes away
MIN_FRAMES = 3
CLOSE_FRAMES = 2  # frames without it that end a wave
AROUND = np.ones((3, 3), np.bool_)


@dataclass(slots=True)
class _Wave:
    """A wave under way; `n_blocks`, `amplitude`, `snr`, `x_px` and `y_px` are those of its peak."""

    onset: tuple[int, float]
    last: tuple[int, float]
    peak: tuple[int, float]
    amplitude: float = 0.0
    snr: float = 0.0
    x_px: float = 0.0
    y_px: float = 0.0
    n_blocks: int = 0


class Waves:
    """Finds and follows waves.

    Parameters
    ----------
    shape
        Blocks along both sides.
    ids
        Gives each wave's row its id.

    Attributes
    ----------
    mask
        Blocks (h, w) in a wave in the last frame.
    """

    def __init__(self, shape: tuple[int, int], ids: Iterator[int]) -> None:
        self._ids = ids
        self.mask: Mask = np.zeros(shape, np.bool_)
        self._owner = np.zeros(shape, np.int64)  # wave that covered a block when it was last seen, 0: none
        self._waves: dict[int, _Wave] = {}
        self._n_waves = 0

    def step(self, seq: int, time_s: float, light: FieldLight) -> list[CalciumTransient]:
        """Take one frame; gives the waves that ended."""
        high = light.rise > np.maximum(WAVE_ON_DFF, WAVE_ON_Z * light.noise)
        self.mask = np.zeros_like(high)
        if self._waves or np.count_nonzero(high) >= MIN_HIGH_BLOCKS:
            low = light.rise > np.maximum(WAVE_OFF_DFF, WAVE_OFF_Z * light.noise)
            self._follow((seq, time_s), light, high, low)
        ended = [i for i, wave in self._waves.items() if seq - wave.last[0] >= CLOSE_FRAMES]
        return self._end(ended)

    def flush(self) -> list[CalciumTransient]:
        """End all waves."""
        self.mask = np.zeros_like(self.mask)
        return self._end(list(self._waves))

    def _follow(self, now: tuple[int, float], light: FieldLight, high: Mask, low: Mask) -> None:
        """Give each wide area to the oldest wave it touches, or to a new one."""
        parts, n_parts = ndimage.label(low | high, AROUND)
        n_blocks = np.bincount(parts.ravel(), minlength=n_parts + 1)
        n_high = np.bincount(parts[high], minlength=n_parts + 1)
        before = widened(self._owner)
        for part in (n_blocks[1:] >= REMNANT_BLOCKS).nonzero()[0] + 1:
            where = parts == part
            ids = sorted({int(i) for i in np.unique(before[where])} & self._waves.keys())
            is_wide = n_blocks[part] >= MIN_BLOCKS and n_high[part] >= MIN_HIGH_BLOCKS
            if not (is_wide or ids):
                continue
            if not ids:
                self._n_waves += 1
                ids = [self._n_waves]
                self._waves[self._n_waves] = _Wave(now, now, now)
            oldest = self._waves[ids[0]]
            for younger in ids[1:]:  # it has run into the older one
                del self._waves[younger]
                self._owner[self._owner == younger] = ids[0]
                before[before == younger] = ids[0]
            if oldest.last != now or oldest.n_blocks == 0:
                self._owner[self._owner == ids[0]] = 0
            self._owner[where] = ids[0]
            self.mask |= where
            _note(oldest, now, light, where)

    def _end(self, ids: list[int]) -> list[CalciumTransient]:
        ended = [self._waves.pop(i) for i in ids]
        if ended:
            self._owner[np.isin(self._owner, ids)] = 0
        return [
            _transient(wave, next(self._ids))
            for wave in ended
            if wave.last[0] - wave.onset[0] + 1 >= MIN_FRAMES
        ]


def _note(wave: _Wave, now: tuple[int, float], light: FieldLight, where: Mask) -> None:
    """Keep what a wave's row will say."""
    wave.last = now
    wave.n_blocks = max(wave.n_blocks, int(np.count_nonzero(where)))
    crest = float(light.rise[where].max())
    if crest > wave.amplitude:
        wave.amplitude, wave.peak = crest, now
        wave.snr = float((light.rise / light.noise)[where].max())
        y, x = np.average(np.nonzero(where), axis=1, weights=light.rise[where])
        wave.x_px, wave.y_px = (float((i + 0.5) * BLOCK_PX - 0.5) for i in (x, y))


def _transient(wave: _Wave, transient_id: int) -> CalciumTransient:
    return CalciumTransient(
        transient_id=transient_id,
        onset_frame=wave.onset[0],
        peak_frame=wave.peak[0],
        end_frame=wave.last[0],
        onset_s=wave.onset[1],
        end_s=wave.last[1],
        x_px=wave.x_px,
        y_px=wave.y_px,
        amplitude_dff=wave.amplitude,
        snr=wave.snr,
        area_px=float(wave.n_blocks * BLOCK_PX**2),
        is_wave=True,
        in_wave=True,
    )

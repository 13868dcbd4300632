"""Sparks, puffs and events at puncta: compact transients anywhere, opened and closed by two thresholds."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stream.field.maps import BIN_PX, Map, Mask
from stream.field.peaks import begin, find, follow
from stream.field.rows import SPARK, Rows, renew, without_doubles
from stream.results import CalciumTransient

PAST = 10  # frames in which an onset is looked for
MIN_FRAMES = 2  # shorter ones are noise
MOST_NEW = 256  # in a frame: more come only from an image that is no longer the same


class Past:
    """A ring of the residual maps of the last frames, with their seq and time in s."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.maps: Map = np.zeros((PAST, *shape), np.float32)
        self.seqs = np.zeros(PAST, np.int64)
        self.times_s = np.zeros(PAST)
        self.newest = 0
        self.n = 0

    def push(self, seq: int, time_s: float) -> Map:
        """Begin a frame; gives the map to fill."""
        self.newest = (self.newest + 1) % PAST
        self.n = min(self.n + 1, PAST)
        self.seqs[self.newest], self.times_s[self.newest] = seq, time_s
        newest: Map = self.maps[self.newest]
        return newest


@dataclass(frozen=True, slots=True)
class SparkFrame:
    """What sparks are found in: the filtered map, rest and noise of each bin, and the lamp's factor.

    `wave` are the blocks in or beside a wave.
    """

    z: Map
    rest: Map
    variance: Map
    lamp: float
    wave: Mask


class Sparks:
    """The compact transients under way.

    Parameters
    ----------
    taps
        The spatial filter (`stream.field.maps.taps`).
    max_frames
        What lasts longer is no transient but a new rest.
    ids
        Gives each transient its id.
    """

    def __init__(self, taps: Map, max_frames: int, ids: Iterator[int]) -> None:
        self._ids = ids
        self._taps = taps
        self._max_frames = max_frames
        self._open: Rows = np.zeros(0, SPARK)
        self._found = np.zeros((MOST_NEW, 2), np.int64)

    def step(self, past: Past, frame: SparkFrame) -> list[CalciumTransient]:
        """Take the newest frame of `past`; gives the transients that ended."""
        rows, now = self._open, past.newest
        seq, time_s = int(past.seqs[now]), float(past.times_s[now])
        maps = (frame.rest, frame.variance, frame.wave, frame.lamp, self._taps)
        follow(rows, seq, time_s, frame.z, past.maps[now], *maps)
        found = self._found[: find(frame.z, rows, frame.wave, self._found)]
        has_ended = np.zeros(len(rows), np.bool_)
        after = np.zeros(len(rows) + len(found), SPARK)
        after = after[: renew(rows, seq, self._max_frames, found, has_ended, after)]
        ended = _transients(rows[has_ended], self._ids)
        begin(after, past.maps, past.seqs, past.times_s, now, past.n, frame.z, *maps)
        self._open = after[: without_doubles(after)]
        return ended

    def flush(self) -> list[CalciumTransient]:
        """End all transients."""
        ended, self._open = _transients(self._open, self._ids), self._open[:0]
        return ended


def _transients(rows: Rows, ids: Iterator[int]) -> list[CalciumTransient]:
    """What the rows say, in pixels; those that were too short are left out."""
    columns = rows.dtype.names or ()
    named = [dict(zip(columns, row, strict=True)) for row in rows.tolist()]
    return [
        CalciumTransient(
            transient_id=next(ids),
            onset_frame=row["onset"],
            peak_frame=row["peak"],
            end_frame=row["end"],
            onset_s=row["onset_s"],
            end_s=row["end_s"],
            # The centre of bin 0 lies between pixels 0 and 1.
            x_px=row["x"] * BIN_PX + 0.5 * (BIN_PX - 1),
            y_px=row["y"] * BIN_PX + 0.5 * (BIN_PX - 1),
            amplitude_dff=row["dff"],
            snr=row["best_z"],
            area_px=row["area"] * BIN_PX**2,
            is_wave=False,
            in_wave=row["in_wave"],
        )
        for row in named
        if row["end"] - row["onset"] + 1 >= MIN_FRAMES
    ]

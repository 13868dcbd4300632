"""Sparks, puffs and events at puncta: compact transients anywhere, opened and closed by two thresholds."""

from dataclasses import dataclass

import numpy as np

from stream.field.maps import BIN_PX, Map, Mask
from stream.field.peaks import SPARK, Rows, begin, find, follow
from stream.results import CalciumTransient

PAST = 10  # frames in which an onset is looked for
CLOSE_FRAMES = 2  # frames below OFF_Z that end a transient
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
    """

    def __init__(self, taps: Map, max_frames: int) -> None:
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
        again = rows["again"]
        # The end of the one is where the next begins, at the latest.
        cut = again & (rows["end"] > rows["dip"])
        rows["end"][cut], rows["end_s"][cut] = rows["dip"][cut], rows["dip_s"][cut]
        is_low = rows["low_frames"] >= CLOSE_FRAMES
        known = np.stack([rows["row0"], rows["column0"]], axis=1)[~is_low]
        n_found = find(frame.z, known, frame.wave, self._found)
        ended = _transients(rows[is_low | again])
        stays = ~is_low & ~again & (seq - rows["onset"] < self._max_frames)
        n_stay, n_again = np.count_nonzero(stays), np.count_nonzero(again)
        open_ = np.zeros(n_stay + n_again + n_found, SPARK)
        open_[:n_stay] = rows[stays]
        new = open_[n_stay:]
        for name in ("row", "column"):
            new[name][:n_again] = rows[name][again]
        new["floor"][:n_again] = rows["dip"][again] + 1
        new["row"][n_again:], new["column"][n_again:] = self._found[:n_found].T
        new["row0"], new["column0"] = new["row"], new["column"]
        begin(open_, past.maps, past.seqs, past.times_s, now, past.n, frame.z, *maps)
        # Two that have come to follow the same maximum are one.
        place = open_["row"] * frame.z.shape[1] + open_["column"]
        self._open = open_[np.sort(np.unique(place, return_index=True)[1])]
        return ended

    def flush(self) -> list[CalciumTransient]:
        """End all transients."""
        ended, self._open = _transients(self._open), self._open[:0]
        return ended


def _transients(rows: Rows) -> list[CalciumTransient]:
    """What the rows say, in pixels; those that were too short are left out."""
    return [
        CalciumTransient(
            transient_id=-1,
            onset_frame=int(row["onset"]),
            peak_frame=int(row["peak"]),
            end_frame=int(row["end"]),
            onset_s=float(row["onset_s"]),
            end_s=float(row["end_s"]),
            # The centre of bin 0 lies between pixels 0 and 1.
            x_px=float(row["x"] * BIN_PX + 0.5 * (BIN_PX - 1)),
            y_px=float(row["y"] * BIN_PX + 0.5 * (BIN_PX - 1)),
            amplitude_dff=float(row["dff"]),
            snr=float(row["best_z"]),
            area_px=float(row["area"] * BIN_PX**2),
            is_wave=False,
            in_wave=bool(row["in_wave"]),
        )
        for row in rows
        if row["end"] - row["onset"] + 1 >= MIN_FRAMES
    ]

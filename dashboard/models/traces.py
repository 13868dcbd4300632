"""ΔF/F0 over time of the selected and of the most active tracks."""

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dashboard.models.activity import Activity, Places
from dashboard.models.panels import Array, TraceMark, TraceView
from dashboard.models.threshold import threshold_z
from dashboard.models.trace_rows import TraceRows
from stream.results import CalciumEvent, FrameResult, Ids

SPARE = 1.25  # frames kept beyond those that the interval makes of the seconds: cameras are not that exact
MAX_FRAMES = 16_384  # kept: 160 s at 100 frames/s
MAX_CELLS = 8 * 2**20  # of float32: 32 MB
MAX_ROWS = 1024
MAX_POINTS = 2_400  # of a trace that is drawn: as many as a wide panel has pixels
PAUSE_S = 60.0  # longer ones count as this long: the clock leapt, and activity is not forgotten
T = TypeVar("T", bound=np.generic)


class TraceBook:
    """Keeps the traces of many tracks, and says which to show.

    Memory is bounded: a track's row is recycled when it has left the window; when more tracks live than there
    are rows, the least active go without one until they have an event or are selected.

    Parameters
    ----------
    interval_s
        Nominal frame interval.
    seconds
        The longest stretch of time that is looked at; `MAX_FRAMES` at most.
    """

    def __init__(self, interval_s: float, seconds: float) -> None:
        frames = SPARE * seconds / interval_s
        self._width = int(np.clip(frames if math.isfinite(frames) else MAX_FRAMES, 64, MAX_FRAMES))
        self._most = min(MAX_ROWS, MAX_CELLS // self._width)
        self._places = Places()
        self._wanted: frozenset[int] = frozenset()
        self.clear()

    def clear(self) -> None:
        """Forget everything: another run."""
        self._rows = TraceRows(self._most, self._width)
        self._activity = Activity(len(self._rows))
        self._dff = np.full((len(self._rows), self._width), np.nan, np.float32)
        self._time: Array = np.zeros(self._width)
        self._seq: NDArray[np.int64] = np.zeros(self._width, np.int64)
        self._n = 0  # frames so far
        self._places.clear()

    def add(self, result: FrameResult) -> None:
        """Take in a result. One that is not newer than the last begins anew."""
        before = (self._n - 1) % self._width
        if self._n and result.seq <= self._seq[before]:
            self.clear()
        now = self._n % self._width
        time_s = result.time_s if math.isfinite(result.time_s) else float(self._time[before])
        elapsed_s = min(max(time_s - float(self._time[before]), 0.0), PAUSE_S) if self._n else 0.0
        self._time[now], self._seq[now] = time_s, result.seq
        self._dff[:, now] = np.nan

        tracks, calcium = result.tracks, result.calcium
        ids = np.concatenate([tracks.track_id, tracks.gap_track_id])
        dff = np.concatenate([calcium.dff, calcium.gap_dff])
        is_open = np.concatenate([calcium.is_open, calcium.gap_is_open])
        self._rows.give_back(tracks.dropped)
        measured = np.isfinite(dff) & (ids >= 0)
        if not measured.all():
            ids, dff, is_open = ids[measured], dff[measured], is_open[measured]
        rows = self._rows.find(ids)
        missing = rows < 0
        if missing.any():
            self._take_in(ids[missing], is_open[missing], tracks.born)
            rows = self._rows.find(ids)
            known = rows >= 0
            rows, dff, is_open = rows[known], dff[known], is_open[known]
        self._dff[rows, now] = dff
        self._rows.last[rows] = self._n
        self._activity.add(rows, dff, is_open, elapsed_s)
        for event in calcium.events:
            row = int(self._rows.find(np.array([event.track_id]))[0])
            if row >= 0:
                self._activity.count_event(row)
        self._n += 1

    def _take_in(self, ids: Ids, is_open: NDArray[np.bool_], born: Ids) -> None:
        """Give rows to tracks that have none; what was born just now is often gone in the next frame."""
        wait = set(born.tolist())
        urgent = [i for i in ids[is_open].tolist() if i not in wait]
        urgent += [i for i in ids[~is_open].tolist() if i in self._wanted]
        first = set(urgent)
        others = [i for i in ids.tolist() if i not in wait and i not in first]
        if not urgent and not others:
            return
        rows = self._rows.take(urgent + others, len(urgent), self._n, self._activity.value())
        more = len(self._rows) - len(self._dff)
        if more:
            self._dff = np.concatenate([self._dff, np.full((more, self._width), np.nan, np.float32)])
            self._activity.grow(len(self._rows))
        self._dff[rows] = np.nan
        self._activity.begin(rows)

    def view(
        self,
        selected: Sequence[int],
        n: int,
        seconds: float,
        at_seq: int | None = None,
        on_z: float = math.nan,
        events: Iterable[CalciumEvent] = (),
        has_network: bool = False,
    ) -> TraceView:
        """What to draw: the selected tracks first, then the most active ones.

        `dashboard.models.activity` says what active is, and how traces keep their places. Where more than
        `MAX_POINTS` frames are in the window, each stretch of them is given as its lowest and its highest
        value, so that no peak is lost.

        Parameters
        ----------
        selected
            Track ids, the last one first; those beyond `n` are left out.
        n
            Traces at most.
        seconds
            Time before the moment shown.
        at_seq
            Frame of that moment, None for the newest. Looking back changes no places.
        on_z
            Threshold of the detector in force, NaN where there is none; see `dashboard.models.threshold`.
        events
            Whose marks are drawn if their tracks are (`EventBook.of_track`, or all).
        has_network
            Whether a network judges events, too.
        """
        selected = list(dict.fromkeys(selected))[:n]
        self._wanted = frozenset(selected)
        first, end = self._window(seconds, at_seq)
        if at_seq is None:
            here = np.flatnonzero(self._is_shown(first) & ~np.isin(self._rows.ids, selected))
            active = self._places.settle(
                n - len(selected), self._rows.ids[here], self._activity.value()[here]
            )
        else:
            active = [i for i in self._places.current() if i not in self._wanted][: n - len(selected)]
        ids = np.array([*selected, *active], np.int64)
        rows = self._rows.find(ids)
        time_s, seq = self._span(self._time, first, end), self._span(self._seq, first, end)
        dff = self._span(self._dff, first, end, rows)
        dff[rows < 0] = np.nan
        height_z = threshold_z(on_z, has_network=has_network)
        threshold = np.where(rows >= 0, height_z * self._activity.noise(rows), np.nan)
        marks = _marks(ids, events, seq, time_s)
        now_s = float(time_s[-1]) if len(time_s) else math.nan
        time_s, dff = _thinned(time_s, dff, first)
        return TraceView(
            track_id=ids,
            time_s=time_s,
            dff=dff,
            threshold_dff=threshold.astype(np.float32),
            is_selected=np.arange(len(ids)) < len(selected),
            marks=marks,
            now_s=now_s,
        )

    def _is_shown(self, first: int) -> NDArray[np.bool_]:
        """Rows of tracks that were measured in the window, often enough."""
        rows = self._rows
        return (rows.ids >= 0) & (rows.last >= first) & self._activity.is_known()

    def _window(self, seconds: float, at_seq: int | None) -> tuple[int, int]:
        """Numbers of the first frame to show, and of the one behind the last."""
        oldest = max(0, self._n - self._width)
        end = self._n
        if at_seq is not None:
            end = oldest + int(np.searchsorted(self._span(self._seq, oldest, end), at_seq, side="right"))
        time_s = self._span(self._time, oldest, end)
        if not len(time_s):
            return end, end
        set_back = np.flatnonzero(np.diff(time_s) < 0)  # somebody set the camera's clock
        begin = int(set_back[-1]) + 1 if len(set_back) else 0
        begin += int(np.searchsorted(time_s[begin:], time_s[-1] - seconds))
        return oldest + begin, end

    def _span(
        self, ring: NDArray[T], first: int, end: int, rows: NDArray[np.intp] | None = None
    ) -> NDArray[T]:
        """Frames `first` to before `end` of a ring, oldest first; of some rows where there are rows."""
        a, b = first % self._width, end % self._width
        pieces = [slice(a, b)] if a < b or first == end else [slice(a, None), slice(0, b)]
        if rows is None:
            return np.concatenate([ring[piece] for piece in pieces])
        return np.concatenate([ring[rows, piece] for piece in pieces], axis=1)


def _marks(
    ids: NDArray[np.int64], events: Iterable[CalciumEvent], seq: NDArray[np.int64], time_s: Array
) -> tuple[TraceMark, ...]:
    """Events within these frames; placed by frame, as the detector's clock may differ from the camera's."""
    row_of = {track: row for row, track in enumerate(ids.tolist())}
    here = [e for e in events if e.track_id in row_of]
    if not len(seq):
        return ()
    here = [e for e in here if e.onset_frame <= seq[-1] and e.end_frame >= seq[0]]
    if not here:
        return ()
    frames = np.array([(e.onset_frame, e.peak_frame, e.end_frame) for e in here])
    times = np.interp(frames, seq, time_s).tolist()
    return tuple(
        TraceMark(row_of[e.track_id], onset, peak, end, e.amplitude_dff, e.event_id)
        for e, (onset, peak, end) in zip(here, times, strict=True)
    )


def _thinned(time_s: Array, dff: NDArray[np.float32], first: int) -> tuple[Array, NDArray[np.float32]]:
    """The lowest and the highest value of each stretch of frames, where there are too many frames.

    Stretches begin at multiples of their length, counted over the run: what is drawn moves on, but does not
    change.
    """
    if len(time_s) <= MAX_POINTS:
        return time_s, dff
    # A power of two, so that a frame more or less rarely makes it another one.
    size = 1 << math.ceil(math.log2(2 * len(time_s) / MAX_POINTS))
    begin = -first % size
    n = (len(time_s) - begin) // size
    stretch = dff[:, begin : begin + n * size].reshape(len(dff), n, size)
    low, high = stretch[:, :, 0].copy(), stretch[:, :, 0].copy()
    for k in range(1, size):
        np.fmin(low, stretch[:, :, k], out=low)
        np.fmax(high, stretch[:, :, k], out=high)
    times = time_s[begin : begin + n * size].reshape(n, size)
    thin_s = np.stack([times[:, 0], times[:, size // 2]], axis=1).reshape(-1)
    thin = np.stack([low, high], axis=2).reshape(len(dff), -1)
    rest = begin + n * size  # not a whole stretch yet: as it is
    return np.concatenate([thin_s, time_s[rest:]]), np.concatenate([thin, dff[:, rest:]], axis=1)

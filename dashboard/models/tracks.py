"""What is known of each track while it lives: how old, how often seen, how fast it diffuses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dashboard.models.steps import (
    COLUMNS,
    CONFIRMED,
    FIRST_SEQ,
    MOBILITY,
    SEQ,
    SIGHTINGS,
    STEPS,
    UNKNOWN,
    WHOLE,
    Rows,
    diffusion_um2_s,
    mobility,
    take_in,
)
from stream.clock import Clock
from stream.config import TrackerConfig
from stream.motion.displacements import FAR_PAST, PAUSE
from stream.results import NO_IDS, NO_TRACK, FrameResult, Ids

__all__ = ["MOBILITY", "UNKNOWN", "TrackBook", "TrackTable"]

MAX_ENDED = 5000  # enough for histograms; of mobility nothing is known where one looks back further


@dataclass(frozen=True, slots=True)
class TrackTable:
    """Tracks, one row each, (n,), by ascending id.

    Attributes
    ----------
    track_id, first_seq, last_seq
        Frames of the first and the last sighting as far as it was watched.
    sightings, steps
        How often it was seen, and the steps that its diffusion coefficient is from.
    confirmed
        Whether the tracker believes in it.
    diffusion_um2_s
        See `TrackBook`; NaN before the third sighting, and may be negative.
    mobility
        Index into `MOBILITY`.
    """

    track_id: Ids
    first_seq: Ids
    last_seq: Ids
    sightings: NDArray[np.int64]
    steps: NDArray[np.int64]
    confirmed: NDArray[np.bool_]
    diffusion_um2_s: NDArray[np.float64]
    mobility: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.track_id)


class TrackBook:
    """Keeps the living tracks, and the last few thousand confirmed ones that ended.

    The diffusion coefficient is the covariance-based estimate (see `dashboard.models.steps`). It differs from
    that of the run's tables, which take the median and the most probable class of a likelihood over all of
    a track's sightings with their claimed uncertainties (`stream.motion`), at many times the cost. Classes
    near a border, and those of short tracks, may therefore come out differently there: in a simulation (D
    .003 and .03 µm²/s, 20 frames/s, error 25 nm) 87 % of tracks of 30 frames had the same class, and 97 % of
    those of 100.

    A track lives as long as the results name it, seen or in a gap. One whose birth was not watched, as the
    dashboard was opened later, counts as confirmed from its third sighting on.

    Parameters
    ----------
    pixel_size_nm
        In the sample.
    interval_s
        Nominal frame interval, until the frames tell theirs.

    Raises
    ------
    ValueError
        If the pixel size or the interval is not positive.
    """

    def __init__(self, pixel_size_nm: float, interval_s: float) -> None:
        if not (pixel_size_nm > 0 and interval_s > 0):
            raise ValueError(
                "tracks need a positive pixel size and frame interval, "
                f"got {pixel_size_nm} nm and {interval_s} s"
            )
        self._pixel_um = pixel_size_nm / 1000
        self._clock = Clock(interval_s, TrackerConfig().max_gap_frames)
        self._ids: Ids = NO_IDS  # of the living, ascending, and their rows
        self._rows: Rows = np.zeros((0, COLUMNS))
        self._ended_ids = np.zeros(MAX_ENDED, np.int64)
        self._ended: Rows = np.zeros((MAX_ENDED, COLUMNS))
        self._n_ended = 0
        self._seq, self._time_s = FAR_PAST, 0.0
        self._since = FAR_PAST  # first frame after the last pause
        self._by_id: tuple[Ids, Rows] | None = None  # the ended ones, sorted when somebody asks

    def add(self, result: FrameResult) -> None:
        """Take in a frame.

        Raises
        ------
        ValueError
            If its `seq` is not greater than the last one: another run, for which a new book is due.
        """
        seq, update = result.seq, result.tracks
        if seq <= self._seq:
            raise ValueError(f"frame {seq} came after frame {self._seq}; begin a new book of tracks")
        self._advance(seq, result.time_s)
        seen = update.track_id != NO_TRACK
        seen_id = update.track_id[seen]
        self._live_on(seq, np.unique(np.concatenate([seen_id, update.gap_track_id])), update.born)
        if len(update.confirmed):
            at, known = _places(self._ids, update.confirmed)
            self._rows[at[known], CONFIRMED] = 1
        found = result.localizations
        position_um = np.stack([found.x_px[seen], found.y_px[seen]], axis=1) * self._pixel_um
        at = self._ids.searchsorted(seen_id)
        rows = self._rows.take(at, axis=0)
        take_in(rows, seq, position_um, self._since, self._clock.interval_s)
        self._rows[at] = rows

    def living(self) -> TrackTable:
        """Tracks of the last frame, those in a gap too."""
        return _table(self._ids, self._rows)

    def ended(self) -> TrackTable:
        """The last confirmed tracks that ended."""
        return _table(*self._sorted_ended())

    def diffusion(self, track_ids: Ids) -> NDArray[np.float64]:
        """Diffusion coefficients in µm²/s as known now, (n,); NaN for unknown tracks."""
        rows, known = self._find(track_ids)
        return np.where(known, diffusion_um2_s(rows), np.nan)

    def mobility(self, track_ids: Ids) -> NDArray[np.int8]:
        """Classes as known now, (n,), indices into `MOBILITY`; "unknown" below 10 steps."""
        rows, known = self._find(track_ids)
        return np.where(known, mobility(rows), np.int8(UNKNOWN))

    def age(self, track_ids: Ids, seq: int) -> NDArray[np.int64]:
        """Frames from the first sighting to frame `seq`, (n,); −1 for unknown tracks and before that."""
        rows, known = self._find(track_ids)
        return np.where(known, np.maximum(seq - rows[:, FIRST_SEQ], -1), -1).astype(np.int64)

    def _advance(self, seq: int, time_s: float) -> None:
        """Move the clock; cameras run evenly, so what takes far longer than its frames was a pause."""
        first = self._seq == FAR_PAST
        if not first and time_s - self._time_s > PAUSE * (seq - self._seq) * self._clock.interval_s:
            self._since = seq
        self._clock.advance(seq, time_s)
        self._seq, self._time_s = seq, time_s

    def _live_on(self, seq: int, present: Ids, born: Ids) -> None:
        """Begin and end tracks, so that the rows are those of the ids `present`, which are ascending."""
        if np.array_equal(self._ids, present):
            return
        at, known = _places(self._ids, present)
        ended = self._rows[:, CONFIRMED] > 0
        ended[at[known]] = False
        self._keep(self._ids[ended], self._rows[ended])
        rows = np.zeros((len(present), COLUMNS))
        rows[:, FIRST_SEQ], rows[:, SEQ] = seq, FAR_PAST
        rows[known] = self._rows[at[known]]
        at, known = _places(present, born)
        rows[at[known], WHOLE] = 1
        self._ids, self._rows = present, rows

    def _keep(self, ids: Ids, rows: Rows) -> None:
        """Keep tracks that ended, instead of those that ended longest ago."""
        if not len(ids):
            return
        ids, rows = ids[-MAX_ENDED:], rows[-MAX_ENDED:]
        at = (self._n_ended + np.arange(len(ids))) % MAX_ENDED
        self._ended_ids[at], self._ended[at] = ids, rows
        self._n_ended += len(ids)
        self._by_id = None

    def _sorted_ended(self) -> tuple[Ids, Rows]:
        if self._by_id is None:
            order = np.argsort(self._ended_ids[: self._n_ended], kind="stable")
            self._by_id = self._ended_ids[order], self._ended[order]
        return self._by_id

    def _find(self, track_ids: Ids) -> tuple[Rows, NDArray[np.bool_]]:
        """Rows of tracks, living or ended, and whether they are known; rows of others are zero."""
        found = np.zeros((len(track_ids), COLUMNS))
        at, known = _places(self._ids, track_ids)
        found[known] = self._rows[at[known]]
        if not known.all():
            (ids, ended), missed = self._sorted_ended(), np.flatnonzero(~known)
            at, is_ended = _places(ids, track_ids[missed])
            found[missed[is_ended]] = ended[at[is_ended]]
            known[missed] = is_ended
        return found, known


def _places(ids: Ids, wanted: Ids) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where the ids `wanted` (n,) are among ascending `ids`, and whether they are there at all, (n,)."""
    if not len(ids):
        return np.zeros(len(wanted), np.intp), np.zeros(len(wanted), np.bool_)
    at = np.minimum(ids.searchsorted(wanted), len(ids) - 1)
    return at, ids[at] == wanted


def _table(ids: Ids, rows: Rows) -> TrackTable:
    first, last, sightings, steps = rows[:, (FIRST_SEQ, SEQ, SIGHTINGS, STEPS)].T.astype(np.int64)
    return TrackTable(
        track_id=ids,
        first_seq=first,
        last_seq=last,
        sightings=sightings,
        steps=steps,
        confirmed=rows[:, CONFIRMED] > 0,
        diffusion_um2_s=diffusion_um2_s(rows),
        mobility=mobility(rows),
    )

"""Online tracker: joins each frame's localizations to the living tracks by one sparse assignment.

Links maximize the summed log-likelihood ratio of "the same punctum, seen again" against "track unseen,
localization new or false" (Blackman & Popoli, Design and Analysis of Modern Tracking Systems (1999),
ch. 6). What a track expects is in `stream.kalman`.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import KDTree

from model.localizations import Localizations
from stream.config import TrackerConfig
from stream.kalman import Array, Index, Sightings, Tracks, diffusion_rates
from stream.results import NO_TRACK, TrackUpdate

DETECTION = 0.85  # chance that a living punctum is seen in a frame
CLUTTER_SHARE = 0.1  # share of localizations that are new or false
CLUTTER_LN_PHOTONS = 0.5  # their density per unit of ln photons: brightness known to a factor of e²
MIN_AREA_PX = 64.0**2  # field of view assumed until localizations span more
GATE = 21.1  # χ² with 3 degrees of freedom, 99.99 %
NEIGHBOURS = 10  # candidates a track, so that costs stay linear in any crowd
# Frames a tentative track may miss. None throws away more than a quarter of the real tracks before their
# third sighting (up to .004 of link F1 in simulations); two gain nothing and keep false ones longer.
TENTATIVE_GAP_FRAMES = 1
BATCH_PAIRS = 256  # solved at once
# A wait of more nominal intervals than this (and than the longest gap) since the last frame is none. Either
# the clock was set, and every track lives on; or the camera paused for so long that mobile puncta are
# elsewhere, and a narrow gate links only what stayed in place. Shorter pauses widen the gates, and missing
# frames show in `seq`.
LONGEST_PAUSE = 10.0


class Tracker:
    """Links the localizations of successive frames into tracks.

    Parameters
    ----------
    config
        Diffusion coefficient of mobile puncta, longest gap, detections that confirm a track.
    pixel_size_nm
        Pixel size in the sample, nm.
    interval_s
        Nominal frame interval, s; gaps are limited in multiples of it.

    Raises
    ------
    ValueError
        If the pixel size or the interval is not positive.
    """

    def __init__(self, config: TrackerConfig, pixel_size_nm: float, interval_s: float) -> None:
        if not (pixel_size_nm > 0 and interval_s > 0):
            raise ValueError(
                "the tracker needs a positive pixel size and frame interval, "
                f"got {pixel_size_nm} nm and {interval_s} s"
            )
        self._config = config
        self._interval_s = interval_s
        self._rates = diffusion_rates(config.diffusion_um2_s * 1e6 / pixel_size_nm**2, interval_s)
        self._tracks = Tracks.begin(Sightings.of(Localizations.empty()), 0, 0.0)
        self._next_id = 0
        self._seq: int | None = None
        self._time_s = 0.0
        self._clock_s = 0.0  # time since the first frame
        self._corners = np.empty((0, 2))  # of the box that holds all localizations so far

    def step(self, seq: int, time_s: float, localizations: Localizations) -> TrackUpdate:
        """Link one frame's localizations; frames come in order, missing ones are simply not given.

        Parameters
        ----------
        seq
            Index of the frame, greater than that of the frame before.
        time_s
            Its time in seconds. Where the clock stands still, goes back or leaps (see `LONGEST_PAUSE`),
            the nominal interval counts.
        localizations
            Its N puncta, at finite positions.

        Returns
        -------
        TrackUpdate
            Every localization gets a track, so tentative ones too; a track is in a gap for at most
            `max_gap_frames` intervals (a tentative one for one) and then ends.

        Raises
        ------
        ValueError
            If `seq` is not greater than the last one, or a position is not finite.
        """
        elapsed_s = self._advance(seq, time_s)
        seen = Sightings.of(localizations)
        if not np.isfinite(seen.value).all():
            raise ValueError(f"frame {seq} has localizations whose position or photons are not finite")

        late = self._overdue(self._tracks, 0.0)
        ended, tracks = self._tracks.select(late), self._tracks.select(~late)
        tracks.variance += self._rates * elapsed_s
        row, spot = link(tracks, seen, self._log_clutter(seen))
        tracks.update(row, seen.select(spot), self._clock_s)
        late = self._overdue(tracks, self._interval_s)
        ended, kept = ended.join(tracks.select(late)), tracks.select(~late)

        track_id = np.full(len(seen), NO_TRACK, np.int64)
        track_id[spot] = tracks.id[row]
        free = track_id == NO_TRACK
        born = Tracks.begin(seen.select(free), self._next_id, self._clock_s)
        track_id[free] = born.id
        self._next_id += len(born)
        self._tracks = living = kept.join(born)

        confirmed = ~living.confirmed & (living.detections >= self._config.confirm_detections)
        living.confirmed |= confirmed
        gap = living.seen_s < self._clock_s
        gap_x_px, gap_y_px = living.position()[gap].astype(np.float32).T
        return TrackUpdate(
            track_id=track_id,
            gap_track_id=living.id[gap],
            gap_x_px=gap_x_px,
            gap_y_px=gap_y_px,
            born=born.id,
            confirmed=living.id[confirmed],
            died=ended.id[ended.confirmed],
            dropped=ended.id[~ended.confirmed],
        )

    def flush(self) -> TrackUpdate:
        """End all tracks. Frames may follow; their tracks get new ids."""
        ended = self._tracks
        self._tracks = ended.select(np.empty(0, np.intp))
        nothing = TrackUpdate.none()
        return TrackUpdate(
            track_id=nothing.track_id,
            gap_track_id=nothing.gap_track_id,
            gap_x_px=nothing.gap_x_px,
            gap_y_px=nothing.gap_y_px,
            born=nothing.born,
            confirmed=nothing.confirmed,
            died=ended.id[ended.confirmed],
            dropped=ended.id[~ended.confirmed],
        )

    def _advance(self, seq: int, time_s: float) -> float:
        """Move the clock to this frame; gives the seconds since the frame before."""
        elapsed_s = 0.0
        if self._seq is not None:
            if seq <= self._seq:
                raise ValueError(
                    f"frame {seq} came to the tracker after frame {self._seq}; seq must increase"
                )
            nominal_s = (seq - self._seq) * self._interval_s
            longest_s = max(LONGEST_PAUSE, self._config.max_gap_frames + 1.0) * nominal_s
            elapsed_s = time_s - self._time_s
            if not 0 < elapsed_s <= longest_s:
                elapsed_s = nominal_s
        self._seq, self._time_s = seq, time_s
        self._clock_s += elapsed_s
        return elapsed_s

    def _overdue(self, tracks: Tracks, ahead_s: float) -> NDArray[np.bool_]:
        """Tracks for which a sighting `ahead_s` from now would come too late."""
        longest = self._config.max_gap_frames
        gap = np.where(tracks.confirmed, longest, min(longest, TENTATIVE_GAP_FRAMES))
        unseen_s = self._clock_s + ahead_s - tracks.seen_s
        # A gap of g frames ends g + 1 intervals after the last sighting; ½ allows for jitter.
        overdue: NDArray[np.bool_] = unseen_s > (gap + 1.5) * self._interval_s
        return overdue

    def _log_clutter(self, seen: Sightings) -> float:
        """Log density of new and false localizations, per px² and unit of ln photons."""
        if not len(seen):
            return 0.0  # nothing to link
        positions = np.concatenate([self._corners, seen.value[:, :2]])
        self._corners = np.stack([positions.min(axis=0), positions.max(axis=0)])
        area = max(float(np.prod(self._corners[1] - self._corners[0])), MIN_AREA_PX)
        return math.log(CLUTTER_SHARE * len(seen) / area * CLUTTER_LN_PHOTONS)


def link(tracks: Tracks, seen: Sightings, log_clutter: float) -> tuple[Index, Index]:
    """Rows of tracks and rows of the sightings they are linked to, (L,) each, every row at most once."""
    nothing = np.empty(0, np.intp)
    if not len(tracks) or not len(seen):
        return nothing, nothing
    reach = math.sqrt(GATE * (tracks.variance[:, :, :2].max() + seen.variance[:, :2].max()))
    ranks = np.arange(1, min(NEIGHBOURS, len(seen)) + 1)
    distance, neighbour = KDTree(seen.value[:, :2]).query(
        tracks.position(), k=ranks, distance_upper_bound=reach
    )
    row, rank = np.nonzero(np.isfinite(distance))
    spot = np.asarray(neighbour)[row, rank]
    log_joint, distance2 = tracks.log_joint(row, seen.select(spot))
    odds = math.log(DETECTION / (1 - DETECTION))
    gain = np.logaddexp.reduce(log_joint, axis=1) + odds - log_clutter
    good = (gain > 0) & (distance2.min(axis=1, initial=np.inf) < GATE)
    if not good.any():
        return nothing, nothing
    return assign(row[good], spot[good], gain[good])


def assign(row: Index, spot: Index, gain: Array) -> tuple[Index, Index]:
    """Choose the pairs, each row and spot at most once, that have the greatest summed gain.

    Pairs (P,) must have gains above 0. A pair without rivals is taken as it is; the others are solved
    together with their rivals only, as the cost of an assignment grows with the square of its rows.
    """
    rivals = (np.bincount(row)[row] > 1) | (np.bincount(spot)[spot] > 1)
    taken = [np.flatnonzero(~rivals)]
    contested = np.flatnonzero(rivals)
    if len(contested):
        n_rows = int(row.max()) + 1
        ends = (row[contested], n_rows + spot[contested])
        n = n_rows + int(spot.max()) + 1
        _, component = connected_components(coo_array((np.ones(len(contested)), ends), shape=(n, n)), False)
        group = component[row[contested]]
        order = np.argsort(group, kind="stable")
        # Whole components, as many as make a batch: one by one, the calls would cost more than the work.
        first = np.flatnonzero(np.diff(group[order], prepend=-1))
        cuts = first[np.flatnonzero(np.diff(first // BATCH_PAIRS)) + 1]
        for batch in np.split(contested[order], cuts):
            taken.append(batch[_best_pairs(row[batch], spot[batch], gain[batch])])
    pairs = np.concatenate(taken)
    pairs = pairs[np.argsort(row[pairs])]
    return row[pairs], spot[pairs]


def _best_pairs(row: Index, spot: Index, gain: Array) -> Index:
    """Numbers of the pairs that have the greatest summed gain."""
    rows, i = np.unique(row, return_inverse=True)
    spots, j = np.unique(spot, return_inverse=True)
    # Every track may also stay unlinked, for no gain, so a full matching always exists. The same
    # constant on all weights changes nothing but makes them positive: explicit zeros would vanish.
    alone = np.arange(len(rows))
    weight = gain.max() + 1.0 - np.concatenate([gain, np.zeros(len(rows))])
    ends = (np.concatenate([i, alone]), np.concatenate([j, len(spots) + alone]))
    matching = coo_array((weight, ends), shape=(len(rows), len(spots) + len(rows))).tocsr()
    _, to = min_weight_full_bipartite_matching(matching)
    chosen: Index = np.flatnonzero(to[i] == j)
    return chosen

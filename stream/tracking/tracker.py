"""Online tracker: joins each frame's localizations to the living tracks by one sparse assignment.

What a track expects is in `stream.tracking.kalman`, what all puncta of the recording have in common in
`stream.tracking.population`, and how a frame's links are chosen in `stream.tracking.linking`.
"""

import numpy as np
from numpy.typing import NDArray

from model.localizations import Localizations
from stream.clock import Clock
from stream.config import TrackerConfig
from stream.results import NO_TRACK, TrackUpdate
from stream.tracking.kalman import Index, Sightings, Tracks
from stream.tracking.linking import link
from stream.tracking.population import Population

# Frames a tentative track may miss: none throws away more than a quarter of the real tracks before their
# third sighting; from two on nothing is gained (simulations: up to .003 of link F1).
TENTATIVE_GAP_FRAMES = 2


class Tracker:
    """Links the localizations of successive frames into tracks.

    Parameters
    ----------
    config
        Range of diffusion coefficients, longest gap, detections that confirm a track.
    pixel_size_nm
        Pixel size in the sample, nm.
    interval_s
        Nominal frame interval, s, until the frames tell theirs; gaps are limited in multiples of it.

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
        px2_per_um2 = 1e6 / pixel_size_nm**2
        slowest, fastest = config.diffusion_um2_s
        range_px2_s = slowest * px2_per_um2, fastest * px2_per_um2
        self._population = Population(range_px2_s, interval_s, config.max_gap_frames)
        self._tracks = Tracks.none()
        self._next_id = 0
        self._clock = Clock(interval_s, config.max_gap_frames)

    @property
    def population(self) -> Population:
        """What the recording has shown of its puncta so far."""
        return self._population

    @property
    def time_s(self) -> float:
        """Time of the last frame, on a clock that neither stands still nor leaps."""
        return self._clock.now_s

    def step(self, seq: int, time_s: float, localizations: Localizations) -> TrackUpdate:
        """Link one frame's localizations; frames come in order, missing ones are simply not given.

        Parameters
        ----------
        seq
            Index of the frame, greater than that of the frame before.
        time_s
            Its time in seconds; see `stream.clock` for clocks that stand still, go back or leap.
        localizations
            Its N puncta, at finite positions.

        Returns
        -------
        TrackUpdate
            Every localization gets a track, so tentative ones too; a track is in a gap for at most
            `max_gap_frames` intervals (a tentative one for two) and then ends.

        Raises
        ------
        ValueError
            If `seq` is not greater than the last one, or a position is not finite.
        """
        elapsed_s = self._clock.advance(seq, time_s)
        population = self._population
        seen = Sightings.of(localizations, population.photon_variance)
        if not np.isfinite(seen.value).all():
            raise ValueError(f"frame {seq} has localizations whose position or photons are not finite")

        ended, tracks = self._tracks.split(self._overdue(self._tracks, 0.0))
        tracks.variance += population.rates * elapsed_s
        row, spot = link(tracks, seen, population.log_odds(tracks), population.log_clutter(seen))
        track_id = np.full(len(seen), NO_TRACK, np.int64)
        track_id[spot] = tracks.id[row]
        free = track_id == NO_TRACK
        self._take_in(tracks, row, seen, spot, free)
        late, kept = tracks.split(self._overdue(tracks, self._clock.interval_s))
        ended = ended.join(late)

        born = Tracks.begin(seen.select(free), self._next_id, self._clock.now_s, population.class_share)
        track_id[free] = born.id
        self._next_id += len(born)
        self._tracks = living = kept.join(born)

        confirmed = ~living.confirmed & (living.detections >= self._config.confirm_detections)
        living.confirmed |= confirmed
        gap = living.seen_s < self._clock.now_s
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

    def _take_in(
        self, tracks: Tracks, row: Index, seen: Sightings, spot: Index, free: NDArray[np.bool_]
    ) -> None:
        """Bring the tracks, and what is known of all puncta, up to the links of this frame."""
        population, linked = self._population, seen.select(spot)
        posterior = tracks.posterior(row, linked)
        population.learn_sightings(tracks, row, seen, free)
        population.learn_motion(tracks, row, linked, posterior, self._clock.now_s)
        tracks.update(row, linked, posterior, self._clock.now_s, population.class_share)

    def _overdue(self, tracks: Tracks, ahead_s: float) -> NDArray[np.bool_]:
        """Tracks for which a sighting `ahead_s` from now would come too late."""
        longest = self._config.max_gap_frames
        gap = np.where(tracks.confirmed, longest, min(longest, TENTATIVE_GAP_FRAMES))
        unseen_s = self._clock.now_s + ahead_s - tracks.seen_s
        # A gap of g frames ends g + 1 intervals after the last sighting; ½ allows for jitter.
        overdue: NDArray[np.bool_] = unseen_s > (gap + 1.5) * self._clock.interval_s
        return overdue

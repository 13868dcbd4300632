"""What a recording shows of its puncta, learnt from the links as they are made.

How fast they move, how steadily they shine, how often a punctum that was just seen, or has been unseen for
a while, is seen again, and how dense new and false localizations are: what a tracker would otherwise have to
be told. All are running means that start from a plain guess and forget slowly, so the first frames are
tracked by the guess, and slow changes (bleaching, focus) are followed.
"""

import math

import numpy as np
from numpy.typing import NDArray

from stream.tracking.kalman import CLASSES, Array, Index, Sightings, Tracks

FORGET = 0.995  # a frame: the means cover about 200 frames
GUESS_WEIGHT = 30.0  # tracks, links or localizations that a guess counts for

# Guess of the chance to be seen again: right after a sighting, and after one unseen frame, by number of
# sightings (1, 2, 3 and more: most localizations that were seen once are false); it falls by a sixth with
# every further frame, as blinks and lives end.
SEEN_AGAIN = np.array([0.4, 0.8, 0.85])
SEEN_AFTER_GAP = np.array([0.1, 0.25, 0.3])
FALL = 0.85
CHANCE = (1e-4, 0.995)  # no chance is believed to be smaller or greater

PHOTON_SD = 0.2  # guess of the scatter of ln photons of one punctum between frames
PHOTON_DRIFT = 0.02  # its random walk a frame (standard deviation), for bleaching and focus
OUTLIER_SD = 3.0  # a deviation counts in that scatter up to here

CLUTTER_SHARE = 0.1  # guess of the share of localizations that are new or false …
CLUTTER_SHARE_MIN = 0.01
CLUTTER_PHOTON_SD = 0.5  # … and of the scatter of their ln photons
CLUTTER_PHOTON_SD_MIN = 0.3
MIN_AREA_PX = 64.0**2  # field of view assumed until localizations span more

MIN_SHARE = 0.02  # of puncta in a diffusion class, so that none is ever given up


class Population:
    """Running estimates of the puncta of one recording.

    Parameters
    ----------
    diffusion_px2_s
        Slowest and fastest expected diffusion coefficient, px²/s: the classes lie evenly spaced in its
        logarithm at first, and stay within it.
    interval_s
        Nominal frame interval.
    longest_gap
        Most frames a track may be unseen.
    """

    def __init__(self, diffusion_px2_s: tuple[float, float], interval_s: float, longest_gap: int) -> None:
        slowest, fastest = diffusion_px2_s
        self._limits = slowest, fastest
        self._interval_s = interval_s
        self._diffusion = _Mean(np.geomspace(fastest, slowest, CLASSES))
        self._members = np.full(CLASSES, GUESS_WEIGHT / CLASSES)
        unseen = np.arange(longest_gap + 1)
        guess = [
            np.where(unseen == 0, again, later * FALL ** (unseen - 1.0))
            for again, later in zip(SEEN_AGAIN, SEEN_AFTER_GAP, strict=True)
        ]
        self._seen = _Mean(np.stack(guess))
        self._photon_variance = _Mean(np.array(PHOTON_SD**2))
        self._clutter_share = _Mean(np.array(CLUTTER_SHARE))
        self._clutter_photons: _Mean | None = None  # mean of ln photons and of its square
        self._low, self._high = np.full((2, 2), [[np.inf], [-np.inf]])  # box of all localizations so far

    @property
    def diffusion_px2_s(self) -> Array:
        """Diffusion coefficient of each class, fastest first, (K,)."""
        within: Array = np.clip(self._diffusion.value, *self._limits)
        return within

    @property
    def class_share(self) -> Array:
        """Share of the puncta in each class, (K,)."""
        share = np.maximum(self._members / self._members.sum(), MIN_SHARE)
        normalized: Array = share / share.sum()
        return normalized

    @property
    def photon_variance(self) -> float:
        """Variance of ln photons of one punctum between frames."""
        return float(self._photon_variance.value)

    @property
    def seen_again(self) -> Array:
        """Chance to be seen in the next frame, by sightings (1, 2, 3 or more) and frames missed (0, 1, …)."""
        chance: Array = np.clip(self._seen.value, *CHANCE)
        return chance

    @property
    def rates(self) -> Array:
        """Growth of the variance of (x, y, ln photons) per second for each class, (K, 3)."""
        rates = np.empty((CLASSES, 3))
        rates[:, :2] = 2 * self.diffusion_px2_s[:, None]
        rates[:, 2] = PHOTON_DRIFT**2 / self._interval_s
        return rates

    def log_odds(self, tracks: Tracks) -> Array:
        """Log odds that each track is seen in the next frame, (n,)."""
        chance = self.seen_again[self._bin(tracks)]
        return np.log(chance / (1 - chance))

    def log_clutter(self, seen: Sightings) -> Array:
        """Log density of new and false localizations at N sightings, per px² and unit of ln photons, (N,)."""
        ln_photons = seen.value[:, 2]
        if not len(seen):
            return ln_photons
        xy = seen.value[:, :2]
        self._low, self._high = np.minimum(self._low, xy.min(axis=0)), np.maximum(self._high, xy.max(axis=0))
        area = max(float(np.prod(self._high - self._low)), MIN_AREA_PX)
        share = max(float(self._clutter_share.value), CLUTTER_SHARE_MIN)
        if self._clutter_photons is None:
            mean = ln_photons.mean()
            self._clutter_photons = _Mean(np.array([mean, mean**2 + CLUTTER_PHOTON_SD**2]))
        mean, square = self._clutter_photons.value
        variance = max(square - mean**2, CLUTTER_PHOTON_SD_MIN**2)
        log_normal = -0.5 * ((ln_photons - mean) ** 2 / variance + math.log(2 * math.pi * variance))
        log_density: Array = math.log(share * len(seen) / area) + log_normal
        return log_density

    def learn_sightings(self, tracks: Tracks, row: Index, seen: Sightings, free: NDArray[np.bool_]) -> None:
        """Learn from which tracks (`row`) were seen again, and which of N sightings are `free`."""
        at_risk, hits = np.zeros((2, *self._seen.value.shape))
        cell = self._bin(tracks)
        np.add.at(at_risk, cell, 1.0)
        np.add.at(hits, (cell[0][row], cell[1][row]), 1.0)
        self._seen.add(hits, at_risk)
        self._clutter_share.add(np.array(float(free.sum())), np.array(float(len(seen))))
        if free.any() and self._clutter_photons is not None:
            ln_photons = seen.value[free, 2]
            moments = np.array([ln_photons.sum(), (ln_photons**2).sum()])
            self._clutter_photons.add(moments, np.array(float(len(ln_photons))))

    def learn_motion(
        self, tracks: Tracks, row: Index, seen: Sightings, posterior: Array, now_s: float
    ) -> None:
        """Learn from the steps of the tracks `row` to their sightings, before the tracks take them in.

        The expected squared step of each class, given the step that was observed, is the maximization step
        of the EM algorithm on filtered states (Shumway & Stoffer, J. Time Ser. Anal. 3, 253 (1982)).
        `posterior` (L, K) are the class probabilities given the sighting.
        """
        sure = tracks.confirmed[row]
        row, posterior = row[sure], posterior[sure]
        if not len(row):
            return
        noise = seen.variance[sure][:, None]
        variance = tracks.variance[row] + noise
        moved2 = (seen.value[sure][:, None] - tracks.mean[row]) ** 2
        elapsed_s = (now_s - tracks.seen_s[row])[:, None, None]
        walked = 2 * self.diffusion_px2_s[:, None] * elapsed_s
        share = walked / variance[:, :, :2]
        step2 = walked - share * walked + share**2 * moved2[:, :, :2]
        diffusion = (step2 / (2 * elapsed_s)).mean(axis=2)
        self._diffusion.add((posterior * diffusion).sum(axis=0), posterior.sum(axis=0))
        self._members = FORGET * self._members + posterior.sum(axis=0)

        # The same for the scatter of ln photons, from puncta seen in the frame before; all classes agree.
        fresh = tracks.missed[row] == 0
        share = self.photon_variance / variance[fresh, 0, 2]
        moved2 = np.minimum(moved2[fresh, 0, 2], OUTLIER_SD**2 * variance[fresh, 0, 2])
        scatter = self.photon_variance * (1 - share) + share**2 * moved2
        self._photon_variance.add(np.array(scatter.sum()), np.array(float(len(scatter))))

    def _bin(self, tracks: Tracks) -> tuple[Index, Index]:
        sightings = np.minimum(tracks.detections, len(SEEN_AGAIN)) - 1
        return sightings, np.minimum(tracks.missed, self._seen.value.shape[1] - 1)


class _Mean:
    """Running means that forget, each beginning with a guess."""

    def __init__(self, guess: Array) -> None:
        self._guess = guess
        self._sum = guess * GUESS_WEIGHT
        self._weight = np.full(guess.shape, GUESS_WEIGHT)

    @property
    def value(self) -> Array:
        """The means."""
        mean: Array = self._sum / self._weight
        return mean

    def add(self, total: Array, weight: Array) -> None:
        """Take in one frame: the summed values and their number."""
        # What the guess loses by forgetting is given back, so a mean without news returns to it.
        kept = (1 - FORGET) * GUESS_WEIGHT
        self._sum = FORGET * self._sum + total + kept * self._guess
        self._weight = FORGET * self._weight + weight + kept

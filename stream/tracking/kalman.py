"""Kalman filters of many tracks at once: where each is expected, and how well a localization fits.

A punctum diffuses, so its track is a random-walk Kalman filter; the state is (x, y, ln photons), as
brightness tells neighbours apart where positions do not. Every track carries one filter for each
diffusion class and the probability of each class, a multiple-model filter (Bar-Shalom, Li & Kirubarajan,
Estimation with Applications to Tracking and Navigation (2001), ch. 11.6).
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.localizations import Localizations
from stream.results import Ids

Array = NDArray[np.float64]
Index = NDArray[np.intp]

CLASSES = 3  # of diffusion; two lose a tenth of α where puncta are fast, four gain nothing (simulations)
CLASS_SWITCH = 0.01  # chance a sighting that the class has changed: keeps old tracks able to learn
SD_PX = (0.02, 2.0)  # believable localization uncertainties; those outside are taken as the nearest


@dataclass(frozen=True, slots=True)
class Sightings:
    """Localizations as the filters see them: `value` and noise `variance` of (x, y, ln photons), (N, 3)."""

    value: Array
    variance: Array

    @classmethod
    def of(cls, found: Localizations, photon_variance: float) -> Self:
        """Take over localizations; ln photons of a punctum scatter by `photon_variance` between frames."""
        value = np.stack([found.x_px, found.y_px, np.log(np.maximum(found.photons, 1.0))], axis=1)
        sd = np.stack([found.x_sd_px, found.y_sd_px], axis=1).astype(np.float64)
        variance = np.full((len(found), 3), photon_variance)
        variance[:, :2] = np.clip(np.nan_to_num(sd, nan=SD_PX[1]), *SD_PX) ** 2
        return cls(value.astype(np.float64), variance)

    def __len__(self) -> int:
        return len(self.value)

    def select(self, index: NDArray[np.bool_] | Index) -> Self:
        """Rows chosen by a mask or by indices."""
        return type(self)(self.value[index], self.variance[index])


@dataclass(slots=True)
class Tracks:
    """Living tracks as a struct of arrays: n tracks, K diffusion classes, 3 axes (x, y, ln photons).

    Attributes
    ----------
    id
        Track ids (n,).
    mean, variance
        State of each class's filter, (n, K, 3).
    weight
        Class probabilities, (n, K).
    detections, confirmed, seen_s, missed
        Number of sightings, whether they made it a track, when the last one was, and how many frames did
        not show it since, (n,) each.
    """

    id: Ids
    mean: Array
    variance: Array
    weight: Array
    detections: NDArray[np.int64]
    confirmed: NDArray[np.bool_]
    seen_s: Array
    missed: NDArray[np.int64]

    @classmethod
    def none(cls) -> Self:
        """No tracks."""
        return cls.begin(Sightings(np.empty((0, 3)), np.empty((0, 3))), 0, 0.0, np.empty(CLASSES))

    @classmethod
    def begin(cls, seen: Sightings, first_id: int, now_s: float, class_share: Array) -> Self:
        """Tracks that begin at sightings, with ids from `first_id`, in each class by its share (K,)."""
        n, k = len(seen), CLASSES
        return cls(
            id=np.arange(first_id, first_id + n, dtype=np.int64),
            mean=np.repeat(seen.value[:, None], k, axis=1),
            variance=np.repeat(seen.variance[:, None], k, axis=1),
            weight=np.tile(class_share, (n, 1)),
            detections=np.ones(n, np.int64),
            confirmed=np.zeros(n, np.bool_),
            seen_s=np.full(n, now_s),
            missed=np.zeros(n, np.int64),
        )

    def __len__(self) -> int:
        return len(self.id)

    def select(self, index: NDArray[np.bool_] | Index) -> Self:
        """Rows chosen by a mask or by indices."""
        return type(self)(*(getattr(self, f.name)[index] for f in fields(self)))

    def split(self, chosen: NDArray[np.bool_]) -> tuple[Self, Self]:
        """The chosen tracks, and the others."""
        if not chosen.any():  # as in most frames
            return self.none(), self
        return self.select(chosen), self.select(~chosen)

    def join(self, other: Self) -> Self:
        """These tracks, then the other ones."""
        if not len(self) or not len(other):
            return self if len(self) else other
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return type(self)(*(np.concatenate(pair) for pair in pairs))

    def position(self) -> Array:
        """Expected (x, y) in pixels, (n, 2)."""
        mean: Array = np.einsum("nk,nka->na", self.weight, self.mean[:, :, :2])
        return mean

    def posterior(self, row: Index, seen: Sightings) -> Array:
        """Class probabilities (L, K) of the tracks `row`, given a sighting of each."""
        variance = self.variance[row] + seen.variance[:, None]
        distance2 = ((seen.value[:, None] - self.mean[row]) ** 2 / variance).sum(axis=2)
        log_joint = np.log(self.weight[row]) - 0.5 * (distance2 + np.log(variance).sum(axis=2))
        posterior: Array = np.exp(log_joint - np.logaddexp.reduce(log_joint, axis=1)[:, None])
        return posterior

    def update(self, row: Index, seen: Sightings, posterior: Array, now_s: float, class_share: Array) -> None:
        """Take in one sighting for each of the tracks `row`, and none for the others, in place."""
        self.weight[row] = (1 - CLASS_SWITCH) * posterior + CLASS_SWITCH * class_share
        variance = self.variance[row]
        gain = variance / (variance + seen.variance[:, None])
        self.mean[row] += gain * (seen.value[:, None] - self.mean[row])
        self.variance[row] = (1 - gain) * variance
        self.detections[row] += 1
        self.seen_s[row] = now_s
        self.missed += 1
        self.missed[row] = 0

"""Kalman filters of many tracks at once: where each is expected, and how well a localization fits.

A punctum diffuses, so its track is a random-walk Kalman filter; the state is (x, y, ln photons), as
brightness tells neighbours apart where positions do not. Every track carries one filter for each
diffusion class and the probability of each class, a multiple-model filter (Bar-Shalom, Li & Kirubarajan,
Estimation with Applications to Tracking and Navigation (2001), ch. 11.6).
"""

import math
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.localizations import Localizations
from stream.results import Ids

Array = NDArray[np.float64]
Index = NDArray[np.intp]

# Diffusion classes as multiples of the mobile one; the lab's manual gives .029 and .003 µm²/s.
CLASS_SCALE = np.array([1.0, 0.1])
CLASS_SWITCH = 0.02  # chance a sighting that the class has changed: keeps old tracks able to learn
PHOTON_SD = 0.2  # scatter of ln photons between two sightings of one punctum
PHOTON_DRIFT = 0.02  # its random walk a frame (standard deviation), for bleaching and focus
SD_PX = (0.02, 2.0)  # believable localization uncertainties; those outside are taken as the nearest
LN_2PI = math.log(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Sightings:
    """Localizations as the filters see them: `value` and noise `variance` of (x, y, ln photons), (N, 3)."""

    value: Array
    variance: Array

    @classmethod
    def of(cls, found: Localizations) -> Self:
        """Take over localizations."""
        value = np.stack([found.x_px, found.y_px, np.log(np.maximum(found.photons, 1.0))], axis=1)
        sd = np.stack([found.x_sd_px, found.y_sd_px, np.full(len(found), PHOTON_SD)], axis=1)
        sd = np.clip(np.nan_to_num(sd, nan=SD_PX[1]), *SD_PX)
        return cls(value.astype(np.float64), sd.astype(np.float64) ** 2)

    def __len__(self) -> int:
        return len(self.value)

    def select(self, index: NDArray[np.bool_] | Index) -> Self:
        """Rows chosen by a mask or by indices."""
        return type(self)(self.value[index], self.variance[index])


def diffusion_rates(diffusion_px2_s: float, interval_s: float) -> Array:
    """Growth of the state's variance per second for each class and axis, (K, 3)."""
    rates = np.empty((len(CLASS_SCALE), 3))
    rates[:, :2] = 2 * diffusion_px2_s * CLASS_SCALE[:, None]
    rates[:, 2] = PHOTON_DRIFT**2 / interval_s
    return rates


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
    detections, confirmed, seen_s
        Number of sightings, whether they made it a track, and when the last one was, (n,) each.
    """

    id: Ids
    mean: Array
    variance: Array
    weight: Array
    detections: NDArray[np.int64]
    confirmed: NDArray[np.bool_]
    seen_s: Array

    @classmethod
    def begin(cls, seen: Sightings, first_id: int, now_s: float) -> Self:
        """Tracks that begin at sightings, with ids from `first_id`."""
        n, k = len(seen), len(CLASS_SCALE)
        return cls(
            id=np.arange(first_id, first_id + n, dtype=np.int64),
            mean=np.repeat(seen.value[:, None], k, axis=1),
            variance=np.repeat(seen.variance[:, None], k, axis=1),
            weight=np.full((n, k), 1 / k),
            detections=np.ones(n, np.int64),
            confirmed=np.zeros(n, np.bool_),
            seen_s=np.full(n, now_s),
        )

    def __len__(self) -> int:
        return len(self.id)

    def select(self, index: NDArray[np.bool_] | Index) -> Self:
        """Rows chosen by a mask or by indices."""
        return type(self)(*(getattr(self, f.name)[index] for f in fields(self)))

    def join(self, other: Self) -> Self:
        """These tracks, then the other ones."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return type(self)(*(np.concatenate(pair) for pair in pairs))

    def position(self) -> Array:
        """Expected (x, y) in pixels, (n, 2)."""
        mean: Array = np.einsum("nk,nka->na", self.weight, self.mean[:, :, :2])
        return mean

    def log_joint(self, row: Index, seen: Sightings) -> tuple[Array, Array]:
        """Fit of P pairs of a track (`row`) and a sighting.

        Returns the log of class probability × predictive likelihood, and the squared Mahalanobis
        distance, (P, K) each.
        """
        variance = self.variance[row] + seen.variance[:, None]
        distance2 = ((seen.value[:, None] - self.mean[row]) ** 2 / variance).sum(axis=2)
        log_likelihood = -0.5 * (distance2 + np.log(variance).sum(axis=2) + 3 * LN_2PI)
        return log_likelihood + np.log(self.weight[row]), distance2

    def update(self, row: Index, seen: Sightings, now_s: float) -> None:
        """Take in one sighting for each of the tracks `row`, in place."""
        log_joint, _ = self.log_joint(row, seen)
        posterior = np.exp(log_joint - np.logaddexp.reduce(log_joint, axis=1)[:, None])
        self.weight[row] = (1 - CLASS_SWITCH) * posterior + CLASS_SWITCH / len(CLASS_SCALE)
        variance = self.variance[row]
        gain = variance / (variance + seen.variance[:, None])
        self.mean[row] += gain * (seen.value[:, None] - self.mean[row])
        self.variance[row] = (1 - gain) * variance
        self.detections[row] += 1
        self.seen_s[row] = now_s

"""Which transients in the field are true, by place and onset."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bench.calcium_field_movies import TrueTransients
from stream.results import CalciumTransient
from train.simulation_config import SimulationConfig

RADIUS_NM = 500.0
ONSET_FRAMES = 3
# A transient that begins outside the image glows into it, and is found at its edge.
OUTSIDE_NM = 1300.0
# Closer in space and time than this, two clouds (σ up to 4 px) are one bright spot.
ALONE_NM = 1300.0
ALONE_FRAMES = 25

Array = NDArray[np.float64]


@dataclass(slots=True)
class TransientCounts:
    """Transients within the image, onset after the settling and before the last frames.

    `n_alone` of the true ones have no other within 1.3 µm that begins up to 25 frames before or after.
    """

    n_true: int = 0
    n_hit: int = 0
    n_false: int = 0
    n_alone: int = 0
    n_alone_hit: int = 0
    errors_nm: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)

    def __iadd__(self, other: "TransientCounts") -> Self:
        """Add the counts of another movie."""
        for name in ("n_true", "n_hit", "n_false", "n_alone", "n_alone_hit", "errors_nm", "lags"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    @property
    def precision(self) -> float:
        """Share of the found that are true."""
        return _ratio(self.n_hit, self.n_hit + self.n_false)

    @property
    def recall(self) -> float:
        """Share of the true that are found."""
        return _ratio(self.n_hit, self.n_true)

    @property
    def recall_alone(self) -> float:
        """The same of those without another nearby."""
        return _ratio(self.n_alone_hit, self.n_alone)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        return _ratio(2 * self.n_hit, self.n_hit + self.n_false + self.n_true)

    @property
    def median_error_nm(self) -> float:
        """Median distance from the true place, nm."""
        return float(np.median(self.errors_nm)) if self.errors_nm else float("nan")

    @property
    def mean_lag(self) -> float:
        """Mean of onset found − true, frames."""
        return float(np.mean(self.lags)) if self.lags else float("nan")

    def figures(self) -> dict[str, Any]:
        """What a report says."""
        lags = np.abs(self.lags)
        return {
            "transients": {
                "true": self.n_true,
                "false": self.n_false,
                "alone": self.n_alone,
            },
            "precision": self.precision,
            "recall": self.recall,
            "recall_alone": self.recall_alone,
            "f1": self.f1,
            "median_error_nm": self.median_error_nm,
            "mean_lag_frames": self.mean_lag,
            "median_absolute_lag_frames": float(np.median(lags)) if len(lags) else float("nan"),
        }


def score_transients(
    truth: Sequence[TrueTransients],
    found: Sequence[CalciumTransient],
    config: SimulationConfig,
    settling_frames: int,
) -> TransientCounts:
    """Match what was found with what is true, one to one, nearest pairs first (Hungarian).

    Parameters
    ----------
    truth
        What begins in each frame.
    found
        Transients without waves.
    config
        The movie.
    settling_frames
        Onsets before this frame, and in the last 3, neither count as missed nor as false.
    """
    nm = config.pixel_size_nm
    onset = np.concatenate([np.full(len(t.dff), float(i)) for i, t in enumerate(truth)])
    at = np.concatenate([t.xy for t in truth]) * nm
    onset_found = np.array([t.onset_frame for t in found], np.float64)
    at_found = np.array([(t.x_px, t.y_px) for t in found], np.float64).reshape(-1, 2) * nm
    height, width = config.image_size
    inside = ((at >= -0.5 * nm) & (at < (np.array([width, height]) - 0.5) * nm)).all(axis=1)

    distance = _distance(at, at_found)
    lag = onset_found - onset[:, None]
    radius = np.where(inside, RADIUS_NM, OUTSIDE_NM)[:, None]
    fits = (distance <= radius) & (np.abs(lag) <= ONSET_FRAMES)
    i, j = linear_sum_assignment(np.where(fits, distance / OUTSIDE_NM - 2.0, 0.0))
    i, j = i[fits[i, j]], j[fits[i, j]]

    hit, is_true = np.zeros(len(at), np.bool_), np.zeros(len(found), np.bool_)
    hit[i], is_true[j] = True, True
    apart = _distance(at, at) + np.where(np.eye(len(at), dtype=np.bool_), np.inf, 0.0)
    near = (apart < ALONE_NM) & (np.abs(onset - onset[:, None]) < ALONE_FRAMES)
    last = config.n_frames - ONSET_FRAMES - 1
    counts = inside & (onset >= settling_frames) & (onset < last)
    counts_found = (onset_found >= settling_frames) & (onset_found < last)
    alone = counts & ~near.any(axis=1)
    judged = counts[i]
    return TransientCounts(
        n_true=int(counts.sum()),
        n_hit=int((counts & hit).sum()),
        n_false=int((counts_found & ~is_true).sum()),
        n_alone=int(alone.sum()),
        n_alone_hit=int((alone & hit).sum()),
        errors_nm=distance[i, j][judged].tolist(),
        lags=lag[i, j][judged].tolist(),
    )


def _distance(a: Array, b: Array) -> Array:
    d: Array = np.hypot(a[:, None, 0] - b[None, :, 0], a[:, None, 1] - b[None, :, 1])
    return d


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")

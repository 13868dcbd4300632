"""How good found positions are: matching, precision, recall, Jaccard, error against the bounds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bench.scenes import Scene
from model.matching import match_localizations
from model.optics import Array

RADIUS_NM = 250.0
MARGIN_PX = 6.0  # some peers look at no border; nobody is scored there
ISOLATED_SIGMA = 6.0
MIN_ISOLATED = 50  # fewer make no figure


@dataclass(frozen=True, slots=True)
class Score:
    """Errors are per axis in nm; ratios are to root-mean-square bounds of the same matched emitters.

    `isolated_ratio` compares emitters without a neighbour within 6 σ with their bound (NaN: too few);
    `isolated_ratio_all` and `joint_ratio` compare all matched emitters with the bound that ignores
    neighbours and with the one that counts them (a bound above the matching radius counts as that).
    """

    n_truth: int
    precision: float
    recall: float
    jaccard: float
    rmse_nm: float
    isolated_ratio: float
    isolated_ratio_all: float
    joint_ratio: float


def score(scene: Scene, found: list[Array]) -> Score:
    """Score found positions (pixels, (M, 2) per frame) against a scene.

    Hungarian within 250 nm over whole frames; true and found positions nearer than `MARGIN_PX` to the
    border are then left out.
    """
    true_positive = n_truth = false_positive = 0
    errors, bounds, lone = [], [], []
    for truth, bound, xy, counts in zip(scene.truth, scene.bounds, found, scene.counts, strict=True):
        i, j = match_localizations(truth * scene.pixel_nm, xy * scene.pixel_nm, RADIUS_NM)
        inside = _inside(truth, counts.shape)
        unmatched = np.ones(len(xy), np.bool_)
        unmatched[j] = False
        false_positive += int(np.sum(unmatched & _inside(xy, counts.shape)))
        n_truth += int(np.sum(inside))
        i, j = i[inside[i]], j[inside[i]]
        true_positive += len(i)
        errors.append((xy[j] - truth[i]) * scene.pixel_nm)
        bounds.append(np.minimum(bound[i] * scene.pixel_nm, RADIUS_NM))
        lone.append(_isolated(truth, ISOLATED_SIGMA * scene.sigma_px)[i])
    error, bound, alone = np.concatenate(errors), np.concatenate(bounds), np.concatenate(lone)
    return Score(
        n_truth=n_truth,
        precision=_ratio(true_positive, true_positive + false_positive),
        recall=_ratio(true_positive, n_truth),
        jaccard=_ratio(true_positive, n_truth + false_positive),
        rmse_nm=_rms(error),
        isolated_ratio=(
            _rms(error[alone]) / _rms(bound[alone, :2]) if np.sum(alone) >= MIN_ISOLATED else float("nan")
        ),
        isolated_ratio_all=_ratio(_rms(error), _rms(bound[:, :2])),
        joint_ratio=_ratio(_rms(error), _rms(bound[:, 2:])),
    )


def _inside(xy: Array, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    high = np.array([shape[1], shape[0]]) - 1 - MARGIN_PX
    inside: NDArray[np.bool_] = np.all((xy >= MARGIN_PX) & (xy <= high), axis=1)
    return inside


def _isolated(xy: Array, distance: float) -> NDArray[np.bool_]:
    """True where the nearest other position is further than `distance`."""
    if len(xy) < 2:
        return np.ones(len(xy), np.bool_)
    distances, _ = KDTree(xy).query(xy, k=2)
    return np.asarray(distances)[:, 1] > distance


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")

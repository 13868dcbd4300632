"""How good found emitters are: matching, precision, recall, Jaccard, error against bounds and own claims."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.motion import ISOLATED_SIGMA, are_isolated
from bench.scenes import Scene
from model.matching import match_localizations
from model.optics import Array

RADIUS_NM = 250.0
MARGIN_PX = 6.0  # some peers look at no border; nobody is scored there
MIN_ISOLATED = 50  # fewer make no figure
CALIBRATION_BINS = 10

# Columns of a method's answer; the last three are NaN where it gives none.
FRAME, X, Y, STRENGTH, PHOTONS, X_SD, Y_SD = range(7)
N_COLUMNS = 7

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of true and found emitters, rows by frame, away from the border; and what found no partner."""

    truth: list[Index]
    found: list[Index]
    n_truth: int
    n_false: int

    @property
    def n(self) -> int:
        """Number of pairs."""
        return sum(map(len, self.truth))

    @property
    def jaccard(self) -> float:
        """Pairs over true and false emitters together."""
        return _ratio(self.n, self.n_truth + self.n_false)


@dataclass(frozen=True, slots=True)
class Score:
    """Errors are per axis in nm; ratios are to root-mean-square bounds of the same matched emitters.

    Attributes
    ----------
    isolated_ratio
        Emitters without a neighbour within 6 σ against their bound (NaN, as all figures of isolated
        emitters, where they are too few).
    isolated_ratio_all, joint_ratio
        All matched emitters against the bound that ignores neighbours and against the one that counts
        them (a bound above the matching radius counts as that).
    z_isolated, z_all
        Standard deviation of (found − true) over the method's own uncertainty, in both axes; NaN where it
        gives none.
    photon_bias
        Mean of found over true photons of isolated emitters, minus 1; NaN where it gives none.
    calibration
        Root-mean-square claimed and true error in nm, of equally many matched emitters each, in order
        of the claim.
    """

    n_truth: int
    n_isolated: int
    precision: float
    recall: float
    jaccard: float
    rmse_nm: float
    isolated_ratio: float
    isolated_ratio_all: float
    joint_ratio: float
    z_isolated: float
    z_all: float
    photon_bias: float
    calibration: list[tuple[float, float]]


def match_scene(scene: Scene, found: Sequence[Array]) -> Matches:
    """Match found tables (M, N_COLUMNS) of each frame with a scene's truth.

    Hungarian within 250 nm over whole frames; true and found positions nearer than `MARGIN_PX` to the
    border are then left out.
    """
    rows, columns = [], []
    n_truth = n_false = 0
    for truth, table in zip(scene.truth, found, strict=True):
        xy = table[:, [X, Y]]
        i, j = match_localizations(truth.xy * scene.pixel_nm, xy * scene.pixel_nm, RADIUS_NM)
        inside = _inside(truth.xy, scene.counts.shape[1:])
        alone = np.ones(len(xy), np.bool_)
        alone[j] = False
        n_false += int(np.sum(alone & _inside(xy, scene.counts.shape[1:])))
        n_truth += int(np.sum(inside))
        rows.append(i[inside[i]])
        columns.append(j[inside[i]])
    return Matches(rows, columns, n_truth, n_false)


def localization_error(scene: Scene, found: Sequence[Array]) -> float:
    """Root-mean-square error per axis of the matched emitters, pixels; infinite where none matches."""
    matches = match_scene(scene, found)
    pairs = zip(scene.truth, found, matches.truth, matches.found, strict=True)
    error = np.concatenate([table[j][:, [X, Y]] - truth.xy[i] for truth, table, i, j in pairs])
    return _rms(error) if error.size else float("inf")


def score(scene: Scene, scene_bounds: Sequence[Array], found: Sequence[Array]) -> Score:
    """Score found tables (M, N_COLUMNS) of each frame against a scene and its `bench.scenes.bounds`."""
    matches = match_scene(scene, found)
    pixel_nm = scene.pixel_nm
    distance = ISOLATED_SIGMA * scene.true_sigma_px
    tables = np.concatenate([table[j] for table, j in zip(found, matches.found, strict=True)])
    paired = list(zip(scene.truth, matches.truth, strict=True))
    error = (tables[:, [X, Y]] - np.concatenate([truth.xy[i] for truth, i in paired])) * pixel_nm
    photons = np.concatenate([truth.photons[i] for truth, i in paired])
    alone = np.concatenate([are_isolated(truth.xy, distance)[i] for truth, i in paired])
    bound = np.concatenate([b[i] for b, i in zip(scene_bounds, matches.truth, strict=True)]) * pixel_nm
    bound = np.minimum(bound, RADIUS_NM)
    claimed = tables[:, [X_SD, Y_SD]] * pixel_nm
    z = error / claimed
    enough = np.sum(alone) >= MIN_ISOLATED
    nan = float("nan")
    return Score(
        n_truth=matches.n_truth,
        n_isolated=int(np.sum(alone)),
        precision=_ratio(matches.n, matches.n + matches.n_false),
        recall=_ratio(matches.n, matches.n_truth),
        jaccard=matches.jaccard,
        rmse_nm=_rms(error),
        isolated_ratio=_rms(error[alone]) / _rms(bound[alone, :2]) if enough else nan,
        isolated_ratio_all=_ratio(_rms(error), _rms(bound[:, :2])),
        joint_ratio=_ratio(_rms(error), _rms(bound[:, 2:])),
        z_isolated=_sd(z[alone]) if enough else nan,
        z_all=_sd(z),
        photon_bias=float(np.mean(tables[alone, PHOTONS] / photons[alone])) - 1 if enough else nan,
        calibration=_calibration(claimed, error),
    )


def _calibration(claimed: Array, error: Array) -> list[tuple[float, float]]:
    order = np.argsort(claimed, axis=None)
    if len(order) < CALIBRATION_BINS or not np.isfinite(claimed).all():
        return []
    return [
        (_rms(claimed.ravel()[some]), _rms(error.ravel()[some]))
        for some in np.array_split(order, CALIBRATION_BINS)
    ]


def _inside(xy: Array, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    high = np.array([shape[1], shape[0]]) - 1 - MARGIN_PX
    inside: NDArray[np.bool_] = np.all((xy >= MARGIN_PX) & (xy <= high), axis=1)
    return inside


def _sd(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.std(known)) if known.size else float("nan")


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")

"""Localizations and links of a run against the truth."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.bound import crlb
from model.matching import match_localizations
from train.truth import Truth

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Ids = NDArray[np.int64]

NONE = -1  # neither emitter nor track


@dataclass(frozen=True, slots=True)
class LocalizationScores:
    """How good the localizations are; NaN where there is nothing to judge.

    Attributes
    ----------
    n_true, n_found, n_matched, precision, recall, jaccard
        Localizations, matched frame by frame (Hungarian, within the radius); Jaccard index is
        TP / (TP + FP + FN).
    rmse_nm, bias_x_nm, bias_y_nm
        Root mean square error per axis of the matched, √(mean(Δx² + Δy²) / 2), and mean of found − true.
    crlb_nm, joint_crlb_nm
        Cramér–Rao bound per axis of the matched, median: of each punctum alone, and beside its
        neighbours (see `model.bound.crlb`; for a Gaussian PSF at rest).
    rmse_over_crlb, rmse_over_joint_crlb
        RMSE in units of the two bounds.
    """

    n_true: int
    n_found: int
    n_matched: int
    precision: float
    recall: float
    jaccard: float
    rmse_nm: float
    bias_x_nm: float
    bias_y_nm: float
    crlb_nm: float
    joint_crlb_nm: float
    rmse_over_crlb: float
    rmse_over_joint_crlb: float


@dataclass(frozen=True, slots=True)
class Matched:
    """Localizations that belong together.

    Attributes
    ----------
    true, found
        Rows of the true and of the found puncta, of equal length.
    emitter
        True track of each found localization, `NONE` for none.
    """

    true: Index
    found: Index
    emitter: Ids


def match_puncta(truth: pd.DataFrame, found: pd.DataFrame, radius_nm: float) -> Matched:
    """Match the puncta of a run with the true ones, frame by frame."""
    true_rows, found_rows = _rows_by_frame(truth), _rows_by_frame(found)
    true_xy, found_xy = xy_of(truth), xy_of(found)
    pairs: list[tuple[Index, Index]] = [(np.empty(0, np.intp), np.empty(0, np.intp))]
    for frame in true_rows.keys() & found_rows.keys():
        t, f = true_rows[frame], found_rows[frame]
        i, j = match_localizations(true_xy[t], found_xy[f], radius_nm)
        pairs.append((t[i], f[j]))
    i, j = (np.concatenate(rows) for rows in zip(*pairs, strict=True))
    emitter = np.full(len(found), NONE, np.int64)
    emitter[j] = truth["track_id"].to_numpy()[i]
    return Matched(i, j, emitter)


def judge_localizations(truth: Truth, puncta: pd.DataFrame, matched: Matched) -> LocalizationScores:
    """Score the localizations."""
    n_true, n_found, n_matched = len(truth.puncta), len(puncta), len(matched.true)
    offset = np.full((1, 2), np.nan)
    if n_matched:
        offset = xy_of(puncta)[matched.found] - xy_of(truth.puncta)[matched.true]
    rmse = float(np.sqrt(np.mean(offset**2)))
    bounds = [_median_bound(truth, matched.true, joint=joint) for joint in (False, True)]
    return LocalizationScores(
        n_true=n_true,
        n_found=n_found,
        n_matched=n_matched,
        precision=ratio(n_matched, n_found),
        recall=ratio(n_matched, n_true),
        jaccard=ratio(n_matched, n_true + n_found - n_matched),
        rmse_nm=rmse,
        bias_x_nm=float(offset[:, 0].mean()),
        bias_y_nm=float(offset[:, 1].mean()),
        crlb_nm=bounds[0],
        joint_crlb_nm=bounds[1],
        rmse_over_crlb=ratio(rmse, bounds[0]),
        rmse_over_joint_crlb=ratio(rmse, bounds[1]),
    )


def judge_links(puncta: pd.DataFrame, emitter: Ids) -> tuple[int, float]:
    """Number of true links and F1 of the found ones.

    A true link joins two matched localizations of the same emitter with none of it between (however long
    the gap: blinks and misses); a found link joins two neighbouring localizations of a track, false ones
    counted. F1 = 2 TP / (true + found links). A missed punctum thus costs recall, not links.
    """
    frame = puncta["frame"].to_numpy()
    track = puncta["track_id"].to_numpy()
    true, found = _links(emitter, frame), _links(track, frame)
    return len(true), ratio(2 * len(true & found), len(true) + len(found))


def _links(owner: Ids, frame: Ids) -> set[tuple[int, int]]:
    """Pairs of rows that follow each other in time under the same owner."""
    rows = np.flatnonzero(owner != NONE)
    rows = rows[np.lexsort((frame[rows], owner[rows]))]
    same = owner[rows[1:]] == owner[rows[:-1]]
    return set(zip(rows[:-1][same].tolist(), rows[1:][same].tolist(), strict=True))


def _median_bound(truth: Truth, matched: Index, *, joint: bool) -> float:
    """Median bound per axis in nm of the matched rows of the truth."""
    if not len(matched):
        return math.nan
    table, nm = truth.puncta, truth.pixel_size_nm
    scales = {"x_nm": nm, "y_nm": nm, "photons": 1.0, "psf_sigma_nm": nm, "background": 1.0}
    columns = [table[name].to_numpy(np.float64) / scale for name, scale in scales.items()]
    bound = np.full((len(table), 2), np.nan)
    for rows in _rows_by_frame(table).values():
        x, y, photons, sigma, background = (column[rows] for column in columns)
        bound[rows] = crlb(x, y, photons, sigma, background, truth.camera, joint=joint)
    return float(np.median(np.sqrt(np.mean(bound[matched] ** 2, axis=1)))) * nm


def _rows_by_frame(table: pd.DataFrame) -> dict[int, Index]:
    if table.empty:
        return {}
    frame = table["frame"].to_numpy()
    order = np.argsort(frame, kind="stable")
    frames, starts = np.unique(frame[order], return_index=True)
    return dict(zip(frames.tolist(), np.split(order, starts[1:]), strict=True))


def xy_of(table: pd.DataFrame) -> Array:
    """Positions (n, 2) in nm."""
    return table[["x_nm", "y_nm"]].to_numpy(np.float64)


def ratio(numerator: float, denominator: float) -> float:
    """The ratio, NaN where nothing is below the line."""
    return float(numerator / denominator) if denominator else math.nan

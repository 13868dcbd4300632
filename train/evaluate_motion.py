"""Diffusion coefficients and mobility of a run's tracks against those of the puncta they follow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

MIN_OBSERVED = 20  # of fewer localizations a diffusion coefficient says little
# Classes of the stream. The lab's manual gives D = .003 µm²/s for immobile and .029 for mobile puncta, a
# third population lies between; the borders are the geometric means of .003, .01 and .03.
CLASSES = ("immobile", "intermediate", "mobile")
BORDERS_UM2_S = (0.0055, 0.0173)


@dataclass(frozen=True, slots=True)
class MotionScores:
    """How well motion is measured; NaN where there is nothing to judge.

    Judged are found tracks with at least `MIN_OBSERVED` localizations that are paired with a true one (as
    for α) whose punctum diffuses freely; confined and directed puncta have no diffusion coefficient to
    compare with, nor has the truth of old samples.

    Attributes
    ----------
    n_diffusion
        Tracks judged.
    diffusion_bias, diffusion_error
        Median of estimate / truth − 1, and of its absolute value.
    n_classed, mobility_accuracy
        Of these, tracks that got a class at all, and their balanced accuracy: of the classes that occur in
        truth, the mean share that is called so.
    """

    n_diffusion: int
    diffusion_bias: float
    diffusion_error: float
    n_classed: int
    mobility_accuracy: float


def judge_motion(
    truth: pd.DataFrame, tracks: pd.DataFrame | None, pairs: Sequence[tuple[int, int]]
) -> MotionScores:
    """Score diffusion and mobility.

    Parameters
    ----------
    truth
        True puncta with `track_id` and `diffusion_um2_s`.
    tracks
        Found tracks: `track_id`, `n_observed`, `diffusion_um2_s`, `mobility`; None: none are judged.
    pairs
        True and found track that belong together, by id.
    """
    if tracks is None or "diffusion_um2_s" not in truth:
        return MotionScores(0, math.nan, math.nan, 0, math.nan)
    paired = pd.DataFrame(pairs, columns=["true_id", "track_id"]).astype("int64")
    true = truth.drop_duplicates("track_id").set_index("track_id")["diffusion_um2_s"]
    paired["true_um2_s"] = true.reindex(paired["true_id"]).to_numpy(np.float64)
    paired = paired.merge(tracks, on="track_id")
    paired = paired[(paired["n_observed"] >= MIN_OBSERVED) & paired["true_um2_s"].notna()]

    measured = paired[paired["diffusion_um2_s"].notna() & (paired["true_um2_s"] > 0)]
    off = (measured["diffusion_um2_s"] / measured["true_um2_s"] - 1).to_numpy(np.float64)
    classed = paired[paired["mobility"] != "unknown"]
    true_class = np.array(CLASSES)[np.searchsorted(BORDERS_UM2_S, classed["true_um2_s"])]
    right = classed["mobility"].to_numpy() == true_class
    shares = [float(right[true_class == name].mean()) for name in np.unique(true_class)]
    return MotionScores(
        n_diffusion=len(off),
        diffusion_bias=float(np.median(off)) if len(off) else math.nan,
        diffusion_error=float(np.median(np.abs(off))) if len(off) else math.nan,
        n_classed=len(classed),
        mobility_accuracy=float(np.mean(shares)) if shares else math.nan,
    )

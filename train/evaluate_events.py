"""Calcium events of a run against the truth: found or not, when, how strong."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import KDTree

from model.matching import assign_pairs
from train.evaluate_puncta import Index, ratio, xy_of
from train.truth import Truth

Array = NDArray[np.float64]

SECONDS_A_MINUTE = 60
RISE_10_90 = 0.8  # of the simulator's linear rise lies between 10 and 90 % of the peak
DECAY_TO_END = math.log(10)  # time constants from the peak to the end of an event, a tenth of the peak


@dataclass(frozen=True, slots=True)
class EventScores:
    """How good the calcium events are; NaN where there is nothing to judge.

    A found event is right when its onset lies within the tolerance (±3 frames) of a true event's and its
    place at the peak within the radius (250 nm) of the true one; one to one, most pairs first, then least
    onset error.

    Attributes
    ----------
    n_true_events, n_found_events, n_matched_events, event_precision, event_recall, event_f1
        Calcium events.
    false_events_per_track_minute
        Found events that are not right, over the time that found tracks last, from their first to their
        last frame, in minutes.
    onset_lag_frames, onset_bias_frames, onset_error_frames
        Found − true onset of the matched events: median, mean, and mean of its absolute value.
    amplitude_bias, amplitude_error
        Median of found / true ΔF/F0 − 1 of the matched events, and of its absolute value.
    rise_bias, rise_error, decay_bias, decay_error
        The same of the rise from 10 to 90 % and of the decay's time constant, where the run tells them
        (`rise_s`, `decay_s`); the true time constant follows from the true end, to half a frame, so events
        that outlast the movie are left out of it.
    """

    n_true_events: int
    n_found_events: int
    n_matched_events: int
    event_precision: float
    event_recall: float
    event_f1: float
    false_events_per_track_minute: float
    onset_lag_frames: float
    onset_bias_frames: float
    onset_error_frames: float
    amplitude_bias: float
    amplitude_error: float
    rise_bias: float
    rise_error: float
    decay_bias: float
    decay_error: float


def match_events(
    truth: pd.DataFrame, found: pd.DataFrame, radius_nm: float, tolerance: int
) -> tuple[Index, Index]:
    """Rows of true and found events that belong together."""
    if truth.empty or found.empty:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    near = KDTree(xy_of(truth)).sparse_distance_matrix(KDTree(xy_of(found)), radius_nm, output_type="ndarray")
    true_onset, found_onset = truth["onset_frame"].to_numpy(), found["onset_frame"].to_numpy()
    lag = np.abs(found_onset[near["j"]] - true_onset[near["i"]]).astype(np.float64)
    in_time = lag <= tolerance
    return assign_pairs(near["i"][in_time], near["j"][in_time], lag[in_time], len(truth), len(found))


def judge_events(
    truth: Truth, found: pd.DataFrame, matched: tuple[Index, Index], track_minutes: float
) -> EventScores:
    """Score events; `matched` are the rows that belong together, `track_minutes` is what tracks last."""
    true, right = truth.events.iloc[matched[0]], found.iloc[matched[1]]
    n, n_true, n_found = len(true), len(truth.events), len(found)
    lag = (right["onset_frame"].to_numpy() - true["onset_frame"].to_numpy()).astype(np.float64)
    since_peak = (true["end_frame"] - true["peak_frame"] + 0.5).where(true["end_frame"] < truth.n_frames - 1)
    of_truth = {
        "amplitude_dff": true["amplitude_dff"],
        "rise_s": RISE_10_90 * (true["peak_frame"] - true["onset_frame"] + 1) * truth.interval_s,
        "decay_s": since_peak / DECAY_TO_END * truth.interval_s,
    }
    off = {
        name: right[name].to_numpy(np.float64) / expected.to_numpy(np.float64) - 1
        for name, expected in of_truth.items()
        if name in right
    }
    medians = {name: (_median(off.get(name)), _median(off.get(name), absolute=True)) for name in of_truth}
    return EventScores(
        n_true_events=n_true,
        n_found_events=n_found,
        n_matched_events=n,
        event_precision=ratio(n, n_found),
        event_recall=ratio(n, n_true),
        event_f1=ratio(2 * n, n_true + n_found),
        false_events_per_track_minute=ratio(n_found - n, track_minutes),
        onset_lag_frames=_median(lag),
        onset_bias_frames=float(lag.mean()) if n else math.nan,
        onset_error_frames=float(np.abs(lag).mean()) if n else math.nan,
        amplitude_bias=medians["amplitude_dff"][0],
        amplitude_error=medians["amplitude_dff"][1],
        rise_bias=medians["rise_s"][0],
        rise_error=medians["rise_s"][1],
        decay_bias=medians["decay_s"][0],
        decay_error=medians["decay_s"][1],
    )


def minutes_of_tracks(puncta: pd.DataFrame, interval_s: float) -> float:
    """How long all found tracks together last, from the first to the last frame of each, in minutes."""
    frames = puncta[puncta["track_id"] >= 0].groupby("track_id")["frame"].agg(["min", "max"])
    return float((frames["max"] - frames["min"] + 1).sum()) * interval_s / SECONDS_A_MINUTE


def _median(values: Array | None, *, absolute: bool = False) -> float:
    """Median of what is known, NaN where nothing is."""
    known = np.empty(0) if values is None else values[np.isfinite(values)]
    return float(np.median(np.abs(known) if absolute else known)) if len(known) else math.nan

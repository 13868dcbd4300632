"""Puncta and calcium together: whether events belong to the right puncta, and lie where these are."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from train.evaluate_puncta import NONE, Ids, Index, Matched, ratio, xy_of

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CombinedScores:
    """How well calcium is attached to puncta; NaN where there is nothing to judge.

    Attributes
    ----------
    n_attached, puncta_calcium_correlation
        Found events that are attached to the right punctum at the right time, and their share of all found
        events: when the event peaks, its track follows a punctum that has a true event on (from onset to a
        tenth of the peak). The punctum that a track follows is that of its correct localization nearest in
        time to the peak. What is false counts against the share, what is missed does not (that is recall),
        and neither place nor onset of the event matter (those have figures of their own): an event on a
        neighbour's track is wrong even where it is near enough to match.
    dff_correlation
        Pearson's r of true and measured ΔF/F0, over all matched localizations, events and rest. It is 1
        minus what noise, neighbours' calcium and waves bring in; a constant factor (a core that averages
        over a cloud) does not lower it.
    co_localization_nm
        Median distance between a matched event's place and the true place of its punctum in the frame in
        which the event was found to peak; where the punctum is dark, on the straight line between where it
        was last seen and where next.
    """

    n_attached: int
    puncta_calcium_correlation: float
    dff_correlation: float
    co_localization_nm: float


@dataclass(frozen=True, slots=True)
class Goal:
    """A row of the combined table: a measure, three limits for it, and whether larger is better."""

    name: str
    unit: str
    scale: float
    limits: tuple[float, float, float]
    more_is_better: bool

    def met(self, value: float) -> list[bool | None]:
        """Which limits the value is strictly better than; None where there is nothing to judge."""
        if math.isnan(value):
            return [None] * len(self.limits)
        return [value > limit if self.more_is_better else value < limit for limit in self.limits]


GRADES = ("target", "good", "excellent")
GOALS = {
    "puncta_calcium_correlation": Goal("puncta–Ca correlation", "%", 100, (0.7, 0.8, 0.9), True),
    "completeness": Goal("track completeness", "%", 100, (0.6, 0.75, 0.85), True),
    "co_localization_nm": Goal("co-localization", "nm", 1, (200, 100, 50), False),
}


def judge_combined(
    truth_puncta: pd.DataFrame,
    truth_events: pd.DataFrame,
    puncta: pd.DataFrame,
    events: pd.DataFrame,
    matched: Matched,
    matched_events: tuple[Index, Index],
) -> CombinedScores:
    """Score how calcium is attached to puncta."""
    attached = _attached(truth_events, puncta, events, matched.emitter)
    return CombinedScores(
        n_attached=attached,
        puncta_calcium_correlation=ratio(attached, len(events)),
        dff_correlation=_dff_correlation(truth_puncta, puncta, matched),
        co_localization_nm=_co_localization(truth_puncta, truth_events, events, matched_events),
    )


def _attached(truth: pd.DataFrame, puncta: pd.DataFrame, events: pd.DataFrame, emitter: Ids) -> int:
    """Number of events whose track follows a punctum that has an event on when they peak."""
    sure = puncta["track_id"].ge(0).to_numpy() & (emitter != NONE)
    correct = pd.DataFrame({"frame": puncta["frame"], "track": puncta["track_id"], "emitter": emitter})[sure]
    of_track = dict(iter(correct.sort_values("frame").groupby("track")))
    of_emitter = {i: rows[["onset_frame", "end_frame"]].to_numpy() for i, rows in truth.groupby("track_id")}
    attached = 0
    for track, peak in zip(events["track_id"], events["peak_frame"], strict=True):
        if track not in of_track:
            continue
        away = (of_track[track]["frame"] - peak).abs().to_numpy()
        followed = of_track[track]["emitter"].to_numpy()[away.argmin()]
        on = of_emitter.get(followed, np.empty((0, 2)))
        attached += bool(((on[:, 0] <= peak) & (peak <= on[:, 1])).any())
    return attached


def _dff_correlation(truth: pd.DataFrame, puncta: pd.DataFrame, matched: Matched) -> float:
    if "calcium_dff" not in truth or "calcium_dff" not in puncta:
        return math.nan
    true = truth["calcium_dff"].to_numpy(np.float64)[matched.true]
    found = puncta["calcium_dff"].to_numpy(np.float64)[matched.found]
    known = np.isfinite(true) & np.isfinite(found)
    true, found = true[known], found[known]
    if len(true) < 2 or not np.ptp(true) or not np.ptp(found):
        return math.nan
    return float(np.corrcoef(true, found)[0, 1])


def _co_localization(
    truth: pd.DataFrame, truth_events: pd.DataFrame, events: pd.DataFrame, matched: tuple[Index, Index]
) -> float:
    if not len(matched[0]):
        return math.nan
    true_events, found = truth_events.iloc[matched[0]], events.iloc[matched[1]]
    # The place at the true peak is known even of a punctum that is dark, or bleached, all the while.
    at_peak = true_events.rename(columns={"peak_frame": "frame"})
    columns = ["track_id", "frame", "x_nm", "y_nm"]
    seen = truth[truth["track_id"].isin(true_events["track_id"])]
    known = pd.concat([seen[columns], at_peak[columns]]).sort_values("frame")
    of_emitter = dict(iter(known.groupby("track_id")))
    there = np.array(
        [
            [np.interp(frame, of_emitter[i]["frame"], of_emitter[i][axis]) for axis in ("x_nm", "y_nm")]
            for i, frame in zip(true_events["track_id"], found["peak_frame"], strict=True)
        ]
    )
    return float(np.median(np.linalg.norm(xy_of(found) - there, axis=1)))

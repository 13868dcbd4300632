"""A run judged against the truth: localizations, tracks, motion, calcium events, and both together."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from train.evaluate_combined import GOALS, GRADES, CombinedScores, judge_combined
from train.evaluate_events import EventScores, judge_events, match_events, minutes_of_tracks
from train.evaluate_motion import MIN_OBSERVED, MotionScores, judge_motion
from train.evaluate_puncta import LocalizationScores, judge_links, judge_localizations, match_puncta
from train.track_scores import GATE_PX, LONG_FRAMES, PairedTracks, Wholeness, pair_tracks, wholeness
from train.truth import Truth

RADIUS_NM = 250.0
ONSET_TOLERANCE_FRAMES = 3


GRADED = {True: "met", False: "missed", None: "–"}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a run is; NaN where there is nothing to judge.

    Attributes
    ----------
    localization, motion, events, combined
        See the classes.
    n_links, link_f1
        See `train.evaluate_puncta.judge_links`.
    paired
        Scores of the Particle Tracking Challenge; ε is 5 pixels, gaps are bridged by straight lines.
    pieces
        In how many pieces tracks were found.
    """

    localization: LocalizationScores
    n_links: int
    link_f1: float
    paired: PairedTracks
    pieces: Wholeness
    motion: MotionScores
    events: EventScores
    combined: CombinedScores

    def as_dict(self) -> dict[str, Any]:
        """Every figure by name, None for NaN, as JSON wants it; `goals` is the combined table."""
        paired = asdict(self.paired)
        del paired["pairs"]
        renamed = {"rmse_nm": "track_rmse_nm"} | {
            f"n_{k}": f"n_{k}_tracks" for k in ("true", "found", "paired")
        }
        figures = (
            asdict(self.localization)
            | {"n_links": self.n_links, "link_f1": self.link_f1}
            | {renamed.get(name, name): value for name, value in paired.items()}
            | asdict(self.pieces)
            | asdict(self.motion)
            | asdict(self.events)
            | asdict(self.combined)
        )
        plain = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in figures.items()}
        goals = {
            name: {
                grade: {"limit": limit, "met": met}
                for grade, limit, met in zip(GRADES, goal.limits, goal.met(figures[name]), strict=True)
            }
            for name, goal in GOALS.items()
        }
        return plain | {"goals": goals}

    def summary(self) -> list[str]:
        """Lines for people."""
        puncta, paired, pieces = self.localization, self.paired, self.pieces
        events = self.events
        has_times = math.isfinite(events.rise_bias) and math.isfinite(events.decay_bias)
        return [
            f"puncta   {puncta.n_matched} of {puncta.n_true} found, "
            f"{puncta.n_found - puncta.n_matched} false: precision {puncta.precision:.3f}, "
            f"recall {puncta.recall:.3f}, Jaccard {puncta.jaccard:.3f}",
            f"position RMSE {puncta.rmse_nm:.1f} nm per axis = {puncta.rmse_over_crlb:.2f} × "
            f"Cramér–Rao bound ({puncta.rmse_over_joint_crlb:.2f} × with neighbours), "
            f"bias {puncta.bias_x_nm:+.1f}, {puncta.bias_y_nm:+.1f} nm",
            f"tracks   link F1 {self.link_f1:.3f} over {self.n_links} true links, "
            f"{pieces.switches} identity switches",
            f"         α {paired.alpha:.3f}, β {paired.beta:.3f}, JSC {paired.jsc:.3f}, "
            f"JSCθ {paired.jsc_theta:.3f}, RMSE {paired.rmse_nm:.1f} nm "
            f"(ε {GATE_PX:g} px, gaps bridged by straight lines)",
            f"         completeness {pieces.completeness:.3f} over the {pieces.n_long} true tracks of more "
            f"than {LONG_FRAMES} frames, purity {pieces.purity:.3f}, "
            f"{pieces.continuous_frames:.0f} frames in one piece",
            self._motion(),
            f"calcium  {events.n_matched_events} of {events.n_true_events} events found, "
            f"{events.n_found_events - events.n_matched_events} false "
            f"({events.false_events_per_track_minute:.3f} per track and minute): "
            f"precision {events.event_precision:.3f}, recall {events.event_recall:.3f}, "
            f"F1 {events.event_f1:.3f}",
            f"         onset {events.onset_lag_frames:+.1f} frames "
            f"(median; mean {events.onset_bias_frames:+.1f}, |error| {events.onset_error_frames:.1f}), "
            f"amplitude {events.amplitude_bias:+.0%} (|error| {events.amplitude_error:.0%})"
            + (f", rise {events.rise_bias:+.0%}, decay {events.decay_bias:+.0%}" if has_times else ""),
            *self._table(),
        ]

    def _motion(self) -> str:
        motion = self.motion
        if not motion.n_diffusion:
            return (
                "motion   not judged: paired tracks are too short, or the truth lacks diffusion coefficients"
            )
        return (
            f"motion   D {motion.diffusion_bias:+.0%} (|error| {motion.diffusion_error:.0%}), median of "
            f"{motion.n_diffusion} tracks of {MIN_OBSERVED} or more localizations; "
            f"classes of {motion.n_classed} {motion.mobility_accuracy:.0%} right, balanced"
        )

    def _table(self) -> list[str]:
        """Puncta and calcium together, with what is asked of them."""
        lines = [f"both     {'':22}{'':>8}" + "".join(f"{grade:>17}" for grade in GRADES)]
        figures = self.as_dict()
        for name, goal in GOALS.items():
            value = math.nan if figures[name] is None else figures[name]
            than = ">" if goal.more_is_better else "<"
            cells = [
                f"{than} {limit * goal.scale:.0f} {goal.unit} {GRADED[met]}"
                for limit, met in zip(goal.limits, goal.met(value), strict=True)
            ]
            shown = "no value" if math.isnan(value) else f"{value * goal.scale:.1f} {goal.unit}"
            lines.append(f"         {goal.name:22}{shown:>8}" + "".join(f"{cell:>17}" for cell in cells))
        lines.append(
            f"         ({self.combined.n_attached} of {self.events.n_found_events} events on the right "
            f"punctum while it is active; r of true and measured ΔF/F0 {self.combined.dff_correlation:.3f})"
        )
        return lines


def evaluate(
    truth: Truth,
    puncta: pd.DataFrame,
    events: pd.DataFrame,
    tracks: pd.DataFrame | None = None,
    *,
    radius_nm: float = RADIUS_NM,
    onset_tolerance_frames: int = ONSET_TOLERANCE_FRAMES,
) -> Evaluation:
    """Judge a run's tables; every frame of the truth counts.

    Parameters
    ----------
    puncta, events, tracks
        The run's `puncta`, `calcium_events` and `tracks` tables; a `track_id` of −1 is no track. Without
        `tracks`, motion is not judged.
    radius_nm
        Largest distance between what is true and what is found.
    onset_tolerance_frames
        Largest difference between a true and a found onset.
    """
    matched = match_puncta(truth.puncta, puncta, radius_nm)
    n_links, link_f1 = judge_links(puncta, matched.emitter)
    paired = pair_tracks(truth.puncta, puncta, GATE_PX * truth.pixel_size_nm)
    matched_events = match_events(truth.events, events, radius_nm, onset_tolerance_frames)
    minutes = minutes_of_tracks(puncta, truth.interval_s)
    return Evaluation(
        localization=judge_localizations(truth, puncta, matched),
        n_links=n_links,
        link_f1=link_f1,
        paired=paired,
        pieces=wholeness(matched.emitter, puncta, truth.puncta.groupby("track_id").size()),
        motion=judge_motion(truth.puncta, tracks, paired.pairs),
        events=judge_events(truth, events, matched_events, minutes),
        combined=judge_combined(truth.puncta, truth.events, puncta, events, matched, matched_events),
    )

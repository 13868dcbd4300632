"""Puncta and calcium together, and motion: checked by hand on a few puncta."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboard.demo import SAMPLE
from model.camera import Camera
from train.evaluate import Evaluation, evaluate
from train.evaluate_combined import GOALS
from train.evaluate_motion import judge_motion
from train.movie import write_sample
from train.simulation_config import SimulationConfig
from train.truth import Truth, load_truth

N_FRAMES = 20


def puncta_table(**columns: object) -> pd.DataFrame:
    """Two puncta 150 nm apart; 0 moves by 10 nm a frame and 1 rests."""
    frame = np.repeat(np.arange(N_FRAMES), 2)
    track = np.tile([0, 1], N_FRAMES)
    table = pd.DataFrame({"frame": frame, "time_s": frame * 0.05, "track_id": track})
    table["x_nm"] = 1000.0 + 10 * frame * (track == 0)
    table["y_nm"] = 1000.0 + 150 * track
    return table.assign(photons=1000.0, background=15.0, psf_sigma_nm=150.0, **columns)


def event_table(*events: tuple[int, int, int, int, float, float]) -> pd.DataFrame:
    """Events given as (track, onset, peak, end, x, y)."""
    names = ["track_id", "onset_frame", "peak_frame", "end_frame", "x_nm", "y_nm"]
    return pd.DataFrame(events, columns=names).assign(event_id=range(len(events)), amplitude_dff=0.5)


PUNCTA = puncta_table()
TRUE_EVENTS = event_table((0, 4, 6, 10, 1060.0, 1000.0))


def judge(
    found: pd.DataFrame,
    events: pd.DataFrame,
    true_events: pd.DataFrame = TRUE_EVENTS,
    true: pd.DataFrame = PUNCTA,
) -> Evaluation:
    return evaluate(Truth(true, true_events, N_FRAMES, 0.05, 108.0, Camera(), (64, 64)), found, events)


def attached(events: pd.DataFrame, found: pd.DataFrame = PUNCTA, **more: pd.DataFrame) -> float:
    return judge(found, events, **more).combined.puncta_calcium_correlation


def test_an_event_on_the_right_punctum_while_it_is_active() -> None:
    assert attached(TRUE_EVENTS) == 1
    assert attached(event_table((0, 9, 10, 12, 9e9, 9e9))) == 1  # late and misplaced: other figures tell
    assert attached(event_table((0, 9, 11, 12, 1110.0, 1000.0))) == 0  # it peaks when all is over
    assert attached(event_table((0, 2, 3, 12, 1030.0, 1000.0))) == 0  # and before it began


def test_an_event_on_the_neighbour_matches_but_is_not_attached() -> None:
    result = judge(PUNCTA, event_table((1, 4, 6, 10, 1000.0, 1150.0)))
    assert result.events.event_f1 == 1
    assert result.combined.puncta_calcium_correlation == 0
    assert result.combined.co_localization_nm == pytest.approx(math.hypot(60, 150))


def test_the_share_is_that_of_all_found_events() -> None:
    two = pd.concat([TRUE_EVENTS, event_table((1, 15, 16, 17, 1000.0, 1150.0))])
    assert attached(two) == 1 / 2
    assert math.isnan(attached(TRUE_EVENTS[:0]))
    assert attached(TRUE_EVENTS, true_events=TRUE_EVENTS[:0]) == 0
    assert attached(TRUE_EVENTS, PUNCTA[:0]) == 0


def test_the_punctum_followed_is_that_of_the_nearest_correct_localization() -> None:
    """A track that jumps from punctum 0 to 1 after frame 7, where punctum 0 ends."""
    frame, emitter = PUNCTA["frame"], PUNCTA["track_id"]
    jump = PUNCTA[((emitter == 0) & (frame <= 7)) | ((emitter == 1) & (frame >= 10))].assign(track_id=5)
    assert attached(event_table((5, 5, 8, 9, 1060.0, 1000.0)), jump) == 1  # dark at the peak, seen at 7
    assert attached(event_table((5, 5, 9, 9, 1060.0, 1000.0)), jump) == 0  # seen at 10, on the other
    bleached = PUNCTA[(emitter != 0) | (frame <= 7)]
    assert attached(event_table((5, 5, 8, 9, 1060.0, 1000.0)), jump, true=bleached) == 1


def test_the_distance_is_taken_where_the_punctum_is_at_the_found_peak() -> None:
    late = event_table((0, 4, 8, 10, 1080.0, 1030.0))
    assert judge(PUNCTA, late).combined.co_localization_nm == pytest.approx(30)
    dark = PUNCTA[(PUNCTA["track_id"] != 0) | ~PUNCTA["frame"].between(7, 9)]
    assert judge(dark, late, true=dark).combined.co_localization_nm == pytest.approx(30)  # between 6 and 10
    never_seen = PUNCTA[PUNCTA["track_id"] == 1]
    found = judge(never_seen, late, true=never_seen).combined.co_localization_nm
    assert found == pytest.approx(math.hypot(20, 30))  # what is known is its place at the true peak


def test_the_correlation_of_dff_is_that_of_matched_puncta() -> None:
    random = np.random.default_rng(1)
    true = random.random(2 * N_FRAMES)
    found = 0.6 * true + 0.2 * random.random(2 * N_FRAMES)
    found[3] = np.nan
    result = judge(puncta_table(calcium_dff=found), TRUE_EVENTS, true=puncta_table(calcium_dff=true))
    known = np.isfinite(found)
    assert result.combined.dff_correlation == pytest.approx(np.corrcoef(true[known], found[known])[0, 1])
    assert math.isnan(
        judge(PUNCTA, TRUE_EVENTS, true=puncta_table(calcium_dff=true)).combined.dff_correlation
    )
    flat = judge(puncta_table(calcium_dff=0.0), TRUE_EVENTS, true=puncta_table(calcium_dff=true))
    assert math.isnan(flat.combined.dff_correlation)


def test_the_goals_are_those_of_the_combined_table() -> None:
    assert GOALS["puncta_calcium_correlation"].met(0.85) == [True, True, False]
    assert GOALS["completeness"].met(0.6) == [False, False, False]
    assert GOALS["co_localization_nm"].met(60) == [True, True, False]
    assert GOALS["co_localization_nm"].met(math.nan) == [None, None, None]
    goals = judge(PUNCTA, TRUE_EVENTS).as_dict()["goals"]
    assert goals["co_localization_nm"]["excellent"] == {"limit": 50, "met": True}
    lines = judge(PUNCTA, TRUE_EVENTS).summary()
    assert any(
        "puncta–Ca correlation" in line and " 100.0 %" in line and "> 90 % met" in line for line in lines
    )


def test_rise_and_decay_are_judged_where_they_are_told() -> None:
    """Rises of 2 frames of 50 ms; the decay falls to a tenth in 7 to 8 frames, so τ is 3.26 frames."""
    true = event_table((0, 2, 3, 10, 1030.0, 1000.0), (1, 8, 9, 19, 1000.0, 1150.0))
    without = judge(PUNCTA, true, true_events=true)
    assert math.isnan(without.events.rise_bias) and math.isnan(without.events.decay_error)
    told = true.assign(rise_s=[0.08, 0.16], decay_s=[0.05 * 7.5 / np.log(10) * 0.9, 9.0])
    events = judge(PUNCTA, told, true_events=true).events
    assert (events.rise_bias, events.rise_error) == pytest.approx((0.5, 0.5))
    assert (events.decay_bias, events.decay_error) == pytest.approx((-0.1, 0.1))  # the other outlasts all
    assert any("decay -10%" in line for line in judge(PUNCTA, told, true_events=true).summary())


TRUE_D = pd.DataFrame(
    {"track_id": [0, 0, 1, 2, 3, 4], "diffusion_um2_s": [0.03, 0.03, 0.003, 0.03, np.nan, 0]}
)


def tracks(*rows: tuple[int, int, float, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["track_id", "n_observed", "diffusion_um2_s", "mobility"])


def test_diffusion_is_judged_on_long_paired_tracks_of_free_puncta() -> None:
    found = tracks(
        (10, 30, 0.033, "mobile"),  # + 10 %
        (11, 20, 0.0036, "intermediate"),  # + 20 %
        (12, 19, 9.0, "mobile"),  # too short
        (13, 50, 9.0, "mobile"),  # its punctum is confined
        (14, 50, 9.0, "immobile"),  # rests: no ratio, but a class
        (15, 50, 9.0, "mobile"),  # paired with nothing
    )
    result = judge_motion(TRUE_D, found, [(i, 10 + i) for i in range(5)])
    assert result.n_diffusion == 2
    assert result.diffusion_bias == result.diffusion_error == pytest.approx(0.15)
    assert result.n_classed == 3
    assert result.mobility_accuracy == pytest.approx((1 + 1 / 2) / 2)


def test_tracks_without_estimate_or_class_are_left_out() -> None:
    found = tracks((10, 30, 0.027, "unknown"), (11, 30, np.nan, "immobile"))
    result = judge_motion(TRUE_D, found, [(0, 10), (1, 11)])
    assert (result.n_diffusion, result.n_classed, result.mobility_accuracy) == (1, 1, 1.0)
    assert result.diffusion_bias == pytest.approx(-0.1)
    for nothing in (judge_motion(TRUE_D, None, []), judge_motion(TRUE_D, found, [])):
        assert nothing.n_diffusion == 0 and math.isnan(nothing.mobility_accuracy)


def test_the_truth_of_a_sample_knows_the_diffusion_of_free_puncta(tmp_path) -> None:
    config = SimulationConfig(
        image_size=(64, 64), n_frames=20, num_puncta_mean=60, confined_fraction=0.3, directed_fraction=0.2
    )
    write_sample(tmp_path, config, 5571)
    truth = load_truth(tmp_path).puncta
    of_punctum = truth.groupby("track_id")["diffusion_um2_s"]
    assert of_punctum.nunique().max() == 1
    kinds = of_punctum.first().round(6).value_counts(dropna=False)
    assert set(kinds.index.dropna()) == {0.029, 0.003}
    assert kinds[np.nan] / kinds.sum() == pytest.approx(0.5, abs=0.15)

    # What the column says is how they move.
    free = truth[truth["diffusion_um2_s"].round(6) == 0.029].sort_values(["track_id", "frame"])
    steps = free[["track_id", "frame", "x_nm", "y_nm"]].diff()
    steps = steps[(steps["track_id"] == 0) & (steps["frame"] == 1)]
    # Positions are means over the exposure, which takes a third off the variance of a step.
    measured = (steps[["x_nm", "y_nm"]] ** 2).to_numpy().mean() / (2 * 0.05) / (2 / 3) / 1e6
    assert measured == pytest.approx(0.029, rel=0.15)


def test_a_sample_of_before_still_loads_and_is_judged_without_motion(tmp_path: Path) -> None:
    for name in ("metadata.json", "calcium_events.csv"):
        shutil.copy(SAMPLE / name, tmp_path)
    before = pd.read_csv(SAMPLE / "ground_truth.csv").drop(columns="diffusion_um2_s")
    before.to_csv(tmp_path / "ground_truth.csv", index=False)
    truth = load_truth(tmp_path)
    assert truth.puncta["diffusion_um2_s"].isna().all()
    tracks = pd.DataFrame({"track_id": truth.puncta["track_id"].unique()}).assign(
        n_observed=99, diffusion_um2_s=0.03, mobility="mobile"
    )
    result = evaluate(truth, truth.puncta, truth.events, tracks)
    assert result.motion.n_diffusion == result.motion.n_classed == 0
    # A perfect run: what is left are events of puncta that are dark or gone when they peak.
    assert result.combined.puncta_calcium_correlation > 0.95
    assert result.combined.dff_correlation == pytest.approx(1)
    assert result.combined.co_localization_nm == pytest.approx(0, abs=0.01)
    json.dumps(result.as_dict(), allow_nan=False)

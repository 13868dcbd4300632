import json
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.bound import crlb
from model.camera import Camera
from train.evaluate import evaluate
from train.movie import write_sample
from train.simulation_config import SimulationConfig
from train.truth import Truth, load_truth

N_FRAMES = 10


def puncta_table(tracks: dict[int, tuple[float, float]]) -> pd.DataFrame:
    """Resting puncta, seen in each of the frames."""
    rows = [(f, f * 0.05, t, x, y) for f in range(N_FRAMES) for t, (x, y) in tracks.items()]
    table = pd.DataFrame(rows, columns=["frame", "time_s", "track_id", "x_nm", "y_nm"])
    return table.assign(photons=1000.0, background=15.0, psf_sigma_nm=150.0)


def event_table(*events: tuple[int, int, float, float, float]) -> pd.DataFrame:
    """Events given as (track, onset, amplitude, x, y)."""
    table = pd.DataFrame(events, columns=["track_id", "onset_frame", "amplitude_dff", "x_nm", "y_nm"])
    onset = table["onset_frame"]
    return table.assign(event_id=range(len(table)), peak_frame=onset + 1, end_frame=onset + 4)


def truth_of(puncta: pd.DataFrame, events: pd.DataFrame) -> Truth:
    return Truth(puncta, events, N_FRAMES, 0.05, 108.0, Camera(), (64, 64))


PUNCTA = puncta_table({0: (2000.0, 2000.0), 1: (2600.0, 2000.0), 2: (5000.0, 4000.0)})
EVENTS = event_table((0, 2, 0.5, 2000.0, 2000.0), (1, 2, 1.0, 2600.0, 2000.0), (0, 7, 0.4, 2000.0, 2000.0))
TRUTH = truth_of(PUNCTA, EVENTS)


def judge(
    puncta: pd.DataFrame = PUNCTA, events: pd.DataFrame = EVENTS, truth: Truth = TRUTH
) -> SimpleNamespace:
    """Every figure under the name it has in JSON, None for NaN."""
    return SimpleNamespace(**evaluate(truth, puncta, events).as_dict())


def test_a_perfect_run():
    result = judge()
    assert (result.n_true, result.n_found, result.n_matched) == (30, 30, 30)
    assert result.precision == result.recall == result.jaccard == 1
    assert result.rmse_nm == result.rmse_over_crlb == 0
    assert (result.n_links, result.link_f1) == (27, 1.0)
    assert result.alpha == result.beta == result.jsc == result.jsc_theta == result.purity == 1
    assert (result.switches, result.continuous_frames) == (0, N_FRAMES)
    assert result.event_precision == result.event_recall == result.event_f1 == 1
    assert result.onset_bias_frames == result.onset_error_frames == result.amplitude_error == 0


def test_the_order_of_rows_and_the_names_of_tracks_do_not_matter():
    shuffled, events = (
        table.sample(frac=1, random_state=1).assign(track_id=lambda t: 70 - 3 * t["track_id"])
        for table in (PUNCTA, EVENTS)
    )
    assert judge(shuffled, events) == judge()


def test_a_shift_is_error_and_bias():
    result = judge(PUNCTA.assign(x_nm=PUNCTA["x_nm"] + 30, y_nm=PUNCTA["y_nm"] - 10))
    assert result.jaccard == 1
    assert result.rmse_nm == pytest.approx(math.sqrt((30**2 + 10**2) / 2))
    assert (result.bias_x_nm, result.bias_y_nm) == pytest.approx((30, -10))


@pytest.mark.parametrize(("shift", "matched"), [(249.0, 30), (251.0, 0)])
def test_nothing_matches_beyond_the_radius(shift, matched):
    result = judge(PUNCTA.assign(y_nm=PUNCTA["y_nm"] + shift))
    assert result.n_matched == matched


def test_a_match_stays_in_its_frame():
    assert judge(PUNCTA.assign(frame=PUNCTA["frame"] + 100)).n_matched == 0


def test_false_and_missed_puncta():
    found = pd.concat([PUNCTA[PUNCTA["track_id"] != 2], puncta_table({9: (8000.0, 8000.0)})])
    result = judge(found)
    assert result.precision == result.recall == pytest.approx(20 / 30)
    assert result.jaccard == pytest.approx(20 / 40)
    # 18 true links of the puncta found; the false track has 9 links, none of them true.
    assert (result.n_links, result.link_f1) == (18, pytest.approx(2 * 18 / (18 + 27)))


def test_a_punctum_found_twice_counts_once():
    result = judge(pd.concat([PUNCTA, puncta_table({9: (2000.0, 2050.0)})]))
    assert (result.n_matched, result.precision, result.recall) == (30, 30 / 40, 1.0)
    assert result.rmse_nm == 0


def test_switched_tracks_cost_two_links():
    late = PUNCTA["frame"] >= 5
    switched = PUNCTA["track_id"].where(~late, PUNCTA["track_id"].map({0: 1, 1: 0, 2: 2}))
    result = judge(PUNCTA.assign(track_id=switched))
    assert result.jaccard == 1
    assert result.link_f1 == pytest.approx(2 * 25 / (27 + 27))


def test_a_broken_track_costs_one_link_and_a_bridged_gap_none():
    late = (PUNCTA["frame"] >= 5) & (PUNCTA["track_id"] == 0)
    broken = judge(PUNCTA.assign(track_id=PUNCTA["track_id"].where(~late, 99)))
    assert broken.link_f1 == pytest.approx(2 * 26 / (27 + 26))
    gap = PUNCTA["frame"].between(4, 6) & (PUNCTA["track_id"] == 0)
    missed = judge(PUNCTA[~gap])
    assert (missed.n_links, missed.link_f1) == (24, 1.0)
    blinked = judge(PUNCTA[~gap], truth=truth_of(PUNCTA[~gap], EVENTS))
    assert (blinked.recall, blinked.n_links, blinked.link_f1) == (1.0, 24, 1.0)


def test_puncta_without_a_track_have_no_links():
    result = judge(PUNCTA.assign(track_id=PUNCTA["track_id"].where(PUNCTA["track_id"] == 1, -1)))
    assert result.link_f1 == pytest.approx(2 * 9 / (27 + 9))
    untracked = judge(PUNCTA.assign(track_id=-1))
    assert (untracked.n_links, untracked.link_f1) == (27, 0.0)


def test_a_missed_and_a_false_event():
    missed = judge(events=EVENTS[1:])
    assert (missed.event_precision, missed.event_recall) == (1, pytest.approx(2 / 3))
    assert missed.event_f1 == pytest.approx(4 / 5)
    false = judge(events=pd.concat([EVENTS, event_table((2, 2, 0.5, 5000.0, 4000.0))]))
    assert (false.event_precision, false.event_recall) == (3 / 4, 1)


def test_an_event_found_twice_counts_once():
    result = judge(events=pd.concat([EVENTS, EVENTS[:1].assign(onset_frame=3)]))
    assert (result.n_matched_events, result.event_precision, result.event_recall) == (3, 3 / 4, 1)
    assert result.onset_error_frames == 0


@pytest.mark.parametrize(("delay", "matched"), [(-3, 2), (3, 2), (-4, 0), (4, 0)])
def test_events_match_within_three_frames(delay, matched):
    late = EVENTS[:2].assign(onset_frame=EVENTS["onset_frame"][:2] + delay)
    result = judge(events=late, truth=truth_of(PUNCTA, EVENTS[:2]))
    assert result.n_matched_events == matched
    if matched:
        assert (result.onset_bias_frames, result.onset_error_frames) == (delay, 3)


@pytest.mark.parametrize(("shift", "matched"), [(249.0, 3), (251.0, 0)])
def test_events_match_within_the_radius(shift, matched):
    assert judge(events=EVENTS.assign(y_nm=EVENTS["y_nm"] + shift)).n_matched_events == matched


def test_onset_and_amplitude_errors():
    found = EVENTS.assign(onset_frame=EVENTS["onset_frame"] + [0, 1, -1], amplitude_dff=[0.4, 0.9, 0.6])
    result = judge(events=found)
    assert (result.onset_bias_frames, result.onset_error_frames) == (0, pytest.approx(2 / 3))
    assert (result.amplitude_bias, result.amplitude_error) == pytest.approx((-0.1, 0.2))


def test_false_events_are_told_per_track_and_minute():
    """Three tracks of 10 frames of 50 ms, one of which is seen in its first and last frame only."""
    seen = PUNCTA[(PUNCTA["track_id"] != 2) | PUNCTA["frame"].isin([0, 9])]
    stray = puncta_table({-1: (8000.0, 8000.0)})
    false = event_table((2, 2, 0.5, 5000.0, 4000.0), (1, 9, 0.5, 2600.0, 2000.0))
    result = judge(pd.concat([seen, stray]), pd.concat([EVENTS, false]))
    assert result.false_events_per_track_minute == pytest.approx(2 / (3 * 10 * 0.05 / 60))
    assert judge().false_events_per_track_minute == 0
    assert judge(PUNCTA[:0]).false_events_per_track_minute is None


def test_the_bound_is_that_of_the_optics_model():
    alone = crlb([18.5], [18.5], [1000.0], [150 / 108], [15.0], Camera())
    result = judge(PUNCTA.assign(x_nm=PUNCTA["x_nm"] + 12))
    assert result.crlb_nm == pytest.approx(108 * alone.mean(), rel=0.03)
    assert result.joint_crlb_nm > result.crlb_nm  # two of the three have a neighbour
    assert result.rmse_over_crlb == pytest.approx(12 / math.sqrt(2) / result.crlb_nm)


def test_errors_at_the_bound_give_a_ratio_of_one(tmp_path):
    config = SimulationConfig(
        image_size=(128, 128),
        n_frames=30,
        puncta_per_um2=0.1,
        photons_sd_between=0.0,
        photons_sd_within=0.0,
        background_blobs=0,
        background_gradient=0.0,
    )
    write_sample(tmp_path, config, 3)
    truth = load_truth(tmp_path)
    bound = judge(truth.puncta, truth.events, truth).crlb_nm
    noise = np.random.default_rng(1).normal(0, bound, (2, len(truth.puncta)))
    found = truth.puncta.assign(x_nm=truth.puncta["x_nm"] + noise[0], y_nm=truth.puncta["y_nm"] + noise[1])
    assert judge(found, truth.events, truth).rmse_over_crlb == pytest.approx(1, abs=0.1)


def test_nothing_found_or_nothing_there():
    nothing = judge(PUNCTA[:0], EVENTS[:0])
    assert (nothing.recall, nothing.jaccard, nothing.event_recall, nothing.event_f1) == (0, 0, 0, 0)
    assert nothing.precision is nothing.rmse_nm is nothing.crlb_nm is None
    empty = judge(PUNCTA[:0], EVENTS[:0], truth_of(PUNCTA[:0], EVENTS[:0]))
    assert empty.recall is empty.event_f1 is empty.co_localization_nm is None
    false = judge(truth=truth_of(PUNCTA[:0], EVENTS[:0]))
    assert (false.precision, false.event_precision) == (0, 0)


def test_it_can_be_read_and_stored():
    result = evaluate(TRUTH, PUNCTA[:0], EVENTS[:0])
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["n_true"] == 30
    lines = evaluate(TRUTH, PUNCTA, EVENTS).summary()
    assert any("Jaccard 1.000" in line for line in lines)
    assert any("3 of 3 events" in line for line in lines)
    assert any("co-localization" in line and line.count(" met") == 3 for line in lines)
    assert any("motion   not judged" in line for line in lines)


coordinate = st.floats(0, 1500)
points = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 4), coordinate, coordinate), max_size=25)
flashes = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 9), st.floats(0.05, 2), coordinate, coordinate), max_size=8
)


def random_puncta(rows: list[tuple[int, int, float, float]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["frame", "track_id", "x_nm", "y_nm"])
    table = table.astype({"frame": "int64", "track_id": "int64", "x_nm": "float64", "y_nm": "float64"})
    table = table.drop_duplicates(["frame", "track_id"])  # an emitter or a track is in a frame once
    return table.assign(photons=500.0, background=10.0, psf_sigma_nm=150.0)


@settings(deadline=None, max_examples=30)
@given(points, points, flashes, flashes)
def test_every_figure_stays_within_its_bounds(true, found, true_events, found_events):
    true_puncta = random_puncta(true)
    truth = truth_of(true_puncta[true_puncta["track_id"] >= 0], event_table(*true_events))
    result = judge(random_puncta(found), event_table(*found_events), truth)
    assert 0 <= result.n_matched <= min(result.n_true, result.n_found)
    assert 0 <= result.n_matched_events <= min(result.n_true_events, result.n_found_events)
    for name in (
        "precision",
        "recall",
        "jaccard",
        "link_f1",
        "event_precision",
        "event_recall",
        "event_f1",
        "puncta_calcium_correlation",
    ):
        value = getattr(result, name)
        assert value is None or 0 <= value <= 1
    if result.n_matched:
        assert result.jaccard <= min(result.precision, result.recall)
        assert 0 <= result.rmse_nm <= 250 / math.sqrt(2) + 1e-9
        assert result.crlb_nm > 0
    if result.n_matched_events:
        assert abs(result.onset_bias_frames) <= result.onset_error_frames <= 3
    assert judge(truth.puncta, truth.events, truth).n_matched == result.n_true

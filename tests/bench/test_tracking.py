"""The tracking benchmark: its scores on hand-made tracks, its methods, its bars."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bench import tracking
from bench.outputs import UsageError
from bench.tracking_cases import CASES, SLOW_PUNCTA, TrackingCase
from bench.tracking_methods import OURS, oracle, our_method
from bench.tracking_peers import (
    LAPTRACK,
    TRACKPY_10,
    btrack_method,
    btrack_problem,
    laptrack_method,
    trackpy_method,
)
from bench.tracking_report import ASKED, ASKED_FAST, TrackingResult, bar_lines, verdicts
from bench.tracking_scene import TrackingFrame, TrackingScene
from bench.tracking_scoring import TrackingMovie, TrackingScore, score
from model.localizations import Localizations
from stream.results import NO_TRACK

EASY = TrackingScene(
    name="easy",
    n_puncta=12,
    n_frames=30,
    mobile_px2=0.01,
    slow_px2=0.001,
    missed=0.0,
    false_share=0.0,
    off=0.0,
)
SMALL = TrackingScene(name="small", n_puncta=30, n_frames=40, side_px=128.0)


def a_frame(x, emitter):
    n = len(x)
    columns = {"x_px": x, "y_px": np.zeros(n), "x_sd_px": np.full(n, 0.2), "y_sd_px": np.full(n, 0.2)}
    found = Localizations.from_columns(
        **columns, photons=np.full(n, 1000.0), background=np.zeros(n), psf_sigma_px=np.full(n, 1.4)
    )
    return TrackingFrame(found, np.array(emitter, np.int64))


@pytest.fixture
def one_and_a_false():
    """A punctum at x = 10 in twelve frames, and a false localization beside it in frame 6."""
    frames = [a_frame([10.0], [0]) for _ in range(12)]
    frames[6] = a_frame([14.0, 10.0], [NO_TRACK, 0])
    truth = pd.DataFrame({"frame": np.arange(12), "track_id": 0, "x_nm": 10.0, "y_nm": 0.0})
    return TrackingMovie.of(frames, truth)


def test_true_identities_score_1(one_and_a_false):
    s = score(one_and_a_false, oracle().link(one_and_a_false).track_id)
    assert (s.alpha, s.jsc, s.jsc_theta, s.link_f1, s.completeness, s.switches) == (1, 1, 1, 1, 1, 0)


def test_a_track_in_two_pieces_lacks_one_link(one_and_a_false):
    s = score(one_and_a_false, np.array([7] * 6 + [NO_TRACK] + [8] * 6))
    assert s.link_f1 == pytest.approx(2 * 10 / (11 + 10))
    assert (s.switches, s.completeness) == (1, 0.5)


def test_links_to_a_false_localization_are_wrong(one_and_a_false):
    s = score(one_and_a_false, np.array([7] * 7 + [NO_TRACK] + [7] * 5))
    assert s.link_f1 == pytest.approx(2 * 9 / (11 + 11))


def test_short_tracks_count_for_nobody(one_and_a_false):
    s = score(one_and_a_false, np.array([1, 1, 2, 2, 3, 3, NO_TRACK, 4, 4, 5, 5, 6, 6]))
    assert (s.alpha, s.link_f1, s.completeness) == (0, 0, 0)


def test_numbers_of_tracks_do_not_matter():
    movie = TrackingMovie.simulate(SMALL, 1)
    ids = our_method().link(movie).track_id
    renamed = np.where(ids == NO_TRACK, NO_TRACK, 10_000 - 3 * ids)
    assert score(movie, renamed) == score(movie, ids)


def test_first_frames_are_the_same_frames():
    movie = TrackingMovie.simulate(SMALL, 1)
    cut = movie.first(10)
    assert len(cut.frames) == 10 and cut.truth["frame"].max() == 9
    pd.testing.assert_frame_equal(cut.found, movie.found[movie.found["frame"] < 10])


@pytest.mark.parametrize(
    "method",
    [our_method(), trackpy_method(3.0, 3), trackpy_method(3.0, 10), laptrack_method(3.0, 3.0)],
    ids=lambda m: m.name,
)
def test_everybody_links_puncta_that_are_far_apart(method):
    movie = TrackingMovie.simulate(EASY, 2)
    linked = method.link(movie)
    assert score(movie, linked.track_id).link_f1 == 1.0
    assert len(linked.cpu_ms) in (1, EASY.n_frames)
    assert (linked.wall_ms > 0).all()


def test_our_tracker_says_what_it_learnt():
    assert our_method().link(TrackingMovie.simulate(SMALL, 1)).learnt.startswith("D ")


def test_why_btrack_does_not_run_is_told(tmp_path):
    assert "No such file" in btrack_problem(tmp_path / "python")
    if problem := btrack_problem(Path(sys.executable)):
        assert "btrack" in problem
        with pytest.raises(RuntimeError, match=r"the btrack worker failed: (.|\n)*No module named 'btrack'"):
            btrack_method(Path(sys.executable), SLOW_PUNCTA).link(TrackingMovie.simulate(EASY, 2))


def test_every_bar_has_its_case():
    assert {*ASKED, *ASKED_FAST} == {case.scene.name for case in CASES}
    assert all(5551 <= tracking.WARM_UP_SEED < 5600 and min(case.seeds) > 90_000 for case in CASES)


def a_result(case, method, alpha, link_f1=0.9999, ms=(0.5, 0.6)):
    s = TrackingScore(alpha, alpha, 0.9, 0.9, 0.3, link_f1, 0.9, 1.0)
    return TrackingResult(case, method, "", s, np.array(ms), np.array(ms))


def test_bars_are_met_and_missed():
    case = "50 puncta"
    results = [
        a_result(case, OURS, 0.88),
        a_result(case, TRACKPY_10, 0.8),
        a_result(case, LAPTRACK, 0.89, 0.9),
    ]
    met = {v.promise: v.is_met for v in verdicts(results)}
    assert met["α ≥ 0.87"] and met["link F1 ≥ 0.999"] and met["CPU p50 ≤ 1 ms"] and met["p99 ≤ 4 × p50"]
    assert met[f"α above that of {TRACKPY_10}, by"] and not met[f"link F1 above that of {TRACKPY_10}, by"]
    assert met[f"link F1 above that of {LAPTRACK}, by"] and not met[f"α above that of {LAPTRACK}, by"]
    assert sum("NOT MET" in words for words in bar_lines(results)) == 2

    slow = [a_result(case, OURS, 0.86, 0.998, ms=[1.1] * 95 + [9.0] * 5)]
    assert not any(v.is_met for v in verdicts(slow))
    assert [v.is_met for v in verdicts([a_result("fast, 200 puncta", OURS, 0.729)])] == [False]


def test_a_run_prints_writes_and_measures_the_batch_methods_on_the_same_frames(tmp_path, capsys):
    case = TrackingCase(
        SMALL,
        n_movies=2,
        trackpy_px=(3.0, 3.0),
        laptrack_px=(3.0, 3.0),
        btrack=SLOW_PUNCTA,
        n_batch_frames=15,
    )
    out = tmp_path / "tracking.json"
    figures = tracking.run(out, Console(width=250), all_cases=[case])
    said = capsys.readouterr().out
    assert "btrack is left out: no --peers-python" in said
    rows = json.loads(out.read_text())["results"]
    assert json.loads(json.dumps(figures["results"])) == rows
    of_case = {
        name: [r for r in rows if r["case"] == name] for name in dict.fromkeys(r["case"] for r in rows)
    }
    assert list(of_case) == ["small", "small, first 1 × 15 frames"]
    assert [r["method"] for r in of_case["small"]] == [
        "piezo1",
        "trackpy, memory 3",
        TRACKPY_10,
        "true identities",
    ]
    short = of_case["small, first 1 × 15 frames"]
    assert [r["method"] for r in short][-1] == LAPTRACK
    assert short[0]["n_times"] == 15 and short[-1]["n_times"] == 1 and short[-1]["cpu_ms_p99"] is None
    assert of_case["small"][-1]["link_f1"] == 1.0
    assert all(r["alpha"] <= of_case["small"][-1]["alpha"] + 0.02 for r in of_case["small"])


def test_runs_repeat_but_for_their_times():
    case = replace(CASES[0], scene=SMALL, n_movies=1, n_batch_frames=20)
    scores = [
        [{k: v for k, v in row.items() if "ms" not in k} for row in figures["results"]]
        for figures in (tracking.run(None, Console(quiet=True), all_cases=[case]) for _ in range(2))
    ]
    assert scores[0] == scores[1]
    assert not any(math.isnan(row["alpha"]) for row in scores[0])


def test_an_unknown_case_is_refused():
    with pytest.raises(UsageError, match='no case has "5,000" in its name; there are: 50 puncta; 200 puncta'):
        tracking.run(None, Console(), cases=["50 ", "5,000"])

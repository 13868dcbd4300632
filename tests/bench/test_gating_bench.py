import numpy as np
import pytest
from rich.console import Console

from bench import gating
from bench.gating_movies import gating_movie
from bench.gating_score import NOT_THERE, mean_open_dwell, score_gating
from bench.gating_traces import GatingScene, simulate_traces
from train.simulation_config import SimulationConfig


def test_scores_by_hand():
    calls = np.array([[0, 0, -1, 1, 1, -1, 0, 0, -2, 1, 1, 0, 1, 1]], np.int8)
    is_open = np.array([[0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0]], float)
    lit = np.array([[1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1]], float)
    score = score_gating(calls, is_open, lit)
    assert score.uncertain == pytest.approx(2 / 11)
    assert score.sensitivity == 1
    assert score.specificity == pytest.approx(3 / 4)
    assert (score.blinks_open, score.read_as_closing) == (1, 1)
    assert (score.blinks_closed, score.read_as_opening) == (1, 0)
    assert score.uncertain_in_blinks == 0
    assert NOT_THERE == -2


def test_dwell_times_bridge_short_uncertainty_only():
    assert mean_open_dwell(np.array([[0, -1, 1, 1, -1, 0, 0]], np.int8)) == 3
    assert np.isnan(mean_open_dwell(np.array([[0, 1, 1, -1, -1, -1, 0]], np.int8)))


def test_traces_are_what_the_scene_says():
    scene = GatingScene(open_frames=10, closed_frames=30, photons=500, photons_sd=0, dff=2)
    traces = simulate_traces(scene, 200, 500, seed=5560)
    assert traces.open_share.mean() == pytest.approx(0.25, abs=0.02)
    assert traces.lit_share.mean() == pytest.approx(50 / 53.3, abs=0.01)
    steady = (traces.open_share == 1) & (traces.lit_share == 1)
    assert traces.photons[steady].mean() == pytest.approx(1500, rel=0.01)
    assert traces.photons[traces.lit_share == 0].mean() == pytest.approx(0, abs=2)
    never = simulate_traces(GatingScene(open_frames=0, dark_frames=0), 5, 50, seed=5560)
    assert not never.open_share.any() and (never.lit_share == 1).all()


def test_movies_show_what_the_scene_says():
    changes = {"image_size": (64, 64), "n_frames": 40, "spot_photons": 5000.0, "spot_photons_sd": 0.0}
    config = SimulationConfig(**gating.MOVIE | changes | {"num_puncta_mean": 4.0})
    light = {True: [], False: []}
    for frame in gating_movie(config, GatingScene(dark_frames=0, closed_frames=12), 5561):
        image = config.camera_model().to_photons(frame.counts[1])
        for (x, y), share in zip(frame.xy.round().astype(int), frame.open_share, strict=True):
            if share in (0, 1):
                light[bool(share)].append(image[y, x])
    assert np.median(light[True]) > 1.5 * np.median(light[False])


def test_the_benchmark_runs(monkeypatch, tmp_path):
    scene = GatingScene(photons=500, dff=2)
    config = SimulationConfig(
        **gating.MOVIE | {"image_size": (64, 64), "n_frames": 60, "spot_photons": 500.0}
    )
    monkeypatch.setattr(gating, "SCENES", {"few": scene})
    monkeypatch.setattr(gating, "MOVIES", {"one": (config, scene)})
    monkeypatch.setattr(gating, "FRAMES", 200)
    monkeypatch.setattr(gating, "TEST_SEED", 5562)
    monkeypatch.setattr(gating, "TIMED_FRAMES", 3)
    results = gating.run(tmp_path / "gating.json", Console(quiet=True), spots=10)
    assert [r["method"] for r in results] == [
        gating.OURS,
        gating.HALF,
        gating.HALF_DARK,
        f"{gating.OURS}, true positions",
        f"{gating.HALF}, true positions",
        f"{gating.HALF_DARK}, true positions",
        f"{gating.OURS}, network and tracker",
    ]
    assert results[0]["balanced"] > 0.95 and results[0]["read_as_closing"] <= 1
    assert results[1]["read_as_closing"] > 2  # a threshold takes blinks for closings
    assert (tmp_path / "gating.json").exists()

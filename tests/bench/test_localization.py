import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.localization import run
from bench.scenes import SceneConfig, read_scene, simulate_scene
from bench.scoring import score

RECORDINGS = Path(__file__).parents[2].parent / "shared/data/piezo1_synthetic"
CONFIG = SceneConfig(density_um2=0.5, size=48)


def test_the_truth_scores_full_marks_and_mistakes_cost_what_they_should() -> None:
    scene = simulate_scene(CONFIG, 6, seed=1)
    perfect = score(scene, scene.truth)
    assert (perfect.jaccard, perfect.precision, perfect.recall, perfect.rmse_nm) == (1, 1, 1, 0)
    shifted = score(scene, [xy + np.array([0.3, 0.0]) for xy in scene.truth])
    assert shifted.rmse_nm == pytest.approx(0.3 * 110 / np.sqrt(2), rel=0.02)
    doubled = score(scene, [np.concatenate([xy, xy]) for xy in scene.truth])
    assert doubled.precision == pytest.approx(0.5, abs=0.02)
    assert score(scene, [xy[:0] for xy in scene.truth]).recall == 0


def test_scenes_are_reproducible_and_differ_between_seeds() -> None:
    first, again = (simulate_scene(CONFIG, 2, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.counts, again.counts)
    assert not np.array_equal(first.counts, simulate_scene(CONFIG, 2, seed=5).counts)
    dense = simulate_scene(replace(CONFIG, density_um2=2.0), 2, seed=4)
    assert sum(map(len, dense.truth)) > 2 * sum(map(len, first.truth))


def test_a_recording_has_the_light_and_the_positions_of_its_truth() -> None:
    stem = RECORDINGS / "high_snr_108nm"
    if not stem.with_suffix(".tif").exists():
        pytest.skip("the synthetic PIEZO1 recordings are not beside the checkout (../shared/data)")
    scene = read_scene(stem, range(3))
    photons = scene.camera.to_photons(scene.counts)
    at = [np.rint(xy).astype(int) for xy in scene.truth]
    light_at_truth = np.mean([photons[k][i[:, 1], i[:, 0]].mean() for k, i in enumerate(at)])
    assert light_at_truth > 5 * photons.mean()


def test_the_benchmark_runs_and_writes_what_it_prints(tmp_path: Path) -> None:
    out = tmp_path / "localization.json"
    results = run(out, frames=2, conditions=["sCMOS 0.1/µm² 3000"], recordings=tmp_path)
    written = json.loads(out.read_text())
    assert [r["method"] for r in written["results"]] == [r.method for r in results]
    assert {r.method for r in results} == {"wavelet, one threshold", "wavelet, tuned", "trackpy, tuned"}
    assert results[0].score.recall > 0.9
    assert written["speed"]["frames_per_s"] > 0

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.conditions import CONDITIONS, SceneConfig
from bench.light import draw_chip, true_psf
from bench.motion import (
    ISOLATED_SIGMA,
    are_isolated,
    blurred_sigma_px,
    diffusion_step_px,
    draw_emitters,
)
from bench.scenes import Scene, bounds, read_scene, simulate_scene

RECORDINGS = Path(__file__).parents[2].parent / "shared/data/piezo1_synthetic"
CONFIG = SceneConfig(density_um2=0.5, size=48)


def test_scenes_are_reproducible_and_the_first_movies_of_many_are_those_of_few() -> None:
    few, many = simulate_scene(CONFIG, 2, 2, seed=4), simulate_scene(CONFIG, 3, 2, seed=4)
    np.testing.assert_array_equal(few.counts, many.counts[:4])
    assert many.movie.tolist() == [0, 0, 1, 1, 2, 2]
    assert not np.array_equal(few.counts, simulate_scene(CONFIG, 2, 2, seed=5).counts)
    dense = simulate_scene(replace(CONFIG, density_um2=2.0), 2, 1, seed=4)
    assert sum(len(t.xy) for t in dense.truth) > sum(len(t.xy) for t in few.truth)


def positions(scene: Scene) -> list[np.ndarray]:
    return [truth.xy for truth in scene.truth]


def test_static_emitters_stay_within_a_movie_and_are_others_in_the_next() -> None:
    first, second, other = positions(simulate_scene(CONFIG, 2, 2, seed=1))[:3]
    np.testing.assert_array_equal(first, second)
    assert first.shape != other.shape or not np.allclose(first, other)


def test_unrelated_frames_share_no_emitter() -> None:
    first, second = positions(simulate_scene(replace(CONFIG, motion="unrelated"), 1, 2, seed=1))
    assert not set(first[:, 0]) & set(second[:, 0])


def test_diffusing_emitters_move_by_their_step_and_blur_as_much_as_the_bound_assumes() -> None:
    config = replace(CONFIG, motion="diffusing", density_um2=30.0)
    frames = list(draw_emitters(config, 3, np.random.default_rng(2)))
    step = diffusion_step_px(config)
    assert step == pytest.approx(np.sqrt(2 * 0.05 * 0.05) / 0.11)
    # Means over two exposures in a row differ by a variance of 2/3 of a step's.
    moved = np.std(frames[1].xy - frames[0].xy)
    assert moved == pytest.approx(step * np.sqrt(2 / 3), rel=0.06)
    spread = np.var(frames[0].path - frames[0].xy, axis=0).mean()
    assert blurred_sigma_px(config) ** 2 - config.true_sigma_px**2 == pytest.approx(spread, rel=0.1)
    assert blurred_sigma_px(CONFIG) == CONFIG.true_sigma_px


def test_blinking_emitters_shine_at_the_named_density_and_come_back() -> None:
    config = replace(CONFIG, motion="blinking", density_um2=30.0)
    frames = [set(e.xy[:, 0]) for e in draw_emitters(config, 12, np.random.default_rng(3))]
    side_um = (config.size + 10 * config.true_sigma_px) * 0.11
    assert np.mean([len(f) for f in frames]) == pytest.approx(30.0 * side_um**2, rel=0.08)
    lost = frames[0] - frames[1]
    assert len(lost) / len(frames[0]) == pytest.approx(0.1, abs=0.05)
    assert len(lost & set.union(*frames[2:])) / len(lost) > 0.8


def test_isolated_emitters_are() -> None:
    config = replace(CONFIG, isolated=True, size=96)
    xy = simulate_scene(config, 1, 1, seed=1).truth[0].xy
    assert len(xy) > 10
    assert are_isolated(xy, ISOLATED_SIGMA * config.true_sigma_px).all()


@pytest.mark.parametrize("psf", ["gaussian", "airy", "elliptical", "halo"])
def test_every_psf_is_centred_has_its_light_and_survives_the_border(psf: str) -> None:
    config = replace(CONFIG, psf=psf, size=81)  # type: ignore[arg-type]
    image = np.zeros((81, 81), np.float32)
    true_psf(config).add(image, np.array([40.3]), np.array([39.8]), np.array([1000.0]))
    assert image.sum() == pytest.approx(1000, rel=0.05)
    y, x = np.indices(image.shape)
    assert (image * x).sum() / image.sum() == pytest.approx(40.3, abs=0.01)
    assert (image * y).sum() / image.sum() == pytest.approx(39.8, abs=0.01)
    edge = np.array([-30.0, -3.0, 0.0, 80.0, 83.0, 200.0])
    true_psf(config).add(image, edge, edge[::-1].copy(), np.full(6, 10.0))
    assert np.isfinite(image).all()


def test_the_elliptical_psf_is_wider_in_x_by_a_fifth() -> None:
    image = np.zeros((61, 61), np.float32)
    psf = true_psf(replace(CONFIG, psf="elliptical"))
    psf.add(image, np.array([30.0]), np.array([30.0]), np.array([1.0]))
    y, x = np.indices(image.shape) - 30
    sd_x, sd_y = np.sqrt((image * x**2).sum() - 1 / 12), np.sqrt((image * y**2).sum() - 1 / 12)
    assert sd_x / sd_y == pytest.approx(1.2, abs=0.005)
    assert np.sqrt(sd_x * sd_y) == pytest.approx(psf.sigma_px, rel=0.01)


def test_hot_pixels_stay_where_they_are_and_nobody_is_told() -> None:
    config = replace(CONFIG, fixed_pattern=True, density_um2=0.0, size=128)
    scene = simulate_scene(config, 1, 3, seed=1)
    hot = scene.counts > 100 + 150
    assert 3 <= hot[0].sum() <= 40
    assert (hot[0] == hot[1]).all() and (hot[1] == hot[2]).all()
    assert scene.camera == config.camera
    camera, dark = draw_chip(CONFIG, np.random.default_rng(1))
    assert camera == CONFIG.camera and not dark.any()


def test_what_is_told_may_be_wrong_and_the_bound_knows_the_truth() -> None:
    wide = simulate_scene(CONDITIONS["σ 1.3 × what is told"], 1, 1, seed=1)
    assert wide.true_sigma_px == pytest.approx(1.3 * wide.sigma_px)
    wrong = simulate_scene(CONDITIONS["gain told 30 % too low"], 1, 1, seed=1)
    assert wrong.camera.e_per_adu == pytest.approx(0.7)
    assert wrong.true_camera.e_per_adu == 1.0
    right = simulate_scene(SceneConfig(), 1, 1, seed=1)
    np.testing.assert_array_equal(wrong.counts, right.counts)
    np.testing.assert_array_equal(bounds(wrong)[0], bounds(right)[0])
    assert (bounds(right)[0][:, 2:] >= 0.999 * bounds(right)[0][:, :2]).all()


def test_a_recording_has_the_light_and_the_positions_of_its_truth() -> None:
    stem = RECORDINGS / "high_snr_108nm"
    if not stem.with_suffix(".tif").exists():
        pytest.skip("the synthetic PIEZO1 recordings are not beside the checkout (../shared/data)")
    scene = read_scene(stem, [1, 2, 4])
    assert scene.movie.tolist() == [0, 0, 1]
    photons = scene.camera.to_photons(scene.counts)
    at = [np.rint(truth.xy).astype(int) for truth in scene.truth]
    light_at_truth = np.mean([photons[k][i[:, 1], i[:, 0]].mean() for k, i in enumerate(at)])
    assert light_at_truth > 5 * photons.mean()

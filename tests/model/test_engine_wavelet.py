from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from acquire.frame import Frame
from model.bound import crlb
from model.camera import Camera
from model.engines.base import ModelError
from model.engines.wavelet import WaveletEngine
from model.localizations import Localizations
from model.matching import match_localizations
from model.optics import GaussianPsf

SIGMA = 135 / 110
SCMOS = Camera(offset=100.0, e_per_adu=0.5, read_noise_e=1.4)
EMCCD = Camera(offset=100.0, e_per_adu=3.6, read_noise_e=30.0, em_gain=100.0)


def expose(
    camera: Camera,
    x: np.ndarray,
    y: np.ndarray,
    photons: float,
    shape: tuple[int, int],
    seed: int,
    background: float = 15.0,
) -> np.ndarray:
    expected = np.full(shape, background, np.float32)
    GaussianPsf(SIGMA).add(expected, x, y, np.full(len(x), photons))
    return camera.expose(expected, np.random.default_rng(seed))[None]


def grid(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Isolated positions, one in each cell of a 240² image."""
    cells = np.arange(10, 240, 20)
    x, y = (c.ravel().astype(np.float64) for c in np.meshgrid(cells, cells))
    shift = np.random.default_rng(seed).uniform(-0.5, 0.5, (2, len(x)))
    return x + shift[0], y + shift[1]


def locate(engine: WaveletEngine, pixels: np.ndarray, seq: int = 0) -> Localizations:
    ((answered, found),) = engine.step(Frame(seq, 0.0, pixels))
    assert answered == seq
    return found


@pytest.mark.parametrize("camera", [SCMOS, EMCCD])
@pytest.mark.parametrize("photons", [500.0, 3000.0])
def test_isolated_puncta_are_unbiased_efficient_and_know_their_uncertainty(
    camera: Camera, photons: float
) -> None:
    engine = WaveletEngine(camera, SIGMA)
    errors, z, light, width, background = [], [], [], [], []
    for seed in range(8):
        x, y = grid(seed)
        found = locate(engine, expose(camera, x, y, photons, (240, 240), 100 + seed))
        i, j = match_localizations(np.stack([x, y], 1), np.stack([found.x_px, found.y_px], 1), 2.0)
        assert len(i) >= 0.99 * len(x)
        errors.append(np.stack([found.x_px[j] - x[i], found.y_px[j] - y[i]]))
        z.append(errors[-1] / np.stack([found.x_sd_px[j], found.y_sd_px[j]]))
        light.append(found.photons[j])
        width.append(found.psf_sigma_px[j])
        background.append(found.background[j])
    error = np.concatenate(errors, axis=1)
    one = [np.array([v]) for v in (10.0, 10.0, photons, SIGMA, 15.0)]
    bound = crlb(*one, camera)[0]
    np.testing.assert_allclose(error.mean(axis=1) / bound, 0, atol=4 / np.sqrt(error.shape[1]))
    assert np.sqrt(np.mean(error**2)) < 1.12 * bound.mean()
    assert np.concatenate(z, axis=1).std() == pytest.approx(1.0, abs=0.12)
    assert np.median(np.concatenate(light)) == pytest.approx(photons, rel=0.05)
    assert np.median(np.concatenate(width)) == pytest.approx(SIGMA, rel=0.05)
    assert np.median(np.concatenate(background)) == pytest.approx(15.0, rel=0.1)


@pytest.mark.parametrize(("photons", "background"), [(200.0, 15.0), (1000.0, 200.0)])
def test_photons_of_dim_puncta_are_skewed_by_no_more_than_documented(
    photons: float, background: float
) -> None:
    engine, light = WaveletEngine(SCMOS, SIGMA), []
    for seed in range(6):
        x, y = grid(seed)
        pixels = expose(SCMOS, x, y, photons, (240, 240), 200 + seed, background)
        found = locate(engine, pixels)
        _, j = match_localizations(np.stack([x, y], 1), np.stack([found.x_px, found.y_px], 1), 2.0)
        light.append(found.photons[j])
    assert np.median(np.concatenate(light)) == pytest.approx(photons, rel=0.06)
    assert photons < np.mean(np.concatenate(light)) < 1.15 * photons


def test_a_slope_of_the_background_does_not_pull_positions() -> None:
    x, y = grid(4)
    slope = np.array([2.5, -2.5]) @ np.indices((240, 240)).reshape(2, -1)
    expected = (700 + slope.reshape(240, 240)).astype(np.float32) / 20  # ±0.125 photons a pixel
    GaussianPsf(SIGMA).add(expected, x, y, np.full(len(x), 500.0))
    camera = Camera(offset=100.0, e_per_adu=0.01, read_noise_e=0.1)
    found = locate(WaveletEngine(camera, SIGMA), np.rint(expected / 0.01 + 100).astype(np.uint16)[None])
    i, j = match_localizations(np.stack([x, y], 1), np.stack([found.x_px, found.y_px], 1), 1.0)
    assert len(i) == len(x)
    assert abs(np.mean(found.x_px[j] - x[i])) < 0.004
    assert abs(np.mean(found.y_px[j] - y[i])) < 0.004


def test_overlapping_neighbours_are_told_apart() -> None:
    x, y = np.array([20.0, 22.6]), np.array([20.0, 20.4])  # 2.1 σ: one maximum in the wavelet plane
    engine = WaveletEngine(SCMOS, SIGMA)
    resolved = 0
    for seed in range(20):
        found = locate(engine, expose(SCMOS, x, y, 2000.0, (40, 40), seed))
        i, _ = match_localizations(np.stack([x, y], 1), np.stack([found.x_px, found.y_px], 1), 0.7)
        resolved += len(i) == 2 == len(found)
    assert resolved >= 16


def test_a_wrong_expected_sigma_is_no_harm() -> None:
    x, y = grid(1)
    pixels = expose(SCMOS, x, y, 2000.0, (240, 240), 1)
    for factor in (0.75, 1.3):
        found = locate(WaveletEngine(SCMOS, factor * SIGMA), pixels)
        i, j = match_localizations(np.stack([x, y], 1), np.stack([found.x_px, found.y_px], 1), 1.0)
        assert len(i) >= 0.99 * len(x)
        assert len(found) <= 1.05 * len(x)
        assert np.median(found.psf_sigma_px[j]) == pytest.approx(SIGMA, rel=0.05)


def test_noisy_pixels_of_a_read_noise_map_are_not_puncta_and_count_less() -> None:
    x, y = grid(2)
    noise = np.full((240, 240), 1.4, np.float32)
    hot = np.random.default_rng(5).random(noise.shape) < 0.02
    noise[hot] = 40.0
    camera = Camera(offset=100.0, e_per_adu=0.5, read_noise_e=noise)
    pixels = expose(camera, x, y, 2000.0, noise.shape, 2)
    spread = {}
    for name, assumed in (("map", camera), ("number", SCMOS)):
        found = locate(WaveletEngine(assumed, SIGMA), pixels)
        i, j = match_localizations(np.stack([x, y], 1), np.stack([found.x_px, found.y_px], 1), 2.0)
        spread[name] = np.sqrt(np.mean((found.x_px[j] - x[i]) ** 2)), len(i)
    assert spread["map"][0] < 0.9 * spread["number"][0]
    assert spread["map"][1] >= 0.98 * len(x)


def test_same_frame_same_answer_and_only_the_first_channel_counts() -> None:
    x, y = grid(3)
    pixels = expose(SCMOS, x, y, 800.0, (240, 240), 3)
    engine = WaveletEngine(SCMOS, SIGMA)
    first = locate(engine, pixels)
    locate(engine, pixels[:, :50, :31], seq=1)  # a change of shape
    again = locate(engine, np.concatenate([pixels, pixels[:, ::-1]]), seq=2)
    assert len(first) > 0
    np.testing.assert_array_equal(first.table(), again.table())
    assert engine.flush() == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 3), (16, 16), (5, 64)])
@pytest.mark.parametrize("level", [0, 100, 117, 65535])
def test_flat_images_of_any_size_hold_nothing(shape: tuple[int, int], level: int) -> None:
    assert len(locate(WaveletEngine(SCMOS, SIGMA), np.full((1, *shape), level, np.uint16))) == 0


shapes = st.tuples(st.just(1), st.integers(1, 24), st.integers(1, 24))
ENGINES = [WaveletEngine(camera, sigma) for camera in (SCMOS, EMCCD) for sigma in (0.6, 1.3, 4.0)]


@settings(max_examples=150, deadline=None)
@given(arrays(np.uint16, shapes, elements=st.integers(0, 65535)), st.sampled_from(ENGINES))
def test_any_image_gives_finite_puncta_inside_it(pixels: np.ndarray, engine: WaveletEngine) -> None:
    found = locate(engine, pixels)
    for field in fields(found):
        if field.name != "calcium_probability":
            assert np.all(np.isfinite(getattr(found, field.name)))
    _, height, width = pixels.shape
    assert np.all((found.x_px >= -0.5) & (found.x_px <= width - 0.5))
    assert np.all((found.y_px >= -0.5) & (found.y_px <= height - 0.5))
    assert np.all((found.x_sd_px > 0) & (found.y_sd_px > 0))
    assert np.all((found.photons > 0) & (found.background >= 0) & (found.psf_sigma_px > 0))


def test_noise_alone_rarely_looks_like_a_punctum() -> None:
    pixels = SCMOS.expose(np.full((256, 256), 15, np.float32), np.random.default_rng(9))[None]
    assert len(locate(WaveletEngine(SCMOS, SIGMA, 1.5), pixels)) <= 3


def test_mistakes_are_explained() -> None:
    with pytest.raises(ModelError, match="psf_sigma_nm"):
        WaveletEngine(SCMOS, 0.01)
    with pytest.raises(ModelError, match="wavelet_threshold"):
        WaveletEngine(SCMOS, SIGMA, -1.0)
    small = Camera(read_noise_e=np.ones((8, 8), np.float32))
    with pytest.raises(ModelError, match=r"read_noise_e is a map of shape \(8, 8\)"):
        locate(WaveletEngine(small, SIGMA), np.zeros((1, 16, 16), np.uint16))

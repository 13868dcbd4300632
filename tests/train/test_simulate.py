from collections import Counter

import numpy as np
import pytest

from train.simulate import SimulatedFrame, simulate
from train.simulation_config import SimulationConfig, SimulationError

# One bright state, nothing moves, an even background: what is left can be computed by hand.
STILL = {
    "diffusion_mobile_um2_s": 0.0,
    "diffusion_slow_um2_s": 0.0,
    "photons_sd_within": 0.0,
    "off_probability": 0.0,
    "mean_life_frames": 1e9,
    "background_gradient": 0.0,
    "background_blobs": 0,
}


def movie(seed: int, **options: object) -> list[SimulatedFrame]:
    return list(simulate(SimulationConfig(**{"image_size": (64, 64), "n_frames": 40} | options), seed))


def light_of(frames: list[SimulatedFrame], config: SimulationConfig, channel: int) -> np.ndarray:
    return config.camera_model().to_photons(np.stack([f.pixels[channel] for f in frames])).astype(np.float64)


def alone(frame: SimulatedFrame, x_px: float, y_px: float) -> np.ndarray:
    """Which puncta of a 64² image have no neighbour within 16 px and lie 9 px off the border."""
    x, y = frame.truth.x_px, frame.truth.y_px
    distance = np.hypot(x[:, None] - x, y[:, None] - y) + 99 * np.eye(len(x))
    inside = (np.abs(x - x_px) < 22) & (np.abs(y - y_px) < 22)
    return np.flatnonzero(inside & (distance.min(axis=1, initial=99.0) > 16))


def test_the_seed_decides_everything():
    first, second, other = movie(7, n_frames=5), movie(7, n_frames=10), movie(8, n_frames=5)
    for a, b in zip(first, second, strict=False):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        np.testing.assert_array_equal(a.truth.x_px, b.truth.x_px)
        assert a.events == b.events
    assert not np.array_equal(first[0].pixels, other[0].pixels)


def test_another_camera_sees_the_same_sample():
    for a, b in zip(movie(3, camera="scmos"), movie(3, camera="emccd"), strict=True):
        np.testing.assert_array_equal(a.truth.photons, b.truth.photons)
        assert a.events == b.events
        assert not np.array_equal(a.pixels, b.pixels)


def test_frames_are_dual_channel_counts():
    frame = movie(1, n_frames=1, image_size=(32, 48))[0]
    assert frame.pixels.shape == (2, 32, 48)
    assert frame.pixels.dtype == np.uint16
    x, y = frame.truth.x_px, frame.truth.y_px
    assert ((x >= -0.5) & (x <= 47.5) & (y >= -0.5) & (y <= 31.5)).all()


@pytest.mark.parametrize("psf_type", ["gaussian", "airy"])
@pytest.mark.parametrize("camera", ["scmos", "emccd"])
def test_light_and_centre_of_puncta_are_what_the_truth_says(psf_type, camera):
    options = STILL | {"num_puncta_mean": 4, "psf_type": psf_type, "camera": camera, "photons": 2000.0}
    config = SimulationConfig(image_size=(64, 64), n_frames=60, **options)
    collected, n_judged = [], 0
    for seed in range(6):
        frames = list(simulate(config, seed))
        mean = light_of(frames, config, 0).mean(axis=0) - config.background_photons
        truth = frames[0].truth
        for i in alone(frames[0], 31.5, 31.5):
            x0, y0 = round(truth.x_px[i]), round(truth.y_px[i])
            window = mean[y0 - 8 : y0 + 9, x0 - 8 : x0 + 9]
            collected.append(window.sum() / truth.photons[i])
            offsets = np.arange(-8, 9)
            core = np.where(np.hypot(offsets, offsets[:, None]) < 6, window, 0)
            assert x0 + (core * offsets).sum() / core.sum() == pytest.approx(truth.x_px[i], abs=0.15)
            assert y0 + (core * offsets[:, None]).sum() / core.sum() == pytest.approx(truth.y_px[i], abs=0.15)
            n_judged += 1
    assert n_judged >= 6
    # The rings of an Airy disk carry light out of the window.
    low, high = (0.98, 1.02) if psf_type == "gaussian" else (0.88, 1.0)
    assert low < np.mean(collected) < high


def test_background_in_the_truth_is_that_of_the_image_without_puncta():
    options = {"n_frames": 200, "background_blobs": 4, "background_gradient": 0.5}
    # The background is drawn first, so the same seed has it with and without puncta.
    empty = SimulationConfig(image_size=(64, 64), num_puncta_mean=0, **options)
    mean = light_of(list(simulate(empty, 5)), empty, 0).mean(axis=0)
    assert mean.max() / mean.min() > 1.5
    for frame in movie(5, num_puncta_mean=20, **options)[:20]:
        assert len(frame.truth.x_px)
        here = mean[np.rint(frame.truth.y_px).astype(int), np.rint(frame.truth.x_px).astype(int)]
        np.testing.assert_allclose(frame.truth.background, here, atol=2.0)


@pytest.mark.parametrize("camera", ["scmos", "emccd"])
def test_noise_is_the_cameras(camera):
    options = STILL | {"num_puncta_mean": 0, "background_photons": 30.0, "camera": camera}
    config = SimulationConfig(image_size=(64, 64), n_frames=50, **options)
    model = config.camera_model()
    for channel, level in ((0, 30.0), (1, config.calcium_rest_photons)):
        light = light_of(list(simulate(config, 2)), config, channel)
        assert light.mean() == pytest.approx(level, rel=0.01)
        quantization = (model.e_per_adu / model.em_gain) ** 2 / 12
        expected = model.excess * level + model.read_variance + quantization
        assert light.var(axis=0).mean() == pytest.approx(expected, rel=0.03)


def tracks_of(frames: list[SimulatedFrame]) -> dict[int, dict[int, tuple[float, float]]]:
    tracks: dict[int, dict[int, tuple[float, float]]] = {}
    for frame in frames:
        truth = frame.truth
        for track, x, y in zip(truth.track_id.tolist(), truth.x_px, truth.y_px, strict=True):
            tracks.setdefault(track, {})[frame.index] = (x, y)
    return tracks


@pytest.mark.parametrize("diffusion", [0.029, 0.1])
def test_diffusion_can_be_read_from_the_true_tracks(diffusion):
    config = SimulationConfig(
        image_size=(128, 128),
        n_frames=60,
        num_puncta_mean=150,
        mobile_fraction=1.0,
        diffusion_mobile_um2_s=diffusion,
        mean_life_frames=1e9,
        off_probability=0.0,
    )
    tracks = tracks_of(list(simulate(config, 4)))
    msd = []
    for lag in (1, 3):
        pairs = [(t[f], t[f + lag]) for t in tracks.values() for f in t if f + lag in t]
        start, end = np.array(pairs).transpose(1, 0, 2)
        msd.append(((end - start) ** 2).sum(axis=1).mean() * (config.pixel_size_nm / 1000) ** 2)
    # The difference of two lags is free of motion blur: MSD = 4 D (t − T/3).
    measured = (msd[1] - msd[0]) / (4 * 2 * config.interval_s)
    assert measured == pytest.approx(diffusion, rel=0.05)


def test_mobile_and_slow_puncta_are_mixed_as_asked():
    config = SimulationConfig(image_size=(64, 64), n_frames=40, num_puncta_mean=300, mobile_fraction=0.4)
    spread = []
    for track in tracks_of(list(simulate(config, 9))).values():
        steps = [np.subtract(track[f + 1], track[f]) for f in track if f + 1 in track]
        if len(steps) > 15:
            spread.append(np.mean(np.square(steps)) ** 0.5)
    share = np.mean(np.array(spread) > 0.3)  # px a frame: mobile .5, slow .15
    assert share == pytest.approx(0.4, abs=0.1)


def test_blinking_follows_its_probabilities():
    config = SimulationConfig(
        **STILL
        | {"off_probability": 0.1, "on_probability": 0.25, "num_puncta_mean": 400, "n_frames": 150}
        | {"image_size": (64, 64)}
    )
    tracks = tracks_of(list(simulate(config, 6)))
    seen = [np.array(sorted(t)) for t in tracks.values()]
    on_share = np.mean([len(frames) / config.n_frames for frames in seen])
    assert on_share == pytest.approx(0.25 / 0.35, abs=0.02)
    dark = np.concatenate([np.diff(frames)[np.diff(frames) > 1] - 1 for frames in seen])
    assert dark.mean() == pytest.approx(1 / 0.25, rel=0.05)


def test_bleaching_follows_its_mean_life_and_births_keep_the_density():
    config = SimulationConfig(
        **STILL | {"mean_life_frames": 30.0, "num_puncta_mean": 400, "n_frames": 200, "image_size": (64, 64)}
    )
    frames = list(simulate(config, 6))
    n = np.array([len(f.truth.track_id) for f in frames])
    assert n[-50:].mean() == pytest.approx(n[:50].mean(), rel=0.08)
    # Born early enough that all but 1 % have bleached before the movie ends.
    lives = [len(t) for t in tracks_of(frames).values() if 0 < min(t) < 60]
    assert len(lives) > 500
    assert np.mean(lives) == pytest.approx(30, rel=0.1)


def test_photon_numbers_are_log_normal_between_and_within_puncta():
    config = SimulationConfig(
        **STILL
        | {
            "num_puncta_mean": 600,
            "image_size": (64, 64),
            "n_frames": 20,
            "photons_sd_between": 0.4,
            "photons_sd_within": 0.2,
        }
    )
    photons: dict[int, list[float]] = {}
    for frame in simulate(config, 3):
        for track, value in zip(frame.truth.track_id.tolist(), frame.truth.photons, strict=True):
            photons.setdefault(track, []).append(float(value))
    logs = np.log(np.array(list(photons.values())))
    assert np.exp(logs).mean() == pytest.approx(config.photons, rel=0.08)
    assert logs.std(axis=1).mean() == pytest.approx(0.2, rel=0.05)
    assert logs.mean(axis=1).std() == pytest.approx(0.4, rel=0.1)


def test_calcium_rises_at_events_by_their_amplitude():
    config = SimulationConfig(
        **STILL
        | {"image_size": (128, 128), "n_frames": 100, "num_puncta_mean": 30, "calcium_rest_photons": 400.0}
        | {"cloud_sigma_min_px": 2.0, "event_rate_hz": 0.5}
    )
    true, seen, is_on = [], [], []
    for frame in simulate(config, 11):
        truth = frame.truth
        ratio = config.camera_model().to_photons(frame.pixels[1]) / config.calcium_rest_photons - 1
        seen.append(ratio[np.rint(truth.y_px).astype(int), np.rint(truth.x_px).astype(int)])
        true.append(truth.dff)
        is_on.append(truth.is_on)
    true, seen, is_on = (np.concatenate(v) for v in (true, seen, is_on))
    assert seen[is_on].mean() > seen[~is_on].mean() + 0.2
    slope, intercept = np.polyfit(true, seen, 1)
    assert slope == pytest.approx(1.0, abs=0.06)
    assert intercept == pytest.approx(0.0, abs=0.03)  # neighbours' clouds add a little


def test_events_agree_with_the_truth_of_their_puncta():
    config = SimulationConfig(**STILL | {"image_size": (128, 128), "n_frames": 200, "num_puncta_mean": 60})
    frames = list(simulate(config, 2))
    dff = {
        (track, f.index): (value, on)
        for f in frames
        for track, value, on in zip(f.truth.track_id.tolist(), f.truth.dff, f.truth.is_on, strict=True)
    }
    events = [e for f in frames for e in f.events]
    rate = len(events) / (
        np.mean([len(f.truth.track_id) for f in frames]) * config.n_frames * config.interval_s
    )
    # A channel opens anew only once its event has decayed to a hundredth of its peak.
    tau = (config.event_tau_min_frames + config.event_tau_max_frames) / 2
    busy_s = (config.event_rise_frames + tau * np.log(100)) * config.interval_s
    assert rate == pytest.approx(1 / (1 / config.event_rate_hz + busy_s), rel=0.2)
    for event in events:
        track = event.track_id
        assert event.onset_frame < event.peak_frame < event.end_frame
        assert config.dff_min <= event.amplitude_dff <= config.dff_max
        assert dff[track, event.peak_frame][0] == pytest.approx(event.amplitude_dff)
        assert not dff.get((track, event.onset_frame - 1), (0, False))[1]
        if event.end_frame + 1 < config.n_frames:
            assert dff[track, event.end_frame][0] >= 0.1 * event.amplitude_dff
            assert dff[track, event.end_frame][1]
            assert not dff[track, event.end_frame + 1][1]
    opened = Counter(track for (track, _), (_, on) in dff.items() if on)
    assert set(opened) >= {e.track_id for e in events}


def mean_steps(**options: object) -> tuple[np.ndarray, np.ndarray]:
    """First and last position in nm (N, 2) of the puncta that are seen in all of 40 frames."""
    config = SimulationConfig(
        **STILL | {"image_size": (64, 64), "num_puncta_mean": 60, "mobile_fraction": 0.0} | options
    )
    tracks = tracks_of(list(simulate(config, 8))).values()
    whole = [t for t in tracks if len(t) == config.n_frames]
    first, last = (np.array([t[f] for t in whole]) for f in (0, config.n_frames - 1))
    return first * config.pixel_size_nm, last * config.pixel_size_nm


def test_the_stage_drifts():
    first, last = mean_steps(n_frames=21, drift_nm_s=(300.0, -150.0))
    np.testing.assert_allclose((last - first).mean(axis=0), (300.0, -150.0), rtol=0.01)


def test_directed_puncta_keep_their_speed_and_confined_ones_their_place():
    first, last = mean_steps(n_frames=11, directed_fraction=1.0, speed_um_s=1.0)
    assert np.hypot(*(last - first).T) == pytest.approx(500.0, rel=0.01)
    options = {"confinement_nm": 120.0, "diffusion_mobile_um2_s": 0.05, "n_frames": 100}
    first, last = mean_steps(confined_fraction=1.0, **options)
    assert np.hypot(*(last - first).T).mean() > 40
    assert np.hypot(*(last - first).T).max() <= 2 * 120.0
    first, last = mean_steps(mobile_fraction=1.0, **options)
    assert np.hypot(*(last - first).T).mean() > 400


@pytest.mark.parametrize("drift", [(300.0, 0.0), (0.0, -300.0)])
@pytest.mark.parametrize("directed", [0.0, 0.5])
def test_a_drift_or_a_velocity_neither_empties_the_image_nor_heaps_puncta_up(drift, directed):
    options = {
        "image_size": (32, 32),
        "num_puncta_mean": 100,
        "n_frames": 300,
        "confined_fraction": 0.2,
        "drift_nm_s": drift,
    }
    options |= {"directed_fraction": directed, "mobile_fraction": 0.3, "diffusion_mobile_um2_s": 0.03}
    frames = movie(2, **STILL | options)
    n = np.array([len(f.truth.x_px) for f in frames])
    # The drift of 42 px has carried all of the first ones away. Standard deviation √100 = 10.
    assert n[:20].mean() == pytest.approx(n[-20:].mean(), abs=30)
    late = frames[-100::10]
    x = np.concatenate([f.truth.x_px for f in late])
    y = np.concatenate([f.truth.y_px for f in late])
    for coordinate in (x, y):
        assert np.mean(coordinate < 15.5) == pytest.approx(0.5, abs=0.12)
    # Who leaves is not who enters: no track jumps through the image.
    for track in tracks_of(frames).values():
        steps = [np.subtract(track[f + 1], track[f]) for f in track if f + 1 in track]
        assert np.abs(steps).max(initial=0) < 4
    assert max(t for f in late for t in f.truth.track_id) > 1.2 * max(frames[0].truth.track_id)


def test_confined_puncta_are_anywhere_in_their_discs_from_the_start():
    config = SimulationConfig(
        **STILL
        | {"image_size": (64, 64), "num_puncta_mean": 500, "confined_fraction": 1.0, "n_frames": 60}
        | {"mobile_fraction": 0.0, "diffusion_mobile_um2_s": 0.02, "confinement_nm": 216.0}
    )
    tracks = [t for t in tracks_of(list(simulate(config, 1))).values() if len(t) == config.n_frames]
    paths = np.array([[t[f] for f in range(config.n_frames)] for t in tracks])
    early, late = (((paths[:, a] - paths[:, b]) ** 2).sum(1).mean() for a, b in ((0, 59), (29, 59)))
    # The discs of radius 2 px were left for none of these lags; two uniform points differ by R² in the mean.
    assert early == pytest.approx(late, rel=0.12)
    assert early == pytest.approx(4.0, rel=0.15)


def spread_of_light(**options: object) -> tuple[float, float]:
    """Width in x and y (nm) of lone puncta, from the second moments of their light within 1 µm."""
    config = SimulationConfig(
        **STILL | {"image_size": (64, 64), "n_frames": 40, "num_puncta_mean": 3, "photons": 5000.0} | options
    )
    widths, offsets = [], np.arange(-9, 10)
    for seed in range(4):
        frames = list(simulate(config, seed))
        mean = light_of(frames, config, 0).mean(axis=0) - config.background_photons
        for i in alone(frames[0], 31.5, 31.5):
            x, y = frames[0].truth.x_px[i], frames[0].truth.y_px[i]
            window = mean[round(y) - 9 : round(y) + 10, round(x) - 9 : round(x) + 10]
            u, v = offsets + round(x) - x, offsets[:, None] + round(y) - y
            widths.append([(window * u**2).sum() / window.sum(), (window * v**2).sum() / window.sum()])
    assert len(widths) >= 3
    # Pixels themselves are 1/12 px² wide.
    x_nm, y_nm = (np.mean(widths, axis=0) - 1 / 12) ** 0.5 * config.pixel_size_nm
    return float(x_nm), float(y_nm)


def test_the_psf_may_be_elliptical_or_have_a_halo():
    x, y = spread_of_light(psf_ellipticity=1.44)
    assert (x, y) == pytest.approx((180, 125), rel=0.06)
    x, y = spread_of_light(halo_fraction=0.2, halo_width=2.0)
    assert (x, y) == pytest.approx([150 * (0.8 + 0.2 * 4) ** 0.5] * 2, rel=0.06)


def test_pixels_of_the_camera_differ_if_asked_to():
    options = STILL | {"num_puncta_mean": 0, "background_photons": 0.0, "n_frames": 60, "read_noise_e": 5.0}
    for spread in (0.0, 0.5):
        config = SimulationConfig(image_size=(64, 64), read_noise_spread=spread, **options)
        noise = light_of(list(simulate(config, 1)), config, 0).std(axis=0)
        assert np.log(noise).std() == pytest.approx(np.hypot(spread, 1 / np.sqrt(2 * 60)), rel=0.15)
        assert np.median(noise) == pytest.approx(5.0, rel=0.05)
    config = SimulationConfig(image_size=(64, 64), hot_pixel_fraction=0.01, **options)
    hot = light_of(list(simulate(config, 1)), config, 0).mean(axis=0) > 20
    assert hot.mean() == pytest.approx(0.01, rel=0.5)


def calcium_of(**options: object) -> np.ndarray:
    """Calcium channel over its resting level (T, H, W), without events at puncta."""
    config = SimulationConfig(
        **STILL
        | {"image_size": (64, 64), "n_frames": 60, "event_rate_hz": 0.0, "calcium_rest_photons": 400.0}
        | options
    )
    assert not any(frame.events for frame in simulate(config, 3))
    return light_of(list(simulate(config, 3)), config, 1) / 400.0


def test_calcium_is_disturbed_only_if_asked_to():
    quiet = calcium_of()
    assert quiet.mean() == pytest.approx(1.0, abs=0.005)
    assert quiet.mean(axis=(1, 2)).std() < 0.005
    assert quiet.max() < 1.4
    assert calcium_of(spark_rate_um2_s=0.5).max() > 1.5
    assert calcium_of(wave_rate_hz=2.0, wave_speed_um_s=40.0).mean(axis=(1, 2)).max() > 1.1
    assert calcium_of(lamp_flicker=0.1).mean(axis=(1, 2)).std() == pytest.approx(0.1, rel=0.4)
    bleached = calcium_of(calcium_bleach_s=3.0).mean(axis=(1, 2))
    assert bleached[-1] / bleached[0] == pytest.approx(np.exp(-59 * 0.05 / 3), rel=0.02)
    assert calcium_of(bleed_through=0.3, num_puncta_mean=20).mean(axis=0).max() > 1.05
    assert calcium_of(structures=5.0).mean(axis=0).max() > 1.1


def test_a_tethered_indicator_is_a_spot_at_every_punctum_that_the_shift_moves():
    options = STILL | {"num_puncta_mean": 4, "event_rate_hz": 0.0, "indicator": "tethered"}
    options |= {"spot_photons": 2000.0, "spot_photons_sd": 0.0, "indicator_off_probability": 0.0}
    options |= {"calcium_rest_photons": 5.0, "channel2_shift_nm": (216.0, -108.0), "n_frames": 20}
    config, n_judged = SimulationConfig(image_size=(64, 64), **options), 0
    offsets = np.arange(-6, 7)
    for seed in range(4):
        frames = list(simulate(config, seed))
        light = light_of(frames, config, 1).mean(axis=0) - 5.0
        for i in alone(frames[0], 31.5, 31.5):
            x, y = frames[0].truth.x_px[i] + 2, frames[0].truth.y_px[i] - 1
            window = light[round(y) - 6 : round(y) + 7, round(x) - 6 : round(x) + 7]
            assert window.sum() == pytest.approx(2000.0, rel=0.05)
            assert round(x) + (window * offsets).sum() / window.sum() == pytest.approx(x, abs=0.15)
            assert round(y) + (window * offsets[:, None]).sum() / window.sum() == pytest.approx(y, abs=0.15)
            n_judged += 1
    assert n_judged >= 3


def test_another_indicator_shows_the_same_puncta():
    for a, b in zip(movie(3), movie(3, indicator="tethered", wave_rate_hz=1.0), strict=True):
        np.testing.assert_array_equal(a.truth.x_px, b.truth.x_px)
        np.testing.assert_array_equal(a.truth.photons, b.truth.photons)


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": (0, 256)},
        {"image_size": 256},
        {"image_size": (64.5, 64)},
        {"n_frames": 2.5},
        {"photons": "many"},
        {"psf_sigma_nm": None},
        {"n_frames": 0},
        {"interval_ms": -1.0},
        {"pixel_size_nm": 0.0},
        {"photons": float("nan")},
        {"psf_sigma_nm": float("inf")},
        {"puncta_per_um2": -0.1},
        {"num_puncta_mean": 1e9},
        {"mobile_fraction": 1.5},
        {"on_probability": 0.0},
        {"off_probability": -0.1},
        {"mean_life_frames": 0.0},
        {"psf_type": "lorentz"},
        {"camera": "phone"},
        {"em_gain": 0.5},
        {"em_gain": 300.0},
        {"dff_min": 2.0},
        {"confined_fraction": 0.5, "directed_fraction": 0.2},
        {"confinement_nm": 0.0},
        {"drift_nm_s": 3.0},
        {"drift_nm_s": (1.0, float("nan"))},
        {"psf_ellipticity": 0.0},
        {"halo_width": 0.5},
        {"hot_pixel_fraction": 2.0},
        {"indicator": "fura"},
        {"calcium_bleach_s": 0.0},
        {"n_frames": True},
        {"photon": 3.0},
        {"cloud_sigma_max_px": 0.5},
        {"diffusion_mobile_um2_s": 1e80},
        {"calcium_rest_photons": 1e39},
        {"photons": 1e30},
        {"spark_rate_um2_s": 1e6},
        {"spark_rate_um2_s": 9.0, "interval_ms": 1e5},
        {"image_size": (10**6, 10**6)},
        {"drift_nm_s": (1e30, 0.0)},
    ],
)
def test_impossible_options_are_refused_in_one_sentence(options):
    with pytest.raises(SimulationError) as error:
        SimulationConfig(**options)
    message = str(error.value)
    assert "\n" not in message
    assert next(iter(options)) in message or "puncta" in message


def bounds(name: str) -> tuple[float, float]:
    """Lowest and highest value of a parameter that is a number, or an optional one."""
    schema = SimulationConfig.model_json_schema()["properties"][name]
    number = next(p for p in schema.get("anyOf", [schema]) if p.get("type") in ("number", "integer"))
    return max(number.get("minimum", 0), number.get("exclusiveMinimum", -1) + 1e-30), number["maximum"]


NUMBERS = [
    name
    for name, field in SimulationConfig.model_fields.items()
    if field.annotation in (float, float | None) and name != "num_puncta_mean"
]


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_allowed_can_be_simulated(name):
    for value in bounds(name):
        options = {"image_size": (16, 16), "n_frames": 2, "num_puncta_mean": 5, name: value}
        options |= {"camera": "emccd"} if name == "em_gain" else {}
        options |= {"mobile_fraction": 0.0} if name in ("confined_fraction", "directed_fraction") else {}
        if "_min" in name:
            options[name.replace("_min", "_max")] = bounds(name.replace("_min", "_max"))[1]
        if "_max" in name:
            options[name.replace("_max", "_min")] = bounds(name.replace("_max", "_min"))[0]
        for indicator in ("cytosolic", "tethered"):
            frames = list(simulate(SimulationConfig(**options, indicator=indicator), 1))
            assert all(np.isfinite(f.truth.photons).all() and np.isfinite(f.truth.x_px).all() for f in frames)

"""The calcium channel of the simulator: what its truth says must be what its images show."""

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from train.batch import Batch
from train.calcium_activity import END_FRACTION, OPEN_FRACTION, Activity
from train.calcium_channel import CalciumChannel, CalciumFrame
from train.calcium_labels import ELSEWHERE_WEIGHT, OPEN_WEIGHT, calcium_labels
from train.calcium_past import live_through, past_weights
from train.calcium_scene import CalciumScene
from train.calcium_scenes import CalciumScenes
from train.distractors import SPARK_DISTANCE_PX, Waves
from train.light import puncta_light
from train.population import Population, Snapshot
from train.random import Random
from train.scene import Scene
from train.sensor import Sensor
from train.simulator import Simulator, inside
from train.training_scenes import TrainingScenes

SIZE = (48, 48)
REST, SPOT = 50.0, 400.0


def columns(
    n: int, defaults: dict[str, float | bool], changes: dict[str, float | bool]
) -> dict[str, torch.Tensor]:
    return {name: torch.full((n, 1), value) for name, value in (defaults | changes).items()}


def make_scene(n: int, **changes: float | bool) -> Scene:
    """Static bright puncta on an even background."""
    defaults: dict[str, float | bool] = {
        "density": 0.01, "mobile": 0.0, "confined": 0.0, "directed": 0.0, "step_px": 0.0,
        "slow_step_px": 0.0, "confinement_px": 1.0, "speed_px": 0.0, "unrelated": False,
        "photons": 1000.0, "photons_sd_between": 0.0, "photons_sd_within": 0.0,
        "off_probability": 0.0, "on_probability": 1.0, "mean_life": math.inf,
        "airy": False, "halo": 0.0, "halo_width": 2.0,
        "background": 10.0, "gradient": 0.0, "blobs": 0.0, "texture": 0.0,
    }  # fmt: skip
    rows = columns(n, defaults, changes)
    return Scene(size=SIZE, drift_px=torch.zeros(n, 2), sigma_px=torch.full((n, 2), 1.4), **rows)


def make_calcium(n: int, shift_px: tuple[float, float] = (0.0, 0.0), **changes: float | bool) -> CalciumScene:
    """A cytosolic indicator without distractors."""
    defaults: dict[str, float | bool] = {
        "tethered": False, "rest": REST, "spot_photons": SPOT, "spot_sd_between": 0.0, "spot_sigma_px": 1.4,
        "off_probability": 0.0, "on_probability": 1.0, "rate": 0.05, "rise_frames": 2.0,
        "tau_low": 3.0, "tau_high": 10.0, "dff_low": 0.5, "dff_high": 1.5,
        "cloud_low_px": 1.5, "cloud_high_px": 2.5, "spark_rate": 0.0, "sparks_beside": 0.5,
        "wave_rate": 0.0, "wave_dff": 1.0, "wave_width_px": 30.0, "wave_speed_px": 3.0,
        "lamp_sd": 0.0, "bleach_life": math.inf, "bleed": 0.0, "structures": 0.0,
    }  # fmt: skip
    return CalciumScene(shift_px=torch.tensor([shift_px] * n), **columns(n, defaults, changes))


def make_sensor(n: int) -> Sensor:
    values = {
        "offset": 100.0,
        "e_per_adu": 1.0,
        "read_noise_e": 1.5,
        "em_gain": 1.0,
        "hot_e": 0.0,
        "told_gain": 1.0,
        "floor": 0.0,
    }
    return Sensor(**{name: torch.full((n, 1, 1), value) for name, value in values.items()})


def begin(scene: Scene, calcium: CalciumScene, seed: int = 0) -> tuple[Population, CalciumChannel]:
    population = Population(scene, Random(seed))
    return population, CalciumChannel(scene, calcium, population, Random(seed, 1))


def play(
    scene: Scene, calcium: CalciumScene, n_frames: int, seed: int = 0
) -> list[tuple[Snapshot, CalciumFrame]]:
    population, channel = begin(scene, calcium, seed)
    dark = torch.zeros(scene.n, *SIZE)
    frames = []
    for _ in range(n_frames):
        puncta = population.step()
        frames.append((puncta, channel.step(puncta, dark)))
    return frames


def lone_puncta(puncta: Snapshot, margin: float = 12.0) -> torch.Tensor:
    """Samples with one punctum, in the middle of the image."""
    xy = puncta.xy[:, 0]
    central = ((xy > margin) & (xy < SIZE[0] - 1 - margin)).all(1)
    return (puncta.is_alive.sum(1) == 1) & central


def test_cloud_in_the_image_is_the_dff_of_the_truth() -> None:
    n = 192
    for puncta, frame in play(make_scene(n, density=4e-4), make_calcium(n, rate=0.3), 6)[2:]:
        rows = lone_puncta(puncta) & (frame.dff[:, 0] > 0)
        assert rows.sum() > 5
        dff, sigma = frame.dff[rows, 0], frame.signal_sigma_px[rows, 0]
        added = (frame.expected[rows] - REST).sum((1, 2))
        torch.testing.assert_close(added, dff * REST * 2 * math.pi * sigma**2, rtol=2e-3, atol=0.1)
        x, y = puncta.xy[rows, 0].round().long().T
        at_centre = frame.expected[rows, y, x] / REST - 1
        torch.testing.assert_close(at_centre, dff, rtol=0.2, atol=0.0)
        assert (at_centre <= dff * 1.001).all()


def test_tethered_spot_brightens_by_its_dff_and_its_dark_frames_do_not_close_the_channel() -> None:
    n = 192
    calcium = make_calcium(n, tethered=True, rate=0.3, off_probability=0.3, on_probability=0.5)
    n_dark_open = 0
    for puncta, frame in play(make_scene(n, density=4e-4), calcium, 6)[2:]:
        rows = lone_puncta(puncta)
        light = (frame.expected[rows] - REST).sum((1, 2))
        dff = frame.dff[rows, 0]
        is_dark = light < 1.0
        torch.testing.assert_close(light[~is_dark], SPOT * (1 + dff[~is_dark]), rtol=2e-3, atol=0.1)
        n_dark_open += int((is_dark & frame.is_open[rows, 0]).sum())
        assert (frame.signal[rows, 0][is_dark] == 0).all()
        assert is_dark.any() and (~is_dark).any()
    assert n_dark_open > 0


def test_calcium_is_displaced_by_the_shift_of_its_channel() -> None:
    n = 192
    puncta, frame = play(make_scene(n, density=4e-4), make_calcium(n, (0.6, -0.3), rate=0.9), 1)[0]
    rows = lone_puncta(puncta) & (frame.dff[:, 0] > 0)
    added = frame.expected[rows] - REST
    side = torch.arange(48.0)
    centre = (
        torch.stack([(added.sum(1) * side).sum(1), (added.sum(2) * side).sum(1)], 1)
        / added.sum((1, 2))[:, None]
    )
    expected = puncta.xy[rows, 0] + torch.tensor([0.6, -0.3])
    torch.testing.assert_close(centre, expected, atol=0.02, rtol=0.0)


def test_events_rise_decay_and_count_as_open_down_to_half_their_peak() -> None:
    n = 16
    frames = [frame for _, frame in play(make_scene(n), make_calcium(n, rate=0.03), 120)]
    n_events = 0
    for k, frame in enumerate(frames[:60]):
        for b, slot in frame.peaks.nonzero().tolist():
            onset, end = k - int(frame.onset_ago[b, slot]), k + int(frame.end_in[b, slot])
            peak = float(frame.dff[b, slot])
            assert onset == k - 1 and 0.5 <= peak <= 1.5
            course = np.array([float(f.dff[b, slot]) for f in frames[onset : end + 2]])
            is_on = np.array([bool(f.is_on[b, slot]) for f in frames[onset : end + 2]])
            is_open = np.array([bool(f.is_open[b, slot]) for f in frames[onset : end + 2]])
            assert is_on[:-1].all() and not is_on[-1]
            assert course[-2] >= END_FRACTION * peak > course[-1]
            np.testing.assert_array_equal(is_open, course >= OPEN_FRACTION * peak * (1 - 1e-5))
            assert course[0] == pytest.approx(peak / 2, rel=1e-5) and course[1] == course.max()
            decay = course[2:-1] / course[1:-2]
            np.testing.assert_allclose(decay, decay[0], rtol=1e-4)
            assert 3.0 <= -1 / math.log(decay[0]) <= 10.0
            n_events += 1
    assert n_events > 50


def test_begun_anywhere_the_share_of_open_sources_stays() -> None:
    """The stationary state is one: as many are open at once as after a long time."""
    n = 4
    rate = torch.full((n, 4000), 0.03)
    activity = Activity(make_calcium(n), rate, Random(5))
    activity.begin_anywhere()
    at_once = float(activity.is_open.float().mean()), float(activity.is_on.float().mean())
    for _ in range(150):
        activity.step()
    later = float(activity.is_open.float().mean()), float(activity.is_on.float().mean())
    # Standard errors: √(.15 · .85 / 16000) = .003 and √(.35 · .65 / 16000) = .004 each.
    assert at_once == pytest.approx(later, abs=0.015)
    assert 0.05 < at_once[0] < at_once[1] < 0.6


def test_a_bleached_punctum_keeps_its_calcium_until_it_closes() -> None:
    n = 16
    frames = play(make_scene(n, mean_life=15.0), make_calcium(n, rate=0.1), 60)
    n_outlived = 0
    for (before, earlier), (puncta, frame) in pairwise(frames):
        outlived = (frame.event_track >= 0) & (frame.event_track != puncta.track_id) & puncta.is_alive
        n_outlived += int(outlived.sum())
        assert (frame.dff[outlived] == 0).all() and not frame.is_on[outlived].any()
        lost_now = (earlier.event_track == before.track_id) & (before.track_id != puncta.track_id)
        replaced = outlived & lost_now
        assert (frame.event_track[replaced] == before.track_id[replaced]).all()
        torch.testing.assert_close(frame.event_xy[replaced], before.xy[replaced], atol=1e-4, rtol=0.0)
        own = frame.event_track == puncta.track_id
        assert (frame.dff[own & (frame.event_track >= 0)] > 0).all()
    assert n_outlived > 20


@pytest.mark.parametrize("tau", [(3.0, 10.0), (20.0, 60.0)])
def test_sparks_are_as_many_as_asked_for_however_long_they_last(tau: tuple[float, float]) -> None:
    n, rate, n_frames = 4, 2e-4, 500
    calcium = make_calcium(n, rate=0.0, spark_rate=rate, tau_low=tau[0], tau_high=tau[1])
    _, channel = begin(make_scene(n, density=0.0), calcium)
    channel.activity.begin_anywhere()
    begun = 0
    for _ in range(n_frames):
        channel.advance()
        begun += int((channel.activity.age[:, channel._n_puncta :] == 0).sum())
    side = SIZE[0] + 2 * 8.0  # the field is wider than the image
    assert begun == pytest.approx(rate * side**2 * n * n_frames, rel=0.1)  # 1638: 2.5 %


def test_sparks_begin_off_all_puncta_and_some_lie_beside_one() -> None:
    n = 8
    frames = play(make_scene(n, density=0.01), make_calcium(n, rate=0.0, spark_rate=2e-4), 40)
    distances, shown = [], 0
    for puncta, frame in frames:
        assert not frame.is_on.any()
        distance = torch.cdist(frame.foreign_xy, puncta.xy)
        distance = distance.masked_fill(~puncta.is_alive[:, None], torch.inf).amin(2)
        distances.append(distance[frame.is_foreign])
        assert calcium_labels(puncta, frame, make_sensor(n))[0].sum() == 0
        shown += int((frame.is_foreign & inside(frame.foreign_xy, SIZE)).sum())
        has_light = (frame.expected - REST).amax((1, 2)) > 0.01
        assert has_light[(frame.is_foreign & inside(frame.foreign_xy, SIZE)).any(1)].all()
    near = torch.cat(distances)
    assert near.min() >= SPARK_DISTANCE_PX - 1e-3
    assert 0.3 < float((near < 6.001).float().mean()) < 0.95 and shown > 100


def test_waves_brighten_the_image_and_open_nothing() -> None:
    n = 16
    frames = play(make_scene(n), make_calcium(n, rate=0.0, wave_rate=0.5, wave_speed_px=8.0), 30)
    risen = torch.stack([frame.expected.mean((1, 2)) for _, frame in frames]) / REST - 1
    assert (risen.amax(0) > 0.2).all()  # at times each sample has one …
    assert risen.max() < 1.001  # … of at most its ΔF/F0
    for puncta, frame in frames:
        label, weight = calcium_labels(puncta, frame, make_sensor(n))
        assert label.sum() == 0 and (weight == 1).any() and not (weight == 0).any()


def test_lamp_bleaching_and_bleed_through() -> None:
    n = 4
    scene = make_scene(n)
    population, channel = begin(scene, make_calcium(n, rate=0.0, bleach_life=20.0, bleed=0.04))
    piezo1 = torch.rand(n, *SIZE) * 100
    for k in range(10):
        frame = channel.step(population.step(), piezo1)
        torch.testing.assert_close(
            frame.expected, REST * torch.full_like(piezo1, math.exp(-k / 20)) + 0.04 * piezo1
        )
    lamp = torch.stack(
        [f.expected.mean((1, 2)) for _, f in play(scene, make_calcium(n, rate=0.0, lamp_sd=0.05), 100)]
    )
    assert float((lamp / REST).std()) == pytest.approx(0.05, rel=0.15)  # 400 draws: 3.5 %
    uneven = play(scene, make_calcium(n, rate=0.0, lamp_sd=0.05), 1)[0][1].expected
    assert uneven.std((1, 2)).max() < 1e-3


def test_structures_stand_still_and_half_of_them_are_at_puncta() -> None:
    n = 64
    quiet = make_calcium(n, rate=0.0, structures=3.0)
    (puncta, first), (_, second) = play(make_scene(n, density=1e-3), quiet, 2)
    assert torch.equal(first.expected, second.expected)
    added = first.expected - REST
    assert float((added.amax((1, 2)) > 5.0).float().mean()) > 0.8
    peak = added.flatten(1).argmax(1)
    at = torch.stack([peak % 48, peak // 48], 1).float()
    distance = (
        torch.cdist(at[:, None], puncta.xy).masked_fill(~puncta.is_alive[:, None], torch.inf).amin((1, 2))
    )
    assert float((distance < 4.8).float().mean()) > 0.35


def test_labels_of_puncta() -> None:
    n = 16
    sensor = make_sensor(n)
    frames = play(make_scene(n, density=0.004), make_calcium(n, rate=0.05), 12)
    puncta, frame = frames[-1]
    label, weight = calcium_labels(puncta, frame, sensor)
    assert weight.unique().tolist() == pytest.approx([0.0, ELSEWHERE_WEIGHT, 1.0, OPEN_WEIGHT])
    alone = torch.cdist(puncta.xy, puncta.xy)
    alone = (alone.masked_fill(~puncta.is_alive[:, None], torch.inf).diagonal_scatter(
        torch.full(alone.shape[:2], torch.inf), dim1=1, dim2=2).amin(2) > 4.5)  # fmt: skip
    inner = ((puncta.xy > 2) & (puncta.xy < 45)).all(2)
    kinds = {"open": 0, "fading": 0, "closed": 0}
    for b, k in (puncta.is_alive & alone & inner).nonzero().tolist():
        x, y = puncta.xy[b, k].round().long().tolist()
        patch = np.s_[b, y - 1 : y + 2, x - 1 : x + 2]
        if frame.is_open[b, k]:  # all visible: ΔF/F0 ≥ .25 of 50 photons within σ ≥ 1.5 px
            kinds["open"] += 1
            assert (label[patch] == 1).all() and (weight[patch] == OPEN_WEIGHT).all()
        elif frame.is_on[b, k]:
            kinds["fading"] += 1
            assert (label[patch] == 0).all() and (weight[patch] == 0).all()
        else:
            kinds["closed"] += 1
            assert (label[patch] == 0).all() and (weight[patch] == 1).all()
    assert min(kinds.values()) >= 3, kinds
    # In the dark nobody can tell an open channel.
    faint = dataclasses.replace(frame, signal=frame.signal * 0.01)
    label, weight = calcium_labels(puncta, faint, sensor)
    assert label.sum() == 0 and (weight == 0).any()


def test_waves_know_where_they_were() -> None:
    waves = Waves(make_calcium(16, wave_rate=0.2, wave_speed_px=4.0), SIZE, Random(0))
    waves.begin_anywhere()
    earlier, wave = waves.dff(), waves._centre
    for _ in range(5):
        waves.step()
    goes_on = (waves._centre == wave).all(0)[:, 0] & (earlier.amax((1, 2)) > 0.01)
    assert goes_on.sum() > 3
    torch.testing.assert_close(waves.dff(5.0)[goes_on], earlier[goes_on], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("n", [1, 5, 33, 34, 60, 200])
def test_weights_of_the_past_are_those_of_the_running_mean(n: int, running_mean: type) -> None:
    baseline = running_mean()
    for ago in range(n, 0, -1):
        mean = baseline.step(np.eye(1, 201, ago, dtype=np.float32))
    weights = past_weights(torch.tensor([[float(n)]]))[0].numpy()
    np.testing.assert_allclose(weights[:200], mean[0, 1:], rtol=1e-3, atol=1e-6)
    assert weights.sum() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("n", [1, 12, 150])
def test_baseline_of_a_quiet_channel_has_the_noise_of_a_running_mean(n: int) -> None:
    b = 8
    population, channel = begin(make_scene(b), make_calcium(b, rate=0.0, structures=4.0))
    past = live_through(
        channel, population, torch.zeros(b, *SIZE), make_sensor(b), torch.full((b, 1), float(n)), Random(3)
    )
    expected = channel.step(population.step(), torch.zeros(b, *SIZE)).expected
    squares = float(past_weights(torch.tensor([[float(n)]])).square().sum())
    z = (past - expected) / (squares * (expected + 1.5**2)).sqrt()
    assert float(z.mean()) == pytest.approx(0.0, abs=0.03)  # 18432 pixels: .007
    assert float(z.std()) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    ("tethered", "mean_life", "bleach_life", "bleed"),
    [(False, math.inf, 80.0, 0.0), (True, math.inf, 80.0, 0.0), (True, 20.0, math.inf, 0.05)],
    ids=["cytosolic", "tethered", "short-lived"],
)
def test_baseline_is_that_of_a_real_movie(
    tethered: bool, mean_life: float, bleach_life: float, bleed: float, running_mean: type
) -> None:
    """Samples of the same statistics, in which the earlier frames were all simulated and averaged."""
    b, n = 24, 45
    scene = make_scene(b, density=0.006, mobile=1.0, step_px=0.4, mean_life=mean_life)
    calcium = make_calcium(
        b, tethered=tethered, rest=20.0, rate=0.04, bleach_life=bleach_life, lamp_sd=0.03, bleed=bleed,
        off_probability=0.1, on_probability=0.3, spark_rate=4e-5,
    )  # fmt: skip
    sensor, background = make_sensor(b), torch.full((b, *SIZE), 10.0)

    population, channel = begin(scene, calcium)
    short = live_through(channel, population, background, sensor, torch.full((b, 1), float(n)), Random(3))
    now = population.step()

    before = math.exp(n / bleach_life)  # a window begins with the full brightness
    brighter = dataclasses.replace(
        calcium, rest=calcium.rest * before, spot_photons=calcium.spot_photons * before
    )
    population, channel = begin(scene, brighter, seed=1)
    channel.activity.begin_anywhere()
    running, random = running_mean(), Random(4)
    for _ in range(n):
        puncta = population.step()
        piezo1 = background + puncta_light(scene, puncta.path_px, puncta.photons)
        counts = sensor.expose(channel.step(puncta, piezo1).expected, random)
        mean = running.step(sensor.to_scaled_photons(counts).flatten(0, 1).numpy())
    real = torch.from_numpy(mean).view_as(short)

    def under(puncta: Snapshot, image: torch.Tensor) -> torch.Tensor:
        rows = puncta.is_alive & inside(puncta.xy, SIZE)
        x, y = puncta.xy.round().long().clamp(0, 47).movedim(-1, 0)
        return image.flatten(1).gather(1, y * 48 + x)[rows]

    at_real, at_short = under(population.step(), real), under(now, short)
    assert len(at_short) > 200
    # Standard errors: some percent at the puncta, 1 % in the mean of the images.
    assert float(short.mean()) == pytest.approx(float(real.mean()), rel=0.03)
    assert float(at_short.mean()) == pytest.approx(float(at_real.mean()), rel=0.1)
    assert float(at_short.std()) == pytest.approx(float(at_real.std()), rel=0.3)
    assert float(short.std()) == pytest.approx(float(real.std()), rel=0.25)
    if tethered:
        assert float(at_short.mean() / short.mean()) > 1.15  # the baseline shows the spots


@pytest.fixture(scope="module")
def batch() -> Batch:
    return Simulator(TrainingScenes(calcium=CalciumScenes()), 3).batch(4, 8)


def test_batches_are_a_function_of_seed_and_step_and_puncta_are_those_without_calcium(batch: Batch) -> None:
    simulator = Simulator(TrainingScenes(calcium=CalciumScenes()), 3)
    simulator.batch(5, 8)
    again = simulator.batch(4, 8)
    for name, value in batch.state().items():
        assert torch.equal(value, again.state()[name]), name
    plain = Simulator(TrainingScenes(), 3).batch(4, 8)
    assert plain.calcium_label is None
    for name, value in plain.state().items():
        with_calcium = batch.state()[name]
        assert torch.equal(value, with_calcium[:, :, :1] if name == "frames" else with_calcium), name


def test_batch_has_what_training_needs(batch: Batch) -> None:
    n, height, width = 8, 48, 48
    assert batch.frames.shape == (n, 3, 3, height, width)
    assert batch.frames.isfinite().all() and batch.frames.dtype == torch.float32
    assert batch.calcium_label is not None and batch.calcium_weight is not None
    assert batch.calcium_label.shape == batch.calcium_weight.shape == (n, height, width)
    # A label of 1 belongs to a pixel that counts.
    assert (batch.calcium_weight[batch.calcium_label == 1] == OPEN_WEIGHT).all()


def test_missing_frames_leave_the_baseline_as_it_was() -> None:
    scenes = TrainingScenes(calcium=CalciumScenes(), missing_frames=1.0, lone_frames=0.0)
    batch = Simulator(scenes, 0).batch(0, 16)
    missing = batch.present == 0
    assert missing[:, 2].any()
    baseline = batch.frames[:, :, 2]
    for b in range(16):
        assert torch.equal(baseline[b, 2], baseline[b, 1]) == bool(missing[b, 2])


def test_a_camera_of_several_takes_its_own_channel_only() -> None:
    sensor = TrainingScenes(hot_pixels=1.0).sensor(3, SIZE, Random(0))
    one = sensor.channel(1)
    for field in dataclasses.fields(Sensor):
        assert torch.equal(getattr(one, field.name), getattr(sensor, field.name)[1:2]), field.name
    # Less than no light, as a lamp that flickers may leave, is none.
    dark = make_sensor(1).expose(torch.full((1, *SIZE), -3.0), Random(0))
    assert float(dark.mean()) == pytest.approx(100.0, abs=0.1)


def test_ranges_are_checked() -> None:
    for wrong in ({"rate": (0.1, math.inf)}, {"tethered": math.nan}, {"rise_frames": (1, 10**9)}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            CalciumScenes(**wrong)
    for wrong in ({"photons": (1.0, math.inf)}, {"photons_sd": (-0.1, 0.2)}, {"photons_sd": (0.1, math.inf)}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            TrainingScenes(**wrong)
    with pytest.raises(ValidationError, match=r"rate: 0\.2 is above 0\.1; give the lower bound first"):
        CalciumScenes(rate=(0.2, 0.1))
    with pytest.raises(ValidationError, match="sparkz"):
        TrainingScenes.model_validate({"calcium": {"sparkz": 1}})

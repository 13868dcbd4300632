import numpy as np
import pytest
from matplotlib.image import imread

from train.calcium_scenes import CalciumScenes
from train.card import save_card
from train.card_data import (
    AMPLITUDE,
    BACKGROUND,
    DARK,
    DENSITY,
    DURATION,
    N_EXAMPLES,
    PHOTONS,
    SIGMA,
    SNR,
    STEP,
    dataset_card,
    peak_snr,
    steps_and_gaps,
)
from train.card_scenes import scenes_card
from train.movie import write_sample
from train.simulate import simulate
from train.simulation_config import SimulationConfig, SimulationError
from train.training_scenes import TrainingScenes

CONFIG = SimulationConfig(image_size=(48, 64), n_frames=40, puncta_per_um2=0.8, event_rate_hz=1.0)


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_sample(folder / "sample_00000", CONFIG, 1)
    return dataset_card(folder)


def test_it_counts_what_is_true(card):
    frames = list(simulate(CONFIG, 1))
    area_um2 = 48 * 64 * 0.108**2
    np.testing.assert_allclose(card.values[DENSITY], [len(f.truth.x_px) / area_um2 for f in frames])
    photons = np.concatenate([f.truth.photons for f in frames])
    np.testing.assert_allclose(card.values[PHOTONS], photons, atol=0.01)
    background = np.concatenate([f.truth.background for f in frames])
    np.testing.assert_allclose(card.values[BACKGROUND], background, atol=0.01)
    assert set(card.values[SIGMA]) == {150.0}
    np.testing.assert_allclose(
        card.values[AMPLITUDE], [e.amplitude_dff for f in frames for e in f.events], atol=1e-4
    )
    assert card.values[DURATION].min() >= CONFIG.event_rise_frames
    assert card.values[DARK].min() == 1
    expected = (0.4 * 0.029 + 0.6 * 0.003) * 4 * CONFIG.interval_s * 1e6
    # Blurred positions move a third of an interval less.
    assert np.mean(card.values[STEP] ** 2) == pytest.approx(expected * 2 / 3, rel=0.15)


def test_examples_are_frames_with_their_puncta(card):
    frames = list(simulate(CONFIG, 1))
    assert len(card.examples) == N_EXAMPLES
    for k, example in enumerate(card.examples):
        frame = frames[k * 40 // N_EXAMPLES]
        np.testing.assert_array_equal(example.piezo1, frame.pixels[0])
        np.testing.assert_array_equal(example.calcium, frame.pixels[1])
        np.testing.assert_allclose(example.xy[:, 0], frame.truth.x_px, atol=1e-4)
        np.testing.assert_array_equal(example.is_on, frame.truth.is_on)


def test_signal_to_noise_is_that_of_the_brightest_pixel():
    bright = peak_snr(np.array([1000.0]), np.array([10.0]), np.array([1e-3]), 1.0, 4.0)
    assert bright == pytest.approx(1000 / np.sqrt(1014))
    wide = peak_snr(np.array([1e6]), np.array([0.0]), np.array([1.0]), 2.0, 0.0)
    assert wide == pytest.approx(np.sqrt(0.3829**2 * 1e6 / 2), rel=1e-3)


def test_steps_join_neighbouring_frames_and_gaps_are_dark_ones_between():
    track, frame = np.array([1, 0, 0, 1, 0]), np.array([5, 2, 3, 9, 6])
    xy = np.array([[0.0, 0.0], [1.0, 1.0], [4.0, 5.0], [9.0, 9.0], [0.0, 0.0]])
    step, dark = steps_and_gaps(track, frame, xy)
    assert step.tolist() == [5.0]
    assert sorted(dark.tolist()) == [2.0, 3.0]


def test_training_ranges_have_a_card_too(tmp_path):
    scenes = TrainingScenes(puncta_per_um2=(0.2, 0.6), photons=(400, 900), background=(8, 12))
    data = scenes_card(scenes, "ranges")
    assert len(data.examples) == N_EXAMPLES
    assert all(example.calcium is None for example in data.examples)
    assert AMPLITUDE not in data.values
    assert 0.15 < np.median(data.values[DENSITY]) < 0.6
    assert 400 < np.median(data.values[PHOTONS]) < 900
    assert 5 < np.median(data.values[BACKGROUND]) < 16
    assert data.values[SIGMA].min() > 0.7 * 110 and data.values[SIGMA].max() < 2.1 * 110
    assert np.isfinite(data.values[SNR]).all()
    both = scenes_card(TrainingScenes(calcium=CalciumScenes(dff=(0.4, 0.5), tethered=0.0)), "with calcium")
    assert both.examples[0].calcium is not None
    assert ((both.values[AMPLITUDE] > 0.4) & (both.values[AMPLITUDE] < 0.5)).all()
    for name, content in (("one", data), ("two", both)):
        save_card(content, tmp_path / f"{name}.png")
    one, two = (imread(tmp_path / f"{name}.png") for name in ("one", "two"))
    assert one[..., :3].std() > 0.1
    assert two.shape[0] > one.shape[0]  # a row more


def test_a_card_without_events_or_samples(card, tmp_path):
    nothing = {name: values[:0] for name, values in card.values.items()}
    empty = type(card)(card.title, card.subtitle, card.examples, nothing, card.pixel_size_nm)
    save_card(empty, tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 1000
    with pytest.raises(SimulationError, match="holds no simulated sample"):
        dataset_card(tmp_path)
    with pytest.raises(SimulationError, match="cannot write the card"):
        save_card(card, tmp_path / "nowhere" / "card.png")

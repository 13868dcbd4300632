"""A training's configuration: shipped files, overrides, and mistakes explained in one sentence."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed (extra: train)")

from train.errors import FitConfigError
from train.fit_config import FitConfig, Stage
from train.fit_load import load_fit_config
from train.options import simulation_config
from train.simulation_config import SimulationError
from train.start import new_network
from train.training_scenes import TrainingScenes

CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_shipped_configurations_are_valid_and_fit_their_networks():
    localization = load_fit_config(CONFIGS / "train_localization.yaml")
    hybrid = load_fit_config(CONFIGS / "train_hybrid.yaml")
    assert not new_network(localization).has_calcium
    network = new_network(hybrid)
    assert network.has_calcium
    learning = {name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad}
    assert learning == {"calcium_encoder", "calcium"}


def test_the_localization_configuration_shows_every_key():
    text = (CONFIGS / "train_localization.yaml").read_text(encoding="utf-8")
    hidden = {"simulation", "curriculum"}
    later = {"calcium", "calcium_weight", "localization_weight", "use_uncertainty_weighting"}
    for section, field in FitConfig.model_fields.items():
        for key in () if section in hidden else set(field.annotation.model_fields) - later:
            assert re.search(rf"^  {key}:", text, re.M), f"{section}.{key} is not shown"


def test_later_values_win_and_reach_nested_sections(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "model: {in_channels: 2}\nsimulation:\n  calcium: {tethered: 0.1, waves: 0.2}\ntraining:\n"
    )
    config = load_fit_config(
        path,
        ["simulation.calcium.tethered=0.7", "data.batch_size=3", "curriculum=[{until_iteration: 5}]"],
        {"data.batch_size": 4, "training.num_iterations": None},
    )
    assert config.simulation.calcium.tethered == 0.7
    assert config.simulation.calcium.waves == 0.2
    assert config.data.batch_size == 4
    assert config.curriculum == (Stage(until_iteration=5),)
    assert config.training == FitConfig().training


def test_1e3_is_a_number_everywhere(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("simulation: {photons: [1e3, 2.5E+3]}\n")
    config = load_fit_config(path, ["training.learning_rate=1e-4"])
    assert config.simulation.photons == (1000.0, 2500.0)
    assert config.training.learning_rate == 1e-4
    options = ["photons=1e3", "drift_nm_s=[-3e2, .5e1]", "camera=emccd"]
    movie = simulation_config(options, n_frames=2)
    assert (movie.photons, movie.drift_nm_s, movie.camera) == (1000.0, (-300.0, 5.0), "emccd")
    for wrong, sentence in (("photons=1e3x", "photons is '1e3x'"), ("photons=[", "not valid YAML")):
        with pytest.raises(SimulationError, match=re.escape(sentence)):
            simulation_config([wrong])


def test_a_stage_replaces_only_what_it_names():
    scenes = TrainingScenes()
    eased = Stage(until_iteration=5, photons=(1000.0, 2000.0)).ease(scenes)
    assert eased == scenes.model_copy(update={"photons": (1000.0, 2000.0)})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("modell: {}", "modell in"),
        ("model: {sizes: tiny}", "model.sizes in"),
        ("model: {size: huge}", "model.size in"),
        ("model: {window: 4}", "must be an odd number"),
        ("model: {freeze_encoder: true, freeze_localization: true}", "nothing to train"),
        ("model: {in_channels: 2}", "simulation.calcium is needed"),
        ("simulation: {calcium: {}}", "would be wasted"),
        ("simulation: {photons: [5, 1]}", "photons: 5.0 is above 1.0"),
        ("simulation: {photons: [0, 1]}", "simulation.photons in"),
        ("simulation: {foton: 1}", "simulation.foton in"),
        ("curriculum: [{photons: [1, 2]}]", "curriculum.0.until_iteration in"),
        ("curriculum: [{until_iteration: 9}, {until_iteration: 9}]", "rising until_iteration"),
        ("curriculum: [{until_iteration: 9, photon: 1}]", "known here: until_iteration,"),
        ("training: {seed: 7}\nvalidation: {seed: 7}", "validation.seed must differ"),
        ("training: {learning_rate: .inf}", "training.learning_rate in"),
        ("training: {seed: 4294967296}", "training.seed in"),
        ("training: {frozen_batchnorm_fraction: .nan}", "training.frozen_batchnorm_fraction in"),
        ("simulation: {photons: [1, .inf]}", "simulation.photons in"),
        (
            "loss: {detection_weight: 0, offset_weight: 0, background_weight: 0, sigma_weight: 0}",
            "nothing to learn",
        ),
        ("data: 3", "data in"),
        ("data: {crop_px: 24}", "multiple of 16"),
        ("validation: {crop_px: 40}", "multiple of 16"),
        ("data: {batch_size: 3, batch_size: 4}", "'batch_size' stands there twice"),
        ("- 3", "must hold sections"),
        ("model: [", "not valid YAML"),
    ],
)
def test_a_mistake_is_explained_in_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(FitConfigError, match=re.escape(sentence)) as error:
        load_fit_config(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("data.batch_size", "is not section.key=value"),
        (".x=3", "is not section.key=value"),
        ("data.batch_size=[", "not valid YAML"),
        ("data.batch_size=0", "data.batch_size is 0"),
        ("data.batch_size.x=0", "data.batch_size is"),
    ],
)
def test_a_wrong_override_is_explained(override, sentence):
    with pytest.raises(FitConfigError, match=re.escape(sentence)):
        load_fit_config(None, [override])


def test_a_missing_file_is_named():
    with pytest.raises(FitConfigError, match=r"cannot read configuration nowhere\.yaml"):
        load_fit_config(Path("nowhere.yaml"))


@pytest.mark.parametrize("kind", ["streaming", "unet3d"])
def test_crops_that_are_allowed_fit_every_network(kind):
    assert 16 % new_network(load_fit_config(None, [f"model.kind={kind}"])).multiple == 0

"""Training: exact resuming after a kill, what is kept, frozen parts, and failures in one sentence."""

import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("lightning", reason="lightning is not installed (extra: train)")

import torch
from rich.console import Console
from torch.utils.data import DataLoader

from model.build import build_network
from model.card import read_model
from model.commit import code_commit
from model.engines.base import ModelError
from model.maps import LOGIT
from train.checkpoint import load_network, read_checkpoint, read_file, save_network
from train.errors import CheckpointError, TrainingError
from train.fit import fit
from train.fit_load import load_fit_config
from train.overfit import overfit_config, run_overfit
from train.release import THRESHOLDS, release
from train.scenes import OneBatch, Scenes
from train.stages import stages
from train.task import Task
from train.trainer import make_trainer, run, seeded_network, validation
from train.validation import Validator, validation_batches

QUICK = (
    "model.size=tiny",
    "data.batch_size=2",
    "data.crop_px=16",
    "training.num_iterations=6",
    "training.warmup=2",
    "training.val_frequency=4",
    "training.save_frequency=2",
    "loss.detection_iterations=3",
    "validation.num_samples=2",
    "validation.crop_px=32",
)
CALCIUM = ("model.in_channels=2", "simulation.calcium={}")
LONG = ("training.num_iterations=40", "training.save_frequency=10", "training.val_frequency=15")

DIES_AT_STEP_27 = """
import os, signal, sys
from pathlib import Path
from rich.console import Console
from train.fit import fit
from train.fit_load import load_fit_config
from train.scenes import Scenes

batch = Scenes.batch
def fatal(self, step):
    if step == 27:
        os.kill(os.getpid(), signal.SIGKILL)
    return batch(self, step)
Scenes.batch = fatal
fit(load_fit_config(None, sys.argv[2:]), Path(sys.argv[1]), Console(quiet=True))
"""


def quick(*more):
    return load_fit_config(None, [*QUICK, *more])


def train(config, folder, **options):
    return fit(config, folder, Console(quiet=True), **options)


def parts_that_changed(before, after):
    """First names of the tensors in which two networks differ."""
    pairs = zip(before.state_dict().items(), after.state_dict().values(), strict=True)
    return {name.split(".")[0] for (name, old), new in pairs if not torch.equal(old, new)}


def curve(logs, name):
    return pd.read_csv(logs / "metrics.csv").set_index("step")[name].dropna()


@pytest.fixture(scope="module")
def localized(tmp_path_factory):
    """A quick localization training's folder and outcome."""
    folder = tmp_path_factory.mktemp("localization")
    return folder, train(quick(), folder)


@pytest.mark.timeout(300)
def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path):
    config = quick(*LONG)
    train(config, tmp_path / "whole")
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", DIES_AT_STEP_27, str(folder), *QUICK, *LONG]
    assert subprocess.run(command, timeout=280).returncode == -signal.SIGKILL
    last = folder / "last.ckpt"
    assert read_file(last)["global_step"] == 20
    train(config, folder, resume=True)

    whole, resumed = read_file(tmp_path / "whole" / "last.ckpt"), read_file(last)
    assert whole["global_step"] == resumed["global_step"] == 40
    for name, value in whole["state_dict"].items():
        assert torch.equal(resumed["state_dict"][name], value), name
    assert resumed["callbacks"] == whole["callbacks"]
    whole_curve = curve(tmp_path / "whole" / "logs" / "version_0", "val/loss")
    resumed_curve = curve(folder / "logs" / "version_1", "val/loss")
    assert resumed_curve.index.to_list() == [30, 40]
    assert whole_curve[resumed_curve.index].to_list() == resumed_curve.to_list()


def test_what_is_kept_is_the_average_and_its_figures(localized):
    folder, outcome = localized
    assert outcome.best == folder / "best_model.pth"
    assert outcome.best_step in (4, 6)
    network = load_network(outcome.best)
    meta = read_checkpoint(outcome.best)["meta"]
    assert meta["step"] == outcome.best_step
    assert meta["validation"] == outcome.figures.as_dict()
    task = Task(seeded_network(quick()), quick())
    task.best_network.load_state_dict(network.state_dict())
    again, _ = Validator(validation_batches(quick()), quick().validation).judge(task)
    assert again.as_dict() == pytest.approx(outcome.figures.as_dict())


@pytest.fixture
def eager(localized, tmp_path):
    """Checkpoint of a network that finds a punctum in every pixel, some of them true."""
    network, meta = load_network(localized[1].best), read_checkpoint(localized[1].best)["meta"]
    with torch.no_grad():
        network.localization.head.bias[4 * LOGIT : 4 * LOGIT + 4] = 0
    save_network(tmp_path / "eager.pth", network, meta | {"commit": "abc"})
    return tmp_path / "eager.pth"


def test_a_checkpoint_becomes_a_model_with_the_best_threshold(eager, tmp_path):
    card = release([eager], tmp_path / "model.onnx")
    assert read_model(tmp_path / "model.onnx")[1] == card
    config = quick()
    validator = Validator(validation_batches(config), config.validation)
    answers = validator.answers(Task(load_network(eager), config))
    jaccard = {t: validator.figures(answers, t)[0].jaccard for t in THRESHOLDS}
    assert len(set(jaccard.values())) > 1
    assert card.metrics["validation_jaccard"] == jaccard[card.threshold] == max(jaccard.values())
    meta = read_checkpoint(eager)["meta"]
    stage = {"steps": meta["step"], "commit": "abc", "configuration": meta["config"]}
    assert card.training == {"stages": [stage]} and card.commit == "abc"


def _without_config(meta):
    return {key: value for key, value in meta.items() if key != "config"}


def _with_an_old_key(meta):
    return meta | {"config": meta["config"] | {"data": {"crops": 3}}}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (dict, "its network finds no punctum"),
        (_without_config, "does not hold the configuration"),
        (_with_an_old_key, r"another version of this program: data\.crops is not a known key"),
    ],
)
def test_a_checkpoint_that_cannot_be_released_is_refused_in_one_sentence(
    localized, tmp_path, change, sentence
):
    best, path = localized[1].best, tmp_path / "changed.pth"
    save_network(path, load_network(best), change(read_checkpoint(best)["meta"]))
    with pytest.raises(CheckpointError, match=sentence) as refused:
        release([path], tmp_path / "model.onnx")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == [path]


def test_a_given_threshold_is_the_one_that_counts(eager, tmp_path):
    with pytest.raises(CheckpointError, match="finds no punctum"):  # its pixels say one half
        release([eager], tmp_path / "model.onnx", 0.9)


def test_where_a_model_cannot_be_written_is_said_first(tmp_path):
    with pytest.raises(ModelError, match="there is no folder"):
        release([tmp_path / "no.pth"], tmp_path / "no" / "model.onnx")


def test_a_checkpoint_knows_its_commit_and_the_stages_before(localized, tmp_path):
    _, outcome = localized
    (first,) = stages(outcome.best)
    assert first == {
        "steps": outcome.best_step,
        "commit": code_commit(),
        "configuration": read_checkpoint(outcome.best)["meta"]["config"],
    }
    folder = tmp_path / "tuned"
    train(quick(), folder, checkpoint=outcome.best)
    tuned = train(quick("training.num_iterations=8"), folder, resume=True).best
    assert stages(tuned)[:-1] == [first]


def test_a_checkpoint_that_does_not_know_what_came_before_is_followed_one_step(localized, tmp_path):
    best, path = localized[1].best, tmp_path / "old.pth"

    def before(start):
        config = {"model": {"pretrained_localization": str(start)}}
        save_network(path, load_network(best), {"step": 3, "config": config})
        *earlier, own = stages(path)
        assert own == {"steps": 3, "commit": None, "configuration": config}
        return earlier

    assert before(best) == stages(best)
    (gone,) = before(tmp_path / "gone.pth")
    assert "cannot read checkpoint" in gone["problem"] and gone["configuration"] is None


def test_the_logs_hold_scalars_and_pictures(localized):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, _ = localized
    table = pd.read_csv(folder / "logs" / "version_0" / "metrics.csv").set_index("step")
    assert table.loc[0, ["train/loss", "train/count", "train/grad_norm_localization"]].notna().all()
    assert table["val/loss"].dropna().index.to_list() == [4, 6]
    events = EventAccumulator(str(folder / "logs" / "version_0"))
    events.Reload()
    assert [image.step for image in events.Images("val/overlay")] == [4, 6]
    assert "train/position" in events.Tags()["scalars"]


def test_calcium_learns_beside_a_frozen_localization(localized, tmp_path):
    _, outcome = localized
    config = quick(
        *CALCIUM,
        f"model.pretrained_localization={outcome.best}",
        "model.freeze_encoder=true",
        "model.freeze_localization=true",
    )
    hybrid = load_network(train(config, tmp_path).best)
    assert parts_that_changed(seeded_network(config), hybrid) >= {"calcium", "calcium_encoder"}
    localization = load_network(outcome.best).state_dict()
    for name, value in localization.items():
        if "num_batches" not in name:
            assert torch.equal(hybrid.state_dict()[name], value), name


def test_both_tasks_with_learned_weights(tmp_path):
    config = quick(*CALCIUM, "loss.use_uncertainty_weighting=true", "training.num_iterations=2")
    train(config, tmp_path)
    row = pd.read_csv(tmp_path / "logs" / "version_0" / "metrics.csv").iloc[0]
    for task in ("localization", "calcium"):
        assert row[f"train/grad_norm_{task}"] > 0
        assert row[f"train/log_variance_{task}"] == 0
    trained = read_file(tmp_path / "last.ckpt")["state_dict"]
    assert all(value != 0 for name, value in trained.items() if name.startswith("weighting"))


def test_statistics_stand_still_at_the_end(tmp_path):
    def statistics(steps, fraction):
        folder = tmp_path / f"{steps} {fraction}"
        train(
            quick("training.scheduler=constant", "training.save_frequency=100", "training.val_frequency=100",
                  f"training.num_iterations={steps}", f"training.frozen_batchnorm_fraction={fraction}"),
            folder,
        )  # fmt: skip
        state = read_file(folder / "last.ckpt")["state_dict"]
        return state["network.encoder.stem.1.running_mean"], state["network.encoder.stem.0.weight"]

    (early, early_weight), (late, late_weight) = statistics(2, 0.0), statistics(4, 0.5)
    assert torch.equal(early, late)
    assert not torch.equal(early_weight, late_weight)


def test_fine_tuning_starts_from_all_weights(localized, tmp_path):
    _, outcome = localized
    config = quick("training.num_iterations=1", "training.learning_rate=1e-12", "training.warmup=0")
    tuned = train(config, tmp_path, checkpoint=outcome.best)
    before, after = load_network(outcome.best).state_dict(), load_network(tuned.best).state_dict()
    for name, value in before.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.allclose(after[name], value, atol=1e-9), name


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker")  # on a single core
def test_worker_processes_serve_the_same_batches():
    config = quick("curriculum=[{until_iteration: 2, puncta_per_um2: [3, 4]}]")
    scenes = Scenes(config, first_step=1)
    served = iter(DataLoader(Scenes(config, first_step=1), batch_size=None, num_workers=2))
    for step in range(1, 4):
        batch = next(served)
        for name, value in scenes.batch(step).state().items():
            assert torch.equal(batch.state()[name], value), (step, name)


def test_the_curriculum_ends():
    hard, easy = quick(), quick("curriculum=[{until_iteration: 3, photons: [9000, 9001]}]")
    for step in range(5):
        ours, plain = Scenes(easy).batch(step), Scenes(hard).batch(step)
        assert torch.equal(ours.frames, plain.frames) == (step >= 3)


def test_devices_learn_from_different_batches():
    config = quick()
    numbers = [Scenes(config, rank=rank, n_ranks=2).batch(3).frames for rank in range(2)]
    assert torch.equal(numbers[0], Scenes(config).batch(6).frames)
    assert torch.equal(numbers[1], Scenes(config).batch(7).frames)


def test_a_pixel_that_is_no_number_stops_the_training_and_is_kept(tmp_path):
    config = quick()
    batch = Scenes(config).batch(0)
    batch.frames[1, 0, 0, 3, 4] = np.nan
    validate = validation(config, tmp_path, Validator((batch,), config.validation))
    trainer = make_trainer(config, tmp_path, Console(quiet=True), validate, gpu=None, save=True)
    with pytest.raises(TrainingError, match="a pixel is not a finite number in step 0: the batch is in"):
        run(trainer, Task(seeded_network(config), config), OneBatch(batch), tmp_path)
    kept = read_file(tmp_path / "failed_batch.pt")
    assert kept["step"] == 0
    assert torch.equal(kept["frames"].isnan().nonzero(), torch.tensor([[1, 0, 0, 3, 4]]))


def test_a_loss_that_is_no_number_stops_the_training(tmp_path):
    with pytest.raises(TrainingError, match=r"the (loss .*|gradient) is not a finite number in step [1-5]"):
        train(quick("training.learning_rate=1e30", "training.warmup=0"), tmp_path)
    assert (tmp_path / "failed_batch.pt").exists()


def test_one_batch_can_be_learned_by_heart(tmp_path):
    easy = (
        "data.batch_size=1",
        "data.crop_px=32",  # of several puncta: of a single one it would be all or nothing
        "simulation.puncta_per_um2=[1,1]",
        "simulation.photons=[3000,3001]",
        "simulation.odd_psf=0",
    )
    config = overfit_config(quick(*easy), 600)
    outcome = run_overfit(config, tmp_path, Console(quiet=True))
    assert outcome.figures.jaccard >= 0.9


def test_a_batch_that_is_not_learned_is_told(tmp_path):
    with pytest.raises(TrainingError, match=r"not learned by heart: 0\.00 instead of 0\.9 after 2 steps"):
        run_overfit(overfit_config(quick(), 2), tmp_path, Console(quiet=True))


def test_a_folder_is_used_once(localized, tmp_path):
    folder, outcome = localized
    with pytest.raises(TrainingError, match="holds a training: add --resume"):
        train(quick(), folder)
    with pytest.raises(TrainingError, match="nothing to resume"):
        train(quick(), tmp_path, resume=True)
    with pytest.raises(TrainingError, match="exclude each other"):
        train(quick(), folder, resume=True, checkpoint=outcome.best)
    with pytest.raises(
        TrainingError, match=re.escape("other values of data.batch_size, simulation.photons:")
    ):
        train(quick("data.batch_size=3", "simulation.photons=[200,300]"), folder, resume=True)


def test_a_training_can_be_made_longer(localized, tmp_path):
    folder = shutil.copytree(localized[0], tmp_path / "copy")
    train(quick("training.num_iterations=8"), folder, resume=True)
    assert read_file(folder / "last.ckpt")["global_step"] == 8
    assert json.loads((folder / "config.json").read_text())["training"]["num_iterations"] == 8


def test_another_architecture_cannot_be_tuned_or_taken_over(tmp_path):
    path = tmp_path / "other.pth"
    save_network(path, build_network({"kind": "streaming", "size": "base", "calcium": False}), {})
    with pytest.raises(CheckpointError, match="is of another architecture"):
        train(quick(), tmp_path / "a", checkpoint=path)
    with pytest.raises(CheckpointError, match="is of another architecture"):
        train(quick(f"model.pretrained_localization={path}"), tmp_path / "b")
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(TrainingError, match=r"cannot write in .*file: File exists"):
        train(quick(), tmp_path / "file")
    with pytest.raises(TrainingError, match=r"cannot write in .*overfit: Not a directory"):
        run_overfit(overfit_config(quick(), 2), tmp_path / "file" / "overfit", Console(quiet=True))


def test_a_strategy_or_devices_that_do_not_exist_are_named(tmp_path):
    with pytest.raises(
        TrainingError, match=r"training\.strategy=nonsense, .* cannot be used here: "
    ) as error:
        train(quick("training.strategy=nonsense"), tmp_path / "a")
    assert "\n" not in str(error.value)
    with pytest.raises(TrainingError, match=r"training\.devices is 9999, but there are \d+ "):
        train(quick("training.devices=9999"), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_gpu_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TrainingError, match="there is no GPU 99 here"):
        train(quick(), tmp_path / "a", gpu=99)
    assert not (tmp_path / "a").exists()

"""Train a network: from a configuration and a folder to the best checkpoint in it."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from train.errors import TrainingError
from train.fit_config import FitConfig
from train.fit_load import load_fit_config
from train.scenes import SceneData
from train.stages import earlier_stages
from train.start import load_start
from train.task import Task
from train.trainer import LAST, Outcome, denormals_as_zero, make_trainer, run, seeded_network, validation
from train.validation import Validator, validation_batches

CONFIG = "config.json"
# What a resumed training may change; all else would alter the steps already done.
MAY_CHANGE = {"num_iterations", "val_frequency", "save_frequency", "num_workers"}


@denormals_as_zero()
def fit(
    config: FitConfig,
    folder: Path,
    console: Console,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    gpu: int | None = None,
) -> Outcome:
    """Train, and leave `best_model.pth`, `last.ckpt`, `config.json` and `logs/` in a folder.

    Parameters
    ----------
    console
        Shows progress.
    checkpoint
        Start from the weights of this one (fine-tuning).
    resume
        Go on from the folder's `last.ckpt`, with the same batches as if nothing had happened.
    gpu
        Number of the GPU; None: as many devices as configured, GPUs where there are any.

    Raises
    ------
    TrainingError
        If it cannot start, was interrupted, or a number is not finite.
    FitConfigError, CheckpointError, ModelError
        If configuration, checkpoint and network do not fit each other.
    """
    last = folder / LAST
    network = seeded_network(config)
    earlier = None  # a resumed training knows
    if resume:
        _check_resume(config, folder, checkpoint)
    elif last.exists():
        raise TrainingError(f"{folder} holds a training: add --resume, or choose another folder")
    else:
        for note in load_start(network, config, checkpoint):
            console.print(f"from {note}", markup=False, soft_wrap=True)
        earlier = earlier_stages(config.model, checkpoint)
    validator = Validator(validation_batches(config), config.validation)
    validate = validation(config, folder, validator, earlier)
    trainer = make_trainer(config, folder, console, validate, gpu=gpu, save=True)
    make_folder(folder, config)
    run(trainer, Task(network, config), SceneData(config), folder, last if resume else None)
    return Outcome.of(validate, folder)


def make_folder(folder: Path, config: FitConfig) -> None:
    """Make the folder of a training, with its configuration in it.

    Raises
    ------
    TrainingError
        If it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise TrainingError(
            f"cannot write in {folder}: {error.strerror or error}; choose another folder"
        ) from error


def _check_resume(config: FitConfig, folder: Path, checkpoint: Path | None) -> None:
    """Refuse to go on with something else than what was begun."""
    if checkpoint is not None:
        raise TrainingError("--resume and --checkpoint exclude each other: resuming has its own weights")
    if not (folder / LAST).exists():
        raise TrainingError(f"nothing to resume: {folder / LAST} does not exist")
    begun = load_fit_config(folder / CONFIG)  # JSON is YAML
    then, now = (_leaves(json.loads(c.model_dump_json())) for c in (begun, config))
    changed = {".".join(key[:-1]) for key in then ^ now if key[-2] not in MAY_CHANGE}
    if changed:
        raise TrainingError(
            f"the training in {folder} began with other values of {', '.join(sorted(changed))}: "
            "give the same, or choose another folder"
        )


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Paths to all values of nested dictionaries, each with its value as text at the end."""
    if isinstance(tree, dict):
        return {leaf for key, value in tree.items() for leaf in _leaves(value, (*path, key))}
    return {(*path, json.dumps(tree))}

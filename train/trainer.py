"""Lightning's trainer, stripped of what costs time, and what may go wrong with it as sentences."""

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from rich.console import Console

from model.commit import code_commit
from model.network import Network
from train.callbacks import LogScalars, SaveLast, Validate
from train.checkpoint import read_file, save_atomically
from train.errors import TrainingError
from train.fit_config import FitConfig
from train.progress import Bar
from train.stages import Stage
from train.start import new_network
from train.task import NotFiniteError, Task
from train.validation import Figures, Validator

BEST, LAST, FAILED = "best_model.pth", "last.ckpt", "failed_batch.pt"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the best network lies, after how many steps, and its figures on the validation scenes."""

    best: Path
    best_step: int
    figures: Figures

    @classmethod
    def of(cls, validate: Validate, folder: Path) -> Self:
        """Outcome of a training that ended; its last step was validated."""
        assert validate.best is not None
        return cls(folder / BEST, validate.best_step, validate.best)


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Count numbers below 1e-38 as zero: that changes nothing but the pace. Others may need them after us."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def seeded_network(config: FitConfig) -> Network:
    """Build the untrained network, whose weights depend on the seed alone."""
    pl.seed_everything(config.training.seed, verbose=False)
    return new_network(config)


def validation(
    config: FitConfig, folder: Path, validator: Validator, earlier: list[Stage] | None = None
) -> Validate:
    """Validate as configured, keeping the best in `folder`, with the stages before this training."""
    meta = {"config": json.loads(config.model_dump_json()), "commit": code_commit(), "earlier": earlier}
    return Validate(validator, folder / BEST, config.training.val_frequency, meta)


def make_trainer(
    config: FitConfig, folder: Path, console: Console, validate: Validate, *, gpu: int | None, save: bool
) -> pl.Trainer:
    """Trainer that logs into `folder / "logs"`; `save` writes what resuming needs.

    Raises
    ------
    TrainingError
        If there is no such GPU, or no such strategy or devices.
    """
    training = config.training
    if gpu is not None and gpu not in range(torch.cuda.device_count()):
        raise TrainingError(f"there is no GPU {gpu} here: leave --gpu out to train on what there is")
    n_devices = torch.cuda.device_count() or os.cpu_count() or 1
    if training.devices != "auto" and training.devices > n_devices:
        kind = "GPUs" if torch.cuda.is_available() else "processor cores"
        raise TrainingError(f"training.devices is {training.devices}, but there are {n_devices} {kind} here")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # else it greets and gives tips
    board = TensorBoardLogger(folder, name="logs")
    table = CSVLogger(folder, name="logs", version=board.version, flush_logs_every_n_steps=1)
    callbacks: list[pl.Callback] = [LogScalars(), validate]
    if save:
        callbacks.append(SaveLast(folder / LAST, training.save_frequency))
    try:
        return pl.Trainer(
            accelerator="gpu" if torch.cuda.is_available() else "cpu",
            devices=[gpu] if gpu is not None else training.devices,
            num_nodes=training.num_nodes,
            strategy=training.strategy,
            precision="bf16-mixed" if training.precision == "bf16" else "32-true",
            max_steps=training.num_iterations,
            logger=[board, table],
            callbacks=[*callbacks, Bar(console, validate)],
            # Lightning's own would cost time or happen twice.
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
        )
    except (ValueError, MisconfigurationException) as error:
        reason = " ".join(str(error).split()).partition(". ")[0].strip(".")
        raise TrainingError(
            f"training.strategy={training.strategy}, training.devices={training.devices} and "
            f"training.num_nodes={training.num_nodes} cannot be used here: {reason}"
        ) from error


def run(
    trainer: pl.Trainer, task: Task, data: pl.LightningDataModule, folder: Path, last: Path | None = None
) -> None:
    """Train to the end, from `last` on where given.

    Raises
    ------
    TrainingError
        If a pixel, the loss or the gradient is not finite (the batch is saved), or on an interruption.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            trainer.fit(task, datamodule=data, ckpt_path=last, weights_only=True if last else None)
    except NotFiniteError as error:
        save_atomically(folder / FAILED, {"step": error.step, **error.batch.state()})
        raise TrainingError(
            f"{error} is not a finite number in step {error.step}: the batch is in {folder / FAILED}; "
            "try a lower training.learning_rate or training.precision=32"
        ) from error
    except (SystemExit, SIGTERMException) as error:  # how Lightning ends on Ctrl+C and on a signal
        path = folder / LAST
        saved = (
            f"--resume goes on from {read_file(path)['global_step']}" if path.exists() else "nothing is saved"
        )
        raise TrainingError(f"interrupted after {trainer.global_step} steps: {saved}") from error

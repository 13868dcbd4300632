"""What happens beside the learning: logs, validation, checkpoints."""

import math
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import TensorBoardLogger

from train.checkpoint import save_network
from train.overlay import overlay
from train.task import LOG_EVERY, Task
from train.validation import Figures, Validator


def is_time(trainer: pl.Trainer, frequency: int) -> bool:
    """Whether it is time for what happens every so many steps and after the last."""
    return trainer.global_step % frequency == 0 or trainer.global_step == trainer.max_steps


class LogScalars(pl.Callback):
    """Writes what the task noted, the learning rate and the pace."""

    def __init__(self) -> None:
        self._since: tuple[int, float] | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log under the number of the step whose loss it is, counted from 0."""
        assert isinstance(pl_module, Task)
        step = trainer.global_step - 1
        if step % LOG_EVERY or not trainer.is_global_zero:
            return
        scalars = dict(pl_module.latest)
        scalars["train/learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        now = time.perf_counter()
        if self._since:
            scalars["train/steps_per_s"] = (step - self._since[0]) / (now - self._since[1])
        self._since = (step, now)
        for logger in trainer.loggers:
            logger.log_metrics(scalars, step)


class Validate(pl.Callback):
    """Judges the averaged weights now and then, and keeps the best.

    Attributes
    ----------
    latest, best
        The last figures and the best.
    best_step
        Number of steps after which the best was reached.
    """

    def __init__(self, validator: Validator, path: Path, frequency: int, meta: dict[str, Any]) -> None:
        self._validator, self._path, self._frequency, self._meta = validator, path, frequency, meta
        self.latest: Figures | None = None
        self.best: Figures | None = None
        self.best_step = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Validate where it is time, on the first process."""
        assert isinstance(pl_module, Task)
        if not is_time(trainer, self._frequency) or not trainer.is_global_zero:
            return
        step = trainer.global_step
        self.latest, found = self._validator.judge(pl_module)
        figures = self.latest.as_dict()
        for logger in trainer.loggers:
            logger.log_metrics({f"val/{name}": value for name, value in figures.items()}, step)
            if isinstance(logger, TensorBoardLogger):
                picture = overlay(self._validator.batches[0], found)
                logger.experiment.add_image("val/overlay", picture, step, dataformats="HWC")
            logger.save()
        if self.best is None or self.latest.merit() > self.best.merit():
            self.best, self.best_step = self.latest, step
            save_network(
                self._path, pl_module.best_network, self._meta | {"step": step, "validation": figures}
            )

    def state_dict(self) -> dict[str, Any]:
        """What the best was and what came before, so that a resumed training knows."""
        return {
            "best": self.best.as_dict() if self.best else None,
            "best_step": self.best_step,
            "earlier": self._meta["earlier"],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take that over."""
        if state_dict["best"] is not None:
            undefined = dict.fromkeys(Figures.__dataclass_fields__, math.nan)
            self.best = Figures(**undefined | state_dict["best"])
        self.best_step = state_dict["best_step"]
        self._meta["earlier"] = state_dict.get("earlier")  # None: of a version that did not know


class SaveLast(pl.Callback):
    """Writes everything that resuming needs."""

    def __init__(self, path: Path, frequency: int) -> None:
        self._path, self._frequency = path, frequency

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save beside the old file, then replace it in one go; all processes take part."""
        if is_time(trainer, self._frequency):
            part = self._path.with_name(self._path.name + ".part")
            trainer.save_checkpoint(part)
            if trainer.is_global_zero:
                part.replace(self._path)

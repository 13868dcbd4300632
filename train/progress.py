"""A training's progress in the terminal: one bar with loss and pace, a line for each validation."""

import time
from typing import Any

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from train.callbacks import Validate, is_time

BAR_EVERY = 10  # steps


class Bar(pl.Callback):
    """Shows how the training goes; stands behind `validate` in the list of callbacks."""

    def __init__(self, console: Console, validate: Validate) -> None:
        self._validate = validate
        self._shown = validate.latest
        self._bar = Progress(
            TextColumn("train"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._since = (0, 0.0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        self._since = (trainer.global_step, time.perf_counter())
        if trainer.is_global_zero:
            self._task = self._bar.add_task(
                "train", total=trainer.max_steps, completed=trainer.global_step, text=""
            )
            self._bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Loss and pace; the figures of a validation above the bar."""
        step = trainer.global_step
        if not trainer.is_global_zero:
            return
        if is_time(trainer, BAR_EVERY):
            now = time.perf_counter()
            pace = (step - self._since[0]) / (now - self._since[1])
            self._since = (step, now)
            text = f"loss {float(outputs['loss']):.3f}  {pace:.1f} it/s"
            self._bar.update(self._task, completed=step, text=text)
        if self._validate.latest is not self._shown:
            self._shown = self._validate.latest
            self._bar.console.print(f"step {step}: {self._shown}", highlight=False, soft_wrap=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the bar as it is."""
        self._bar.stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Give the terminal back."""
        self._bar.stop()

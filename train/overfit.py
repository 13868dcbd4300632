"""The first check of a configuration, or of new code: learn a few crops by heart."""

from pathlib import Path

from rich.console import Console

from train.errors import TrainingError
from train.fit import make_folder
from train.fit_config import FitConfig
from train.scenes import OneBatch, Scenes
from train.start import load_start
from train.task import Task
from train.trainer import Outcome, denormals_as_zero, make_trainer, run, seeded_network, validation
from train.validation import Validator

OVERFIT = "overfit"  # folder inside that of the training
STEPS = 1000
CROPS = 2
FROZEN = 0.7  # of the steps: statistics of so few crops are soon known, and move as long as they are followed
LEARNING_RATE = 5e-3  # noise that never changes forgives a high one
VALIDATIONS = 6
ENOUGH = 0.9  # of Jaccard (with calcium: its mean with F1) on the crops themselves


def overfit_config(
    config: FitConfig, steps: int | None = None, learning_rate: float | None = None
) -> FitConfig:
    """The configuration with few crops and few, large steps (if not given), hardly averaged."""
    steps = steps or STEPS
    return config.model_copy(
        update={
            "training": config.training.model_copy(
                update={
                    "num_iterations": steps,
                    "val_frequency": steps // VALIDATIONS or 1,
                    "learning_rate": learning_rate or LEARNING_RATE,
                    "ema_decay": 0.9,
                    "frozen_batchnorm_fraction": FROZEN,
                }
            ),
            "data": config.data.model_copy(update={"batch_size": min(config.data.batch_size, CROPS)}),
        }
    )


@denormals_as_zero()
def run_overfit(config: FitConfig, folder: Path, console: Console, *, gpu: int | None = None) -> Outcome:
    """Train on one batch and judge on the same.

    Raises
    ------
    TrainingError
        If the folder cannot be written, or the network does not find nearly all puncta of crops that it
        has seen hundreds of times: loss or scenes are wrong.
    """
    network = seeded_network(config)
    load_start(network, config, None)
    batch = Scenes(config).batch(0)
    validate = validation(config, folder, Validator((batch,), config.validation))
    trainer = make_trainer(config, folder, console, validate, gpu=gpu, save=False)
    make_folder(folder, config)
    run(trainer, Task(network, config), OneBatch(batch), folder)
    outcome = Outcome.of(validate, folder)
    score, _ = outcome.figures.merit()
    if score < ENOUGH:
        raise TrainingError(
            f"one batch was not learned by heart: {score:.2f} instead of {ENOUGH} after "
            f"{config.training.num_iterations} steps; try more --num-iterations, then doubt loss and scenes"
        )
    return outcome

"""From a checkpoint to what ships: threshold chosen on validation scenes, ONNX graph and model card."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from model.build import network_config
from model.card import ModelCard, Trained, TrainedOptics
from model.export import export
from model.network import Network
from train.checkpoint import load_network, read_checkpoint
from train.fit_config import FitConfig
from train.task import Task
from train.validation import Figures, Validator, validation_batches

THRESHOLDS = tuple(np.round(np.arange(0.2, 0.71, 0.05), 2).tolist())


def release(checkpoint: Path, path: Path, threshold: float | None = None) -> ModelCard:
    """Export a checkpoint's network with its card, for the engines.

    Parameters
    ----------
    checkpoint
        A `best_model.pth`.
    path
        Where the graph goes, ending in .onnx; the card lies beside it.
    threshold
        Detection threshold; None: the one of `THRESHOLDS` with the best Jaccard index on the validation
        scenes of the training's configuration.

    Raises
    ------
    CheckpointError, ModelError
        If the checkpoint cannot be read, or the graph not be written.
    """
    network = load_network(checkpoint)
    meta: dict[str, Any] = read_checkpoint(checkpoint)["meta"]
    config = FitConfig.model_validate(meta["config"])
    figures, threshold = _judge(network, config, THRESHOLDS if threshold is None else (threshold,))
    scenes = config.simulation
    low, high = zip(scenes.sigma_px, scenes.odd_sigma_px, strict=True)
    optics = TrainedOptics(
        sigma_px=(min(low), max(high)),
        photons=scenes.photons,
        background=scenes.background,
        puncta_per_um2=scenes.puncta_per_um2,
        pixel_size_nm=scenes.pixel_size_nm,
    )
    metrics = {f"validation_{name}": value for name, value in figures.as_dict().items()}
    trained = Trained(
        architecture=network_config(network),
        optics=optics,
        threshold=threshold,
        metrics=metrics,
        training={"steps": meta["step"], "configuration": meta["config"]},
        commit=_commit(),
    )
    return export(network, path, trained)


def _judge(network: Network, config: FitConfig, thresholds: tuple[float, ...]) -> tuple[Figures, float]:
    """Figures at the threshold with the best Jaccard index, and that threshold."""
    task, batches = Task(network, config), validation_batches(config)

    def figures(threshold: float) -> Figures:
        validation = config.validation.model_copy(update={"threshold": threshold})
        return Validator(batches, validation).judge(task)[0]

    return max(((figures(t), t) for t in thresholds), key=lambda judged: judged[0].jaccard)


def _commit() -> str | None:
    """Git commit of this code; None outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()

"""From a checkpoint to what ships: threshold chosen on validation scenes, ONNX graph and model card."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from model.build import network_config
from model.card import ModelCard, Trained, TrainedOptics
from model.ensemble import Ensemble
from model.export import check_path, export
from model.network import Network
from train.checkpoint import load_network, read_checkpoint
from train.errors import CheckpointError, FitConfigError
from train.fit_config import FitConfig
from train.fit_load import parse_fit_config
from train.stages import stages
from train.task import Task
from train.validation import Figures, Validator, validation_batches

THRESHOLDS = tuple(percent / 100 for percent in range(10, 61, 5))


def release(
    checkpoints: Sequence[Path],
    path: Path,
    threshold: float | None = None,
    precision: Literal["fp32", "fp16"] = "fp32",
) -> ModelCard:
    """Export a checkpoint's network with its card, for the engines; or several networks that answer as one.

    Parameters
    ----------
    checkpoints
        A `best_model.pth`, or several: an ensemble (see `model.ensemble`). Optics, configuration and stages
        of training in the card are those of the first.
    path
        Where the graph goes, ending in .onnx; the card lies beside it.
    threshold
        Detection threshold; None: the one of `THRESHOLDS` with the best Jaccard index on the validation
        scenes of the training's configuration.
    precision
        Of the network in the graph.

    Raises
    ------
    CheckpointError, ModelError
        If the checkpoint cannot be read or its network finds nothing, or the graph cannot be written.
    """
    check_path(path)
    checkpoint = checkpoints[0]
    networks = [load_network(one) for one in checkpoints]
    network = Ensemble(networks) if len(networks) > 1 else networks[0]
    config = _config(checkpoint)
    figures, threshold = _judge(network, config, THRESHOLDS if threshold is None else (threshold,))
    if not figures.jaccard > 0:
        raise CheckpointError(
            f"{checkpoint} is not exported: its network finds no punctum of the validation scenes; "
            "train it longer"
        )
    history = stages(checkpoint)
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
        training={"stages": history},
        commit=history[-1]["commit"],
    )
    return export(network, path, trained, precision)


def _config(checkpoint: Path) -> FitConfig:
    """Configuration of the training that wrote a checkpoint."""
    meta = read_checkpoint(checkpoint)["meta"]
    if "config" not in meta:
        raise CheckpointError(
            f"{checkpoint} does not hold the configuration of its training: "
            "take a best_model.pth of piezo1 train"
        )
    try:
        return parse_fit_config(meta["config"])
    except FitConfigError as error:
        raise CheckpointError(
            f"{checkpoint} was trained by another version of this program: {error}"
        ) from error


def _judge(network: Network, config: FitConfig, thresholds: tuple[float, ...]) -> tuple[Figures, float]:
    """Figures at the threshold with the best Jaccard index, and that threshold."""
    validator = Validator(validation_batches(config), config.validation)
    answers = validator.answers(Task(network, config))
    judged = [(validator.figures(answers, threshold)[0], threshold) for threshold in thresholds]
    return max(judged, key=lambda pair: pair[0].jaccard)

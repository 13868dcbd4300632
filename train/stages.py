"""The trainings that a network went through, as its checkpoints and its card tell them."""

from pathlib import Path
from typing import Any

from train.checkpoint import read_checkpoint
from train.errors import CheckpointError
from train.fit_config import ModelConfig

Stage = dict[str, Any]  # steps, commit and configuration; None: not known


def stages(checkpoint: Path) -> list[Stage]:
    """Stages of a checkpoint, oldest first, its own last.

    Raises
    ------
    CheckpointError
        If it cannot be read.
    """
    meta = read_checkpoint(checkpoint)["meta"]
    earlier: list[Stage] | None = meta.get("earlier")
    return [*(_follow(meta) if earlier is None else earlier), _own(meta)]


def earlier_stages(model: ModelConfig, checkpoint: Path | None) -> list[Stage]:
    """Stages of what a training starts from, oldest first: of a checkpoint, else of a localization.

    Raises
    ------
    CheckpointError
        If that cannot be read.
    """
    start = checkpoint or model.pretrained_localization
    return stages(start) if start else []


def _own(meta: dict[str, Any]) -> Stage:
    return {"steps": meta.get("step"), "commit": meta.get("commit"), "configuration": meta.get("config")}


def _follow(meta: dict[str, Any]) -> list[Stage]:
    """One step back from a checkpoint that does not tell the stages before it."""
    start = meta.get("config", {}).get("model", {}).get("pretrained_localization")
    if start is None:
        return []
    try:
        before = read_checkpoint(Path(start))["meta"]
    except CheckpointError as error:
        return [{"steps": None, "commit": None, "configuration": None, "problem": str(error)}]
    return [*(before.get("earlier") or ()), _own(before)]

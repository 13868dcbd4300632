"""The network that a training starts with: built, given weights, parts of it frozen."""

from pathlib import Path
from typing import Any

from model.build import build_network
from model.freeze import freeze
from model.network import Network
from model.pretrained import load_encoder
from train.checkpoint import load_weights, read_checkpoint
from train.fit_config import FitConfig


def new_network(config: FitConfig) -> Network:
    """Build the configured network, untrained, with its frozen parts frozen."""
    model = config.model
    keys: dict[str, Any] = {"kind": model.kind, "window": model.n_frames, "calcium": model.in_channels == 2}
    keys |= {"size": model.size} if model.kind == "streaming" else {"base_channels": model.base_channels}
    network = build_network(keys)
    parts = {"encoder": model.freeze_encoder, "localization": model.freeze_localization}
    for part, frozen in parts.items():
        if frozen:
            freeze(*network.decoders()[part])
    return network


def load_start(network: Network, config: FitConfig, checkpoint: Path | None) -> list[str]:
    """Give a network the weights that it starts from; says in words what came from where.

    Parameters
    ----------
    checkpoint
        Start from all weights of this one (fine-tuning); it must be of the same architecture.

    Raises
    ------
    CheckpointError, ModelError
        If a checkpoint cannot be read or does not fit.
    """
    notes = []
    model = config.model
    if model.pretrained_encoder is not None:
        notes.append(f"{model.pretrained_encoder}: {load_encoder(network, model.pretrained_encoder)}")
    if model.pretrained_localization is not None:
        parts = ("encoder", "localization")
        weights = read_checkpoint(model.pretrained_localization)["state_dict"]
        load_weights(network, weights, model.pretrained_localization, parts)
        notes.append(f"{model.pretrained_localization}: encoder and localization decoder loaded")
    if checkpoint is not None:
        load_weights(network, read_checkpoint(checkpoint)["state_dict"], checkpoint)
        notes.append(f"{checkpoint}: all weights loaded")
    return notes

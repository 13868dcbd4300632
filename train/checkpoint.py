"""Networks on disk: weights, kind and configuration, written whole or not at all, read without pickle."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.build import build_network, network_config
from model.engines.base import ModelError
from model.network import Network
from train.errors import CheckpointError

FORMAT = 1


def save_network(path: Path, network: Network, meta: Mapping[str, Any]) -> None:
    """Write a network, replacing the file in one go; `meta` holds numbers, texts, lists and dicts."""
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_atomically(
        path,
        {"format": FORMAT, "network": network_config(network), "state_dict": weights, "meta": dict(meta)},
    )


def load_network(path: Path) -> Network:
    """Rebuild the network of a checkpoint, on the CPU and ready to answer (evaluation mode).

    Raises
    ------
    CheckpointError
        If it is not a checkpoint of `save_network`, or of a network unknown here.
    """
    checkpoint = read_checkpoint(path)
    try:
        network = build_network(checkpoint["network"])
    except ModelError as error:
        raise CheckpointError(f"{path} holds a network unknown to this version: {error}") from error
    load_weights(network, checkpoint["state_dict"], path)
    return network.eval()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Content of a checkpoint of `save_network`, not built yet: network, state_dict and meta."""
    checkpoint = read_file(path)
    keys = {"format", "network", "state_dict", "meta"}
    if not isinstance(checkpoint, dict) or not keys <= checkpoint.keys():
        raise CheckpointError(f"{path} is not a checkpoint of piezo1 train: take its best_model.pth")
    if checkpoint["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {checkpoint['format']}, this version reads {FORMAT}"
        )
    weights, meta = checkpoint["state_dict"], checkpoint["meta"]
    if not (
        isinstance(checkpoint["network"], dict)
        and isinstance(weights, dict)
        and all(isinstance(value, Tensor) for value in weights.values())
        and isinstance(meta, dict)
        and isinstance(meta.get("config", {}), dict)
    ):
        raise CheckpointError(
            f"{path} is damaged: a part of it is not what piezo1 train writes; copy it again"
        )
    return checkpoint


def read_file(path: Path) -> Any:
    """Whatever torch saved in a file, on the CPU; tensors and plain values only, nothing is executed.

    Raises
    ------
    CheckpointError
        If the file cannot be read so.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can raise anything here
        raise CheckpointError(
            f"{path} is not a checkpoint (or an incomplete one): copy it again or take another"
        ) from error


def load_weights(
    network: Network, weights: Mapping[str, Tensor], path: Path, parts: tuple[str, ...] = ()
) -> None:
    """Put weights into a network; all must fit.

    Parameters
    ----------
    parts
        Only modules whose name starts with one of these, e.g. "encoder"; empty: all, nothing left over.

    Raises
    ------
    CheckpointError
        If they are of another architecture.
    """
    wanted = {
        name: value
        for name, value in network.state_dict().items()
        if not parts or name.split(".")[0] in parts
    }
    missing = next((name for name in wanted if name not in weights), None)
    if missing:
        raise CheckpointError(f"{path} is of another architecture: it has no weights {missing}")
    wrong = next((name for name in wanted if wanted[name].shape != weights[name].shape), None)
    if wrong:
        raise CheckpointError(
            f"{path} is of another architecture: {wrong} has shape {tuple(weights[wrong].shape)}, "
            f"the network of this configuration {tuple(wanted[wrong].shape)}"
        )
    unknown = next((name for name in weights if name not in wanted), None)
    if unknown and not parts:
        raise CheckpointError(f"{path} is of another architecture: {unknown} is unknown to this network")
    network.load_state_dict({name: weights[name] for name in wanted}, strict=not parts)


def save_atomically(path: Path, content: Any) -> None:
    """Save with torch beside `path`, then move it there: the file is the old one or the new, never half."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)

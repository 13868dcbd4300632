"""The encoder of a network taken from a user's own U-Net."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from model.engines.base import ModelError
from model.network import Network

ENCODER = "encoder."
CONTAINERS = ("state_dict", "model_state_dict", "model")  # where checkpoints keep their weights
PREFIXES = ("module.", "model.", "unet.", "network.")  # what wrappers put before a name

Layer = tuple[str, dict[str, Tensor]]  # its name and its tensors: weight, bias, running_mean, running_var


@dataclass(frozen=True, slots=True)
class LoadedEncoder:
    """What `load_encoder` did, by names of layers.

    Attributes
    ----------
    loaded
        Layers of the network that have the checkpoint's weights now.
    kept
        Layers of the network's encoder that the checkpoint lacks; they are as they were.
    unused
        Layers of the checkpoint's encoder that the network lacks.
    """

    loaded: tuple[str, ...]
    kept: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{len(self.loaded)} of {len(self.loaded) + len(self.kept)} encoder layers loaded"
        if self.kept:
            text += f"; not in the checkpoint, still untrained: {', '.join(self.kept)}"
        if self.unused:
            text += f"; in the checkpoint but not in the network: {', '.join(self.unused)}"
        return text


def load_encoder(network: Network, path: Path) -> LoadedEncoder:
    """Give a network the encoder of a checkpoint; everything else in the checkpoint is left alone.

    Implementations name their layers differently, so below `encoder.` names do not count: the first
    convolution of the checkpoint becomes the first of the network and so on, batch normalizations
    likewise, and all shapes must agree. A convolution without bias gets one of zero.

    Parameters
    ----------
    path
        File of `torch.save`: a state dict, or a dictionary with one under "state_dict",
        "model_state_dict" or "model"; the prefixes "module.", "model.", "unet." and "network." are
        stripped.

    Raises
    ------
    ModelError
        If the file cannot be read, has no encoder, or its layers do not fit; the network is then
        unchanged. An encoder with another number of input channels is refused: the network's sees
        PIEZO1 alone.
    """
    (encoder,) = network.decoders()["encoder"]
    theirs = _layers({k[len(ENCODER) :]: v for k, v in _read(path).items() if k.startswith(ENCODER)})
    ours = _layers(encoder.state_dict())
    if not theirs:
        raise ModelError(
            f"{path}: no key begins with {ENCODER!r}; save the U-Net so that its encoder is called encoder"
        )
    pairs = [
        (own, their)
        for kind in ("convolution", "normalization")
        for own, their in zip(_of_kind(ours, kind), _of_kind(theirs, kind), strict=False)
    ]
    if not pairs:
        raise ModelError(f"{path}: the encoder holds no convolution, only {', '.join(n for n, _ in theirs)}")
    for own, their in pairs:
        _check(path, own, their, is_first=own is ours[0])
    for (_, own_tensors), (_, their_tensors) in pairs:
        for name, tensor in own_tensors.items():
            tensor.copy_(their_tensors.get(name, torch.zeros_like(tensor)))
    loaded, used = {own[0] for own, _ in pairs}, {their[0] for _, their in pairs}
    return LoadedEncoder(
        tuple(ENCODER + name for name, _ in ours if name in loaded),
        tuple(ENCODER + name for name, _ in ours if name not in loaded),
        tuple(ENCODER + name for name, _ in theirs if name not in used),
    )


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint by name, without the prefixes of wrappers."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise ModelError(f"{path}: {error.strerror}; give the path of a checkpoint") from error
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} is no checkpoint or holds more than tensors, which is not loaded because it could run "
            "code; save the weights alone, with torch.save(model.state_dict(), path)"
        ) from error
    except Exception as error:  # damaged bytes can raise anything here
        raise ModelError(f"{path} is damaged or no checkpoint; save it again with torch.save") from error
    for container in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    if not isinstance(content, Mapping):
        raise ModelError(
            f"{path} holds a {type(content).__name__}; save the weights, torch.save(model.state_dict(), path)"
        )
    return {_bare(str(name)): value for name, value in content.items() if isinstance(value, Tensor)}


def _bare(name: str) -> str:
    while name.startswith(PREFIXES):
        name = name.partition(".")[2]
    return name


def _layers(state: Mapping[str, Tensor]) -> list[Layer]:
    layers: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        layer, _, name = key.rpartition(".")
        if name != "num_batches_tracked":  # only counts; nothing depends on it
            layers.setdefault(layer, {})[name] = tensor
    return list(layers.items())


def _of_kind(layers: list[Layer], kind: str) -> list[Layer]:
    return [layer for layer in layers if _kind(layer[1]) == kind]


def _kind(tensors: Mapping[str, Tensor]) -> str:
    if "running_mean" in tensors:
        return "normalization"
    return "convolution" if "weight" in tensors and tensors["weight"].ndim > 2 else "other"


def _check(path: Path, own: Layer, their: Layer, *, is_first: bool) -> None:
    for name in own[1] | their[1]:
        here, there = own[1].get(name), their[1].get(name)
        if there is None and name == "bias" and _kind(own[1]) == "convolution":
            continue
        if here is None or there is None or here.shape != there.shape:
            remedy = "width and order of the layers must be the network's"
            if is_first and here is not None and there is not None and here.shape[2:] == there.shape[2:]:
                remedy = (
                    "the network's encoder sees PIEZO1 alone, one channel, and its width is base_channels"
                )
            raise ModelError(
                f"{path}: {ENCODER}{their[0]}.{name} {_shape(there)}, "
                f"the network's {ENCODER}{own[0]}.{name} {_shape(here)}; {remedy}"
            )
        if not torch.isfinite(there).all():
            raise ModelError(f"{path}: {ENCODER}{their[0]}.{name} is not finite; train the U-Net again")


def _shape(tensor: Tensor | None) -> str:
    return "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"

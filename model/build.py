"""Networks from the dictionary that stands in configurations, checkpoints and model cards, and back."""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import TypeVar

from model.engines.base import ModelError
from model.ensemble import Ensemble
from model.network import SIZES, Network, StreamingConfig, StreamingNetwork
from model.unet3d import UNet3d, UNet3dConfig

KINDS = ("streaming", "unet3d")
ENSEMBLE = "ensemble"  # made of trained networks, not trained itself
DEFAULT_SIZE = "small"

Config = TypeVar("Config", StreamingConfig, UNet3dConfig)


def build_network(config: Mapping[str, object]) -> Network:
    """Make an untrained network.

    Parameters
    ----------
    config
        `kind`: "streaming" or "unet3d". A streaming network takes `size` (a name in `SIZES`). Every other
        key is a field of `StreamingConfig` or `UNet3dConfig` and overrules the size or the default.
        `calcium` may be true or false for both kinds. An exported ensemble has the kind "ensemble" and
        `members`, a list of such dictionaries.

    Raises
    ------
    ModelError
        If the kind, the size or a key is not known, or a value is impossible.
    """
    values = dict(config)
    kind = values.pop("kind", None)
    if kind == ENSEMBLE:
        members = values.get("members")
        if set(values) != {"members"} or not isinstance(members, list):
            raise ModelError("network ensemble needs one key, members: a list of networks")
        return Ensemble([build_network(member) for member in members])
    if kind not in KINDS:
        raise ModelError(f"network kind is {kind!r}, which is not known; choose one of {', '.join(KINDS)}")
    if kind == "unet3d":
        return UNet3d(_overruled(UNet3dConfig(), values, "unet3d"))
    size = values.pop("size", DEFAULT_SIZE)
    if size not in tuple(SIZES):  # a list from YAML cannot be looked up in a dictionary
        raise ModelError(f"network size is {size!r}, which is not known; choose one of {', '.join(SIZES)}")
    if values.get("calcium") is True:  # the size's own width
        del values["calcium"]
    elif values.get("calcium") is False:
        values["calcium"] = 0
    return StreamingNetwork(_overruled(SIZES[str(size)], values, "streaming"))


def network_config(network: Network) -> dict[str, object]:
    """Everything that `build_network` needs to make a network of the same architecture, ready for JSON."""
    if isinstance(network, StreamingNetwork):
        return {"kind": "streaming", **asdict(network.config)}
    if isinstance(network, UNet3d):
        return {"kind": "unet3d", **asdict(network.config)}
    if isinstance(network, Ensemble):
        return {"kind": ENSEMBLE, "members": [network_config(member) for member in network.networks()]}
    raise TypeError(f"{type(network).__name__} is none of {', '.join(KINDS)}")


def _overruled(default: Config, values: Mapping[str, object], kind: str) -> Config:
    known = {field.name: getattr(default, field.name) for field in fields(default)}
    for name, value in values.items():
        if name not in known:
            raise ModelError(f"network {kind} has no key {name!r}; it has {', '.join(known)}")
        wanted, least = type(known[name]), int(name != "calcium")
        if type(value) is not wanted or (wanted is int and value < least):  # type: ignore[operator]
            allowed = "true or false" if wanted is bool else f"a whole number of at least {least}"
            raise ModelError(f"network {kind}: {name} is {value!r}; it must be {allowed}")
    changed = replace(default, **values)  # type: ignore[arg-type]
    if changed.window % 2 == 0:
        raise ModelError(f"network {kind}: window is {changed.window} frames; it must be odd")
    return changed

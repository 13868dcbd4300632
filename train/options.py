"""Simulation parameters from the command line."""

from collections.abc import Sequence
from typing import Any

from train.simulation_config import SimulationConfig, SimulationError
from train.yaml_text import load_yaml


def simulation_config(overrides: Sequence[str], **options: Any) -> SimulationConfig:
    """Configuration from options by name, overridden by `name=value` texts (values in YAML syntax).

    Raises
    ------
    SimulationError
        If a name is unknown or a value impossible.
    """
    values = dict(options)
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals or name not in SimulationConfig.model_fields:
            known = ", ".join(SimulationConfig.model_fields)
            raise SimulationError(f"--set {override!r} is not name=value with a known name; known: {known}")
        try:
            values[name] = load_yaml(text)
        except ValueError as error:
            raise SimulationError(f"--set {override!r}: the value is not valid YAML") from error
    return SimulationConfig(**values)

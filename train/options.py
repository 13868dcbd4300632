"""Simulation parameters from the command line."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import yaml

from train.simulation_config import SimulationConfig, SimulationError


def simulation_config(overrides: Sequence[str], **options: Any) -> SimulationConfig:
    """Configuration from options by name, overridden by `name=value` texts (values in YAML syntax).

    Raises
    ------
    SimulationError
        If a name is unknown or a value impossible.
    """
    known = {field.name: field for field in fields(SimulationConfig)}
    values = dict(options)
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals or name not in known:
            raise SimulationError(
                f"--set {override!r} is not name=value with a known name; known: {', '.join(known)}"
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SimulationError(f"--set {override!r}: the value is not valid YAML") from error
        expected = type(getattr(SimulationConfig, name, None))
        if expected in (int, float) and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise SimulationError(f"--set {override!r}: {name} must be a number")
        values[name] = tuple(value) if isinstance(value, list) else value
    return SimulationConfig(**values)

"""The user's own Python functions, which rules call."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from stream import wire
from stream.config import ConfigError
from stream.config_live import RuleConfig

Function = Callable[[dict[str, Any]], Any]


def load_functions(rules: Sequence[RuleConfig]) -> dict[str, Function]:
    """Import the functions that rules call, given as `file.py:function` or `module:function`, by rule.

    A file is run once, so the rules that name it share its variables.

    Raises
    ------
    ConfigError
        If there is none, or its file or module cannot be imported here.
    """
    modules: dict[str, ModuleType] = {}
    functions = {}
    for rule in rules:
        if rule.do != "call":
            continue
        place, _, name = str(rule.value).rpartition(":")
        if place not in modules:
            modules[place] = _load(place)
        function = getattr(modules[place], name, None)
        if not callable(function):
            raise ConfigError(f"rules: {place} has no function {name!r}, which do: call names")
        functions[rule.title] = function
    return functions


def _load(place: str) -> ModuleType:
    try:
        return _run_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except ConfigError:
        raise
    except BaseException as error:  # whatever the user's code raises, sys.exit() too
        traceback.print_exc()
        raise ConfigError(
            f"rules: {place} cannot be imported for do: call: {type(error).__name__}: {error}"
        ) from error


def _run_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(
            f"rules: there is no file {path} for do: call; relative paths begin in {Path.cwd()}"
        )
    spec = importlib.util.spec_from_file_location(f"piezo1_rules_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def as_dict(trigger: wire.Trigger) -> dict[str, Any]:
    """What a function is given: plain numbers and texts, None where something is not known."""
    return {
        "rule": trigger.rule,
        "what": trigger.what,
        "frame": trigger.seq,
        "newest_frame": trigger.newest_seq,
        "time_s": trigger.time_s,
        "track_id": trigger.track_id if trigger.track_id >= 0 else None,
        "x_nm": trigger.x_nm,
        "y_nm": trigger.y_nm,
        **trigger.measured,
    }

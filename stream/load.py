"""Reading a run's configuration: its YAML, overrides from the command line, and errors in words."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from acquire.section import Section
from stream.config import ConfigError, RunConfig

# What pydantic says for programmers, in words for everyone.
_PLAIN = {
    "missing": "a value is missing",
    "tuple_type": "it must be a list",
    "dict_type": "it must hold keys",
    "path_type": "it must be a path",
    "string_pattern_mismatch": "it is not written like that",
    "float_parsing": "it must be a number, with a decimal point and no unit",
    "int_parsing": "it must be a whole number without a unit",
    "int_from_float": "it must be a whole number",
    "bool_parsing": "it must be true or false",
}


def load_config(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    *,
    defaults: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Configuration of a run: defaults, then its YAML, overrides and options, the later ones winning.

    A null in the YAML leaves a default as it is.

    Parameters
    ----------
    path
        YAML file with the sections of `RunConfig`; None starts from the defaults.
    overrides
        `section.key=value`, values in YAML syntax.
    options, defaults
        Values by `section.key`.

    Raises
    ------
    ConfigError
        If the file cannot be read or a key, value or override is wrong.
    """
    tree = _read(path) if path is not None else {}
    for key, value in (defaults or {}).items():
        section, _, name = key.partition(".")
        branch = tree.get(section) or {}
        if isinstance(branch, dict) and branch.get(name) is not None:
            continue
        _put(tree, key, value)
    for override in overrides:
        key, value = _parse(override)
        _put(tree, key, value)
    for key, value in (options or {}).items():
        _put(tree, key, value)
    try:
        config = RunConfig.model_validate(tree)
        config.model_dump_json()  # it travels as JSON
    except ValidationError as error:
        raise ConfigError(_explain(error, path)) from error
    except PydanticSerializationError as error:
        raise ConfigError(
            "a path in the configuration is not valid UTF-8: rename the file or folder"
        ) from error
    return config


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, not a silent choice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a repeated key."""
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for i, key in enumerate(keys):
            if any(key.value == earlier.value for earlier in keys[:i]):
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value!r} stands there twice", problem_mark=key.start_mark
                )
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # a SafeLoader
    except OSError as error:
        raise ConfigError(f"cannot read configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text in UTF-8: save it with that encoding") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML{_where_and_why(error)}") from error
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deeply to be a configuration") from error
    if loaded is not None and not isinstance(loaded, dict):
        raise ConfigError(f"{path} must hold sections such as `camera:`, not a {type(loaded).__name__}")
    # A section whose keys are all commented out is an empty one.
    empty: dict[str, Any] = {"rules": []}
    return {key: empty.get(key, {}) if value is None else value for key, value in (loaded or {}).items()}


def _where_and_why(error: yaml.YAMLError) -> str:
    """Line and likely mistake, as a text to append."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or ""
    if mark is None:
        return ""
    hint = "indent with spaces, alike within a section; write `key: value` with a space after the colon"
    if "\\t" in problem:
        hint = "there is a tab: indent with spaces"
    elif "escape" in problem:
        hint = "a backslash in double quotes: write C:/folder/file or 'C:\\folder\\file'"
    elif "twice" in problem:
        return f", line {mark.line + 1}: {problem}"
    return f", at or above line {mark.line + 1}: {hint} ({problem})"


def _parse(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and section and name):
        raise ConfigError(f"--set {override!r} is not section.key=value, e.g. camera.offset=100")
    try:
        return key.strip(), yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"--set {override!r}: the value is not valid YAML") from error


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    section, _, name = key.partition(".")
    branch = tree.get(section) or {}
    if not isinstance(branch, dict):
        raise ConfigError(f"section {section!r} must hold keys, not a {type(branch).__name__}")
    tree[section] = {**branch, name: value}


def _explain(error: ValidationError, path: Path | None) -> str:
    """One sentence a wrong key, joined; names what is allowed."""
    where = f" in {path}" if path else ""
    sentences: dict[str, str] = {}
    for problem in error.errors():
        # An entry of a list, as in `rules`, has its number in between.
        at = [part for part in problem["loc"] if not isinstance(part, int)]
        keys = [str(part) for part in at[:2]]
        is_entry = isinstance(next(iter(problem["loc"][1:]), None), int)
        location = ".".join(str(part) for part in problem["loc"][: 2 + is_entry])
        message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "it must be")
        message = _PLAIN.get(problem["type"], message)
        if problem["type"] == "extra_forbidden":
            known = ", ".join(_keys_beside(keys))
            sentence = f"{location}{where} is not a known key; known here: {known}"
        elif len(keys) == 2:
            meaning = _section(keys[0]).model_fields[keys[1]].description
            # A union reports its members' complaints; the meaning says what all of them allow.
            union = len(at) > 2
            complaint = f"it must be {meaning}" if union else f"{message} (it is: {meaning})"
            sentence = f"{location}{where} is {problem['input']!r}: {complaint}"
        elif problem["type"] == "tuple_type" and len(keys) == 1:
            sentence = f"{location}{where} must be a list, each entry begun by a dash"
        elif problem["type"] == "model_type":
            sentence = f"{location}{where} must hold keys, not {problem['input']!r}"
        else:
            sentence = f"{location}{where}: {message}"
        sentences.setdefault(location, sentence)  # unions report each of their members
    return "; ".join(sentences.values())


def _keys_beside(keys: Sequence[str]) -> list[str]:
    return list(RunConfig.model_fields if len(keys) == 1 else _section(keys[0]).model_fields)


def _section(name: str) -> type[Section]:
    section = RunConfig.model_fields[name].annotation
    if get_args(section):  # a list of sections
        section = get_args(section)[0]
    assert isinstance(section, type) and issubclass(section, Section)
    return section

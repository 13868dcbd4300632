"""Reading a training's configuration: its YAML, overrides from the command line, errors in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from train.errors import FitConfigError
from train.fit_config import FitConfig
from train.yaml_text import load_yaml


def load_fit_config(
    path: Path | None = None, overrides: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> FitConfig:
    """Configuration of a training: its YAML, then overrides, then options, the later ones winning.

    Parameters
    ----------
    path
        YAML file with the sections of `FitConfig`; None starts from the defaults.
    overrides
        `section.key=value`, values in YAML syntax.
    options
        Values by `section.key`; None changes nothing.

    Raises
    ------
    FitConfigError
        If the file cannot be read or a key, value or override is wrong.
    """
    tree = _read(path) if path is not None else {}
    for override in overrides:
        _put(tree, *_parse(override))
    for key, value in (options or {}).items():
        if value is not None:
            _put(tree, key, value)
    return parse_fit_config(tree, path)


def parse_fit_config(tree: Mapping[str, Any], path: Path | None = None) -> FitConfig:
    """Configuration from its sections, as YAML or JSON gave them.

    Parameters
    ----------
    path
        Where they are from, for the message.

    Raises
    ------
    FitConfigError
        If a key or value is wrong.
    """
    try:
        return FitConfig.model_validate(tree)
    except ValidationError as error:
        raise FitConfigError(_explain(error, path)) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FitConfigError(f"cannot read configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FitConfigError(f"{path} is not a text in UTF-8: save it with that encoding") from error
    except ValueError as error:
        raise FitConfigError(f"{path} is not valid YAML: {error}") from error
    if loaded is not None and not isinstance(loaded, dict):
        raise FitConfigError(f"{path} must hold sections such as `model:`, not a {type(loaded).__name__}")
    # A section whose keys are all commented out is an empty one.
    empty: dict[str, Any] = {"curriculum": []}
    return {key: empty.get(key, {}) if value is None else value for key, value in (loaded or {}).items()}


def _parse(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not all(key.strip().split(".")):
        raise FitConfigError(f"--set {override!r} is not section.key=value, e.g. data.batch_size=16")
    try:
        return key.strip(), load_yaml(text)
    except ValueError as error:
        raise FitConfigError(f"--set {override!r}: the value is not valid YAML") from error


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    section, dot, rest = key.partition(".")
    if not dot:
        tree[section] = value
        return
    branch = tree.get(section)
    if not isinstance(branch, dict | None):
        raise FitConfigError(f"{section!r} holds no keys: set it as a whole")
    tree[section] = dict(branch or {})
    _put(tree[section], rest, value)


def _explain(error: ValidationError, path: Path | None) -> str:
    """One sentence a wrong key, joined; names what is allowed."""
    where = f" in {path}" if path else ""
    sentences: dict[str, str] = {}
    for problem in error.errors():
        location, beside, meaning = _place(problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            sentence = f"{location}{where} is not a known key; known here: {', '.join(beside)}"
        elif problem["type"] == "missing":
            sentence = f"{location}{where} is missing (it is: {meaning})"
        elif meaning:
            sentence = f"{location}{where} is {problem['input']!r}: {message} (it is: {meaning})"
        else:  # of keys that contradict each other; the message names them
            sentence = f"{location}{where}: {message}" if location else f"{message}{where}"
        sentences.setdefault(location, sentence)  # unions report each of their members
    return "; ".join(sentences.values())


def _place(loc: tuple[int | str, ...]) -> tuple[str, list[str], str | None]:
    """The key that an error is about, the keys that stand beside it, and what it means (None: a section)."""
    model: type[BaseModel] | None = FitConfig
    keys, beside, meaning = [], list(FitConfig.model_fields), None
    for part in loc:
        if model is None:
            break  # inside a value, such as the bounds of a range
        keys.append(str(part))
        if isinstance(part, int):
            continue  # in a list of sections
        beside = list(model.model_fields)
        field = model.model_fields.get(part)
        meaning = field.description if field else None
        model = _section(field.annotation) if field else None
    return ".".join(keys), beside, meaning


def _section(annotation: Any) -> type[BaseModel] | None:
    """Model of a section, of an optional section, or of a list of them; None for plain values."""
    kind = next(iter(get_args(annotation)), annotation)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None

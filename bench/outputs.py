"""What a benchmark writes, and what it refuses: paths are checked before the work, not after it."""

import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console


class UsageError(Exception):
    """A benchmark is asked for what it cannot do; the message says what and what it can."""


class OutputError(Exception):
    """Results cannot be written; the message says where and why."""


def wide_console() -> Console:
    """A console on which a narrow terminal does not break a table's rows."""
    return Console(width=220, highlight=False)


def writable(*suffixes: str) -> Callable[[Path | None], Path | None]:
    """A check of a path option: one of these suffixes, in a folder that is there.

    The check raises `UsageError` where it finds otherwise.
    """

    def check(path: Path | None) -> Path | None:
        if path is None:
            return None
        if path.suffix.lower() not in suffixes:
            raise UsageError(f"cannot write {path}: its name must end in {' or '.join(suffixes)}")
        if not path.parent.is_dir():
            raise UsageError(f"cannot write {path}: there is no folder {path.parent}")
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise UsageError(f"cannot write {path}: it is a folder, or closed to you")
        return path

    return check


def write_json(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Write figures as JSON, where a path is given.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def save_figures(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Write figures and the machine they were measured on as JSON, where a path is given.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    machine = {"system": platform.platform(), "python": platform.python_version(), "cpus": os.cpu_count()}
    write_json(path, {"machine": machine, **figures})

"""The run folder: making it, describing it in `run.json`, and reading a finished one."""

import json
import math
import os
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd

from stream.config import ConfigError, OutputConfig
from stream.record.tables import TRIGGERS
from stream.results import StreamError

RUN_JSON = "run.json"
JOURNAL = "journal"
FORMAT = 2
MAX_NAME = 80
REPLACE_TRIES = 10
REPLACE_WAIT_S = 0.05
# Windows keeps these for devices, whatever the extension (Microsoft, "Naming Files, Paths, and Namespaces").
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)

Info = dict[str, Any]


def create_run_folder(output: OutputConfig, source_name: str, now: datetime) -> Path:
    """Make an empty run folder, e.g. `runs/2026-11-22T14-03-05_movie`; the name suits every file system.

    Raises
    ------
    ConfigError
        If the folder that was asked for exists or cannot be made.
    """
    if output.name is not None and (RESERVED.fullmatch(output.name) or output.name.endswith(".")):
        raise ConfigError(
            f"output.name is {output.name!r}, which Windows does not allow; choose another name"
        )
    source = re.sub(r"[^\w.-]+", "_", source_name)[:MAX_NAME].strip("._") or "run"
    name = output.name or f"{now:%Y-%m-%dT%H-%M-%S}_{source}"
    for attempt in count(1):
        folder = output.folder / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            output.folder.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except FileExistsError as error:
            if output.folder.is_dir() and output.name is None:  # another run of this movie in this second
                continue
            if output.folder.is_dir():
                raise ConfigError(
                    f"run folder {folder} exists and is never overwritten; choose another output.name"
                ) from error
            raise ConfigError(f"output.folder {output.folder} is a file; choose another folder") from error
        except OSError as error:
            raise ConfigError(
                f"cannot make run folder {folder}: {error.strerror}; "
                "set output.folder to a place you may write to"
            ) from error
        break
    return folder


def write_info(folder: Path, info: Info) -> None:
    """Replace `run.json` in one step: readers, and a crash at any moment, find the old or the new one.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    fresh = folder / f"{RUN_JSON}.new"
    try:
        with fresh.open("w", encoding="utf-8", newline="\n") as file:
            json.dump(_finite(info), file, indent=2, ensure_ascii=False, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        replace(fresh, folder / RUN_JSON)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise


def replace(source: Path, target: Path) -> None:
    """`os.replace` that waits a moment for others: Windows refuses while somebody has the target open.

    Raises
    ------
    OSError
        If it cannot be replaced.
    """
    for _ in range(REPLACE_TRIES - 1):
        try:
            os.replace(source, target)
        except PermissionError:
            time.sleep(REPLACE_WAIT_S)
        else:
            return
    os.replace(source, target)


def read_info(folder: Path) -> Info:
    """Read `run.json`.

    Raises
    ------
    StreamError
        If `folder` is not a run folder.
    """
    try:
        info = json.loads((folder / RUN_JSON).read_text(encoding="utf-8"))
    except OSError as error:
        raise StreamError(
            f"{folder} is not a run folder: {RUN_JSON} in it cannot be read ({error.strerror}); "
            "give a folder such as runs/2026-11-22T14-03-05_movie"
        ) from error
    except ValueError as error:
        raise StreamError(f"{folder / RUN_JSON} is damaged ({error}); it is not the file of a run") from error
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        raise StreamError(
            f"{folder / RUN_JSON} is not of format {FORMAT}, the one this version reads: take the version "
            "that recorded the run, or read its tables by themselves"
        )
    return info


def cannot_write(path: Path, error: OSError, consequence: str) -> StreamError:
    """The error of a run whose disk is full or gone; `consequence` says what now, or what to do."""
    try:
        room = f"{shutil.disk_usage(path.parent).free / 1e6:.1f} MB are free there"
    except OSError:
        room = "that place is gone"
    return StreamError(f"cannot write {path}: {error.strerror or error} ({room}); {consequence}")


class Run:
    """A finished run; `info` is its `run.json`, the tables are read when they are asked for."""

    def __init__(self, path: Path, info: Info) -> None:
        self.path = path
        self.info = info

    def puncta(self) -> pd.DataFrame:
        """All localizations, one row a punctum and frame; track_id −1 where it belongs to no track."""
        return self._table("puncta")

    def trajectories(self) -> pd.DataFrame:
        """Positions and ΔF/F0 of every track in every frame, bridged gaps with observed = 0."""
        return self._table("trajectories")

    def tracks(self) -> pd.DataFrame:
        """One row a track: extent, motion and calcium activity."""
        return self._table("tracks")

    def events(self) -> pd.DataFrame:
        """One row a calcium event."""
        return self._table("calcium_events")

    def transients(self) -> pd.DataFrame:
        """One row a calcium transient anywhere in the field, whether or not a punctum is there, waves too."""
        return self._table("calcium_transients")

    def triggers(self) -> pd.DataFrame:
        """One row a trigger of the run's rules: what fired, what was done about it, and how late."""
        if not self.info["configuration"].get("rules"):  # also runs from before there were rules
            return pd.DataFrame(TRIGGERS.empty_table().to_pandas())
        return self._table("triggers")

    def frames(self) -> pd.DataFrame:
        """One row a frame: times, missing frames before it, time each stage took."""
        return self._table("frames")

    def _table(self, name: str) -> pd.DataFrame:
        path = self.path / f"{name}.parquet"
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise StreamError(
                f"cannot read {path}: {error}; it belongs to the run and must not be moved"
            ) from error


def open_run(path: Path | str) -> Run:
    """Open a finished run to read its results.

    Raises
    ------
    StreamError
        If `path` is not a run folder, or the run has not been finished.
    """
    path = Path(path)
    info = read_info(path)
    if info["results"] != "tables":
        raise StreamError(
            f"run {path} has no results yet (it is {info['state']!r}); "
            f"wait for its end, or if it was killed run `piezo1 recover {path}`"
        )
    return Run(path, info)


def _finite(value: Any) -> Any:
    """The same with null for what JSON cannot say (NaN and infinity)."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

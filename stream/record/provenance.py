"""What is written about a run when it begins, so that its results can be judged and repeated."""

import platform
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib import metadata

import numpy as np

from acquire.frame import SourceInfo
from acquire.registration import Registration
from model.camera import Camera
from model.commit import code_commit
from stream.alive import this_process
from stream.config import RunConfig
from stream.record.remarks import ADJUSTMENTS, ANNOTATIONS
from stream.record.run import FORMAT, Info

PACKAGES = ("piezo1-calcium-tracker", "numpy", "scipy", "numba", "pyarrow", "pandas", "pyzmq")


@dataclass(frozen=True, slots=True)
class RunStart:
    """What is known when a run begins.

    Attributes
    ----------
    engine, engine_window
        `Engine.description` and `Engine.window`.
    pixel_size_nm, interval_s
        As used, whether given, read from the file or assumed.
    assumptions
        A sentence each, for people.
    registration
        Where channel 1 lies in channel 2, None: in the same place.
    """

    config: RunConfig
    source: SourceInfo
    engine: str
    camera: Camera
    pixel_size_nm: float
    interval_s: float
    assumptions: tuple[str, ...] = ()
    engine_window: int = 1
    registration: Registration | None = None


def describe(start: RunStart) -> Info:
    """The first `run.json` of a run that this process begins now."""
    return {
        "format": FORMAT,
        "state": "running",
        "results": "journal",
        "started": timestamp(),
        "ended": None,
        "source": asdict(start.source),
        "engine": start.engine,
        "engine_window": start.engine_window,
        "camera": _camera(start.camera),
        "registration": _registration(start),
        "pixel_size_nm": start.pixel_size_nm,
        "interval_s": start.interval_s,
        "warnings": list(start.assumptions),
        **{kind: [] for kind in (ADJUSTMENTS, ANNOTATIONS)},
        "counts": {},
        "timings": {},
        "versions": _versions(),
        "process": this_process(),
        "configuration": start.config.model_dump(mode="json"),
    }


def timestamp() -> str:
    """Now, in local time with its offset from UTC (ISO 8601)."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _camera(camera: Camera) -> Info:
    """Parameters; a map is described by its shape and median."""
    return {
        name: {"map": list(value.shape), "median": float(np.median(value))}
        if isinstance(value, np.ndarray)
        else value
        for name, value in ((name, getattr(camera, name)) for name in Camera.__slots__)
    }


def _registration(start: RunStart) -> Info | None:
    """Its file and what that says."""
    if start.registration is None:
        return None
    known = asdict(start.registration)
    known["transform"] = known["transform"].tolist()
    return {"file": str(start.config.channels.registration), **known}


def _versions() -> dict[str, str | None]:
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {
        **versions,
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "commit": code_commit(),
    }

"""Processes that are named in files: which one wrote it, and whether that still lives."""

import platform
from collections.abc import Mapping
from typing import Any

import psutil

# Start times of processes are derived from the boot time, which moves when the clock is set.
START_TOLERANCE_S = 2.0


def this_process() -> dict[str, Any]:
    """The running process as files name it: pid, when it started (s since 1970), and its computer."""
    process = psutil.Process()
    return {"pid": process.pid, "started": process.create_time(), "host": platform.node()}


def is_here(process: Mapping[str, Any]) -> bool:
    """Whether a process is or was one of this computer."""
    return bool(process["host"] == platform.node())


def is_alive(process: Mapping[str, Any]) -> bool:
    """Whether a process still lives on this computer."""
    if not is_here(process):
        return False
    try:
        found = psutil.Process(process["pid"])
        same = abs(found.create_time() - process["started"]) < START_TOLERANCE_S
        return same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's, who may be the one that is meant
        return True

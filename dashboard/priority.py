"""The dashboard steps back: where processors are short, the run comes first."""

import os
from contextlib import suppress

import psutil

NICER = 15  # on POSIX; Linux then gives it a thirtieth beside a process that wants all of a core


def step_back() -> None:
    """Lower this process' priority; where that is not allowed it stays as it is."""
    process = psutil.Process()
    with suppress(psutil.Error, OSError):
        process.nice(getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", 0) if os.name == "nt" else NICER)

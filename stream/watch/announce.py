"""Running runs of this user on this computer, so that dashboards find them: a small file for each."""

import os
import stat
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import msgspec
from msgspec import Meta, Struct

from model.engines.engine_cache import cache_folder
from stream.alive import is_alive, is_here, this_process
from stream.results import StreamError

FOLDER_VARIABLE = "PIEZO1_RUNS"  # overrides the folder, for tests
SUFFIX = ".run"
MAX_BYTES = 65536  # a file has some hundred


class Process(Struct, frozen=True):
    """The analysis' process, as `stream.alive` describes one."""

    pid: Annotated[int, Meta(gt=0, lt=2**31)]
    started: float
    host: str


class Announcement(Struct, frozen=True):
    """A running run.

    Attributes
    ----------
    desk
        Endpoint that dashboards call.
    name
        Of the source.
    folder
        Run folder, absolute.
    started
        When it was announced (ISO 8601, with the offset from UTC, to the microsecond).
    process
        That analyses.
    keys
        Folder of the analysis' keys, whose pair this computer's dashboards may use; empty: none are needed.
    """

    desk: str
    name: str
    folder: str
    started: str
    process: Process
    keys: str = ""

    def is_alive(self) -> bool:
        """Whether its process still lives."""
        return is_alive(msgspec.structs.asdict(self.process))


def announcement_folder() -> Path:
    """Where this user's announcements lie: beside the caches."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else cache_folder().with_name("runs")


def announce(desk: str, name: str, folder: Path, keys: Path | None = None, runs: Path | None = None) -> Path:
    """Announce a run of this process; gives the file, for `withdraw`.

    Parameters
    ----------
    desk, name, folder, keys
        As in `Announcement`; `keys` None where none are needed.
    runs
        Folder for announcements, None: that of this user.

    Raises
    ------
    StreamError
        If it cannot be written; dashboards then need the address.
    """
    announcement = Announcement(
        desk,
        name,
        str(folder.resolve()),
        datetime.now().astimezone().isoformat(),
        Process(**this_process()),
        str(keys.resolve()) if keys else "",
    )
    path = (runs or announcement_folder()) / f"{announcement.process.pid}-{uuid4().hex[:8]}{SUFFIX}"
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.touch(0o600)
        part.write_bytes(msgspec.json.encode(announcement))
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise StreamError(
            f"the run cannot be announced to dashboards, which now need --connect {desk}: "
            f"cannot write into {path.parent}: {error.strerror or error}"
        ) from error
    return path


def withdraw(path: Path) -> None:
    """Take an announcement back; what cannot be removed is ignored as soon as the process has ended."""
    with suppress(OSError):
        path.unlink()


def announcements(runs: Path | None = None) -> list[Announcement]:
    """Runs that go on, the newest first; leftovers of processes that are gone are removed.

    Files of other users are left alone: dashboards call what is written in them.
    """
    found = []
    for path in (runs or announcement_folder()).glob("*" + SUFFIX):
        announcement = _read(path)
        if announcement is None or not is_here(msgspec.structs.asdict(announcement.process)):
            continue  # a home folder may be shared by computers
        if announcement.is_alive():
            found.append(announcement)
        else:
            withdraw(path)
    return sorted(found, key=lambda one: datetime.fromisoformat(one.started), reverse=True)


def _read(path: Path) -> Announcement | None:
    try:
        status = path.lstat()
        is_own = sys.platform == "win32" or status.st_uid == os.getuid()
        if not stat.S_ISREG(status.st_mode) or not is_own:
            return None
        with path.open("rb") as file:
            announcement = msgspec.json.decode(file.read(MAX_BYTES), type=Announcement)
        if datetime.fromisoformat(announcement.started).tzinfo is None:
            return None
    except (OSError, ValueError):  # msgspec's errors are ValueErrors
        return None
    return announcement

"""Which run to watch: the one at the given address, else the newest that is announced on this computer."""

from dataclasses import dataclass
from pathlib import Path

from stream.results import StreamError
from stream.transport.keys import Keys, load_host_keys, load_keys
from stream.transport.sockets import is_local
from stream.watch.address import called, desk_address
from stream.watch.announce import Announcement, announcements


@dataclass(frozen=True, slots=True)
class Target:
    """A desk to call: its endpoint, the keys that it needs, and how it was announced, if it was."""

    endpoint: str
    keys: Keys | None = None
    announcement: Announcement | None = None

    @property
    def name(self) -> str:
        """For people."""
        if self.announcement is None or not self.announcement.name:
            return f"the run at {self.endpoint}"
        return self.announcement.name

    @property
    def has_died(self) -> bool:
        """Whether its process is known to be gone, or its socket."""
        if self.announcement is not None:
            return not self.announcement.is_alive()
        if self.endpoint.startswith("ipc://"):
            return not Path(self.endpoint.removeprefix("ipc://")).exists()
        return False


class Search:
    """Names the desk to call.

    Parameters
    ----------
    connect
        An address as `desk_address` takes it; None: runs that are announced.
    keys
        Folder with the keys for that address, None: none are needed.
    runs
        Folder of announcements, None: that of this user.

    Raises
    ------
    StreamError
        If the address is none, or the keys cannot be used.
    """

    def __init__(self, connect: str | None, keys: Path | None, runs: Path | None) -> None:
        if connect is None and keys is not None:
            raise StreamError("keys are for a run on another computer: give its address too, with --connect")
        self._runs = runs
        self._over: set[Announcement] = set()
        self._given: Target | None = None
        if connect is not None:
            endpoint = desk_address(connect)
            self._given = Target(endpoint, load_keys(keys, "--keys") if keys is not None else None)
            if keys is None and not is_local(endpoint) and self.announced(endpoint) is None:
                raise StreamError(
                    f"{endpoint} is not on this machine, and nothing leaves it in the clear: make keys with "
                    "`piezo1 keys`, exchange the *.public files with the computer that analyses, and give "
                    "the folder as --keys"
                )

    def target(self) -> Target | None:
        """The desk to call now, None where there is none.

        Raises
        ------
        StreamError
            If the keys of an announced run cannot be read.
        """
        if self._given is None:
            for announcement in announcements(self._runs):
                if announcement not in self._over:
                    return _announced(announcement)
            return None
        return self.announced(self._given.endpoint, self._given.keys) or self._given

    def announced(self, endpoint: str, keys: Keys | None = None) -> Target | None:
        """The same desk as it was announced on this computer, None where it was not."""
        for announcement in announcements(self._runs):
            if called(announcement.desk) == endpoint and announcement not in self._over:
                return _announced(announcement, keys)
        return None

    def over(self, target: Target) -> bool:
        """A run has ended: it is not named again. Gives whether its desk may be called for the next one."""
        if target.announcement is not None:
            self._over.add(target.announcement)
        if target.announcement is None and target.endpoint.startswith("tcp://"):
            return True
        self._given = None  # no other run will be there
        return False


def _announced(announcement: Announcement, keys: Keys | None = None) -> Target:
    if keys is None and announcement.keys:
        keys = load_host_keys(Path(announcement.keys)).to_itself
    return Target(called(announcement.desk), keys, announcement)

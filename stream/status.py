"""What source and analysis tell the supervisor while they run."""

from typing import Literal

import msgspec
import zmq
from msgspec import Struct

from stream.transport.sockets import Context

Who = Literal["source", "analysis"]


class Bound(Struct, frozen=True, tag=True):
    """A process listens; endpoints with their real ports. `desk` is where dashboards call, empty without."""

    who: Who
    frames: str = ""
    control: str = ""
    results: str = ""
    triggers: str = ""
    desk: str = ""


class Progress(Struct, frozen=True, tag=True):
    """How far the analysis is; sent a few times a second and once at the end.

    `missing` counts frames of the source without a result, `causes` those that were lost behind the source.
    """

    n_out: int
    n_total: int | None
    missing: int
    puncta: int
    latency_ms: float
    causes: dict[str, int] = {}


class SourceProgress(Struct, frozen=True, tag=True):
    """How far the source is, and what it lost so far, by cause; sent a few times a second."""

    n_sent: int
    losses: dict[str, int]


class Note(Struct, frozen=True, tag=True):
    """Something the user should know, e.g. an assumption."""

    text: str


class EndWish(Struct, frozen=True, tag=True):
    """A dashboard asks for the end of the run, as a first Ctrl-C does."""


class Done(Struct, frozen=True, tag=True):
    """A process is through; `problem` is empty unless it failed."""

    who: Who
    problem: str = ""


Status = Bound | Progress | SourceProgress | Note | EndWish | Done


class StatusSender:
    """A child's line to the supervisor; keeps what is said until it is delivered."""

    def __init__(self, context: Context, endpoint: str) -> None:
        self._socket: zmq.Socket[bytes] = context.socket(zmq.PUSH)
        self._socket.connect(endpoint)

    def say(self, status: Status) -> None:
        """Send; never waits. What finds no room (a supervisor that died) is dropped."""
        try:
            self._socket.send(msgspec.msgpack.encode(status), flags=zmq.NOBLOCK)
        except zmq.Again:
            return

    def close(self) -> None:
        """Close; gives a living supervisor a second to take the last word."""
        self._socket.close(linger=1000)


class StatusReceiver:
    """The supervisor's end of all lines."""

    def __init__(self, context: Context, endpoint: str) -> None:
        self._socket: zmq.Socket[bytes] = context.socket(zmq.PULL)
        self._socket.bind(endpoint)
        self._decoder = msgspec.msgpack.Decoder(Status)
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def receive(self, timeout_ms: int) -> Status | None:
        """Next message, None when nothing came within `timeout_ms`."""
        return self._decoder.decode(self._socket.recv()) if self._socket.poll(timeout_ms) else None

    def close(self) -> None:
        """Close the socket."""
        self._socket.close(linger=0)

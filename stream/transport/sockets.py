"""Endpoints, socket options and the watch on the other side, common to sender and receiver."""

from dataclasses import dataclass
from typing import Literal

import zmq
from zmq.utils.monitor import recv_monitor_message

from stream import wire
from stream.results import StreamError

Delivery = Literal["lossless", "live"]
Context = zmq.Context[zmq.Socket[bytes]]
Socket = zmq.Socket[bytes]

# High-water marks on either side of the frame socket. Live is longer: the receiver drains it to the newest
# frame, so length costs no latency but lets a stall of 16 frames end with a fresh frame.
QUEUE_FRAMES: dict[Delivery, int] = {"lossless": 4, "live": 16}
HEARTBEAT_MS = 1000
DEAD_AFTER_MS = 5000
POLL_MS = 100
LAST_WORD_MS = 500  # how long a closing socket tries to deliver what it holds


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where source and analysis meet; `tcp://127.0.0.1:*` stands for any free port until it is bound."""

    frames: str
    control: str
    results: str


class Watch:
    """Notices that the other side of a socket is gone (not over `inproc`, which has no connections)."""

    def __init__(self, socket: Socket) -> None:
        self._watched = socket
        self.socket = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._gone = False

    def gone(self) -> bool:
        """Whether it has ever disconnected."""
        while not self._gone and self.socket.poll(0):
            self._gone = recv_monitor_message(self.socket)["event"] == zmq.EVENT_DISCONNECTED
        return self._gone

    def close(self) -> None:
        """Stop watching; call it before the watched socket is closed."""
        self._watched.disable_monitor()
        self.socket.close()


def make_socket(context: Context, kind: int, *, heartbeats: bool = True) -> Socket:
    """A socket with heartbeats and a limit on the size of what it accepts.

    One whose queue may be full for long must do without heartbeats: ZeroMQ does not read on then, so they
    stay unanswered, and the connection would be given up.
    """
    socket: Socket = context.socket(kind)
    if heartbeats:
        socket.heartbeat_ivl = HEARTBEAT_MS
        socket.heartbeat_timeout = DEAD_AFTER_MS
    socket.maxmsgsize = wire.MAX_MESSAGE_BYTES
    return socket


def bind(socket: Socket, endpoint: str) -> str:
    """Bind on this machine only; gives the endpoint with its real port.

    Raises
    ------
    StreamError
        If the endpoint is not on this machine or cannot be bound; the socket is closed then.
    """
    if not endpoint.startswith(("ipc://", "inproc://", "tcp://127.0.0.1:")):
        socket.close()
        raise StreamError(
            f"{endpoint} is not on this machine: only ipc, inproc and tcp://127.0.0.1 are allowed"
        )
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        raise StreamError(f"cannot listen on {endpoint}: {error}") from error
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)

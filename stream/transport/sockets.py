"""Endpoints and socket options, common to all who send and receive; in the clear on this machine only."""

import errno
import ipaddress
import re
from dataclasses import dataclass
from socket import gethostbyname
from typing import Literal

import zmq

from stream import wire
from stream.results import StreamError
from stream.transport.gate import ANY_TIME, Gate, secure_caller
from stream.transport.keys import Keys

Delivery = Literal["lossless", "live"]
Context = zmq.Context[zmq.Socket[bytes]]
Socket = zmq.Socket[bytes]

# High-water marks on either side of the frame socket. Live is longer: the receiver drains it to the newest
# frame, so length costs no latency but lets a stall of 16 frames end with a fresh frame.
QUEUE_FRAMES: dict[Delivery, int] = {"lossless": 4, "live": 16}
HEARTBEAT_MS = 1000
# A process that dies closes its connections, which is noticed at once; silence is for pulled cables, and
# must outlast one that is only held up for seconds (swapping, a virus scanner, a paused virtual machine).
DEAD_AFTER_MS = 15000
POLL_MS = 100
# A stranger that connects and says nothing is dropped after this; ours need a few round trips.
HANDSHAKE_MS = 5000
IN_THE_CLEAR = (
    "is not on this machine, and nothing leaves it in the clear: make keys with `piezo1 keys` on both "
    "computers, and set network.keys"
)
LOCALHOST, ANY_ADDRESS = "localhost", "tcp://0.0.0.0"
LAST_WORD_MS = 500  # how long a closing socket tries to deliver what it holds


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where source and analysis meet; `tcp://127.0.0.1:*` stands for any free port until it is bound."""

    frames: str
    control: str
    results: str


def make_socket(context: Context, kind: int, *, heartbeats: bool = True) -> Socket:
    """A socket with heartbeats and a limit on the size of what it accepts.

    One whose queue may be full for long must do without heartbeats: ZeroMQ does not read on then, so they
    stay unanswered, and the connection would be given up.
    """
    socket: Socket = context.socket(kind)
    if heartbeats:
        socket.heartbeat_ivl = HEARTBEAT_MS
        socket.heartbeat_timeout = DEAD_AFTER_MS
    socket.handshake_ivl = HANDSHAKE_MS
    # Connections take this from their listener. One that breaks with messages queued keeps to its own value,
    # by default for ever, whatever the socket is closed with later; and the context's end waits for it.
    socket.linger = LAST_WORD_MS
    socket.maxmsgsize = wire.MAX_MESSAGE_BYTES
    return socket


def is_local(endpoint: str) -> bool:
    """Whether an endpoint can be reached from this computer only."""
    if not endpoint.startswith("tcp://"):
        return True
    host = _host(endpoint)
    try:
        return host == LOCALHOST or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name or *, which may be anything
        return False


def bind(socket: Socket, endpoint: str, gate: Gate | None = None, domain: bytes = ANY_TIME) -> str:
    """Listen; gives the endpoint with its real port.

    Parameters
    ----------
    socket, endpoint
        What is to listen, and where.
    gate
        Encrypts tcp connections and admits the other computer only; None listens in the clear.
    domain
        When the gate admits, see `Gate`.

    Raises
    ------
    StreamError
        If other computers could reach it in the clear, or it cannot be bound; the socket is closed then.
    """
    try:
        if gate is None:
            _refuse_in_the_clear(endpoint)
        elif endpoint.startswith("tcp://"):
            gate.guard(socket, domain)
        socket.bind(_numeric(endpoint))
    except StreamError:
        socket.close()
        raise
    except zmq.ZMQError as error:
        socket.close()
        why = f"cannot listen on {endpoint}: {error}"
        if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
            why += f"; it is no address of this computer, {ANY_ADDRESS} stands for all of them"
        raise StreamError(why) from error
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def connect(socket: Socket, endpoint: str, keys: Keys | None = None) -> None:
    """Call a listener, which need not be there yet; with keys, only the other computer's.

    Raises
    ------
    StreamError
        If it would leave this computer in the clear, or is no endpoint; the socket is closed then.
    """
    try:
        if keys is None:
            _refuse_in_the_clear(endpoint)
        elif endpoint.startswith("tcp://"):
            secure_caller(socket, keys)
        socket.connect(endpoint)
    except StreamError:
        socket.close()
        raise
    except zmq.ZMQError as error:
        socket.close()
        raise StreamError(f"cannot connect to {endpoint}: {error}") from error


def _host(endpoint: str) -> str:
    return endpoint.removeprefix("tcp://").rpartition(":")[0]


def _refuse_in_the_clear(endpoint: str) -> None:
    if not is_local(endpoint):
        raise StreamError(f"{endpoint} {IN_THE_CLEAR}")


def _numeric(endpoint: str) -> str:
    """A listener's endpoint with its host's name resolved: ZeroMQ listens on numbers only."""
    host = _host(endpoint)
    if not endpoint.startswith("tcp://") or not re.search("[a-zA-Z]", host) or ":" in host:
        return endpoint
    try:
        number = gethostbyname(host)
    except OSError as error:
        raise StreamError(f"cannot listen on {endpoint}: {host} is not known here") from error
    if host != LOCALHOST and ipaddress.ip_address(number).is_loopback:
        # Many systems give their own name this number.
        raise StreamError(
            f"cannot listen on {endpoint}: {host} is {number} here, which no other computer reaches; "
            f"give this computer's number, or {ANY_ADDRESS} for all it has"
        )
    return endpoint.replace(host, number, 1)

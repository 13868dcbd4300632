"""Where dashboards call: addresses as people write them, and the endpoints behind them."""

import re

import zmq

from stream.results import StreamError

HELP = "give tcp://HOST:PORT, or what the run on this computer was told to be at"
# A listener at all addresses of a computer is called at the one that needs no network.
EVERYWHERE = re.compile(r"^tcp://(\*|0\.0\.0\.0):")


def called(endpoint: str) -> str:
    """The endpoint at which this computer calls its own listener."""
    return EVERYWHERE.sub("tcp://127.0.0.1:", endpoint)


def desk_address(text: str) -> str:
    """Endpoint of the desk at an address: `tcp://HOST:PORT`, `HOST:PORT` or `ipc://PATH`.

    Raises
    ------
    StreamError
        If it is none, or cannot be called on this system.
    """
    text = text.strip()
    if text.startswith("ipc://"):
        if not zmq.has("ipc"):
            raise StreamError(f"{text} cannot be called on this system: {HELP}")
        if not 0 < len(text.removeprefix("ipc://").encode()) <= zmq.IPC_PATH_MAX_LEN:
            raise StreamError(f"{text} is no address: the path must have 1 to {zmq.IPC_PATH_MAX_LEN} bytes")
        return text
    found = re.fullmatch(r"(?:tcp://)?([^\s:/]+):(\d{1,5})", text)
    if found is None or not 0 < int(found[2]) < 65536:
        raise StreamError(f"{text!r} is no address of a run: {HELP}")
    return called(f"tcp://{found[1]}:{int(found[2])}")


def beside(desk: str, endpoint: str) -> str:
    """Endpoint that a run told, as seen from where its desk was called: with tcp only its port counts.

    Raises
    ------
    StreamError
        If it is none that a desk there can have.
    """
    scheme = desk.partition("://")[0]
    if endpoint.startswith("ipc://") and scheme == "ipc":
        return endpoint
    found = re.fullmatch(r"tcp://.*:(\d{1,5})", endpoint)
    if found is None or scheme != "tcp":
        raise StreamError(f"the run at {desk} says to be at {endpoint!r} too, which cannot be")
    return f"{desk.rpartition(':')[0]}:{found[1]}"

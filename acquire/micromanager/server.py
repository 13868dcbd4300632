"""The connection to a Micro-Manager that runs already: reach it, never wait for it for ever, notice its end.

Micro-Manager's server answers one request after the other over ZeroMQ. pycromanager's side of it waits for
each answer without limit, also for the good-bye of every Java object when the program ends; so a crash of
Micro-Manager would hang this program. Here every wait is bounded, and a server that is gone is given up.
"""

import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from acquire.frame import SourceError

PORT = 4827  # Micro-Manager's own
GREETING_S = 2.0  # a server on the same computer greets within milliseconds, also when Java collects garbage
CONNECT_S = 10.0  # the first object brings the whole interface of its class, tens of milliseconds
LOOK_S = 0.5  # between two looks whether it is still there

Result = TypeVar("Result")


def not_running(port: int) -> SourceError:
    """What to tell a user whose Micro-Manager cannot be reached."""
    return SourceError(
        f"Micro-Manager does not answer on port {port}: start it, and tick "
        f'"Run server on port {port}" in its menu Tools > Options'
    )


def is_there(port: int = PORT) -> bool:
    """Whether a ZeroMQ server greets at this port; waits at most `GREETING_S`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=GREETING_S) as connection:
            return connection.recv(1) == b"\xff"  # how every ZeroMQ greeting begins (ZMTP 3.1, section 3.1)
    except OSError:
        return False


def bounded(call: Callable[[], Result], limit_s: float, problem: SourceError) -> Result:
    """Result of a call that may hang: raises `problem` when it takes longer than `limit_s` or fails."""
    results: list[Result] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="call to Micro-Manager", daemon=True)
    thread.start()
    thread.join(limit_s)
    if results:
        return results[0]
    if errors and isinstance(errors[0], SourceError):
        raise errors[0]
    raise problem from (errors[0] if errors else None)


def connect(make: Callable[..., Any], port: int = PORT) -> Any:
    """Get a Java object, such as pycromanager's `Core` or `Studio`; raises SourceError within seconds."""
    problem = not_running(port)
    if not is_there(port):
        raise problem
    return bounded(lambda: make(port=port, timeout=int(1000 * GREETING_S)), CONNECT_S, problem)


def leave(port: int) -> None:
    """Say good-bye to all Java objects, or give up a server that is gone.

    Left to the garbage collector, their good-byes would wait without limit for a Micro-Manager that has ended
    by then.
    """

    def close() -> None:
        for bridge in _bridges():
            for shadow in list(bridge._java_objects):
                shadow._close()

    if not _bridges():
        return
    try:
        if not is_there(port):
            raise not_running(port)
        bounded(close, CONNECT_S, not_running(port))
    except SourceError:
        abandon()


def abandon() -> None:
    """Give up a server that is gone: calls that wait for it fail, its objects need no good-bye any more."""
    from pyjavaz import server_terminated

    for bridge in _bridges():
        server_terminated(bridge.port)
        bridge._cached_bridges_by_port.pop(bridge.port, None)
        # pyjavaz has no public way: its own good-bye waits for the answer that never comes.
        for shadow in list(bridge._java_objects):
            shadow._closed = True
        bridge._shutdown_event.set()
        bridge._closed = True


def _bridges() -> list[Any]:
    """All connections of pyjavaz: an acquisition has one of its own besides that to the server's port."""
    from pyjavaz.bridge import Bridge

    bridges = [reference() for reference in list(Bridge._cached_bridges_by_port.values())]
    return [bridge for bridge in bridges if bridge is not None]


class Guard:
    """Looks every `LOOK_S` whether Micro-Manager is still there, and tells once when it is not.

    Parameters
    ----------
    port
        Where it listens.
    lost
        Called with the problem, from the guard's own thread, after two looks in vain.
    """

    def __init__(self, port: int, lost: Callable[[SourceError], None]) -> None:
        self._port, self._lost = port, lost
        self._done = threading.Event()
        threading.Thread(target=self._look, name="guard of Micro-Manager", daemon=True).start()

    def _look(self) -> None:
        missed = 0
        while not self._done.wait(LOOK_S):
            missed = 0 if is_there(self._port) else missed + 1
            if missed == 2:
                # Told first: calls that fail because they are given up then already know why.
                self._lost(SourceError(f"Micro-Manager ended: nothing answers on port {self._port} any more"))
                abandon()
                return

    def end(self) -> None:
        """Look no more."""
        self._done.set()

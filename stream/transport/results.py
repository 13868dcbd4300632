"""Results and triggers for whoever listens: dashboards, scripts."""

import zmq

from stream import wire
from stream.results import FrameResult
from stream.transport.gate import Gate
from stream.transport.keys import Keys
from stream.transport.sockets import LAST_WORD_MS, Context, bind, connect, make_socket

RESULT_QUEUE = 100


class ResultPublisher:
    """Publishes results; never waits, and nobody needs to listen.

    Parameters
    ----------
    context, endpoint
        Where it listens for subscribers.
    uplink, keys
        Where results go on the source's computer, if it is another one.
    gate
        For subscribers on other computers.
    run_id
        Of `wire.Report`; subscribers are greeted with it.
    """

    def __init__(
        self,
        context: Context,
        endpoint: str,
        uplink: str = "",
        keys: Keys | None = None,
        gate: Gate | None = None,
        run_id: str = "",
    ) -> None:
        self._socket = make_socket(context, zmq.PUB)
        self._socket.sndhwm = RESULT_QUEUE
        self._socket.setsockopt(zmq.XPUB_WELCOME_MSG, wire.encode_greeting(run_id))
        self.endpoint = bind(self._socket, endpoint, gate)
        self._uplink = make_socket(context, zmq.PUB) if uplink else None
        if self._uplink is not None:
            self._uplink.sndhwm = RESULT_QUEUE
            connect(self._uplink, uplink, keys)

    def publish(self, result: FrameResult) -> None:
        """Send a result."""
        self._send(wire.encode_result(result))

    def publish_trigger(self, message: wire.Trigger | wire.Acted) -> None:
        """Send a trigger, or what came of it."""
        self._send(wire.encode_trigger(message))

    def publish_over(self, over: wire.RunOver) -> None:
        """Send how the run ended; nothing comes after that."""
        self._send(wire.encode_over(over))

    def close(self) -> None:
        """Close the sockets."""
        for socket in (self._socket, self._uplink):
            if socket is not None:
                socket.close(linger=LAST_WORD_MS)

    def _send(self, parts: list[bytes | memoryview]) -> None:
        for socket in (self._socket, self._uplink):
            if socket is not None:
                socket.send_multipart(parts)

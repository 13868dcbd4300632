"""Results for whoever listens: dashboards, scripts, triggers."""

import zmq

from stream import wire
from stream.results import FrameResult
from stream.transport.sockets import LAST_WORD_MS, Context, bind, make_socket

RESULT_QUEUE = 100


class ResultPublisher:
    """Publishes results; never waits, and nobody needs to listen."""

    def __init__(self, context: Context, endpoint: str) -> None:
        self._socket = make_socket(context, zmq.PUB)
        self._socket.sndhwm = RESULT_QUEUE
        self.endpoint = bind(self._socket, endpoint)

    def publish(self, result: FrameResult) -> None:
        """Send a result."""
        self._socket.send_multipart(wire.encode_result(result))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close(linger=LAST_WORD_MS)

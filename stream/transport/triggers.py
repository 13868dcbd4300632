"""The line that triggers take to the source and answers take back: a pair of DEALER sockets of its own."""

from contextlib import suppress

import zmq

from stream import wire
from stream.transport.gate import Gate
from stream.transport.keys import Keys
from stream.transport.sockets import LAST_WORD_MS, Context, bind, connect, make_socket
from stream.transport.watch import Watch

# ZeroMQ keeps this many messages for a source that does not read; then triggers are refused, not waited for.
QUEUE_TRIGGERS = 1000


class TriggerLine:
    """One end of the line; it belongs to one thread, and never waits where that is not asked for.

    Parameters
    ----------
    listens
        True at the source, which binds; the analysis connects.
    gate, keys
        For the other side on another computer: at the source its gate, at the analysis its keys.

    Attributes
    ----------
    endpoint
        Where it listens, with its real port.
    """

    def __init__(
        self,
        context: Context,
        endpoint: str,
        *,
        listens: bool,
        gate: Gate | None = None,
        keys: Keys | None = None,
    ) -> None:
        self._socket = make_socket(context, zmq.DEALER)
        self._socket.sndhwm = self._socket.rcvhwm = QUEUE_TRIGGERS
        self._watch = Watch(self._socket)
        self.endpoint = endpoint
        if listens:
            self.endpoint = bind(self._socket, endpoint, gate)
        else:
            connect(self._socket, endpoint, keys)

    def say(self, message: wire.TriggerMessage) -> bool:
        """Send; False when there is no room for more, as nobody reads."""
        try:
            self._socket.send_multipart(wire.encode_trigger(message), flags=zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def hear(self, timeout_ms: int = 0) -> wire.TriggerMessage | None:
        """Next message, None when none came within `timeout_ms`; what is damaged counts as none."""
        if self._socket.poll(timeout_ms):
            with suppress(wire.WireError):
                return wire.decode_trigger(self._socket.recv_multipart())
        return None

    def gone(self) -> bool:
        """Whether the other side was there and has left."""
        return self._watch.gone()

    def close(self) -> None:
        """Close the socket; what is still queued is given up after a moment."""
        self._watch.close()
        self._socket.close(linger=LAST_WORD_MS)

"""Pictures for dashboards: now and then the raw frame of a result that was just published."""

import time
from contextlib import suppress

import zmq

from acquire.frame import Frame
from stream import wire
from stream.transport.gate import Gate
from stream.transport.sockets import LAST_WORD_MS, Context, bind, make_socket

# A dashboard redraws 30 times a second. Encoding costs the analysis time by the byte, and a network of
# 1 Gbit/s carries twice this.
MAX_PER_S, MAX_BYTES_PER_S = 30.0, 60e6
READ_AT_ONCE = 100  # words of subscribers, who may say any number of them
QUEUE_PICTURES = 2  # for each dashboard: what is older is not worth showing


class PictureSender:
    """Publishes frames while somebody subscribes; never waits. It belongs to one thread.

    Parameters
    ----------
    context, endpoint
        Where it listens for subscribers.
    gate
        For those on other computers.
    run_id
        Of `wire.Report`; subscribers are greeted with it.

    Attributes
    ----------
    endpoint
        Where it listens, with its real port.

    Raises
    ------
    StreamError
        If the endpoint cannot be bound, or other computers could reach it in the clear.
    """

    def __init__(self, context: Context, endpoint: str, gate: Gate | None = None, run_id: str = "") -> None:
        # A full queue is no reason to give a connection up.
        self._socket = make_socket(context, zmq.XPUB, heartbeats=False)
        self._socket.sndhwm = QUEUE_PICTURES
        self._socket.setsockopt(zmq.XPUB_WELCOME_MSG, wire.encode_greeting(run_id))
        self.endpoint = bind(self._socket, endpoint, gate)
        self._subscribed: set[bytes] = set()
        self._next_s = 0.0

    def wanted(self, now: float) -> bool:
        """Whether a picture may be sent at `now` (`time.monotonic`): somebody subscribes, and it is time."""
        return now >= self._next_s and self._is_subscribed()

    def send(self, frame: Frame) -> None:
        """Send a frame; its memory is copied, so it may be used for something else afterwards."""
        self._next_s = time.monotonic() + max(1 / MAX_PER_S, frame.pixels.nbytes / MAX_BYTES_PER_S)
        with suppress(zmq.Again, wire.WireError):  # its metadata may be too large to travel
            self._socket.send_multipart(wire.encode_frame(frame, time.time_ns()), flags=zmq.NOBLOCK)

    def close(self) -> None:
        """Close the socket; what is queued is given up after a moment."""
        self._socket.close(linger=LAST_WORD_MS)

    def _is_subscribed(self) -> bool:
        """ZeroMQ tells of the first subscription to a topic, and of the end of the last one."""
        with suppress(zmq.Again):
            for _ in range(READ_AT_ONCE):
                word = self._socket.recv(zmq.NOBLOCK)
                topic = word[1:]
                if not wire.FRAME_TOPIC.startswith(topic):
                    continue
                if word.startswith(b"\x01"):
                    self._subscribed.add(topic)
                elif word.startswith(b"\x00"):
                    self._subscribed.discard(topic)
        return bool(self._subscribed)

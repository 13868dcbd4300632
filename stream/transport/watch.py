"""The watch on the connections of a socket: whether the peer came, left, or was refused."""

from contextlib import suppress

import zmq
from zmq.utils.monitor import recv_monitor_message

from stream.transport.gate import BUSY

EVENTS = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_CONNECTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
# The other side may be about to start when a tunnel accepts a call for it and drops it at once; ZeroMQ tries
# every 100 ms, so after a second of that it is no coincidence.
DROPPED_CALLS = 10

NO_KEYS = "one side uses keys and the other none: set network.keys on both computers"
UNKNOWN_HERE = "it does not know this computer's key: copy the *.public file from here into its network.keys"
NO_SOURCE = "what listens there is no source of this program"
DROPPED = "it drops every call: its key is not the *.public one in network.keys here, or it uses no keys"


class Watch:
    """Notices what becomes of a socket's connections (not over `inproc`, which has none).

    A peer has come when its handshake succeeded, with the right keys where there are keys; it is gone when
    every connection that was open then is closed. So strangers neither come nor go.
    """

    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        self._watched = socket
        self._monitor = socket.get_monitor_socket(EVENTS)
        self._open: set[int] = set()
        self._peer: set[int] = set()
        self._came = False
        self._gone = False
        self._dropped = 0
        self._refused_caller = ""
        self._refused_here = ""

    def came(self) -> bool:
        """Whether the peer has ever been there."""
        self._read()
        return self._came

    def gone(self) -> bool:
        """Whether the peer was there and has ever disconnected."""
        self._read()
        return self._gone

    def refusal(self) -> str:
        """Why a socket that connects will never get through, in words; empty while it may."""
        self._read()
        if not self._refused_caller and self._dropped >= DROPPED_CALLS:
            return DROPPED
        return self._refused_caller

    def refused(self) -> str:
        """Why the last stranger was refused by a socket that listens, in words, once; empty if none was."""
        self._read()
        why, self._refused_here = self._refused_here, ""
        return why

    def close(self) -> None:
        """Stop watching; call it before the watched socket is closed."""
        with suppress(zmq.ZMQError):  # it could not be bound, and is closed already
            self._watched.disable_monitor()
        self._monitor.close()

    def _read(self) -> None:
        while self._monitor.poll(0):
            message = recv_monitor_message(self._monitor)
            self._take(message["event"], message["value"])

    def _take(self, event: int, value: int) -> None:
        match event:
            case zmq.EVENT_ACCEPTED | zmq.EVENT_CONNECTED:
                self._open.add(value)
            case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._came, self._dropped, self._refused_caller = True, 0, ""
                self._peer = self._peer or set(self._open)
            case zmq.EVENT_DISCONNECTED:
                self._open.discard(value)
                self._peer.discard(value)
                self._gone = self._gone or (self._came and not self._peer)
            case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                busy = value == int(BUSY)
                self._refused_caller = "it is busy with another analysis" if busy else UNKNOWN_HERE
            case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                if value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
                    self._refused_caller = self._refused_here = NO_KEYS
                else:
                    self._refused_caller = NO_SOURCE
                    self._refused_here = "it expects another key than this computer's"
            case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                self._dropped += 1
                self._refused_here = "it has no keys, expects other keys, or left at once"

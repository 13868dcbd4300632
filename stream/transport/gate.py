"""CURVE on sockets between two computers, and the gate that lets only the configured ones in.

CURVE is ZeroMQ's own encryption and authentication (ZeroMQ RFC 26/CurveZMQ: Bernstein's CurveCP handshake
and NaCl boxes). Either side knows the other's public key beforehand: the listener refuses every other key,
and the one that connects speaks to nobody who cannot prove to own the listener's.
"""

from contextlib import suppress
from threading import Event, Lock, Thread

import zmq
from zmq.utils import z85

from stream.transport.keys import DASHBOARD_KEYS, NETWORK_KEYS, PUBLIC_SUFFIX, HostKeys, Keys

ANY_TIME, UNTIL_SHUT = b"any time", b"until shut"  # ZAP domains of the sockets behind a gate
ZAP_ENDPOINT = "inproc://zeromq.zap.01"  # fixed by ZeroMQ RFC 27/ZAP, one in a context
ZAP_VERSION = b"1.0"
BUSY = b"500"  # of ZAP's codes: 400 says that the key is wrong, and with 300 the caller would hear nothing
MAX_REFUSED = 10
POLL_MS = 100


def secure_caller(socket: "zmq.Socket[bytes]", keys: Keys) -> None:
    """Make a socket that will connect speak CURVE, and only to the owner of the peer's key."""
    socket.curve_secretkey = keys.secret
    socket.curve_publickey = keys.public
    socket.curve_serverkey = keys.peer


class Gate:
    """Admits known keys to the listeners of a context, and remembers whom it refused; close it before that.

    With `Keys` that is the one peer, with `HostKeys` all of their admitted ones.

    ZeroMQ asks it about every connection (RFC 27/ZAP). It is written out, as pyzmq's own authenticator runs
    on asyncio, which needs another event loop on Windows than the default one.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", keys: Keys | HostKeys) -> None:
        self._keys = keys
        if isinstance(keys, Keys):
            self._admitted = frozenset([keys.peer])
            self._unlike = f"is not the one in {NETWORK_KEYS} here, {keys.peer.decode('ascii')}"
        else:
            self._admitted = keys.admitted
            self._unlike = f"is in no *{PUBLIC_SUFFIX} file in {DASHBOARD_KEYS} here"
        self._socket: zmq.Socket[bytes] = context.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.bind(ZAP_ENDPOINT)
        self._is_shut = Event()
        self._over = Event()
        self._lock = Lock()
        self._refused: dict[str, None] = {}
        self._thread = Thread(target=self._run, name="gate", daemon=True)
        self._thread.start()

    def guard(self, socket: "zmq.Socket[bytes]", domain: bytes = ANY_TIME) -> None:
        """Put a socket that will bind behind this gate: it speaks CURVE only, with whom it admits."""
        socket.curve_server = True
        socket.curve_secretkey = self._keys.secret
        socket.curve_publickey = self._keys.public
        socket.zap_domain = domain
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without a gate nobody, instead of everybody

    def shut(self) -> None:
        """The peer is in: from now on nobody else is admitted to sockets guarded `UNTIL_SHUT`."""
        self._is_shut.set()

    def refused(self) -> list[str]:
        """Sentences on whom it refused since the last call."""
        with self._lock:
            sentences, self._refused = list(self._refused), {}
        return sentences

    def close(self) -> None:
        """Stop; from now on nobody is admitted."""
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._over.is_set():
            with suppress(zmq.ZMQError):  # one connection's trouble is not the others'
                if self._socket.poll(POLL_MS):
                    self._socket.send_multipart(self._answer(self._socket.recv_multipart()))

    def _answer(self, request: list[bytes]) -> list[bytes]:
        """Reply to: version, request id, domain, address, identity, mechanism, credentials."""
        status = b"400"
        if len(request) == 7 and request[0] == ZAP_VERSION and request[5] == b"CURVE":
            key = z85.encode(request[6])
            if key in self._admitted:
                status = BUSY if request[2] == UNTIL_SHUT and self._is_shut.is_set() else b"200"
            else:
                self._note(request[3].decode("ascii", "replace"), key.decode("ascii"))
        return [ZAP_VERSION, request[1] if len(request) > 1 else b"", status, b"", b"", b""]

    def _note(self, address: str, key: str) -> None:
        with self._lock:
            if len(self._refused) < MAX_REFUSED:  # a stranger may try with many keys
                self._refused[f"a connection from {address} was refused: its key {key} {self._unlike}"] = None

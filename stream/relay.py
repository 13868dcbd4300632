"""Brings the results of an analysis on another computer to the source's, for its dashboards and scripts."""

import time
from threading import Event, Thread

import zmq

from stream import wire
from stream.results import StreamError
from stream.status import Progress, StatusSender
from stream.transport.gate import Gate
from stream.transport.keys import Keys
from stream.transport.sockets import LAST_WORD_MS, POLL_MS, Context, bind, make_socket

TOLD_EVERY_S = 0.1
QUEUE = 1000  # results; seconds of them, should this computer be busy


class ResultRelay:
    """Takes results in from the analysis, tells how far it is, and publishes them on this computer.

    Parameters
    ----------
    context
        Of the sockets.
    uplink, results
        Where the analysis brings its results, and where they are published here.
    status
        Endpoint that hears of the analysis' progress.
    keys
        So that only the analysis gets in; None for one on this computer without keys.

    Attributes
    ----------
    endpoint
        Where results are published, with its real port.
    """

    def __init__(self, context: Context, uplink: str, results: str, status: str, keys: Keys | None) -> None:
        self._gate = Gate(context, keys) if keys else None
        self._uplink = make_socket(context, zmq.SUB)
        self._uplink.rcvhwm = QUEUE
        self._uplink.setsockopt(zmq.SUBSCRIBE, b"")
        self._results = make_socket(context, zmq.PUB)
        self._status = StatusSender(context, status)
        self._n_out = self._missing = 0
        self._told_s = 0.0
        self._over = Event()
        self._thread = Thread(target=self._run, name="relay results", daemon=True)
        try:
            bind(self._uplink, uplink, self._gate)
            self.endpoint = bind(self._results, results)
        except StreamError:
            self._close_sockets()  # else the context could not end
            raise
        self._thread.start()

    def close(self) -> None:
        """Stop and close the sockets."""
        self._over.set()
        self._thread.join()
        self._close_sockets()

    def _close_sockets(self) -> None:
        self._uplink.close(linger=0)
        self._results.close(linger=LAST_WORD_MS)
        self._status.close()
        if self._gate is not None:
            self._gate.close()

    def _run(self) -> None:
        while not self._over.is_set():
            if self._uplink.poll(POLL_MS):
                parts = self._uplink.recv_multipart()
                self._results.send_multipart(parts)
                if parts[0] == wire.RESULT_TOPIC:
                    self._tell(parts)

    def _tell(self, parts: list[bytes]) -> None:
        try:
            result = wire.decode_result(parts)
        except StreamError:
            return  # whoever subscribed will judge it
        self._n_out += 1
        self._missing += result.missing_before
        now = time.monotonic()
        if now - self._told_s > TOLD_EVERY_S:
            self._told_s = now
            n_puncta = len(result.localizations)
            self._status.say(Progress(self._n_out, None, self._missing, n_puncta, result.latency_ms))

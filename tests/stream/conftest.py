"""Runs that a test talks to while they go on."""

import time
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
import zmq

from stream import wire
from stream.load import load_config
from stream.pipeline import RunOutcome, Supervisor
from stream.status import Bound, Note, Status

WITHIN_S = 30.0


class LiveRun:
    """A run in a thread, and a dashboard that calls its desk, as bytes on a socket."""

    def __init__(self, options: dict[str, object], **more: Any) -> None:
        self.heard: list[Status] = []
        self.outcome: RunOutcome | None = None
        self.supervisor = Supervisor(load_config(options=options), on_status=self.heard.append, **more)
        self._thread = Thread(target=self._run)
        self.context = zmq.Context()
        self._sockets: list[Any] = []
        self._number = 0
        self._line: Any = None
        self._thread.start()

    def _run(self) -> None:
        self.outcome = self.supervisor.run()

    @property
    def notes(self) -> list[str]:
        return [status.text for status in self.heard if isinstance(status, Note)]

    def bound(self) -> Bound:
        """What the analysis listens at."""
        return self.until(
            lambda: next((s for s in self.heard if isinstance(s, Bound) and s.who == "analysis"), None)
        )

    def until(self, what: Callable[[], Any]) -> Any:
        """Wait for something that is not false."""
        deadline = time.monotonic() + WITHIN_S
        while not (found := what()):
            assert time.monotonic() < deadline and self._thread.is_alive(), self.heard
            time.sleep(0.02)
        return found

    def connect(self, kind: int, endpoint: str) -> Any:
        socket = self.context.socket(kind)
        socket.linger = 0
        socket.connect(endpoint)
        self._sockets.append(socket)
        return socket

    def say(self, make: Callable[..., wire.Request], *args: Any) -> Any:
        """Send a request; gives the reply."""
        if self._line is None:
            self._line = self.connect(zmq.DEALER, self.bound().desk)
        self._number += 1
        self._line.send_multipart(wire.encode_desk(make(self._number, *args)))
        while self._line.poll(WITHIN_S * 1000):
            reply = wire.decode_reply(self._line.recv_multipart())
            if reply.number == self._number:
                return reply
        raise AssertionError(f"no reply: {self.heard}")

    def running(self) -> wire.Report:
        """The report, as soon as there is health."""
        return self.until(lambda: (report := self.say(wire.Ask)).health is not None and report)

    def past(self, seq: int) -> wire.Report:
        """The report when that many frames have a result."""
        self.running()
        return self.until(lambda: (report := self.say(wire.Ask)).health.n_out > seq and report)

    def end(self) -> RunOutcome:
        """Wait for its end."""
        self._thread.join(60)
        assert not self._thread.is_alive() and self.outcome is not None
        return self.outcome

    def close(self) -> None:
        if self._thread.is_alive():
            self.supervisor._count_signal()
            self._thread.join(30)
        for socket in self._sockets:
            socket.close()
        self.context.term()


@pytest.fixture
def live_run(settings: Callable[..., dict[str, object]]) -> Iterator[Callable[..., LiveRun]]:
    """Start a run of the sample: its options, and what the supervisor is told besides."""
    runs: list[LiveRun] = []

    def start(transport: str = "inproc", child: Any = None, **options: object) -> LiveRun:
        more = {"child": child} if child else {}
        options = {"engine__name": "wavelet", "source__speed": 1.0, **options}
        runs.append(LiveRun(settings(**options), transport=transport, **more))
        return runs[-1]

    yield start
    for run in runs:
        run.close()

"""Sockets between source and analysis: lossless or live, with a reliable control channel beside them.

Frames travel on PUSH/PULL (lossless: a bounded queue, the source waits) or PUB/SUB (live: never waits,
the newest frame wins, every missing `seq` is counted). Start, end and failures travel on a pair of
DEALER sockets, since PUB drops silently. ZeroMQ's own heartbeats tell either side that the other is
gone, even while Python is busy.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Event
from typing import Literal

import zmq
from zmq.utils.monitor import recv_monitor_message

from acquire.frame import Frame, SourceInfo
from stream import wire
from stream.results import FrameResult, StreamError

Delivery = Literal["lossless", "live"]
Context = zmq.Context[zmq.Socket[bytes]]
Socket = zmq.Socket[bytes]

# High-water marks on either side of the frame socket. Live is longer: the receiver drains it to the newest
# frame, so length costs no latency but lets a stall of 16 frames end with a fresh frame.
QUEUE_FRAMES = {"lossless": 4, "live": 16}
RESULT_QUEUE = 100
HEARTBEAT_MS = 1000
DEAD_AFTER_MS = 5000
POLL_MS = 100
LIVE_STRAGGLERS_S = 0.5
LOST_AFTER_S = 10.0


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where source and analysis meet; `tcp://127.0.0.1:*` stands for any free port until it is bound."""

    frames: str
    control: str
    results: str


class FrameSender:
    """The source's side. Use: `start`, then `send` for each frame, then `finish`; always `close`."""

    def __init__(self, context: Context, endpoints: Endpoints, delivery: Delivery) -> None:
        self._lossless = delivery == "lossless"
        self._frames = _socket(context, zmq.PUSH if self._lossless else zmq.XPUB)
        self._frames.sndhwm = QUEUE_FRAMES[delivery]
        self._monitor = self._frames.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._control = _socket(context, zmq.DEALER)
        self.endpoints = replace(
            endpoints,
            frames=_bind(self._frames, endpoints.frames),
            control=_bind(self._control, endpoints.control),
        )
        self.n_sent = 0
        self.longest_wait_ms = 0.0

    def start(self, info: SourceInfo, stop: Event, timeout_s: float = 300.0) -> bool:
        """Wait until the analysis is ready and announce the source; False when `stop` was set meanwhile.

        Raises
        ------
        StreamError
            If the analysis fails, disappears or is not ready within `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        greeted, subscribed = False, self._lossless
        while not (greeted and subscribed):
            if stop.is_set():
                return False
            if time.monotonic() > deadline:
                raise StreamError(
                    f"the analysis was not ready within {timeout_s:.0f} s: see analysis.log in the run"
                )
            if not greeted and self._control.poll(POLL_MS if subscribed else 1):
                greeted = isinstance(self._read_control(), wire.Hello)
            if not subscribed and self._frames.poll(POLL_MS if greeted else 1):
                subscribed = self._frames.recv().startswith(b"\x01")
        self._control.send_multipart(wire.encode_control(wire.Start.of(info)))
        return True

    def send(self, frame: Frame, stop: Event) -> bool:
        """Hand a frame over; its pixels must not be written to any more.

        Lossless waits for room and gives False when `stop` was set meanwhile; live never waits.

        Raises
        ------
        StreamError
            If the analysis failed or is gone.
        """
        started = time.perf_counter()
        parts = wire.encode_frame(frame, time.time_ns())
        while True:
            if self._control.poll(0):
                self._read_control()
            if self._monitor.poll(0) and self._peer_gone():
                raise StreamError(f"the analysis disappeared after frame {frame.seq - 1}")
            try:
                self._frames.send_multipart(parts, flags=zmq.NOBLOCK, copy=False)
                break
            except zmq.Again:
                if stop.is_set():
                    return False
                self._frames.poll(POLL_MS, zmq.POLLOUT)
        self.n_sent += 1
        self.longest_wait_ms = max(self.longest_wait_ms, (time.perf_counter() - started) * 1e3)
        return True

    def finish(
        self,
        n_frames: int,
        losses: Mapping[str, int],
        reason: str,
        problem: str = "",
        cpu_ms: Mapping[str, float] | None = None,
    ) -> None:
        """Announce the end (see `wire.End`) and wait until the analysis has everything.

        Raises
        ------
        StreamError
            If the analysis failed or is gone before it had everything.
        """
        end = wire.End(
            n_frames, self.n_sent, dict(losses), reason, problem, self.longest_wait_ms, dict(cpu_ms or {})
        )
        self._control.send_multipart(wire.encode_control(end))
        while True:
            if self._control.poll(POLL_MS):
                if isinstance(self._read_control(), wire.Received):
                    return
            elif self._monitor.poll(0) and self._peer_gone():
                raise StreamError(f"the analysis disappeared before it had all {self.n_sent} frames")

    def close(self) -> None:
        """Close the sockets; what is still queued is given up."""
        self._frames.disable_monitor()
        self._monitor.close()
        for socket in (self._frames, self._control):
            socket.close(linger=500)

    def _read_control(self) -> wire.Control:
        message = wire.decode_control(self._control.recv_multipart())
        if isinstance(message, wire.Failed):
            raise StreamError(message.problem)
        return message

    def _peer_gone(self) -> bool:
        return bool(recv_monitor_message(self._monitor)["event"] == zmq.EVENT_DISCONNECTED)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A received frame.

    Attributes
    ----------
    sent_ns
        The sender's wall clock when it handed the frame over.
    missing_before
        Frames missing right before this one.
    receive_ms
        What taking it from the socket and decoding it took.
    """

    frame: Frame
    sent_ns: int
    missing_before: int
    receive_ms: float


class FrameReceiver:
    """The analysis' side. Use: `start`, then `receive` until None; always `close`.

    Attributes
    ----------
    n_received
        Frames given out by `receive`.
    skipped
        Frames passed over because a newer one was there (live only).
    damaged
        Messages that were no valid frame (live only; lossless fails on the first).
    end
        The source's last word, None until it came.
    """

    def __init__(self, context: Context, endpoints: Endpoints, delivery: Delivery) -> None:
        self._lossless = delivery == "lossless"
        self._frames = _socket(context, zmq.PULL if self._lossless else zmq.SUB)
        self._frames.rcvhwm = QUEUE_FRAMES[delivery]
        if not self._lossless:
            self._frames.setsockopt(zmq.SUBSCRIBE, wire.FRAME_TOPIC)
        self._frames.connect(endpoints.frames)
        self._control = _socket(context, zmq.DEALER)
        self._monitor = self._control.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._control.connect(endpoints.control)
        self._poller = zmq.Poller()
        for socket in (self._frames, self._control, self._monitor):
            self._poller.register(socket, zmq.POLLIN)
        self._next_seq = 0
        self._source_gone = False
        self.n_received = 0
        self.skipped = 0
        self.damaged = 0
        self.end: wire.End | None = None

    @property
    def missing_at_end(self) -> int:
        """Frames of the source that are missing after the last one received; known once `end` is."""
        return max(0, self.end.n_frames - self._next_seq) if self.end else 0

    def start(self, timeout_s: float = 60.0) -> SourceInfo:
        """Say that the analysis is ready and wait for the source's announcement.

        Raises
        ------
        StreamError
            If the source is gone or silent for `timeout_s`.
        """
        self._control.send_multipart(wire.encode_control(wire.Hello(wire.VERSION)))
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not self._source_gone:
            if self._control.poll(POLL_MS):
                message = wire.decode_control(self._control.recv_multipart())
                if isinstance(message, wire.Start):
                    return message.info()
                if isinstance(message, wire.End):
                    raise StreamError(
                        message.problem or f"the source ended before its first frame: {message.reason}"
                    )
            elif self._monitor.poll(0):
                self._source_gone = True
        raise StreamError("the source disappeared or said nothing before its first frame")

    def receive(self, when_idle: Callable[[], None] | None = None) -> Arrival | None:
        """Next frame (live: the newest), None after the last; `when_idle` is called in every pause.

        Raises
        ------
        StreamError
            If the source is gone without an end, or (lossless) frames did not arrive.
        """
        silent_since = time.monotonic()
        while not self._complete():
            ready = dict(self._poller.poll(POLL_MS))
            if self._frames in ready:
                arrival = self._take()
                if arrival is not None:
                    return arrival
                silent_since = time.monotonic()
            elif self._control in ready:
                message = wire.decode_control(self._control.recv_multipart())
                if isinstance(message, wire.End):
                    self.end = message
                    silent_since = time.monotonic()
            elif self._monitor in ready:
                recv_monitor_message(self._monitor)
                self._source_gone = True
            elif self._silence_is_final(time.monotonic() - silent_since):
                break
            elif when_idle is not None:
                when_idle()
        self._control.send_multipart(wire.encode_control(wire.Received()))
        return None

    def fail(self, problem: str) -> None:
        """Tell the source that the run failed, so that it stops."""
        self._control.send_multipart(wire.encode_control(wire.Failed(problem[:4096])))

    def close(self) -> None:
        """Close the sockets."""
        self._control.disable_monitor()
        self._monitor.close()
        self._frames.close(linger=0)
        self._control.close(linger=500)

    def _complete(self) -> bool:
        if self.end is None:
            return False
        if self._lossless:
            return self.n_received >= self.end.n_sent
        return self._next_seq >= self.end.n_frames

    def _silence_is_final(self, silence_s: float) -> bool:
        """True when no more frames will come; raises when some should have."""
        if self.end is None:
            if self._source_gone:
                raise StreamError(f"the source disappeared after {self.n_received} frames")
            return False
        if not self._lossless:
            return silence_s > LIVE_STRAGGLERS_S
        if self._source_gone or silence_s > LOST_AFTER_S:
            raise StreamError(f"{self.end.n_sent} frames were sent but only {self.n_received} arrived")
        return False

    def _take(self) -> Arrival | None:
        began = time.perf_counter()
        parts = self._frames.recv_multipart(copy=False)
        while not self._lossless and self._frames.poll(0):
            self.skipped += 1
            parts = self._frames.recv_multipart(copy=False)
        try:
            frame, sent_ns = wire.decode_frame([part.buffer for part in parts])
            if frame.seq < self._next_seq:
                raise wire.WireError(f"frame {frame.seq} came after frame {self._next_seq - 1}")
        except wire.WireError as error:
            if self._lossless:
                raise StreamError(
                    f"a damaged message arrived after {self.n_received} frames: {error}"
                ) from error
            self.damaged += 1
            return None
        missing = frame.seq - self._next_seq
        self._next_seq = frame.seq + 1
        self.n_received += 1
        return Arrival(frame, sent_ns, missing, (time.perf_counter() - began) * 1e3)


class ResultPublisher:
    """Publishes results to whoever listens; never waits, nobody needs to listen."""

    def __init__(self, context: Context, endpoint: str) -> None:
        self._socket = _socket(context, zmq.PUB)
        self._socket.sndhwm = RESULT_QUEUE
        self.endpoint = _bind(self._socket, endpoint)

    def publish(self, result: FrameResult) -> None:
        """Send a result."""
        self._socket.send_multipart(wire.encode_result(result))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close(linger=500)


def _socket(context: Context, kind: int) -> Socket:
    socket: Socket = context.socket(kind)
    socket.heartbeat_ivl = HEARTBEAT_MS
    socket.heartbeat_timeout = DEAD_AFTER_MS
    socket.maxmsgsize = wire.MAX_MESSAGE_BYTES
    return socket


def _bind(socket: Socket, endpoint: str) -> str:
    """Bind on this machine only; gives the endpoint with its real port."""
    local = endpoint.startswith(("ipc://", "inproc://", "tcp://127.0.0.1:"))
    if not local:
        socket.close()
        raise StreamError(
            f"{endpoint} is not on this machine: only ipc, inproc and tcp://127.0.0.1 are allowed"
        )
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        raise StreamError(f"cannot listen on {endpoint}: {error}") from error
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)

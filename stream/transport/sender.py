"""The source's side of the stream."""

import time
from collections.abc import Mapping
from dataclasses import replace
from threading import Event

import zmq

from acquire.frame import Frame, SourceInfo
from stream import wire
from stream.results import StreamError
from stream.transport.sockets import (
    LAST_WORD_MS,
    POLL_MS,
    QUEUE_FRAMES,
    Context,
    Delivery,
    Endpoints,
    Watch,
    bind,
    make_socket,
)


class FrameSender:
    """Hands frames to the analysis. Use: `start`, then `send` for each frame, then `finish`; always `close`.

    Attributes
    ----------
    endpoints
        Where it listens, with real ports.
    is_announced
        Whether the analysis has been told of the source, so that it waits for frames or an end.
    n_sent
        Frames handed over.
    longest_wait_ms
        The longest that handing over one frame took.
    """

    def __init__(self, context: Context, endpoints: Endpoints, delivery: Delivery) -> None:
        self._lossless = delivery == "lossless"
        self._frames = make_socket(context, zmq.PUSH if self._lossless else zmq.XPUB, heartbeats=False)
        self._frames.sndhwm = QUEUE_FRAMES[delivery]
        self._control = make_socket(context, zmq.DEALER)
        self._watches = (Watch(self._frames), Watch(self._control))
        self.endpoints = replace(
            endpoints,
            frames=bind(self._frames, endpoints.frames),
            control=bind(self._control, endpoints.control),
        )
        self.is_announced = False
        self.n_sent = 0
        self.longest_wait_ms = 0.0

    def start(self, info: SourceInfo, stop: Event, timeout_s: float = 300.0) -> bool:
        """Announce the source and wait until the analysis is ready; False when `stop` was set meanwhile.

        Raises
        ------
        StreamError
            If the analysis fails, disappears or is not there within `timeout_s`; once it is, its engine may
            take as long as it needs.
        """
        deadline = time.monotonic() + timeout_s
        greeted, subscribed = False, self._lossless
        while not (greeted and subscribed):
            if stop.is_set():
                return False
            self._check_presence()
            if time.monotonic() > deadline:
                raise StreamError(f"the analysis was not there within {timeout_s:.0f} s")
            if not greeted and self._control.poll(POLL_MS if subscribed else 1):
                greeted = isinstance(self._read_control(), wire.Hello)
            if not subscribed and self._frames.poll(POLL_MS if greeted else 1):
                subscribed = self._frames.recv().startswith(b"\x01")
        if not self._say(wire.Start.of(info), stop):
            return False
        self.is_announced = True
        # Its engine may be built for frames of this shape now, which can take minutes.
        while not (self._control.poll(POLL_MS) and isinstance(self._read_control(), wire.Prepared)):
            if stop.is_set():
                return False
            self._check_presence()
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
            if self._gone():
                raise StreamError(f"the analysis disappeared after {self.n_sent} frames")
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
        figures: Mapping[str, float] | None = None,
    ) -> None:
        """Announce the end (see `wire.End`) and wait until the analysis has everything.

        Raises
        ------
        StreamError
            If the analysis failed or is gone before it had everything.
        """
        end = wire.End(
            n_frames,
            self.n_sent,
            dict(losses),
            reason,
            problem[: wire.MAX_TEXT],
            self.longest_wait_ms,
            dict(cpu_ms or {}),
            dict(figures or {}),
        )
        self._say(end)
        while True:
            if self._control.poll(POLL_MS):
                if isinstance(self._read_control(), wire.Received):
                    return
            elif self._gone():
                raise StreamError(f"the analysis disappeared before it had all {self.n_sent} frames")

    def close(self) -> None:
        """Close the sockets; what is still queued is given up."""
        for watch in self._watches:
            watch.close()
        for socket in (self._frames, self._control):
            socket.close(linger=LAST_WORD_MS)

    def _say(self, message: wire.Control, stop: Event | None = None) -> bool:
        """Send on the control channel; a DEALER whose peer is gone would block, so this never waits long."""
        parts = wire.encode_control(message)
        while True:
            try:
                self._control.send_multipart(parts, flags=zmq.NOBLOCK)
                return True
            except zmq.Again:
                if self._gone():
                    raise StreamError(f"the analysis disappeared after {self.n_sent} frames") from None
                if stop is not None and stop.is_set():
                    return False
                if self._control.poll(POLL_MS, zmq.POLLIN | zmq.POLLOUT) & zmq.POLLIN:
                    self._read_control()

    def _read_control(self) -> wire.Control:
        message = wire.decode_control(self._control.recv_multipart())
        if isinstance(message, wire.Failed):
            raise StreamError(message.problem)
        return message

    def _check_presence(self) -> None:
        if self._gone():
            raise StreamError("the analysis disappeared while it was getting ready")

    def _gone(self) -> bool:
        return any(watch.gone() for watch in self._watches)

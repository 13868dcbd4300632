"""The analysis' side of the stream."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
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
    make_socket,
)

LIVE_STRAGGLERS_S = 0.5
LOST_AFTER_S = 10.0
STOP_GRACE_S = 3.0  # a source that is asked to stop says its end within this time, if it can


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

    @property
    def origin_ns(self) -> int:
        """Where latency begins: its last pixel's arrival at the source, of a recording when it was sent."""
        return self.sent_ns if self.frame.arrived_ns is None else self.frame.arrived_ns


class FrameReceiver:
    """Takes frames from the source. Use: `start`, then `receive` until None; always `close`.

    Parameters
    ----------
    stop
        Set when the source is known to be over: what has arrived is still given out, but nothing is
        waited for beyond a moment's grace.

    Attributes
    ----------
    n_received
        Frames given out by `receive`.
    skipped
        Messages passed over because a newer one was there (live only).
    damaged
        Messages that were no valid frame (live only; lossless fails on the first).
    end
        The source's last word, None until it came.
    """

    def __init__(self, context: Context, endpoints: Endpoints, delivery: Delivery, stop: Event) -> None:
        self._lossless = delivery == "lossless"
        self._stop = stop
        self._frames = make_socket(context, zmq.PULL if self._lossless else zmq.SUB, heartbeats=False)
        self._frames.rcvhwm = QUEUE_FRAMES[delivery]
        if not self._lossless:
            self._frames.setsockopt(zmq.SUBSCRIBE, wire.FRAME_TOPIC)
        self._frames.connect(endpoints.frames)
        self._control = make_socket(context, zmq.DEALER)
        self._watch = Watch(self._control)
        self._control.connect(endpoints.control)
        self._poller = zmq.Poller()
        for socket in (self._frames, self._control):
            self._poller.register(socket, zmq.POLLIN)
        self._info: SourceInfo | None = None
        self._is_prepared = False
        self._next_seq = 0
        self.n_received = 0
        self.skipped = 0
        self.damaged = 0
        self.end: wire.End | None = None

    @property
    def frames_in(self) -> int:
        """Frames of the source, lost ones counted: as its end says, before that as far as they are known."""
        return self.end.n_frames if self.end else self._next_seq

    def start(self, timeout_s: float = 60.0) -> SourceInfo | None:
        """Say that the analysis is here and take the source's announcement; None when there will be none.

        A source that is stopped this early just leaves; `stop` tells that from one that was lost.

        Raises
        ------
        StreamError
            If the source is gone or silent for `timeout_s`.
        """
        self._say(wire.Hello(wire.VERSION))
        deadline = time.monotonic() + timeout_s
        while (time.monotonic() < deadline and not self._watch.gone()) or self._control.poll(0):
            if self._control.poll(POLL_MS):
                message = wire.decode_control(self._control.recv_multipart())
                if isinstance(message, wire.Start):
                    self._info = message.info()
                    return self._info
            elif self._stop.is_set():
                return None
        if self._stop.wait(STOP_GRACE_S):
            return None
        raise StreamError("the source disappeared or said nothing before its first frame")

    def receive(self, when_idle: Callable[[], None] | None = None) -> Arrival | None:
        """Next frame (live: the newest), None after the last; `when_idle` is called in every pause.

        The source sends nothing before the first call.

        Raises
        ------
        StreamError
            If the source is gone without an end, or (lossless) frames did not arrive.
        """
        if not self._is_prepared:
            self._is_prepared = True
            self._say(wire.Prepared())
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
            elif self._silence_is_final(time.monotonic() - silent_since):
                break
            elif when_idle is not None:
                when_idle()
        self._say(wire.Received())
        return None

    def fail(self, problem: str) -> None:
        """Tell the source that the run failed, so that it stops."""
        self._say(wire.Failed(problem[: wire.MAX_TEXT]))

    def close(self) -> None:
        """Close the sockets."""
        self._watch.close()
        self._frames.close(linger=0)
        self._control.close(linger=LAST_WORD_MS)

    def _say(self, message: wire.Control) -> None:
        """Send on the control channel; a connected DEALER queues, and a full queue means nobody listens."""
        with suppress(zmq.Again):
            self._control.send_multipart(wire.encode_control(message), flags=zmq.NOBLOCK)

    def _complete(self) -> bool:
        if self.end is None:
            return False
        if self._lossless:
            return self.n_received >= self.end.n_sent
        return self._next_seq >= self.end.n_frames

    def _silence_is_final(self, silence_s: float) -> bool:
        """True when no more frames will come; raises when some should have."""
        source_gone = self._watch.gone() or (self._stop.is_set() and silence_s > STOP_GRACE_S)
        if self.end is None:
            if source_gone:
                raise StreamError(f"the source disappeared after {self.n_received} frames")
            return False
        if not self._lossless:
            return silence_s > LIVE_STRAGGLERS_S
        if source_gone or silence_s > LOST_AFTER_S:
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
        if self._info is not None and frame.pixels.shape != self._info.shape:
            raise StreamError(
                f"frame {frame.seq} has shape {frame.pixels.shape}, the source announced {self._info.shape}: "
                "start a new run for another image size"
            )
        missing = frame.seq - self._next_seq
        self._next_seq = frame.seq + 1
        self.n_received += 1
        return Arrival(frame, sent_ns, missing, (time.perf_counter() - began) * 1e3)

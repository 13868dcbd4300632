"""The analysis' side of the stream."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from math import inf
from threading import Event

import zmq

from acquire.frame import SourceInfo
from stream import wire
from stream.results import StreamError
from stream.transport.arrival import Arrival
from stream.transport.clock_offset import FIRST_PINGS, ClockOffset
from stream.transport.keys import Keys
from stream.transport.sockets import (
    LAST_WORD_MS,
    POLL_MS,
    QUEUE_FRAMES,
    Context,
    Delivery,
    Endpoints,
    connect,
    make_socket,
)
from stream.transport.watch import Watch

PONG_WITHIN_S = 1.0
LIVE_STRAGGLERS_S = 0.5
LOST_AFTER_S = 10.0
STOP_GRACE_S = 3.0  # a source that is asked to stop says its end within this time, if it can


class FrameReceiver:
    """Takes frames from the source. Use: `start`, then `receive` until None; always `close`.

    Parameters
    ----------
    stop
        Set when the source is known to be over or the user wants an end: the source is asked to stop, what
        has arrived is still given out, but nothing is waited for beyond a moment's grace.
    keys
        For a source on another computer; None on this one.
    clock
        Measures how far the source's clock is off; None where both sides have the same.

    Attributes
    ----------
    n_received
        Frames given out by `receive`, and the one that it refused for its shape.
    skipped
        Messages passed over because a newer one was there (live only).
    damaged
        Messages that were no valid frame (live only; lossless fails on the first).
    lost
        Messages lost on the way, as far as is known; only live loses any.
    sent, source_losses
        Frames that the source handed over, and those that it lost itself by cause, as it said last.
    waiting
        Frames that were sent and had not been received when the source said that.
    end
        The source's last word, None until it came.
    clock
        As above.
    """

    def __init__(
        self,
        context: Context,
        endpoints: Endpoints,
        delivery: Delivery,
        stop: Event,
        keys: Keys | None = None,
        clock: ClockOffset | None = None,
    ) -> None:
        self._delivery = delivery
        self._lossless = delivery == "lossless"
        self._stop = stop
        self._keys = keys
        self._endpoints = endpoints
        self.clock = clock
        self._frames = make_socket(context, zmq.PULL if self._lossless else zmq.SUB, heartbeats=False)
        self._frames.rcvhwm = QUEUE_FRAMES[delivery]
        if not self._lossless:
            self._frames.setsockopt(zmq.SUBSCRIBE, wire.FRAME_TOPIC)
        self._control = make_socket(context, zmq.DEALER)
        self._watch = Watch(self._control)
        try:
            connect(self._control, endpoints.control, keys)
        except StreamError:
            self.close()  # else the context could not end
            raise
        self._poller = zmq.Poller()
        for socket in (self._frames, self._control):
            self._poller.register(socket, zmq.POLLIN)
        self._info: SourceInfo | None = None
        self._is_prepared = self._asked_to_stop = False
        self._next_seq = 0
        self.n_received = 0
        self.skipped = 0
        self.damaged = 0
        self.lost = 0
        self.sent = 0
        self.waiting = 0
        self.source_losses: dict[str, int] = {}
        self.end: wire.End | None = None

    @property
    def frames_in(self) -> int:
        """Frames of the source, lost ones counted: as its end says, before that as far as they are known."""
        return self.end.n_frames if self.end else self._next_seq

    @property
    def n_came(self) -> int:
        """Messages that arrived, whatever became of them."""
        return self.n_received + self.skipped + self.damaged

    def start(self, timeout_s: float | None = 60.0) -> SourceInfo | None:
        """Say that the analysis is here and take the source's announcement; None when there will be none.

        A source that is stopped this early just leaves; `stop` tells that from one that was lost. With
        `timeout_s` None a source that has not come yet is waited for until `stop`.

        Raises
        ------
        StreamError
            If the source is gone, silent for `timeout_s`, refuses this analysis, or delivers differently.
        """
        self._say(wire.Hello(wire.VERSION))
        deadline = time.monotonic() + (inf if timeout_s is None else timeout_s)
        while (time.monotonic() < deadline and not self._watch.gone()) or self._control.poll(0):
            if self._control.poll(POLL_MS):
                message = self._hear()
                if isinstance(message, wire.Start):
                    return self._begin(message)
            elif self._stop.is_set():
                return None
            elif refusal := self._watch.refusal():
                raise StreamError(f"no way to the source at {self._endpoints.control}: {refusal}")
        if self._stop.wait(STOP_GRACE_S):
            return None
        raise StreamError("the source disappeared or said nothing before its first frame")

    def _begin(self, start: wire.Start) -> SourceInfo:
        if start.delivery != self._delivery:
            raise StreamError(
                f"the source's delivery is {start.delivery} and here it is {self._delivery}: "
                "give both computers the same source.delivery"
            )
        self._info = start.info()
        connect(self._frames, self._endpoints.frames, self._keys)
        if self.clock is not None:
            for _ in range(FIRST_PINGS):
                self._say(self.clock.ping())
                deadline = time.monotonic() + PONG_WITHIN_S
                while time.monotonic() < deadline and not self._stop.is_set():
                    if self._control.poll(POLL_MS) and isinstance(self._hear(), wire.Pong):
                        break
        return self._info

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
            self._ask()
            ready = dict(self._poller.poll(POLL_MS))
            if self._control in ready:
                self._hear()
                silent_since = time.monotonic()
            elif self._frames in ready:
                arrival = self._take()
                if self.end is not None:
                    self._take_stock(self.end.n_sent, self.end.losses)
                if arrival is not None:
                    return arrival
                silent_since = time.monotonic()
            elif self._silence_is_final(time.monotonic() - silent_since):
                break
            elif when_idle is not None:
                when_idle()
        self.lost, self.waiting = self.lost + self.waiting, 0
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

    def _ask(self) -> None:
        """Pass on the wish to stop, and ask for the time now and then."""
        if self._stop.is_set() and not self._asked_to_stop:
            self._asked_to_stop = True
            self._say(wire.Stop())
        if self.clock is not None and self.clock.is_due():
            self._say(self.clock.ping())

    def _hear(self) -> wire.Control:
        """Read a control message, which is there."""
        message = wire.decode_control(self._control.recv_multipart())
        match message:
            case wire.Going():
                self._take_stock(message.n_sent, message.losses)
            case wire.End():
                self._take_stock(message.n_sent, message.losses)
                self.end = message
            case wire.Pong() if self.clock is not None:
                self.clock.pong(message)
            case wire.Failed():
                raise StreamError(message.problem)
        return message

    def _take_stock(self, n_sent: int, losses: dict[str, int]) -> None:
        """Put what the source says beside what came."""
        self.sent, self.source_losses = n_sent, losses
        n_lost = sum(losses.values())
        # Only if it spoke after it had sent the last frame that came does it know all losses up to there.
        if n_sent + n_lost >= self._next_seq:
            self.lost = max(self.lost, self._next_seq - n_lost - self.n_came)
        self.waiting = max(0, n_sent - self.n_came - self.lost)

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
        missing = frame.seq - self._next_seq
        self._next_seq = frame.seq + 1
        self.n_received += 1
        if self._info is not None and frame.pixels.shape != self._info.shape:
            raise StreamError(
                f"frame {frame.seq} has shape {frame.pixels.shape}, the source announced {self._info.shape}: "
                "start a new run for another image size"
            )
        if self.clock is not None and self.clock.offset_ns:
            sent_ns += self.clock.offset_ns
            if frame.arrived_ns is not None:
                frame = replace(frame, arrived_ns=frame.arrived_ns + self.clock.offset_ns)
        return Arrival(frame, sent_ns, missing, (time.perf_counter() - began) * 1e3)

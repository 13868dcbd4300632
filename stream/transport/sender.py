"""The source's side of the stream."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf
from threading import Event, Thread

import zmq

from acquire.frame import Frame, SourceInfo
from stream import wire
from stream.results import StreamError
from stream.transport.clock_offset import clock_resolution_ns
from stream.transport.gate import UNTIL_SHUT, Gate
from stream.transport.sockets import (
    LAST_WORD_MS,
    POLL_MS,
    QUEUE_FRAMES,
    Context,
    Delivery,
    Endpoints,
    bind,
    make_socket,
)
from stream.transport.strangers import Strangers
from stream.transport.watch import Watch

GOING_EVERY_S = 0.25
END_EVERY_S = 5.0
BUSY = "the source is busy with another analysis"


class FrameSender:
    """Hands frames to the analysis. Use: `start`, then `send` for each frame, then `finish`; always `close`.

    Parameters
    ----------
    gate
        Lets only the other computer's analysis in; None where source and analysis share a computer.

    Attributes
    ----------
    endpoints
        Where it listens, with real ports.
    is_called_off
        Whether the analysis asked for the end, before anybody here did.
    is_announced
        Whether the analysis has been told of the source, so that it waits for frames or an end.
    n_sent
        Frames handed over.
    longest_wait_ms
        The longest that handing over one frame took.
    losses
        Frames that the source lost so far, by cause, for the analysis to know; replaced, never changed.
    """

    def __init__(
        self, context: Context, endpoints: Endpoints, delivery: Delivery, gate: Gate | None = None
    ) -> None:
        self._delivery = delivery
        self._gate = gate
        self._frames = make_socket(
            context, zmq.PUSH if delivery == "lossless" else zmq.XPUB, heartbeats=False
        )
        self._frames.sndhwm = QUEUE_FRAMES[delivery]
        # A router answers whom it means: a DEALER would take turns, should a second analysis call.
        self._control = make_socket(context, zmq.ROUTER)
        self._analysis = b""  # the first that calls
        self._watches = (Watch(self._frames), Watch(self._control))
        self._strangers = Strangers(gate, self._watches)
        self._stop = Event()
        self._listener: Thread | None = None
        self._hush = Event()
        self._problem = ""
        self._said = wire.Going(0, {})
        self._say_at_s = 0.0
        self.losses: Mapping[str, int] = {}
        self.is_announced = False
        self.is_called_off = False
        self.n_sent = 0
        self.longest_wait_ms = 0.0
        try:
            self.endpoints = replace(
                endpoints,
                frames=bind(self._frames, endpoints.frames, gate, UNTIL_SHUT),
                control=bind(self._control, endpoints.control, gate, UNTIL_SHUT),
            )
        except StreamError:
            self.close()  # else the context could not end
            raise

    def start(
        self,
        info: SourceInfo,
        stop: Event,
        timeout_s: float | None = 300.0,
        note: Callable[[str], None] = lambda text: None,
    ) -> bool:
        """Announce the source and wait until the analysis is ready; False when `stop` was set meanwhile.

        Parameters
        ----------
        info
            The source.
        stop
            From now on it is also set when the analysis asks for an end, fails or disappears, at once:
            a source may have no frame to send for long.
        timeout_s
            How long the analysis may take to come, None for ever; once it is there, its engine may take as
            long as it needs.
        note
            Hears of every stranger that was refused.

        Raises
        ------
        StreamError
            If the analysis fails, disappears or is not there in time.
        """
        self._stop = stop
        deadline = time.monotonic() + (inf if timeout_s is None else timeout_s)
        while not (self._control.poll(POLL_MS) and isinstance(self._read_control(), wire.Hello)):
            if stop.is_set():
                return False
            self._check_presence()
            self._strangers.tell(note)
            if time.monotonic() > deadline:
                raise StreamError(f"the analysis was not there within {timeout_s:.0f} s")
        self._say(wire.Start.of(info, self._delivery))
        self.is_announced = True
        # Its engine may be built for frames of this shape now, which can take minutes.
        prepared = connected = False
        while not (prepared and connected):
            if stop.is_set():
                return False
            self._check_presence()
            connected = connected or self._connected()
            if self._control.poll(POLL_MS):
                prepared = isinstance(self._read_control(), wire.Prepared) or prepared
        if self._gate is not None:
            self._gate.shut()
        self._listener = Thread(target=self._listen, name="listen to the analysis", daemon=True)
        self._listener.start()
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
            if self._problem:
                raise StreamError(self._problem)
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
        self._end_listening()
        if self._problem:
            raise StreamError(self._problem)
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
        said_s = -inf
        while True:
            if time.monotonic() - said_s > END_EVERY_S:
                # Once is enough, unless it found no room, behind what an analysis that hung has not read.
                said_s = time.monotonic()
                self._say(end)
            if self._control.poll(POLL_MS):
                if isinstance(self._read_control(), wire.Received):
                    return
            elif self._gone():
                raise StreamError(f"the analysis disappeared before it had all {self.n_sent} frames")

    def close(self) -> None:
        """Close the sockets; what is still queued is given up."""
        self._end_listening()
        for watch in self._watches:
            watch.close()
        for socket in (self._frames, self._control):
            socket.close(linger=LAST_WORD_MS)

    def _say(self, message: wire.Control) -> None:
        """Send on the control channel, without waiting; what is said to one that is gone is lost."""
        self._control.send_multipart([self._analysis, *wire.encode_control(message)], flags=zmq.NOBLOCK)

    def _read_control(self) -> wire.Control | None:
        """Take a message in; None for one of another analysis, which is turned away."""
        caller, *parts = self._control.recv_multipart()
        self._analysis = self._analysis or caller
        if caller != self._analysis:
            self._control.send_multipart([caller, *wire.encode_control(wire.Failed(BUSY))], flags=zmq.NOBLOCK)
            return None
        try:
            message = wire.decode_control(parts)
        except wire.WireError as error:  # the other side must hear of it too
            self._say(wire.Failed(str(error)))
            raise
        match message:
            case wire.Ping():
                self._say(wire.Pong(message.number, time.time_ns(), clock_resolution_ns()))
            case wire.Stop():
                self.is_called_off = not self._stop.is_set()
                self._stop.set()
            case wire.Failed():
                raise StreamError(message.problem)
        return message

    def _listen(self) -> None:
        """Between two frames, too, the analysis may stop, fail, disappear or ask for the time.

        It is told how far the source is.
        """
        try:
            while not self._hush.is_set():
                self._say_going()
                if self._control.poll(POLL_MS):
                    self._read_control()
                elif self._gone():
                    raise StreamError(f"the analysis disappeared after {self.n_sent} frames")
        except (StreamError, zmq.ZMQError) as error:
            self._problem = str(error)
            self._stop.set()

    def _say_going(self) -> None:
        """Tell the analysis how far the source is, a few times a second while there is news."""
        now = time.monotonic()
        if now < self._say_at_s:
            return
        self._say_at_s = now + GOING_EVERY_S
        going = wire.Going(self.n_sent, dict(self.losses))
        if going != self._said:
            self._said = going
            self._say(going)

    def _end_listening(self) -> None:
        if self._listener is not None:
            self._hush.set()
            self._listener.join()
            self._listener = None

    def _connected(self) -> bool:
        """Whether frames would reach the analysis; `inproc` is always connected."""
        if self._delivery == "live":
            return bool(self._frames.poll(1)) and self._frames.recv().startswith(b"\x01")
        return self.endpoints.frames.startswith("inproc://") or self._watches[0].came()

    def _check_presence(self) -> None:
        if self._gone():
            raise StreamError("the analysis disappeared while it was getting ready")

    def _gone(self) -> bool:
        return any(watch.gone() for watch in self._watches)

"""The source's process: takes frames at their pace and hands them to the analysis."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from threading import Event
from typing import Literal

from acquire.frame import Frame, Source, SourceError
from acquire.live import LiveSource
from stream.config import RunConfig
from stream.job import Job
from stream.network import network_keys, waiting_for
from stream.open_source import open_configured
from stream.problems import in_words
from stream.results import StreamError
from stream.rules.server import TriggerServer
from stream.source_stop import stopping
from stream.status import Bound, Done, Note, SourceProgress, StatusSender
from stream.transport.gate import Gate
from stream.transport.sender import FrameSender
from stream.transport.sockets import Context

Speed = float | Literal["max", "realtime"]

STOPPED = "stopped by the user"
COMPLETE = "end of the recording"
OVER = "end of the acquisition"
TOLD_EVERY_S = 0.2
PATIENCE_S = 300.0  # with an analysis that was started beside the source


def publish(
    job: Job,
    context: Context,
    stop: Event,
    open_source: Callable[[RunConfig, Event], Source] = open_configured,
) -> None:
    """Run the source's side of a job to its end; every problem is told, none is raised.

    `open_source` lets benchmarks bring a source of their own.
    """
    status = StatusSender(context, job.endpoints.status)
    problem = ""
    try:
        config = job.run_config()
        with ExitStack() as cleanup:
            source = open_source(config, stop)
            cleanup.callback(source.close)
            keys = network_keys(config.network)
            gate = Gate(context, keys) if keys else None
            if gate is not None:
                cleanup.callback(gate.close)
            sender = FrameSender(context, job.endpoints.stream(), config.source.delivery, gate)
            cleanup.callback(sender.close)
            bound = sender.endpoints
            triggers = ""
            if config.rules:
                server = TriggerServer(context, job.endpoints.triggers, config.rules, source, gate)
                cleanup.callback(server.close)
                triggers = server.endpoint
            status.say(Bound("source", frames=bound.frames, control=bound.control, triggers=triggers))
            cleanup.enter_context(stopping(source, stop))
            patience_s: float | None = PATIENCE_S
            if config.network.role == "source":
                patience_s = None
                status.say(Note(waiting_for("analysis", config.network)))
            problem = Publisher(source, sender, config.source.speed, status, stop, patience_s).run()
    except SourceError as error:
        # Stopped while it waited for its data set to begin: nothing failed.
        problem = "" if stop.is_set() else in_words(error, "source")
    except Exception as error:
        problem = in_words(error, "source")
    finally:
        status.say(Done("source", problem))
        status.close()


class Publisher:
    """One run's source: every frame, then the end.

    Parameters
    ----------
    source, sender
        Where frames come from and go to.
    speed
        Pace of a recording; a source that images has its own.
    status
        Hears how far the source is and what it lost.
    stop
        Set when the user wants an end; `stopping` tells a live source.
    patience_s
        How long the analysis may take to come, None for ever.
    """

    def __init__(
        self,
        source: Source,
        sender: FrameSender,
        speed: Speed,
        status: StatusSender,
        stop: Event,
        patience_s: float | None = PATIENCE_S,
    ) -> None:
        self._source = source
        self._sender = sender
        self._speed = speed
        self._status = status
        self._stop = stop
        self._patience_s = patience_s
        self._told_s = 0.0

    def run(self) -> str:
        """Send every frame, then the end; gives the source's own problem, if it had one.

        Raises
        ------
        StreamError
            If the analysis failed or is gone.
        """
        source, sender, stop = self._source, self._sender, self._stop
        if not sender.start(source.info, stop, self._patience_s, self._note):
            if sender.is_announced:
                sender.finish(0, {}, STOPPED)
            return ""
        n_frames, problem = 0, ""
        losses: Mapping[str, int] = {}  # up to the last frame sent: an end in between counts no others
        is_live = isinstance(source, LiveSource)
        # A live source ends by itself soon after a stop, and gives out what it has: all of that is sent.
        frames = source.frames() if is_live else paced(source.frames(), self._speed, stop)
        impatience = Event() if is_live else stop
        clock = _CpuClock()
        try:
            for frame in frames:
                clock.stop("read")
                if not sender.send(frame, impatience):
                    break
                clock.stop("send")
                n_frames, losses = frame.seq + 1, dict(source.losses)
                sender.losses = losses
                self._tell(losses)
        except StreamError:
            raise
        except Exception as error:  # whatever stops the source, the analysis must hear of it
            problem = in_words(error, "source")
        cpu_ms = clock.ms_per(sender.n_sent)
        figures = dict(source.figures) if isinstance(source, LiveSource) else {}
        ended = OVER if is_live else COMPLETE
        reason = "the source failed" if problem else STOPPED if stop.is_set() else ended
        if is_live or reason == COMPLETE:
            # To its end, each frame of a source was either sent or lost by it.
            losses = source.losses
            n_frames = sender.n_sent + sum(losses.values())
        if sender.is_called_off:
            self._note("the analysis was ended by its user, or its program died: imaging ends too")
        self._told_s = 0.0
        self._tell(losses)
        sender.finish(n_frames, losses, reason, problem, cpu_ms, figures)
        return problem

    def _note(self, text: str) -> None:
        self._status.say(Note(text))

    def _tell(self, losses: Mapping[str, int]) -> None:
        now = time.monotonic()
        if now - self._told_s > TOLD_EVERY_S:
            self._told_s = now
            self._status.say(SourceProgress(self._sender.n_sent, dict(losses)))


class _CpuClock:
    """CPU time of this thread by what it was spent on; waiting costs none."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}
        self._last = time.thread_time()

    def stop(self, what: str) -> None:
        """Count the time since the last call as `what`."""
        now = time.thread_time()
        self._spent[what] = self._spent.get(what, 0.0) + now - self._last
        self._last = now

    def ms_per(self, n: int) -> dict[str, float]:
        """Milliseconds by what they were spent on, for each of `n` frames."""
        return {what: spent * 1e3 / max(n, 1) for what, spent in self._spent.items()}


def paced(frames: Iterator[Frame], speed: Speed, stop: Event) -> Iterator[Frame]:
    """Frames no earlier than their time stamps say, divided by `speed`; ends when `stop` is set."""
    factor = {"max": 0.0, "realtime": 1.0}[speed] if isinstance(speed, str) else speed
    begun = first_s = None
    for frame in frames:
        if factor:
            if begun is None or first_s is None:
                begun, first_s = time.monotonic(), frame.time_s
            stop.wait(max(0.0, begun + (frame.time_s - first_s) / factor - time.monotonic()))
        if stop.is_set():
            return
        yield frame

"""The source's process: reads frames at their pace and hands them to the analysis."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from threading import Event
from typing import Literal

from acquire.frame import Frame, Source, SourceError
from acquire.source import open_source
from stream.config import ChannelsConfig, SourceConfig
from stream.job import Job
from stream.problems import in_words
from stream.results import StreamError
from stream.status import Bound, Done, StatusSender
from stream.transport.sender import FrameSender
from stream.transport.sockets import Context

Speed = float | Literal["max", "realtime"]

STOPPED = "stopped by the user"
COMPLETE = "end of the recording"


def open_configured(source: SourceConfig, channels: ChannelsConfig) -> Source:
    """Open the recording that a configuration names.

    Raises
    ------
    SourceError
        If there is none or it cannot be read.
    """
    if source.path is None:
        raise SourceError("no movie is given: name a file or folder, or set source.path")
    return open_source(
        source.path,
        calcium_path=source.calcium_path,
        layout=channels.layout,
        swap=channels.swap,
        interval_ms=source.interval_ms,
        max_frames=source.max_frames,
    )


def publish(job: Job, context: Context, stop: Event) -> None:
    """Run the source's side of a job to its end; every problem is told, none is raised."""
    status = StatusSender(context, job.endpoints.status)
    problem = ""
    try:
        config = job.run_config()
        with ExitStack() as cleanup:
            source = open_configured(config.source, config.channels)
            cleanup.callback(source.close)
            sender = FrameSender(context, job.endpoints.stream(), config.source.delivery)
            cleanup.callback(sender.close)
            bound = sender.endpoints
            status.say(Bound("source", frames=bound.frames, control=bound.control))
            problem = _send_all(source, sender, config.source.speed, stop)
    except Exception as error:
        problem = in_words(error, "source")
    finally:
        status.say(Done("source", problem))
        status.close()


def _send_all(source: Source, sender: FrameSender, speed: Speed, stop: Event) -> str:
    """Send every frame, then the end; gives the source's own problem, if it had one.

    Raises
    ------
    StreamError
        If the analysis failed or is gone.
    """
    if not sender.start(source.info, stop):
        if sender.is_announced:
            sender.finish(0, {}, STOPPED)
        return ""
    n_frames, problem = 0, ""
    losses: Mapping[str, int] = {}  # up to the last frame sent: an end in between counts no others
    clock = _CpuClock()
    try:
        for frame in paced(source.frames(), speed, stop):
            clock.stop("read")
            if not sender.send(frame, stop):
                break
            clock.stop("send")
            n_frames, losses = frame.seq + 1, source.losses
    except StreamError:
        raise
    except Exception as error:  # whatever stops the source, the analysis must hear of it
        problem = in_words(error, "source")
    cpu_ms = clock.ms_per(sender.n_sent)
    if problem:
        sender.finish(n_frames, losses, "the source failed", problem, cpu_ms)
    elif stop.is_set():
        sender.finish(n_frames, losses, STOPPED, cpu_ms=cpu_ms)
    else:
        # Each frame of a whole recording was either sent or lost by the source.
        sender.finish(sender.n_sent + sum(source.losses.values()), source.losses, COMPLETE, cpu_ms=cpu_ms)
    return problem


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

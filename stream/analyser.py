"""The analysis' process: receives frames, runs the stages, records and publishes every result."""

import time
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from msgspec.structs import replace

from model.engines.choose import choose_engine, warm_up
from stream import wire
from stream.analysis import Analysis
from stream.conditions import resolve_conditions
from stream.config import RunConfig
from stream.job import Job
from stream.missing import Missing
from stream.network import clocks_differ, network_keys, waiting_for
from stream.prepare import MakeEngine, prepare, ready_engine
from stream.problems import in_words
from stream.publisher import STOPPED
from stream.record.recorder import Recorder
from stream.results import FrameResult
from stream.rules.triggering import Triggering
from stream.status import Bound, Done, Note, Progress, StatusSender
from stream.transport.arrival import Arrival
from stream.transport.clock_offset import ClockOffset
from stream.transport.receiver import FrameReceiver
from stream.transport.results import ResultPublisher
from stream.transport.sockets import Context
from stream.watch.outlets import open_outlets
from stream.watch.service import Watching
from stream.watch.session import text

PROGRESS_S = 0.1
PATIENCE_S = 60.0  # with a source that was started beside the analysis
NO_PUNCTA = (
    "no punctum was found in any frame: check the channel layout, camera.offset, optics.psf_sigma_nm "
    "and the engine's threshold"
)


def analyse(job: Job, context: Context, stop: Event, make_engine: MakeEngine = choose_engine) -> None:
    """Run the analysis' side of a job to its end; every problem is told and recorded, none is raised.

    `stop` says that the source is over or shall end: everything that was sent is analysed, nothing more is
    waited for.
    `make_engine` lets benchmarks and tests bring an engine of their own.
    """
    status = StatusSender(context, job.endpoints.status)
    problem = ""
    try:
        config, folder = job.run_config(), Path(job.run_folder)
        with ExitStack() as cleanup:
            keys = network_keys(config.network)
            outlets = open_outlets(config, context, job.endpoints, keys, lambda text: status.say(Note(text)))
            cleanup.callback(outlets.close)
            publisher = outlets.results
            receiver = FrameReceiver(
                context,
                job.endpoints.stream(),
                config.source.delivery,
                stop,
                keys,
                ClockOffset() if clocks_differ(config.network) else None,
            )
            cleanup.callback(receiver.close)
            triggering = Triggering(config, context, job.endpoints.triggers, publisher, keys)
            cleanup.callback(triggering.close)
            watching = Watching(outlets, folder, config.dashboards.keys, status)
            cleanup.callback(watching.close)
            status.say(Bound("analysis", results=publisher.endpoint, desk=watching.endpoint))
            analyser = Analyser(
                config, folder, receiver, publisher, triggering, watching, status, make_engine
            )
            try:
                warm_up(config.engine)
                problem = analyser.run()
            except Exception as error:
                problem = in_words(error, "analysis")
                receiver.fail(problem)
            publisher.publish_over(
                wire.RunOver(
                    text(analyser.state), text(str(folder)), text(problem), health=analyser.last_health
                )
            )
    except Exception as error:
        problem = in_words(error, "analysis")
    finally:
        status.say(Done("analysis", problem))
        status.close()


class Analyser:
    """One run: what arrives goes through the stages into the recorder and to subscribers.

    Attributes
    ----------
    state
        How the run ended, as `run.json` says; empty before.
    last_health
        How things were then, None before.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        receiver: FrameReceiver,
        publisher: ResultPublisher,
        triggering: Triggering,
        watching: Watching,
        status: StatusSender,
        make_engine: MakeEngine,
    ) -> None:
        self._config = config
        self._folder = folder
        self._receiver = receiver
        self._publisher = publisher
        self._triggering = triggering
        self._watching = watching
        self._missing = Missing(receiver)
        self._newest_seq = 0
        self._status = status
        self._make_engine = make_engine
        self._progress = Progress(0, None, 0, 0, 0.0)
        self._told_s = 0.0
        self._n_puncta = 0
        self.state = ""
        self.last_health: wire.Health | None = None

    def run(self) -> str:
        """Analyse until the source ends or something fails; gives the problem, empty if there was none.

        A run without any frame records nothing.

        Raises
        ------
        Exception
            What happens before the first frame, or when the results cannot be written.
        """
        receiver, watching = self._receiver, self._watching
        remote = self._config.network.role == "analysis"
        wait = waiting_for("source", self._config.network) if remote else "waiting for the source"
        if remote:
            self._status.say(Note(wait))
        watching.doing("waiting", wait)
        info = receiver.start(timeout_s=None if remote else PATIENCE_S)
        if info is None:
            return ""
        watching.doing("preparing", f"preparing the engine for {info.shape[2]} × {info.shape[1]} pixels")
        conditions = resolve_conditions(self._config, info)
        engine = ready_engine(self._config, info, conditions, self._make_engine)
        watching.doing("waiting", f"ready: waiting for the first frame of {info.name}")
        first = receiver.receive()
        if first is None:
            return receiver.end.problem if receiver.end else ""
        self._progress = replace(self._progress, n_total=info.n_frames)
        run = prepare(self._config, info, conditions, engine, first.frame, self._folder)
        recorder, analysis = run.recorder, run.analysis
        for note in run.notes:
            self._status.say(Note(note))
        self._triggering.begin(conditions)
        watching.begin(run.session, analysis, recorder, receiver)
        watching.doing("running", f"analysing {info.name}")
        problem = ""
        try:
            arrival: Arrival | None = first
            while arrival is not None:
                self._newest_seq = arrival.frame.seq
                watching.take(arrival.frame)
                self._record(recorder, analysis.step(arrival))
                watching.serve(self._progress.n_out)
                arrival = receiver.receive(when_idle=partial(self._rest, recorder))
        except Exception as error:
            problem = in_words(error, "analysis")
            receiver.fail(problem)
        why = problem or f"the source has ended ({receiver.end.reason if receiver.end else STOPPED})"
        if problem or remote:  # told now: the tables of a long run take their time
            self._status.say(Note(f"{why}; finishing the run"))
        try:
            self._record(recorder, analysis.flush())
        except Exception as error:
            problem = problem or in_words(error, "analysis")
        self._status.say(self._progress)
        watching.finishing(f"{why}; writing the tables", self._progress.n_out)
        return self._finish(recorder, analysis, problem)

    def _record(self, recorder: Recorder, results: Iterable[FrameResult]) -> None:
        for result in results:
            news = self._triggering.step(result, self._newest_seq)  # first of all: somebody waits for it
            recorder.append_triggers(news.fired, news.answers)
            recorder.append(result)
            self._publisher.publish(result)
            self._watching.show(result.seq)
            self._n_puncta += len(result.localizations)
            self._progress = Progress(
                self._progress.n_out + 1,
                self._progress.n_total,
                self._progress.missing + result.missing_before,
                len(result.localizations),
                result.latency_ms,
                self._missing.behind_source(),
            )
            now = time.monotonic()
            if now - self._told_s > PROGRESS_S:
                self._told_s = now
                self._status.say(self._progress)

    def _rest(self, recorder: Recorder) -> None:
        """Use a pause."""
        news = self._triggering.news()
        recorder.append_triggers(news.fired, news.answers)
        recorder.flush()
        self._watching.serve(self._progress.n_out)

    def _finish(self, recorder: Recorder, analysis: Analysis, problem: str) -> str:
        end = self._receiver.end
        if end is not None and end.problem:
            problem = problem or end.problem
        if problem:
            state = f"failed: {problem}"
        else:
            state = "interrupted" if end is not None and end.reason == STOPPED else "finished"
        news = self._triggering.finish()
        recorder.append_triggers(news.fired, news.answers)
        events, transients = analysis.close()
        recorded = recorder.finish(
            state,
            frames_in=self._receiver.frames_in,
            missing=self._missing.at_the_end(self._progress.n_out),
            warnings=() if self._n_puncta else (NO_PUNCTA,),
            events=events,
            transients=transients,
            source=(_of_source(end) if end else {}) | self._clock_offset(),
            rested=self._triggering.rested,
        )
        self.state = str(recorded["state"])
        missing = recorded["counts"].get("missing_by_cause", {})
        self.last_health = self._watching.last_health(self._progress.n_out, missing)
        return self.state.removeprefix("failed: ") if self.state != state else problem

    def _clock_offset(self) -> dict[str, Any]:
        clock = self._receiver.clock
        return {} if clock is None else {"clock": clock.summary()}


def _of_source(end: wire.End) -> dict[str, Any]:
    """What the source said of itself at its end, for `run.json`."""
    return {
        "ended": end.reason,
        "longest_wait_ms": end.longest_wait_ms,
        "cpu_ms": end.cpu_ms,
        **({"figures": end.figures} if end.figures else {}),
    }

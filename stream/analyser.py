"""The analysis' process: receives frames, runs the stages, records and publishes every result."""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from acquire.frame import SourceInfo
from model.camera import Camera
from model.engines.base import Engine
from model.engines.choose import choose_engine, warm_up
from stream import wire
from stream.analysis import Analysis
from stream.conditions import Conditions, oddities, resolve_conditions
from stream.config import EngineConfig, RunConfig
from stream.job import Job
from stream.network import clocks_differ, network_keys, waiting_for
from stream.problems import in_words
from stream.publisher import STOPPED
from stream.record.provenance import RunStart
from stream.record.recorder import Recorder
from stream.results import FrameResult
from stream.rules.triggering import Triggering
from stream.rules.watch import never_firing
from stream.status import Bound, Done, Note, Progress, StatusSender
from stream.transport.arrival import Arrival
from stream.transport.clock_offset import ClockOffset
from stream.transport.receiver import FrameReceiver
from stream.transport.results import ResultPublisher
from stream.transport.sockets import Context
from stream.warm_up import warm_up_stages

PROGRESS_S = 0.1
PATIENCE_S = 60.0  # with a source that was started beside the analysis
NO_PUNCTA = (
    "no punctum was found in any frame: check the channel layout, camera.offset, optics.psf_sigma_nm "
    "and the engine's threshold"
)
PASSED_OVER = "passed over for a newer frame"
MakeEngine = Callable[[EngineConfig, Camera, float, NDArray[np.float64] | None], Engine]
"""Makes an engine from its settings, the camera, the PSF's σ in pixels and the registration's transform."""


def analyse(job: Job, context: Context, stop: Event, make_engine: MakeEngine = choose_engine) -> None:
    """Run the analysis' side of a job to its end; every problem is told and recorded, none is raised.

    `stop` says that the source is over or shall end: everything that was sent is analysed, nothing more is
    waited for.
    `make_engine` lets benchmarks and tests bring an engine of their own.
    """
    status = StatusSender(context, job.endpoints.status)
    problem = ""
    try:
        config = job.run_config()
        with ExitStack() as cleanup:
            keys = network_keys(config.network)
            publisher = ResultPublisher(context, job.endpoints.results, job.endpoints.uplink, keys)
            cleanup.callback(publisher.close)
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
            status.say(Bound("analysis", results=publisher.endpoint))
            try:
                warm_up(config.engine)
                folder = Path(job.run_folder)
                analyser = Analyser(config, folder, receiver, publisher, triggering, status, make_engine)
                problem = analyser.run()
            except Exception as error:
                problem = in_words(error, "analysis")
                receiver.fail(problem)
    except Exception as error:
        problem = in_words(error, "analysis")
    finally:
        status.say(Done("analysis", problem))
        status.close()


class Analyser:
    """One run: what arrives goes through the stages into the recorder and to subscribers."""

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        receiver: FrameReceiver,
        publisher: ResultPublisher,
        triggering: Triggering,
        status: StatusSender,
        make_engine: MakeEngine,
    ) -> None:
        self._config = config
        self._folder = folder
        self._receiver = receiver
        self._publisher = publisher
        self._triggering = triggering
        self._newest_seq = 0
        self._status = status
        self._make_engine = make_engine
        self._progress = Progress(0, None, 0, 0, 0.0)
        self._told_s = 0.0
        self._n_puncta = 0

    def run(self) -> str:
        """Analyse until the source ends or something fails; gives the problem, empty if there was none.

        A run without any frame records nothing.

        Raises
        ------
        Exception
            What happens before the first frame, or when the results cannot be written.
        """
        receiver = self._receiver
        remote = self._config.network.role == "analysis"
        if remote:
            self._status.say(Note(waiting_for("source", self._config.network)))
        info = receiver.start(timeout_s=None if remote else PATIENCE_S)
        if info is None:
            return ""
        conditions = resolve_conditions(self._config, info)
        engine = self._ready_engine(info, conditions)
        first = receiver.receive()
        if first is None:
            return receiver.end.problem if receiver.end else ""
        self._progress = replace(self._progress, n_total=info.n_frames)
        recorder, analysis = self._prepare(info, conditions, first, engine)
        self._triggering.begin(conditions)
        problem = ""
        try:
            arrival: Arrival | None = first
            while arrival is not None:
                self._newest_seq = arrival.frame.seq
                self._record(recorder, analysis.step(arrival))
                arrival = receiver.receive(when_idle=partial(self._rest, recorder))
        except Exception as error:
            problem = in_words(error, "analysis")
            receiver.fail(problem)
        if problem or remote:  # told now: the tables of a long run take their time
            why = problem or f"the source has ended ({receiver.end.reason if receiver.end else STOPPED})"
            self._status.say(Note(f"{why}; finishing the run"))
        try:
            self._record(recorder, analysis.flush())
        except Exception as error:
            problem = problem or in_words(error, "analysis")
        self._status.say(self._progress)
        return self._finish(recorder, analysis, problem)

    def _ready_engine(self, info: SourceInfo, conditions: Conditions) -> Engine:
        """An engine for the source's frames, before the first one tells what is assumed of the camera."""
        nothing = np.zeros(info.shape[1:], np.uint16)
        camera, _ = self._config.camera.camera(nothing, info.bit_depth)
        registered = conditions.registration.transform if conditions.registration else None
        engine = self._make_engine(self._config.engine, camera, conditions.psf_sigma_px, registered)
        engine.prepare(*info.shape[1:])
        warm_up_stages(self._config, info.shape[0] == 2 and self._config.calcium.enabled)
        return engine

    def _prepare(
        self, info: SourceInfo, conditions: Conditions, first: Arrival, engine: Engine
    ) -> tuple[Recorder, Analysis]:
        config, first_image = self._config, first.frame.pixels[0]
        camera, assumed = config.camera.camera(first_image, info.bit_depth)
        if assumed:
            engine.use_camera(camera)
        assumptions = (
            *conditions.assumed,
            *assumed,
            *oddities(first_image, camera, info.bit_depth),
            *never_firing(config.rules, info.shape[0] == 2 and config.calcium.enabled),
        )
        notes = [*assumptions, f"engine: {engine.description}"]
        if conditions.registration is not None:
            notes.append(f"registration: {conditions.registration.summary()}")
        for text in notes:
            self._status.say(Note(text))
        start = RunStart(
            config,
            info,
            engine.description,
            camera,
            conditions.pixel_size_nm,
            conditions.interval_s,
            assumptions,
            engine.window,
            conditions.registration,
        )
        return Recorder(self._folder, start), Analysis(config, info, conditions, camera, engine)

    def _record(self, recorder: Recorder, results: Iterable[FrameResult]) -> None:
        for result in results:
            news = self._triggering.step(result, self._newest_seq)  # first of all: somebody waits for it
            recorder.append_triggers(news.fired, news.answers)
            recorder.append(result)
            self._publisher.publish(result)
            self._n_puncta += len(result.localizations)
            self._progress = Progress(
                self._progress.n_out + 1,
                self._progress.n_total,
                self._progress.missing + result.missing_before,
                len(result.localizations),
                result.latency_ms,
                self._causes_behind_source(),
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
            missing=self._missing_by_cause(),
            warnings=() if self._n_puncta else (NO_PUNCTA,),
            events=events,
            transients=transients,
            source=(_of_source(end) if end else {}) | self._clock_offset(),
            rested=self._triggering.rested,
        )
        return str(recorded["state"]).removeprefix("failed: ") if recorded["state"] != state else problem

    def _clock_offset(self) -> dict[str, Any]:
        clock = self._receiver.clock
        return {} if clock is None else {"clock": clock.summary()}

    def _causes_behind_source(self) -> dict[str, int]:
        receiver = self._receiver
        causes = {PASSED_OVER: receiver.skipped, "damaged on the way": receiver.damaged}
        return {cause: count for cause, count in causes.items() if count}

    def _missing_by_cause(self) -> dict[str, int]:
        """Every missing frame under one cause; what nobody owns up to was lost on the way."""
        receiver, n_out = self._receiver, self._progress.n_out
        causes = {**(receiver.end.losses if receiver.end else {}), **self._causes_behind_source()}
        causes["not analysed, as the run failed"] = receiver.n_received - n_out
        causes["lost on the way"] = max(0, receiver.frames_in - n_out - sum(causes.values()))
        return {cause: count for cause, count in causes.items() if count}


def _of_source(end: wire.End) -> dict[str, Any]:
    """What the source said of itself at its end, for `run.json`."""
    return {
        "ended": end.reason,
        "longest_wait_ms": end.longest_wait_ms,
        "cpu_ms": end.cpu_ms,
        **({"figures": end.figures} if end.figures else {}),
    }

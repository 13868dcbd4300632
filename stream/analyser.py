"""The analysis' process: receives frames, runs the stages, records and publishes every result."""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from msgspec.structs import replace

from acquire.frame import SourceInfo
from model.camera import Camera
from model.engines.base import Engine
from model.engines.choose import choose_engine, warm_up
from stream import wire
from stream.analysis import Analysis
from stream.conditions import Conditions, oddities, resolve_conditions
from stream.config import EngineConfig, RunConfig
from stream.job import Job
from stream.problems import in_words
from stream.publisher import STOPPED
from stream.record.provenance import RunStart
from stream.record.recorder import Recorder
from stream.results import FrameResult
from stream.status import Bound, Done, Note, Progress, StatusSender
from stream.transport.receiver import Arrival, FrameReceiver
from stream.transport.results import ResultPublisher
from stream.transport.sockets import Context
from stream.warm_up import warm_up_stages

PROGRESS_S = 0.1
NO_PUNCTA = (
    "no punctum was found in any frame: check the channel layout, camera.offset, optics.psf_sigma_nm "
    "and the engine's threshold"
)
PASSED_OVER = "passed over for a newer frame"
MakeEngine = Callable[[EngineConfig, Camera, float], Engine]


def analyse(job: Job, context: Context, stop: Event, make_engine: MakeEngine = choose_engine) -> None:
    """Run the analysis' side of a job to its end; every problem is told and recorded, none is raised.

    `stop` says that the source is over: everything that was sent is analysed, nothing more is waited for.
    `make_engine` lets benchmarks and tests bring an engine of their own.
    """
    status = StatusSender(context, job.endpoints.status)
    problem = ""
    try:
        config = job.run_config()
        with ExitStack() as cleanup:
            publisher = ResultPublisher(context, job.endpoints.results)
            cleanup.callback(publisher.close)
            receiver = FrameReceiver(context, job.endpoints.stream(), config.source.delivery, stop)
            cleanup.callback(receiver.close)
            status.say(Bound("analysis", results=publisher.endpoint))
            try:
                warm_up(config.engine)
                analyser = Analyser(config, Path(job.run_folder), receiver, publisher, status, make_engine)
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
        status: StatusSender,
        make_engine: MakeEngine,
    ) -> None:
        self._config = config
        self._folder = folder
        self._receiver = receiver
        self._publisher = publisher
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
        info = receiver.start()
        if info is None:
            return ""
        conditions = resolve_conditions(self._config, info)
        engine = self._ready_engine(info, conditions)
        first = receiver.receive()
        if first is None:
            return receiver.end.problem if receiver.end else ""
        self._progress = replace(self._progress, n_total=info.n_frames)
        recorder, analysis = self._prepare(info, conditions, first, engine)
        problem = ""
        try:
            arrival: Arrival | None = first
            while arrival is not None:
                self._record(recorder, analysis.step(arrival))
                arrival = receiver.receive(when_idle=recorder.flush)
        except Exception as error:
            problem = in_words(error, "analysis")
            receiver.fail(problem)
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
        engine = self._make_engine(self._config.engine, camera, conditions.psf_sigma_px)
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
        assumptions = (*conditions.assumed, *assumed, *oddities(first_image, camera, info.bit_depth))
        for text in (*assumptions, f"engine: {engine.description}"):
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
        )
        return Recorder(self._folder, start), Analysis(config, info, conditions, camera, engine)

    def _record(self, recorder: Recorder, results: Iterable[FrameResult]) -> None:
        for result in results:
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

    def _finish(self, recorder: Recorder, analysis: Analysis, problem: str) -> str:
        end = self._receiver.end
        if end is not None and end.problem:
            problem = problem or end.problem
        if problem:
            state = f"failed: {problem}"
        else:
            state = "interrupted" if end is not None and end.reason == STOPPED else "finished"
        events, transients = analysis.close()
        recorded = recorder.finish(
            state,
            frames_in=self._receiver.frames_in,
            missing=self._missing_by_cause(),
            warnings=() if self._n_puncta else (NO_PUNCTA,),
            events=events,
            transients=transients,
            source=_of_source(end) if end else {},
        )
        return str(recorded["state"]).removeprefix("failed: ") if recorded["state"] != state else problem

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

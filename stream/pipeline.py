"""The supervisor: starts source and analysis, follows them to the end, and always ends the run readable."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import zmq

from model.engines.choose import check_engine
from stream.child import part
from stream.conditions import check_camera, resolve_conditions
from stream.config import ConfigError, RunConfig
from stream.dashboards import dashboard_endpoints, dashboard_keys
from stream.job import Job
from stream.network import network_endpoints, network_keys
from stream.open_source import open_configured
from stream.process import (
    CHILD,
    ProcessWorker,
    Role,
    ThreadWorker,
    Transport,
    Worker,
    job_endpoints,
    local_transport,
    socket_folder,
    stop_signals,
)
from stream.record.run import RUN_JSON, Info, create_run_folder, read_info
from stream.relay import ResultRelay
from stream.results import StreamError
from stream.status import Bound, Done, EndWish, SourceProgress, Status, StatusReceiver
from stream.transport.sockets import Context

POLL_MS = 100
GRACE_S = 10.0  # a source whose analysis is gone may outlive it by this much
PREPARING_S = 5.0  # an analysis that nothing will come to any more may prepare itself for this much longer


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended: its folder, its `run.json` ({} where nothing was recorded), and what went wrong.

    Where only the source runs here, `info` says how many frames were sent, and lost before that by cause.

    `problem` is empty if nothing went wrong; a run that the user stopped is no problem.
    """

    folder: Path
    info: Info
    problem: str


class Supervisor:
    """Runs one configuration to its end.

    Parameters
    ----------
    config
        The run.
    transport
        `ipc` or `tcp`: source and analysis in processes of their own; `inproc`: in threads of this one.
        None takes the best this system has.
    on_status
        Called with every `Status`, for progress bars and notes; when it fails, the run goes on without.
    child
        Command that runs a part, given its role and job; benchmarks bring a slower one.

    Raises
    ------
    SourceError, ConfigError, ModelError
        If the source cannot be opened, the configuration does not suit it, or the network that it names
        cannot be read; nothing was started then.
    StreamError
        If the run would leave this computer in the clear, or its keys cannot be used.
    """

    def __init__(
        self,
        config: RunConfig,
        *,
        transport: Transport | None = None,
        on_status: Callable[[Status], None] = lambda status: None,
        child: Sequence[str] = CHILD,
    ) -> None:
        role = config.network.role
        self._parts: tuple[Role, ...] = ("source", "analysis") if role == "both" else (role,)
        self._keys = network_keys(config.network)
        dashboard_keys(config)  # a folder that cannot be used is told before anything starts
        if role != "both" and transport == "inproc":
            raise ConfigError(f"network.role {role} needs a process of its own: leave --one-process out")
        self._source_name = "demo" if config.microscope.camera == "demo" else "live"
        if role == "analysis":
            self._source_name = f"from_{config.network.host}"
        elif config.source.follow and config.source.path is not None:
            self._source_name = config.source.path.name
        elif config.source.kind == "recording":
            source = open_configured(config)
            source.close()
            self._source_name = source.info.name
            if role == "both":  # else the analysis judges it, which may know more
                resolve_conditions(config, source.info)
                check_camera(config.camera, source.info)
        if "analysis" in self._parts:
            check_engine(config.engine)
        self._config = config
        self._transport = transport or local_transport()
        self._on_status = on_status
        self._child = child
        self._workers: dict[Role, Worker] = {}
        self._done: dict[Role, str] = {}
        self._first_death = ""
        self._kill_source_at: float | None = None
        self._give_up_at: float | None = None
        self._is_given_up = False
        self._signals = 0
        self._is_called_off = False  # by a dashboard
        self._sent = SourceProgress(0, {})
        self._folder = Path()

    def run(self) -> RunOutcome:
        """Run until the source ends; Ctrl-C ends it early, a second Ctrl-C at once.

        Raises
        ------
        ConfigError
            If the run folder exists or cannot be made.
        StreamError
            If this computer's part of a network run cannot listen.
        """
        # From the first thing on disk on, a signal is an orderly end.
        with socket_folder() as sockets, stop_signals(self._count_signal):
            self._folder = create_run_folder(self._config.output, self._source_name, datetime.now())
            context: Context = zmq.Context()
            endpoints = job_endpoints(self._transport, sockets)
            status = StatusReceiver(context, endpoints.status)
            endpoints = network_endpoints(self._config.network, endpoints)
            endpoints = dashboard_endpoints(self._config, endpoints)
            job = Job.of(self._config, str(self._folder), endpoints).at(status=status.endpoint)
            relay = None
            try:
                if "analysis" not in self._parts:
                    relay = ResultRelay(
                        context, endpoints.uplink, endpoints.results, status.endpoint, self._keys
                    )
                self._start(self._parts[0], job, context)
                while self._running():
                    self._follow(status, job, context)
                    self._steer()
                while self._follow(status, job, context):
                    pass  # the last words of parts that have ended
            except StreamError:
                self._remove_empty_folder()
                raise
            finally:
                for worker in self._workers.values():
                    worker.close(GRACE_S)
                if relay is not None:
                    relay.close()
                status.close()
                context.term()
        return self._outcome()

    def _count_signal(self) -> None:
        self._signals += 1

    def _start(self, role: Role, job: Job, context: Context) -> None:
        if self._transport == "inproc":
            self._workers[role] = ThreadWorker(part(role), job, context)
        else:
            self._workers[role] = ProcessWorker(self._child, role, job, self._folder / f"{role}.log")

    def _running(self) -> bool:
        return any(worker.alive() for worker in self._workers.values())

    @property
    def _is_ending(self) -> bool:
        """Whether somebody asked for the end."""
        return self._signals > 0 or self._is_called_off

    def _follow(self, status: StatusReceiver, job: Job, context: Context) -> bool:
        """Take one message; False when there was none."""
        message = status.receive(POLL_MS)
        match message:
            case None:
                return False
            case SourceProgress():
                self._sent = message
            case Bound(who="source") if not self._signals and "analysis" in self._parts:
                # The analysis starts when the source's ports are known.
                bound = {"frames": message.frames, "control": message.control, "triggers": message.triggers}
                self._start("analysis", job.at(**bound), context)
            case EndWish():
                # No signal: a Ctrl-C after it is still the first one, which kills nothing.
                self._is_called_off = True
            case Done():
                self._done[message.who] = message.problem
        try:
            self._on_status(message)
        except Exception:  # a dead terminal is no reason to end a recording
            self._on_status = lambda status: None
        return True

    def _steer(self) -> None:
        """Pass on the user's wish to stop, and the end of either part to the other."""
        for role, worker in self._workers.items():
            if not self._first_death and not worker.alive() and worker.death():
                self._first_death = f"the {role} {worker.death()}"
        if self._signals > 1:
            self._first_death = self._first_death or "ended at once by a second Ctrl-C"
            for worker in self._workers.values():
                worker.kill()
        self._give_up_preparing()
        if len(self._parts) == 1:
            if self._is_ending:
                self._workers[self._parts[0]].stop()  # it passes that on to the other computer
            return
        source, analysis = self._workers["source"], self._workers.get("analysis")
        if self._is_ending or (analysis is not None and not analysis.alive()):
            source.stop()
        if analysis is not None and not source.alive():
            analysis.stop()
        if analysis is not None and not analysis.alive() and source.alive():
            now = time.monotonic()
            self._kill_source_at = self._kill_source_at or now + GRACE_S
            if now > self._kill_source_at:
                source.kill()

    def _give_up_preparing(self) -> None:
        """End an analysis that still prepares its engine, maybe for minutes, when no frame will come."""
        analysis, source = self._workers.get("analysis"), self._workers.get("source")
        is_pointless = self._is_ending or (source is not None and not source.alive())
        # As soon as there was a frame, it is never hurried: it may be writing the results of hours.
        if analysis is None or not is_pointless or (self._folder / RUN_JSON).exists():
            return
        now = time.monotonic()
        self._give_up_at = self._give_up_at or now + PREPARING_S
        if now > self._give_up_at and analysis.alive():
            self._is_given_up = True
            analysis.kill()

    def _outcome(self) -> RunOutcome:
        """Sum up; what the analysis recorded counts more than a last word that was lost."""
        recorded = (self._folder / RUN_JSON).exists()
        info = read_info(self._folder) if recorded else {}
        if info.get("results") == "tables":
            failed = info["state"].startswith("failed: ")
            problem = info["state"].removeprefix("failed: ") if failed else ""
        elif self._is_given_up and not recorded and "analysis" not in self._done:
            problem = "" if self._is_ending else self._done.get("source") or self._first_death
        else:
            problem = self._done.get("analysis") or self._done.get("source") or self._first_death
            if "analysis" in self._workers and "analysis" not in self._done:
                problem = problem or "the analysis ended without a word"
        if problem and self._first_death and self._first_death not in problem:
            problem += f" ({self._first_death})"
        if info.get("results") == "journal" and "piezo1 recover" not in problem:
            problem += f"; `piezo1 recover {self._folder}` finishes the run from its journal"
        if not recorded:
            self._remove_empty_folder()
        if self._parts == ("source",):
            info = {"sent": self._sent.n_sent, "lost": self._sent.losses}
        return RunOutcome(self._folder, info, problem)

    def _remove_empty_folder(self) -> None:
        with suppress(OSError):  # it holds a log that says why, or is gone already
            self._folder.rmdir()

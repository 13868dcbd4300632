"""The supervisor: starts source and analysis, follows them to the end, and always ends the run readable."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import zmq

from stream.analyser import analyse
from stream.conditions import resolve_conditions
from stream.config import RunConfig
from stream.job import Job
from stream.process import (
    CHILD,
    Part,
    ProcessWorker,
    Role,
    ThreadWorker,
    Transport,
    Worker,
    job_endpoints,
    local_transport,
    socket_folder,
)
from stream.publisher import open_configured, publish
from stream.record.run import JOURNAL, Info, create_run_folder, read_info
from stream.status import Bound, Done, Status, StatusReceiver
from stream.transport import Context

PARTS: dict[Role, Part] = {"source": publish, "analysis": analyse}
POLL_MS = 100
GRACE_S = 10.0  # a part may outlive its partner by this much: heartbeats tell it within 5 s


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended: its folder, its `run.json`, and what went wrong ("" if nothing did)."""

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
        Called with every `Status`, for progress bars and notes.
    child
        Command that runs a part, given its role and job; benchmarks bring a slower one.

    Raises
    ------
    SourceError, ConfigError
        If the source cannot be opened or the configuration does not suit it; nothing was started then.
    """

    def __init__(
        self,
        config: RunConfig,
        *,
        transport: Transport | None = None,
        on_status: Callable[[Status], None] = lambda status: None,
        child: Sequence[str] = CHILD,
    ) -> None:
        source = open_configured(config.source, config.channels)
        source.close()
        resolve_conditions(config, source.info)
        self._config = config
        self._transport = transport or local_transport()
        self._on_status = on_status
        self._child = child
        self._workers: dict[Role, Worker] = {}
        self._done: dict[Role, str] = {}
        self._kill_at: float | None = None
        self._interrupted = False
        self.folder = create_run_folder(config.output, source.info.name, datetime.now())

    def run(self) -> RunOutcome:
        """Run until the source ends; Ctrl-C ends it early, a second Ctrl-C at once."""
        context: Context = zmq.Context()
        with socket_folder() as sockets:
            endpoints = job_endpoints(self._transport, sockets)
            status = StatusReceiver(context, endpoints.status)
            job = Job.of(self._config, str(self.folder), endpoints).at(status=status.endpoint)
            try:
                self._start("source", job, context)
                while self._running():
                    try:
                        self._follow(status, job, context)
                    except KeyboardInterrupt:
                        self._interrupt()
                while self._follow(status, job, context):
                    pass  # the last words of parts that have ended
            finally:
                for worker in self._workers.values():
                    worker.close()
                status.close()
                context.term()
        return self._outcome()

    def _start(self, role: Role, job: Job, context: Context) -> None:
        if self._transport == "inproc":
            self._workers[role] = ThreadWorker(PARTS[role], job, context)
        else:
            self._workers[role] = ProcessWorker(self._child, role, job, self.folder / f"{role}.log")

    def _running(self) -> bool:
        return any(worker.alive() for worker in self._workers.values())

    def _follow(self, status: StatusReceiver, job: Job, context: Context) -> bool:
        """Take one message; without any, look after the workers and give False."""
        message = status.receive(POLL_MS)
        match message:
            case None:
                self._watch()
                return False
            case Bound(who="source"):
                # The analysis starts when the source's ports are known.
                self._start("analysis", job.at(frames=message.frames, control=message.control), context)
            case Done():
                self._done[message.who] = message.problem
        self._on_status(message)
        return True

    def _watch(self) -> None:
        """Give a part whose partner died some time to notice, then end it."""
        dead = [role for role, worker in self._workers.items() if not worker.alive() and worker.death()]
        if dead and self._kill_at is None:
            self._kill_at = time.monotonic() + GRACE_S
        if self._kill_at is not None and time.monotonic() > self._kill_at:
            for worker in self._workers.values():
                worker.kill()

    def _interrupt(self) -> None:
        if self._interrupted:
            for worker in self._workers.values():
                worker.kill()
        self._interrupted = True
        self._workers["source"].stop()

    def _outcome(self) -> RunOutcome:
        analysis = self._workers.get("analysis")
        if analysis is None:  # the source failed before anything was analysed
            self._remove_empty_folder()
            problem = self._done.get("source") or f"the source {self._workers['source'].death()}"
            return RunOutcome(self.folder, {}, problem)
        problem = self._done.get("analysis", "")
        if "analysis" not in self._done:
            problem = f"the analysis {analysis.death() or 'ended without a word'}"
            if (self.folder / JOURNAL).exists():
                problem += f"; `piezo1 recover {self.folder}` finishes the run from its journal"
        elif not problem:
            problem = self._done.get("source", "")
        info = read_info(self.folder) if (self.folder / "run.json").exists() else {}
        return RunOutcome(self.folder, info, problem)

    def _remove_empty_folder(self) -> None:
        try:
            self.folder.rmdir()
        except OSError:  # it holds a log that says why
            return

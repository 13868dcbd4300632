"""Starting and stopping the parts of a run; everything that differs between systems is here.

A part runs in a process of its own, or in a thread over `inproc` sockets. A child process reads its
standard input: when it closes, because the supervisor asks for a stop or has died, the child stops.
That works alike on Windows and POSIX, needs no signals, and Ctrl-C reaches the supervisor only.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from typing import IO, Literal, Protocol

import zmq

from stream.job import Job, JobEndpoints
from stream.transport.sockets import Context

Transport = Literal["ipc", "tcp", "inproc"]
Role = Literal["source", "analysis"]
Part = Callable[[Job, Context, Event], None]

WATCHED = ("desk", "results", "pictures")  # endpoints that dashboards call
CHILD = (sys.executable, "-m", "stream.child")


def local_transport() -> Transport:
    """The fastest transport between processes that this system has: `ipc`, on Windows `tcp`."""
    return "ipc" if zmq.has("ipc") and os.name == "posix" else "tcp"


def job_endpoints(transport: Transport, folder: str) -> JobEndpoints:
    """Endpoints of one run; `folder` is a short private path for sockets (ipc names have ≤ 107 bytes)."""
    # Dashboards have processes of their own, also where source and analysis are threads of one.
    outside = local_transport() if transport == "inproc" else transport
    inner = {name: _endpoint(transport, folder, name) for name in ("frames", "control", "status", "triggers")}
    return JobEndpoints(**inner, **{name: _endpoint(outside, folder, name) for name in WATCHED})


def _endpoint(transport: Transport, folder: str, name: str) -> str:
    return "tcp://127.0.0.1:*" if transport == "tcp" else f"{transport}://{folder}/{name}"


def socket_folder() -> "tempfile.TemporaryDirectory[str]":
    """A private folder for sockets, removed when the run is over."""
    return tempfile.TemporaryDirectory(prefix="piezo1-", ignore_cleanup_errors=True)


@contextmanager
def stop_signals(on_signal: Callable[[], None]) -> Iterator[None]:
    """Call `on_signal` at Ctrl-C and when the system asks the program to end, instead of ending at once.

    A call is no exception: nothing is torn out of what it does. Only the main thread can have signals.
    """
    if current_thread() is not main_thread():
        yield
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # not every system has all
    signals = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # What is ignored stays ignored: `nohup` means a run to outlive its terminal.
    signals = [number for number in signals if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda *_: on_signal()) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Worker(Protocol):
    """A running part of a run."""

    def stop(self) -> None:
        """Ask it to come to an end; it finishes what it has."""
        ...

    def alive(self) -> bool:
        """Whether it still runs."""
        ...

    def death(self) -> str:
        """How it ended, in words; empty when by itself and without trouble."""
        ...

    def kill(self) -> None:
        """End it at once where that is possible."""
        ...

    def close(self, patience_s: float) -> None:
        """Wait for its end (a process is killed after `patience_s`) and tidy up."""
        ...


class ProcessWorker:
    """A part in a child process; what it prints to standard error goes to a log file."""

    def __init__(self, command: Sequence[str], role: Role, job: Job, log: Path) -> None:
        self._log = log
        self._log_file: IO[bytes] = log.open("wb")
        # A group of its own keeps the terminal's Ctrl-C from reaching the child.
        windows = os.name == "nt"
        flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) if windows else 0
        self._child = subprocess.Popen(
            [*command, role, job.to_json()],
            stdin=subprocess.PIPE,
            stdout=self._log_file,
            stderr=subprocess.STDOUT,
            start_new_session=not windows,
            creationflags=flags,
        )
        self.pid = self._child.pid

    def stop(self) -> None:
        """Close the child's standard input."""
        if self._child.stdin and not self._child.stdin.closed:
            self._child.stdin.close()

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._child.poll() is None

    def death(self) -> str:
        """Exit code or signal in words."""
        code = self._child.poll()
        if not code:
            return ""
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"{how} (see {self._log})" if self._log.exists() and self._log.stat().st_size else how

    def kill(self) -> None:
        """Kill the process."""
        self._child.kill()

    def close(self, patience_s: float) -> None:
        """Wait for the process, kill it when that takes too long, and drop its log if it said nothing."""
        self.stop()
        try:
            self._child.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._log_file.close()
        if self._log.exists() and self._log.stat().st_size == 0:
            self._log.unlink()


class ThreadWorker:
    """A part in a thread of this process."""

    def __init__(self, part: Part, job: Job, context: Context) -> None:
        self._stop = Event()
        self._problem = ""
        self._thread = Thread(target=self._run, args=(part, job, context), name=part.__name__)
        self._thread.start()

    def _run(self, part: Part, job: Job, context: Context) -> None:
        try:
            part(job, context, self._stop)
        except Exception as error:
            self._problem = f"failed: {type(error).__name__}: {error}"

    def stop(self) -> None:
        """Set the part's stop event."""
        self._stop.set()

    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def death(self) -> str:
        """What it raised, in words."""
        return self._problem

    def kill(self) -> None:
        """Stop it; a thread cannot be killed."""
        self._stop.set()

    def close(self, patience_s: float) -> None:
        """Wait for the thread."""
        self.stop()
        self._thread.join(patience_s)

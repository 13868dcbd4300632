"""Entry of a child process: `python -m stream.child source|analysis JOB`."""

import os
import sys
from contextlib import suppress
from threading import Event, Thread

import zmq

from stream.job import Job
from stream.process import Part

OPEN_FILES = 65536  # a computer has not many more ports to call from


def part(role: str) -> Part:
    """The function behind a role; imported by itself, as the source needs no numba."""
    if role == "source":
        from stream.publisher import publish

        return publish
    from stream.analyser import analyse

    return analyse


def run_part(run: Part, job: Job) -> None:
    """Run a part to its end; it is asked to stop when standard input closes."""
    stop = Event()
    _make_room_for_connections()
    sys.stdin = None  # it is the supervisor's line: a user's function that asks for input is told so at once
    Thread(target=_stop_when_input_ends, args=(stop,), daemon=True).start()
    context = zmq.Context()
    try:
        run(job, context, stop)
    finally:
        context.term()


def _make_room_for_connections() -> None:
    """Let the process have more open files than the usual 1024, as connections count among them.

    Else a script that forgets to close its watchers, or a stranger who calls again and again, could take
    those that the recorder needs.
    """
    if sys.platform == "win32":  # which has no such limit
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _stop_when_input_ends(stop: Event) -> None:
    # Raw reads: a buffered reader held by a daemon thread aborts the interpreter at exit.
    while os.read(0, 1024):
        pass
    stop.set()


if __name__ == "__main__":
    run_part(part(sys.argv[1]), Job.from_json(sys.argv[2]))

"""Entry of a child process: `python -m stream.child source|analysis JOB`."""

import os
import sys
from threading import Event, Thread

import zmq

from stream.job import Job


def _stop_when_input_ends(stop: Event) -> None:
    # Raw reads: a buffered reader held by a daemon thread aborts the interpreter at exit.
    while os.read(0, 1024):
        pass
    stop.set()


def main(role: str, job: Job) -> None:
    """Run one part of a run to its end."""
    stop = Event()
    Thread(target=_stop_when_input_ends, args=(stop,), daemon=True).start()
    context = zmq.Context()
    try:
        # Each part is imported by itself: the source needs no numba, the analysis no TIFF reader.
        if role == "source":
            from stream.publisher import publish

            publish(job, context, stop)
        else:
            from stream.analyser import analyse

            analyse(job, context, stop)
    finally:
        context.term()


if __name__ == "__main__":
    main(sys.argv[1], Job.from_json(sys.argv[2]))

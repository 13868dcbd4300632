"""A part of a run on a crowd: `python -m bench.crowd_child CROWD.npz N_FRAMES INTERVAL_S ROLE JOB`."""

import sys
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from bench.crowd import Crowd, CrowdEngine, CrowdSource
from stream import child
from stream.analyser import analyse
from stream.job import Job
from stream.publisher import publish
from stream.transport.sockets import Context


def main(path: Path, n_frames: int, interval_s: float, role: str, job: Job) -> None:
    """Run the source, or the analysis with the stand-in engine."""
    crowd = Crowd.load(path)

    def crowd_engine(*_: Any) -> CrowdEngine:
        return CrowdEngine(crowd)

    def crowd_analysis(job: Job, context: Context, stop: Event) -> None:
        analyse(job, context, stop, crowd_engine)

    def crowd_source(*_: Any) -> CrowdSource:
        return CrowdSource(crowd, n_frames, interval_s)

    part = crowd_analysis if role == "analysis" else partial(publish, open_source=crowd_source)
    child.run_part(part, job)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], Job.from_json(sys.argv[5]))

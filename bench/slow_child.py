"""A part of a run whose engine is slower than it is: `python -m bench.slow_child SECONDS ROLE JOB`."""

import sys
import time
from functools import partial
from threading import Event

import numpy as np
from numpy.typing import NDArray

from model.camera import Camera
from model.engines.base import Engine, RawFrame, Threshold
from model.engines.choose import EngineSettings, choose_engine
from model.localizations import Localizations
from stream import child
from stream.analyser import analyse
from stream.job import Job
from stream.transport.sockets import Context


class SlowEngine:
    """An engine that takes `seconds` longer for each frame."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        self._engine, self._seconds = engine, seconds
        self.description = f"{engine.description}, slowed by {seconds * 1e3:g} ms a frame"

    def prepare(self, height: int, width: int) -> None:
        """Get ready."""
        self._engine.prepare(height, width)

    @property
    def window(self) -> int:
        """As the engine behind."""
        return self._engine.window

    @property
    def uses_gpu(self) -> bool:
        """As the engine behind."""
        return self._engine.uses_gpu

    @property
    def threshold(self) -> Threshold:
        """As the engine behind."""
        return self._engine.threshold

    def use_threshold(self, value: float) -> None:
        """Take another detection threshold."""
        self._engine.use_threshold(value)

    def use_camera(self, camera: Camera) -> None:
        """Take another camera."""
        self._engine.use_camera(camera)

    def step(self, frame: RawFrame) -> list[tuple[int, Localizations]]:
        """Localize one frame, slowly."""
        time.sleep(self._seconds)
        return self._engine.step(frame)

    def flush(self) -> list[tuple[int, Localizations]]:
        """Give what is owed."""
        return self._engine.flush()


def make_slow_engine(
    seconds: float,
    settings: EngineSettings,
    camera: Camera,
    sigma_px: float,
    transform: NDArray[np.float64] | None,
) -> Engine:
    """The configured engine, slowed."""
    return SlowEngine(choose_engine(settings, camera, sigma_px, transform), seconds)


def main(seconds: float, role: str, job: Job) -> None:
    """Run the source as it is, the analysis slowed by `seconds` a frame."""

    def slow_analysis(job: Job, context: Context, stop: Event) -> None:
        analyse(job, context, stop, partial(make_slow_engine, seconds))

    child.run_part(slow_analysis if role == "analysis" else child.part(role), job)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2], Job.from_json(sys.argv[3]))

"""What several benchmarks need: peak memory of a run's processes, and movies of noise."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

import numpy as np
import psutil
import tifffile

SAMPLE_S = 0.02
MIB = 2**20


class PeakMemory:
    """Peak resident memory in MiB of each child process by its role, sampled every 20 ms while active."""

    def __init__(self) -> None:
        self.peak_mib: dict[str, float] = {}
        self._stop = Event()
        self._thread = Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            for role, child in children().items():
                try:
                    used = child.memory_info().rss / MIB
                except psutil.Error:  # it has ended meanwhile
                    continue
                self.peak_mib[role] = max(used, self.peak_mib.get(role, 0.0))


def children() -> dict[str, psutil.Process]:
    """Running parts of this process's runs, by role ("source", "analysis")."""
    found: dict[str, psutil.Process] = {}
    for child in psutil.Process().children():
        try:
            command = child.cmdline()
        except psutil.Error:
            continue
        if "-m" in command:
            found.update({role: child for role in ("source", "analysis") if role in command})
    return found


@contextmanager
def noise_movie(n_frames: int, side: int, interval_s: float) -> Iterator[Path]:
    """A dual-channel movie of camera noise in a temporary folder, quick to write at any length."""
    rng = np.random.default_rng(1)
    block = rng.poisson(20, (64, 2, side, side)).astype(np.uint16) + np.uint16(100)
    with tempfile.TemporaryDirectory(prefix="piezo1-bench-") as folder:
        path = Path(folder) / "noise.tif"
        metadata = {"axes": "TCYX", "TimeIncrement": interval_s, "PhysicalSizeX": 0.108}
        with tifffile.TiffWriter(path, bigtiff=True, ome=True) as writer:
            writer.write(
                (block[i % 64, channel] for i in range(n_frames) for channel in (0, 1)),
                shape=(n_frames, 2, side, side),
                dtype=np.uint16,
                photometric="minisblack",
                metadata=metadata,
            )
        yield path

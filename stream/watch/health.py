"""Figures of the computer that a run is on: disk and GPU, asked in a thread of its own.

A network drive, or a driver, may take seconds to answer; the analysis never waits for them.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path
from threading import Event, Thread

from stream.record.run import JOURNAL
from stream.wire import Gpu

NVIDIA_SMI = "nvidia-smi"
DISK_EVERY_S, GPU_EVERY_S = 1.0, 3.0
GPU_TIMEOUT_S = 10.0  # its first call takes seconds where the driver is not kept loaded
CLOSE_S = 1.0
MIB = 2**20


class Gauges:
    """Size of a run's journal, room left on its disk, and memory of its GPU.

    Parameters
    ----------
    folder
        Run folder.
    engine
        `Engine.description`, which names the GPU where there are several.

    Attributes
    ----------
    run_bytes, disk_free_bytes, gpu
        As in `wire.Health`, as they were a few seconds ago at most; a disk that does not answer has no room.
    uses_gpu
        Whether the GPU is asked for; may be set at any time.
    """

    def __init__(self, folder: Path, engine: str = "") -> None:
        self._folder, self._engine = folder, engine
        self.run_bytes = 0
        self.disk_free_bytes = 0
        self.gpu: Gpu | None = None
        self.uses_gpu = False
        self._known, self._over = Event(), Event()
        self._thread = Thread(target=self._run, name="gauges", daemon=True)
        self._thread.start()

    @property
    def is_known(self) -> bool:
        """Whether the disk was asked yet."""
        return self._known.is_set()

    def close(self) -> None:
        """Stop; one that is stuck in a question is left behind."""
        self._over.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        ask_gpu_s = 0.0
        while not self._over.is_set():
            self._ask_disk()
            self._known.set()
            now = time.monotonic()
            if not self.uses_gpu:
                self.gpu = None
            elif now >= ask_gpu_s:
                ask_gpu_s = now + GPU_EVERY_S
                self.gpu = gpu_memory(self._engine)
            self._over.wait(DISK_EVERY_S)

    def _ask_disk(self) -> None:
        try:
            self.disk_free_bytes = shutil.disk_usage(self._folder).free
        except OSError:  # it is gone, and with it the room
            self.disk_free_bytes = 0
        try:
            with os.scandir(self._folder / JOURNAL) as files:
                self.run_bytes = sum(file.stat().st_size for file in files)
        except OSError:  # it is over, or gone
            self.run_bytes = 0


def gpu_memory(engine: str) -> Gpu | None:
    """Memory of the NVIDIA GPU that `engine` names, else of the first; None where nothing can be learned."""
    program = shutil.which(NVIDIA_SMI)
    if program is None:
        return None
    command = [program, "--query-gpu=name,memory.used,memory.total", "--format=csv,noheader,nounits"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
    if visible:
        command.append(f"--id={visible}")
    try:
        answer = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GPU_TIMEOUT_S,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # on Windows, else one flashes up
        )
    except (OSError, subprocess.SubprocessError):
        return None
    gpus = [gpu for line in answer.stdout.splitlines() if (gpu := _gpu(line)) is not None]
    named = [gpu for gpu in gpus if gpu.name in engine]
    return next(iter(named or gpus), None)


def _gpu(line: str) -> Gpu | None:
    """A GPU from a line such as `NVIDIA H100 80GB HBM3, 1024, 81559` (MiB); None of anything else."""
    try:
        name, used, total = (part.strip() for part in line.rsplit(",", 2))
        return Gpu(name, int(used) * MIB, int(total) * MIB)
    except ValueError:
        return None

"""A driver that hangs is told of, and the program can end all the same."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pycromanager", reason="pycromanager is not installed (extra: live)")

pytestmark = pytest.mark.timeout(60)

PROGRAM = """
import sys, time
from acquire.frame import SourceError
from acquire.micromanager import pycro, sequence
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.open import open_microscope

pycro.END_S = sequence.END_S = 0.5
options = dict(camera="demo", backend=sys.argv[1], exposure_ms=5, interval_ms=20, buffer_mb=16)
source = open_microscope(MicroscopeConfig(**options))
core = source._backend.core.raw if sys.argv[1] == "python" else source._core
snap, unload = core.snap_image, core.unload_all_devices
core.unloadAllDevices = core.unload_all_devices = lambda: time.sleep(1000)
for frame in source.frames():
    if frame.seq == 3:
        core.snap_image = lambda: time.sleep(1000)
        time.sleep(0.1)
        source.stop()
try:
    source.close()
except SourceError as error:
    print(error, flush=True)
"""


@pytest.mark.parametrize("backend", ["python", "sequence"])
def test_the_program_ends_though_a_driver_hangs(backend):
    """pycromanager's threads kept it alive, and what it does at the end waited for the driver."""
    command = [sys.executable, "-c", PROGRAM, backend]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as program:
        try:
            assert "does not end its acquisition; restart this program" in program.stdout.readline()
            told = time.monotonic()
            assert program.wait(20) == 0
            assert time.monotonic() - told < 15
        finally:
            program.kill()

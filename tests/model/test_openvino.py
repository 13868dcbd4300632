"""OpenVINO in a process that does other things as well."""

import os
import signal
import subprocess
import sys

import pytest

OPENED_TWICE = """
import os, signal
import numpy as np
from model.camera import Camera
from model.card import SHIPPED_MODEL, read_model
from model.engines.openvino import open_openvino
from model.graph_io import Opening

opening = Opening(*read_model(SHIPPED_MODEL), 48, 48, Camera(), np.eye(2, 3, dtype=np.float32))
first = open_openvino(opening)
second = open_openvino(opening)
del first
del second
signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
os.kill(os.getpid(), signal.SIGINT)
print("alive")
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are delivered otherwise on Windows")
def test_a_signal_after_two_sessions_does_not_crash() -> None:
    """The engine opens a graph on trial and again for its frames; ending the first broke Ctrl-C."""
    child = subprocess.run([sys.executable, "-c", OPENED_TWICE], capture_output=True, text=True, timeout=100)
    assert child.returncode != -signal.SIGSEGV
    assert child.stdout.split() == ["interrupted", "alive"]

"""Fixtures of the sources' tests."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from acquire.live import LiveSource
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.open import open_microscope
from acquire.micromanager.server import leave


class Bridge:
    """A running stand-in, from the tests' side."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.port: int = self._reply()["port"]

    def tell(self, **command: object) -> dict[str, Any]:
        """Have the window do something, see `Window.tell` in fake_studio.py."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._reply()

    def kill(self) -> None:
        """End it without a word, as a crash does."""
        self._process.kill()
        self._process.wait(10)

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    """A stand-in for a running Micro-Manager, for one test."""
    command = [sys.executable, str(Path(__file__).with_name("fake_micromanager.py"))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    started = Bridge(process)
    try:
        yield started
    finally:
        leave(started.port)  # what a test still holds would wait for it without limit
        process.kill()
        process.communicate(timeout=10)


@pytest.fixture
def microscope() -> Iterator[Callable[..., LiveSource]]:
    """Open demo cameras, 256 × 256, 20 ms; options as in the section microscope, or of `open_microscope`."""
    opened = []

    def make(**options: Any) -> LiveSource:
        given = {key: options.pop(key) for key in ("layout", "swap", "max_frames", "scene") if key in options}
        config = MicroscopeConfig(
            **{"camera": "demo", "exposure_ms": 20, "buffer_mb": 64, "queue_frames": 50, **options}
        )
        source = open_microscope(config, **given)
        opened.append(source)
        return source

    yield make
    for source in opened:
        source.close()

"""`piezo1 dashboard` as a process of its own: it finds runs, outlives them, and none of them minds its end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream.load import load_config
from stream.pipeline import RunOutcome, Supervisor
from stream.record.run import open_run

pytestmark = pytest.mark.timeout(120)
PATIENCE_S = 60.0
# The command itself, which tells in a file what its window shows.
SPY = """
import json, os, sys
from dashboard.controllers.dashboard import Dashboard

def tick(self, tick=Dashboard.tick):
    tick(self)
    watched, scene = self.watched, self.scene
    shown = {
        "title": self.window.windowTitle(),
        "run": watched.report.run_id if watched.report else None,
        "link": watched.link.state,
        "seq": scene.seq if scene else None,
        "pictured": bool(scene and scene.picture is not None),
    }
    with open(sys.argv[1] + ".part", "w") as file:
        json.dump(shown, file)
    os.replace(sys.argv[1] + ".part", sys.argv[1])

Dashboard.tick = tick
from piezo1 import app
app(["dashboard", *sys.argv[2:]])
"""


class Watching:
    """`piezo1 dashboard` in a process."""

    def __init__(self, told: Path, *arguments: str) -> None:
        self._told = told
        self.process = subprocess.Popen(
            [sys.executable, "-c", SPY, str(told), *arguments], stderr=subprocess.PIPE, text=True
        )

    def shows(self, what: Callable[[dict], object]) -> dict:
        """Wait until the window shows something; gives what it shows."""
        until = time.monotonic() + PATIENCE_S
        shown: dict = {}
        while time.monotonic() < until:
            assert self.process.poll() is None, self.process.stderr.read()
            try:
                shown = json.loads(self._told.read_text())
            except (OSError, ValueError):
                shown = {}
            if shown and what(shown):
                return shown
            time.sleep(0.02)
        raise AssertionError(f"the window showed {shown}")

    def end(self, number: int) -> str:
        """Send a signal and wait for the end; gives what it wrote to the terminal."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE_S)
        return self.process.stderr.read()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self.process.stderr.close()


@pytest.fixture
def watching(tmp_path, monkeypatch) -> Iterator[Callable[..., Watching]]:
    """Open a dashboard that looks for runs of this test only."""
    monkeypatch.setenv("PIEZO1_RUNS", str(tmp_path / "announced"))
    monkeypatch.setenv("PIEZO1_SETTINGS", str(tmp_path / "settings.ini"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made: list[Watching] = []

    def start(*arguments: str) -> Watching:
        made.append(Watching(tmp_path / f"told_{len(made)}", *arguments))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def replay(settings) -> Callable[..., RunOutcome]:
    """A whole run of the small sample, in processes of its own."""

    def run(on_status=lambda status: None, **options: object) -> RunOutcome:
        options = {"engine__name": "wavelet", "source__speed": 0.5, **options}
        return Supervisor(load_config(options=settings(**options)), on_status=on_status).run()

    return run

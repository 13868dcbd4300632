"""`piezo1 dashboard` as a process of its own: it finds runs and outlives them, and no run minds its end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from stream.record.run import open_run

pytestmark = pytest.mark.timeout(240)  # three windows are opened, one after the other
PATIENCE_S = 60.0
N_FRAMES = 100
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

    def told(self) -> dict:
        """What it shows now, empty before its window is there."""
        try:
            return json.loads(self._told.read_text())
        except OSError:
            return {}

    def shows(self, what: Callable[[dict], object]) -> dict:
        """Wait until the window shows something; gives what it shows."""
        until = time.monotonic() + PATIENCE_S
        shown: dict = {}
        while time.monotonic() < until:
            assert self.process.poll() is None, self.process.stderr.read()
            shown = self.told()
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


def test_dashboards_come_and_go_while_runs_come_and_go(watching, replay):
    first = watching()
    first.shows(lambda shown: shown["link"] == "searching")
    run = replay()
    run.valve.let(20)
    seen = first.shows(lambda shown: shown["seq"] == 20 and shown["pictured"])
    assert "movie" in seen["title"]
    late = watching()
    late.shows(lambda shown: shown["link"] == "watching")
    seq = 20
    while not late.told().get("pictured"):  # it sees what comes from now on
        seq += 1
        run.valve.let(seq)
        first.shows(lambda shown, seq=seq: shown["seq"] == seq)
    assert late.told()["run"] == seen["run"] == first.told()["run"]
    first.process.kill()
    first.process.wait()
    run.valve.let(seq + 10)
    late.shows(lambda shown: shown["seq"] == seq + 10)
    run.valve.let(N_FRAMES)
    watched = run.end()
    assert (watched.info["state"], watched.info["counts"]["frames_out"]) == ("finished", N_FRAMES)
    late.shows(lambda shown: shown["link"] == "over" and shown["seq"] == N_FRAMES - 1)

    run = replay()  # the next one, shown without being asked for
    run.valve.let(10)
    assert late.shows(lambda shown: shown["seq"] == 10)["run"] != seen["run"]
    if os.name == "posix":  # elsewhere nobody sends signals
        assert late.end(signal.SIGTERM) == ""
        assert late.process.returncode == 0
    run.valve.let(N_FRAMES)
    unwatched = run.end()
    pd.testing.assert_frame_equal(open_run(watched.folder).puncta(), open_run(unwatched.folder).puncta())

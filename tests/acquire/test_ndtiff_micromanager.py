"""A real acquisition of two demo cameras: replaying and following its files give what the hook saw."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from acquire.frame import Frame, SourceInfo
from acquire.ndtiff.follow import follow_source
from acquire.source import open_source

N = 80
ACQUIRE = Path(__file__).with_name("acquire_ndtiff.py")


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, SourceInfo, list[Frame]]]:
    """The folder of a finished acquisition, and what was followed of it while it ran."""
    folder = tmp_path_factory.mktemp("micromanager")
    process = subprocess.Popen([sys.executable, str(ACQUIRE), str(folder), str(N)])
    try:
        with closing(follow_source(folder / "demo_1", idle_s=10)) as source:
            frames = list(source.frames())
            assert not source.losses
        assert process.wait(30) == 0
        yield folder, source.info, frames
    finally:
        process.kill()
        process.wait(10)


def check(frames: list[Frame], folder: Path) -> None:
    assert [frame.seq for frame in frames] == list(range(N))
    with np.load(folder / "hook.npz") as hook:
        assert len(hook.files) == 2 * N
        for frame in frames:
            for channel, camera in enumerate(("left", "right")):
                np.testing.assert_array_equal(frame.pixels[channel], hook[json.dumps([camera, frame.seq])])
    assert len({frame.pixels.tobytes() for frame in frames}) > 3  # the scene changes, so a wrong pair shows


@pytest.mark.timeout(90)
def test_following_gives_what_the_hook_saw(followed: tuple[Path, SourceInfo, list[Frame]]) -> None:
    folder, info, frames = followed
    check(frames, folder)
    assert info.shape == (2, 64, 64)
    assert info.interval_s is not None and 0.01 < info.interval_s < 0.1
    assert "paired by camera and image number" in info.description
    when = json.loads((folder / "hook.json").read_text())
    lags_s = [
        frame.arrived_ns / 1e9
        - max(when[json.dumps([camera, frame.seq])] for camera in ("left", "right")) / 1e9
        for frame in frames
        if frame.arrived_ns is not None
    ]
    assert len(lags_s) == N and np.percentile(lags_s, 95) < 0.5


@pytest.mark.timeout(90)
def test_replay_gives_what_the_hook_saw(followed: tuple[Path, SourceInfo, list[Frame]]) -> None:
    folder, _, live = followed
    with closing(open_source(folder / "demo_1")) as source:
        frames = list(source.frames())
        assert not source.losses
    check(frames, folder)
    assert [frame.time_s for frame in frames] == [frame.time_s for frame in live]

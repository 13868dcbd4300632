"""Imaging in a Micro-Manager that runs already, on the stand-in for its Java side."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pycromanager", reason="pycromanager is not installed (extra: live)")

from acquire.frame import SourceError
from acquire.layout import ChannelLayout
from acquire.live import Action
from acquire.micromanager.attach import AttachedSource
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.java import JavaBackend
from acquire.micromanager.pycro import PycroSource

pytestmark = [
    pytest.mark.timeout(60),
    # pyjavaz leaves its socket to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

ROOT = Path(__file__).parents[2]
STACK, SINGLE = ChannelLayout("stack", False), ChannelLayout("single", False)


def config(**entries):
    return MicroscopeConfig(backend="java", queue_frames=1000, **entries)


def open_java(bridge, layout, max_frames=None, **entries):
    settings = config(**entries)
    return PycroSource(JavaBackend(settings, bridge.port), settings, layout, max_frames)


def image(bridge, layout, max_frames, **entries):
    source = open_java(bridge, layout, max_frames, **entries)
    try:
        return source, list(source.frames())
    finally:
        source.close()


def test_an_unmodified_core_of_pycromanager_works_on_the_stand_in(bridge):
    from pycromanager import Core

    core = Core(port=bridge.port)
    assert "MMCore" in core.get_version_info()
    devices = core.get_loaded_devices()
    assert [devices.get(i) for i in range(devices.size())] == ["DHub", "PIEZO1", "Calcium", "Both", "Core"]
    core.set_property("PIEZO1", "Gain", 3)
    core.set_exposure(5)
    assert (core.get_property("PIEZO1", "Gain"), core.get_exposure()) == ("3", 5)
    core.snap_image()
    assert core.get_image().shape == (128 * 128,)  # flat, as Java's arrays are
    assert core.get_image().dtype == np.uint16
    core.start_sequence_acquisition(20, 0.0, True)
    numbers = {"PIEZO1": [], "Calcium": []}
    while sum(map(len, numbers.values())) < 40:
        if core.get_remaining_image_count():
            image = core.pop_next_tagged_image()
            assert image.pix.size == image.tags["Width"] * image.tags["Height"]
            numbers[image.tags["Camera"]].append(int(image.tags["ImageNumber"]))
    assert numbers == {"PIEZO1": list(range(20)), "Calcium": list(range(20))}
    with pytest.raises(Exception, match="No device with label"):
        core.get_property("nothing", "Gain")


def test_two_cameras_give_every_pair(bridge):
    source, frames = image(bridge, STACK, 200, exposure_ms=10.0)
    assert [frame.seq for frame in frames] == list(range(200))
    assert source.losses == {}
    assert source.info.shape == frames[0].pixels.shape == (2, 128, 128)
    assert [frame.metadata["image_number"] for frame in frames] == list(range(200))
    assert source.session.pairer.n_frames * 2 == source.session.hook.n_images


def test_longer_than_a_block_and_a_second_time(bridge):
    JavaBackend.block_s, kept = 0.3, JavaBackend.block_s
    try:
        for _ in range(2):
            source, frames = image(bridge, STACK, 100, exposure_ms=5.0)
            assert [frame.seq for frame in frames] == list(range(100))
            assert source.losses == {}
    finally:
        JavaBackend.block_s = kept


def test_one_camera_at_intervals(bridge):
    source, frames = image(bridge, SINGLE, 10, mode="single", cameras=("PIEZO1", "Calcium"), interval_ms=50)
    assert [frame.seq for frame in frames] == list(range(10))
    assert source.losses == {}
    assert np.diff([frame.time_s for frame in frames]).mean() == pytest.approx(0.05, abs=0.02)


def test_stop_ends_the_stream_at_once_and_an_exposure_changes_with_the_next_block(bridge):
    JavaBackend.block_s, kept = 0.5, JavaBackend.block_s
    try:
        source = open_java(bridge, STACK)
        frames = source.frames()
        next(frames)
        assert source.act(Action("exposure", 20)) == "the exposure is 20 ms"
        stopped_at = []

        def stop():
            stopped_at.append(time.monotonic())
            source.stop()

        threading.Timer(0.5, stop).start()
        rest = list(frames)
        assert time.monotonic() - stopped_at[0] < 0.2
        assert [frame.seq for frame in rest] == list(range(1, len(rest) + 1))
        source.close()
    finally:
        JavaBackend.block_s = kept


WATCHER = """
import sys
from acquire.frame import SourceError
from acquire.layout import ChannelLayout
from acquire.micromanager.attach import AttachedSource
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.java import JavaBackend
from acquire.micromanager.pycro import PycroSource

config = MicroscopeConfig(backend="java", attach=sys.argv[1] == "attach")
layout, port = ChannelLayout("stack", False), int(sys.argv[2])
if config.attach:
    source = AttachedSource(config, layout, port=port)
else:
    source = PycroSource(JavaBackend(config, port), config, layout)
try:
    for n, frame in enumerate(source.frames()):
        if n == 0:
            print("images come", flush=True)
except SourceError as error:
    print(error, flush=True)
source.close()
"""


@pytest.mark.parametrize("way", ["java", "attach"])
def test_when_micro_manager_crashes_the_stream_ends_with_a_sentence_and_the_program_too(bridge, way):
    if way == "attach":
        bridge.tell(do="acquire", frames=5000, channels=2, interval_ms=20, size=[32, 48])
    command = [sys.executable, "-c", WATCHER, way, str(bridge.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as watcher:
        try:
            assert watcher.stdout.readline() == "images come\n"
            bridge.kill()
            killed_at = time.monotonic()
            assert watcher.stdout.readline().startswith("Micro-Manager ended: nothing answers on port")
            assert time.monotonic() - killed_at < 2
            assert watcher.wait(20) == 0
        finally:
            watcher.kill()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("attach", [False, True])
def test_without_micro_manager_there_is_one_sentence_in_time(attach, listens):
    settings = config(attach=attach)
    begun = time.monotonic()
    with socket.socket() as other:  # a program that holds the port and says nothing
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1] if listens else free_port()
        if listens:
            other.listen()
        with pytest.raises(
            SourceError, match=f'tick "Run server on port {port}" in its menu Tools > Options'
        ):
            AttachedSource(settings, STACK, port=port) if attach else JavaBackend(settings, port)
    assert time.monotonic() - begun < 5

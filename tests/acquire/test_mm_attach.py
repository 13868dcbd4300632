"""Watching an acquisition in Micro-Manager's window, on the stand-in for its Java side."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("pycromanager", reason="pycromanager is not installed (extra: live)")

from acquire.frame import SourceError
from acquire.layout import ChannelLayout
from acquire.live import NO_PARTNER, Action
from acquire.micromanager.attach import SKIPPED, AttachedSource
from acquire.micromanager.config import MicroscopeConfig

pytestmark = [
    pytest.mark.timeout(60),
    # pyjavaz leaves its socket to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

STACK, SINGLE = ChannelLayout("stack", False), ChannelLayout("single", False)
SIZE = [32, 48]


def config(**entries):
    return MicroscopeConfig(backend="java", attach=True, queue_frames=100, **entries)


def picture(time_point, channel):
    """What the stand-in's window shows, see fake_studio.py."""
    return np.random.default_rng([time_point, channel]).integers(0, 4096, SIZE).astype(np.uint16)


def watch(bridge, layout, **entries):
    source = AttachedSource(config(**entries), layout, port=bridge.port, wait_s=10)
    try:
        return source, list(source.frames())
    finally:
        source.close()


def test_every_time_point_is_handed_over_with_both_channels(bridge):
    bridge.tell(do="acquire", frames=50, channels=2, interval_ms=20, size=SIZE)
    source, frames = watch(bridge, STACK)
    assert source.losses == {}
    assert source.info.shape == (2, *SIZE)
    assert (source.info.bit_depth, source.info.pixel_size_nm, source.info.interval_s) == (12, 110, 0.02)
    first = frames[0].metadata["time_point"]
    assert first < 20  # as many as had passed while it looked at the first image
    assert [frame.seq for frame in frames] == list(range(50 - first))
    for frame in frames:
        time_point = frame.metadata["time_point"]
        assert time_point == first + frame.seq
        np.testing.assert_array_equal(frame.pixels, [picture(time_point, 0), picture(time_point, 1)])
        assert frame.time_s == pytest.approx(frame.seq * 0.02, abs=0.03)
        assert abs(time.time_ns() - frame.arrived_ns) < 10e9


@pytest.mark.parametrize("axes", [None, {"z": 0, "position": 0}])
def test_one_channel_and_the_coordinates_of_all_versions(bridge, axes):
    bridge.tell(do="acquire", frames=10, channels=1, interval_ms=50, size=SIZE, axes=axes)
    source, frames = watch(bridge, SINGLE)
    assert source.losses == {}
    assert len(frames) >= 5
    for frame in frames:
        np.testing.assert_array_equal(frame.pixels, [picture(frame.metadata["time_point"], 0)])


def test_images_that_never_come_are_counted(bridge):
    skip = [[20, 1], [30, 0], [30, 1], [40, 0]]
    bridge.tell(do="acquire", frames=50, channels=2, interval_ms=20, size=SIZE, skip=skip)
    source, frames = watch(bridge, STACK)
    assert frames[0].metadata["time_point"] < 20
    assert {20, 30, 40}.isdisjoint(frame.metadata["time_point"] for frame in frames)
    assert source.losses == {NO_PARTNER: 2, SKIPPED: 1}
    assert len(frames) + 3 == 50 - frames[0].metadata["time_point"]
    assert [frame.metadata["time_point"] - frame.seq for frame in frames] == [
        frames[0].metadata["time_point"]
    ] * len(frames)


def test_a_data_set_that_grows_too_fast_gives_its_newest_time_points(bridge):
    bridge.tell(do="acquire", frames=2000, channels=2, interval_ms=0.5, size=SIZE)
    source = AttachedSource(config().model_copy(update={"queue_frames": 4}), STACK, port=bridge.port)
    frames = list(source.frames())
    source.close()
    assert source.losses[SKIPPED] > 100
    assert frames[-1].metadata["time_point"] == 1999
    assert len(frames) + sum(source.losses.values()) == frames[-1].seq + 1


def test_stop_ends_it_within_a_fifth_of_a_second(bridge):
    bridge.tell(do="acquire", frames=1000, channels=2, interval_ms=20, size=SIZE)
    source = AttachedSource(config(), STACK, port=bridge.port)
    stopped_at = []

    def stop():
        source.act(Action("stop"))
        stopped_at.append(time.monotonic())

    threading.Timer(0.3, stop).start()
    frames = list(source.frames())
    assert time.monotonic() - stopped_at[0] < 0.2
    assert frames
    source.close()
    source.close()


def test_it_cannot_change_the_acquisition(bridge):
    bridge.tell(do="acquire", frames=100, channels=2, interval_ms=20, size=SIZE)
    source = AttachedSource(config(), STACK, port=bridge.port)
    with pytest.raises(SourceError, match="cannot change its exposure from here"):
        source.act(Action("exposure", 5))
    source.close()


@pytest.mark.parametrize(
    ("acquisition", "layout", "sentence"),
    [
        (None, STACK, "no acquisition with 2 channels ran"),
        ({"channels": 1}, STACK, "no acquisition with 2 channels ran"),
        ({"channels": 1, "frames": 1, "wait": True}, SINGLE, "no acquisition with 1 channel ran"),
        ({"channels": 1, "axes": {"z": 3}}, SINGLE, "several entries along z"),
    ],
)
def test_an_acquisition_that_cannot_be_followed(bridge, acquisition, layout, sentence):
    if acquisition is not None:
        bridge.tell(**({"do": "acquire", "frames": 1000, "interval_ms": 20, "size": SIZE} | acquisition))
    with pytest.raises(SourceError, match=sentence):
        AttachedSource(config(), layout, port=bridge.port, wait_s=0.5)


def test_entries_that_the_window_decides_are_refused(bridge):
    with pytest.raises(SourceError, match="exposure_ms has no effect with attach"):
        AttachedSource(config(exposure_ms=5.0), STACK, port=bridge.port)

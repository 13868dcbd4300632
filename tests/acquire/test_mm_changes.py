"""Stopping a running acquisition, and changing it, from another thread."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("pycromanager", reason="pycromanager is not installed (extra: live)")

from acquire.frame import SourceError
from acquire.live import Action

pytestmark = pytest.mark.timeout(60)


class Watcher:
    """Takes frames in a thread of its own, as the publisher does."""

    def __init__(self, source):
        self.source, self.seqs, self.times, self.problem, self.ended = source, [], [], None, None
        self.thread = threading.Thread(target=self._take)
        self.thread.start()

    def _take(self):
        try:
            for frame in self.source.frames():
                self.seqs.append(frame.seq)
                self.times.append(frame.time_s)
        except SourceError as error:
            self.problem = error
        self.ended = time.monotonic()

    def wait_for(self, n):
        """Wait until `n` more frames came."""
        n += len(self.seqs)
        while len(self.seqs) < n and self.ended is None:
            time.sleep(0.002)

    def intervals_ms(self, n):
        """Median time between the next `n` frames."""
        self.wait_for(1)
        start = len(self.times)
        self.wait_for(n)
        return 1e3 * float(np.median(np.diff(self.times[start - 1 :])))

    def finish(self):
        self.thread.join(10)
        assert self.problem is None, self.problem
        assert self.seqs == list(range(len(self.seqs)))


@pytest.mark.parametrize(
    ("options", "before"),
    [
        ({}, 20),
        ({"mode": "single", "exposure_ms": 2}, 200),
        ({"mode": "single", "interval_ms": 5000}, 1),
        ({"mode": "single", "exposure_ms": 1500}, 0),
        ({"mode": "channels", "channel_group": "g", "channels": ("a", "b")}, 3),
    ],
)
def test_it_stops_at_once(microscope, options, before):
    source = microscope(**options)
    watcher = Watcher(source)
    watcher.wait_for(before)
    time.sleep(0.05)
    asked = time.monotonic()
    source.stop()
    source.stop()
    watcher.finish()
    assert watcher.ended - asked < 0.2
    assert not source.losses
    source.close()
    assert time.monotonic() - asked < 5
    with pytest.raises(SourceError, match="has ended"):
        source.act(Action("exposure", 5))


def test_exposure_interval_and_burst(microscope):
    source = microscope()
    watcher = Watcher(source)
    assert watcher.intervals_ms(10) == pytest.approx(20, abs=4)
    assert source.act(Action("burst", 5)) == "frames come as fast as the exposure allows already"
    asked = time.monotonic()
    assert source.act(Action("exposure", 10)) == "the exposure is 10 ms"
    assert time.monotonic() - asked < 1
    assert watcher.intervals_ms(20) == pytest.approx(10, abs=4)
    assert source.act(Action("interval", 80)) == "a frame every 80 ms"
    assert watcher.intervals_ms(6) == pytest.approx(80, abs=8)
    assert source.act(Action("burst", 40)) == "a burst of 40 frames"
    assert watcher.intervals_ms(20) == pytest.approx(10, abs=4)
    watcher.wait_for(25)
    assert watcher.intervals_ms(5) == pytest.approx(80, abs=8)  # as before the burst
    assert source.act(Action("interval", 0)) == "frames as fast as the exposure allows"
    assert watcher.intervals_ms(20) == pytest.approx(10, abs=4)
    for action in (
        Action("exposure", -1),
        Action("exposure", None),
        Action("burst", 0),
        Action("interval", 1e12),
    ):
        with pytest.raises(SourceError, match=f"{action.kind} cannot be"):
            source.act(action)
    assert source.act(Action("stop")) == "the acquisition ends"
    watcher.finish()
    assert not source.losses


def test_channels_can_be_slowed_down_and_burst(microscope):
    source = microscope(mode="channels", channel_group="g", channels=("a", "b"), exposure_ms=5)
    watcher = Watcher(source)
    assert watcher.intervals_ms(10) < 60
    source.act(Action("interval", 150))
    assert watcher.intervals_ms(4) == pytest.approx(150, abs=15)
    source.act(Action("burst", 10))
    assert watcher.intervals_ms(8) < 60
    source.stop()
    watcher.finish()


def test_a_camera_that_refuses_an_exposure_images_on(microscope, monkeypatch):
    from acquire.micromanager import pycro

    def refuse(core, cameras, exposure_ms):
        raise SourceError(f"{cameras[0]} does not take an exposure of {exposure_ms} ms")

    source = microscope(mode="single")
    watcher = Watcher(source)
    watcher.wait_for(5)
    monkeypatch.setattr(pycro, "set_exposure", refuse)
    with pytest.raises(SourceError, match="does not take an exposure of 3 ms"):
        source.act(Action("exposure", 3))
    watcher.wait_for(5)
    source.stop()
    watcher.finish()


def test_until_stopped_goes_from_block_to_block_without_a_gap(microscope, monkeypatch):
    """Image numbers begin again with each block, `seq` does not; blocks are short here."""
    from acquire.micromanager import feeder

    monkeypatch.setattr(feeder, "MAX_BLOCK", 25)
    source = microscope(exposure_ms=5)
    watcher = Watcher(source)
    watcher.wait_for(130)
    source.stop()
    watcher.finish()
    assert not source.losses
    assert all(np.diff(watcher.times) > 0)
    source.close()
    watcher = Watcher(microscope(exposure_ms=5, max_frames=60))
    watcher.finish()
    assert len(watcher.seqs) == 60


def test_a_changed_acquisition_still_gives_the_frames_that_were_asked_for(microscope):
    source = microscope(exposure_ms=5, max_frames=120)
    watcher = Watcher(source)
    for exposure_ms in (4, 6, 5):
        watcher.wait_for(20)
        source.act(Action("exposure", exposure_ms))
    watcher.finish()
    assert len(watcher.seqs) == 120 and not source.losses


def test_a_camera_that_gives_nothing_any_more_is_noticed(microscope, monkeypatch):
    """The engine waited for its images for ever."""
    monkeypatch.setattr("acquire.micromanager.core.SILENT_S", 0.3)
    source = microscope(exposure_ms=5)
    watcher = Watcher(source)
    watcher.wait_for(5)
    source._backend.core.get_remaining_image_count = lambda: 0
    watcher.thread.join(5)
    assert str(watcher.problem).startswith("Demo camera ") and "given no image for 0.3 s" in str(
        watcher.problem
    )


def test_a_snap_that_gives_no_image_ends_it_with_a_sentence(microscope):
    """It asked for the next snap again and again."""
    source = microscope(interval_ms=20, exposure_ms=5)
    watcher = Watcher(source)
    watcher.wait_for(3)

    def gone(channel):
        raise RuntimeError("the camera is gone")

    source._backend.core.raw.get_image = gone
    watcher.thread.join(5)
    assert str(watcher.problem) == "imaging failed: the camera is gone"

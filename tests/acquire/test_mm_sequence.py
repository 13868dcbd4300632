"""The core's sequences and snaps without pycromanager, on the real pymmcore and its demo cameras."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("pymmcore", reason="pymmcore is not installed (extra: live)")

from acquire.frame import SourceError
from acquire.live import CAMERA_BUFFER, HOOK_QUEUE, NO_PARTNER, Action
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.pairing import live_layout
from acquire.micromanager.sequence import SequenceSource

pytestmark = pytest.mark.timeout(60)

PRESETS = {"channel_group": "Channel", "channels": ("JF549", "BAPTA")}


def open_sequence(max_frames=None, layout="auto", swap=False, **entries):
    options = {"camera": "demo", "buffer_mb": 64, "queue_frames": 1000, "exposure_ms": 5.0} | entries
    config = MicroscopeConfig(backend="sequence", **options)
    return SequenceSource(config, live_layout(config.mode, layout, swap), max_frames)


def image(max_frames, **options):
    source = open_sequence(max_frames, **options)
    try:
        return source, list(source.frames())
    finally:
        source.close()


def tell_cameras_apart(source):
    """Let the images say which camera they are from: the second has much more light."""
    for camera, flux in zip(source.session.devices.cameras, ("2", "2000"), strict=True):
        source._core.set_property(camera, "Mode", "Noise")
        source._core.set_property(camera, "Photon Flux", flux)


def test_two_cameras_at_20_ms_give_every_pair():
    source = open_sequence(300, exposure_ms=20.0)
    handed = {0: {}, 1: {}}
    put = source.session.pairer.put

    def record(image):
        handed[image.channel][image.number] = image.pixels
        return put(image)

    source.session.pairer.put = record
    frames = list(source.frames())
    source.close()
    assert source.losses == {}
    assert [frame.seq for frame in frames] == list(range(300))
    for frame in frames:
        number = frame.metadata["image_number"]
        assert number == frame.seq
        np.testing.assert_array_equal(frame.pixels, [handed[0][number], handed[1][number]])
    intervals = np.diff([frame.time_s for frame in frames])
    assert np.median(intervals) == pytest.approx(0.02, abs=0.005)
    assert source.info.shape == frames[0].pixels.shape == (2, 256, 256)


@pytest.mark.parametrize("interval_ms", [0, 30])
@pytest.mark.parametrize("swap", [False, True])
def test_each_channel_is_its_own_camera_in_sequences_and_in_snaps(interval_ms, swap):
    source = open_sequence(5, interval_ms=interval_ms, swap=swap)
    tell_cameras_apart(source)
    frames = list(source.frames())
    source.close()
    assert len(frames) == 5
    for frame in frames:
        dark, bright = frame.pixels[::-1] if swap else frame.pixels
        assert np.median(bright) > 2 * np.median(dark)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"mode": "splitter", "layout": "side-by-side"}, (2, 256, 128)),
        ({"mode": "splitter", "layout": "top-bottom", "roi": (10, 20, 64, 32)}, (2, 16, 64)),
        ({"mode": "single"}, (1, 256, 256)),
        ({"mode": "channels", **PRESETS}, (2, 256, 256)),
    ],
)
def test_one_camera_gives_every_frame(options, shape):
    source, frames = image(40, **options)
    assert source.losses == {}
    assert [frame.seq for frame in frames] == list(range(40))
    assert {frame.pixels.shape for frame in frames} == {source.info.shape} == {shape}
    assert all(np.diff([frame.time_s for frame in frames]) > 0)
    assert all(abs(time.time_ns() - frame.arrived_ns) < 60e9 for frame in frames)


def test_channels_switch_their_preset_before_each_snap():
    source = open_sequence(6, mode="channels", **PRESETS)
    states = []
    snap = source._core.snap_image
    source._core.snap_image = lambda: (states.append(source._core.get_state("Demo wheel")), snap())
    frames = list(source.frames())
    source.close()
    assert states == [0, 1] * 6
    assert len(frames) == 6


def test_frames_at_intervals_come_when_they_are_due():
    source, frames = image(15, interval_ms=40.0)
    intervals = np.diff([frame.time_s for frame in frames])
    assert source.losses == {}
    assert intervals.mean() == pytest.approx(0.04, abs=0.01)


def test_stop_from_another_thread_ends_it_at_once_without_losses():
    source = open_sequence()
    stopped_at = []

    def stop():
        stopped_at.append(time.monotonic())
        source.stop()
        source.stop()

    threading.Timer(0.5, stop).start()
    frames = list(source.frames())
    assert time.monotonic() - stopped_at[0] < 0.2
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert len(frames) > 10
    source.close()
    source.close()
    assert source.losses == {}


def test_a_second_source_in_the_same_process_also_after_a_failure():
    for _ in range(2):
        source, frames = image(10)
        assert (len(frames), source.losses) == (10, {})
    with pytest.raises(SourceError, match="no property Gian"):
        open_sequence(settings={"Demo camera 1-Gian": 1})
    _, frames = image(10)
    assert len(frames) == 10


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        (Action("exposure", 12.0), "the exposure is 12 ms"),
        (Action("interval", 30.0), "a frame every 30 ms"),
        (Action("burst", 5), "frames come as fast as the exposure allows already"),
    ],
)
def test_actions_change_it_and_numbers_go_on(action, answer):
    source = open_sequence(100)
    frames = []
    for frame in source.frames():
        frames.append(frame)
        if frame.seq == 20:
            assert source.act(action) == answer
    source.close()
    assert [frame.seq for frame in frames] == list(range(100))
    assert source.losses == {}
    late = np.diff([frame.time_s for frame in frames[70:]])
    expected_s = {"exposure": 0.012, "interval": 0.03, "burst": 0.005}[action.kind]
    assert np.median(late) == pytest.approx(expected_s, rel=0.5)


def test_a_burst_between_slow_frames():
    source = open_sequence(25, interval_ms=100.0)
    frames = []
    for frame in source.frames():
        frames.append(frame)
        if frame.seq == 2:
            assert source.act(Action("burst", 20)) == "a burst of 20 frames"
    source.close()
    assert [frame.seq for frame in frames] == list(range(25))
    assert source.losses == {}
    intervals = np.diff([frame.time_s for frame in frames])
    assert np.sum(intervals < 0.03) >= 18


@pytest.mark.parametrize("action", [Action("exposure", 0), Action("exposure"), Action("interval", -1.0)])
def test_actions_that_make_no_sense_are_refused_and_it_goes_on(action):
    source = open_sequence()
    frames = source.frames()
    next(frames)
    with pytest.raises(SourceError, match=f"{action.kind} cannot be"):
        source.act(action)
    next(frames)
    source.stop()
    with pytest.raises(SourceError, match="the acquisition has ended"):
        source.act(Action("exposure", 5.0))
    source.close()


def test_a_buffer_that_overflows_ends_it_with_one_sentence_after_all_images_that_came():
    source = open_sequence(buffer_mb=1)
    put, seen = source.session.pairer.put, []

    def blocked(image):
        if (image.channel, image.number) == (0, 10):
            time.sleep(0.5)
        seen.append((image.channel, image.number))
        return put(image)

    source.session.pairer.put = blocked
    frames = []
    with pytest.raises(SourceError, match=r"microscope.buffer_mb: 1\) overflowed"):
        for frame in source.frames():
            frames.append(frame)
    source.close()
    whole = {number for channel, number in seen if channel == 0} & {n for channel, n in seen if channel == 1}
    assert [frame.seq for frame in frames] == sorted(whole)
    assert 10 in whole
    assert len(frames) + sum(source.losses.values()) == 1 + max(number for _, number in seen)
    _, frames = image(10)
    assert len(frames) == 10


def test_a_slow_publisher_loses_the_oldest_frames_and_they_are_counted():
    source = open_sequence(100, queue_frames=4)
    frames = []
    for frame in source.frames():
        frames.append(frame)
        time.sleep(0.02)
    source.close()
    assert set(source.losses) == {HOOK_QUEUE}
    assert len(frames) + source.losses[HOOK_QUEUE] == 100
    assert frames[-1].seq == 99


def test_a_camera_that_stops_by_itself_ends_it_with_a_sentence():
    source = open_sequence()
    frames = source.frames()
    next(frames)
    source._core.stop_sequence_acquisition()
    with pytest.raises(SourceError, match=r"Demo camera \d stopped by itself after \d+ images"):
        list(frames)
    source.close()


def test_a_camera_that_gives_nothing_any_more_is_noticed(monkeypatch):
    monkeypatch.setattr("acquire.micromanager.core.SILENT_S", 0.3)
    source = open_sequence(exposure_ms=5.0)
    frames = source.frames()
    next(frames)
    source._core.get_remaining_image_count = lambda: 0
    stop = source._core.stop_sequence_acquisition
    source._core.stop_sequence_acquisition = lambda *camera: (time.sleep(1), stop(*camera))
    began = time.monotonic()
    with pytest.raises(SourceError, match=r"Demo camera \d has given no image for 0.3 s"):
        list(frames)
    assert time.monotonic() - began < 0.9  # before the driver, which may hang, is asked to stop
    source.close()


def test_a_camera_whose_images_go_missing_is_counted():
    source = open_sequence(60)
    put = source.session.pairer.put
    source.session.pairer.put = lambda image: (
        None if (image.channel, image.number) in {(1, 20), (0, 30), (1, 30)} else put(image)
    )
    frames = list(source.frames())
    source.close()
    assert source.losses == {NO_PARTNER: 1, CAMERA_BUFFER: 1}
    assert [frame.seq for frame in frames] == [n for n in range(60) if n not in (20, 30)]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # ndstorage leaves files to the garbage collector
@pytest.mark.parametrize(("mode", "labels"), [("two-cameras", None), ("channels", PRESETS["channels"])])
def test_what_is_saved_is_what_was_streamed(tmp_path, mode, labels):
    from ndstorage import Dataset

    presets = PRESETS if mode == "channels" else {}
    source, frames = image(30, mode=mode, save=tmp_path / "raw", **presets)
    assert source.figures["raw_images_not_saved"] == 0
    (folder,) = (tmp_path / "raw").iterdir()
    data = Dataset(str(folder))
    labels = labels or source.session.devices.cameras
    assert len(data.get_image_coordinates_list()) == 2 * len(frames) == 60
    for frame in frames:
        for channel, label in enumerate(labels):
            saved = data.read_image(time=frame.seq, channel=label)
            np.testing.assert_array_equal(saved, frame.pixels[channel])
    data.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_saving_that_fails_ends_it_with_a_sentence_and_a_slow_disk_loses_raw_images_only(tmp_path):
    source = open_sequence(save=tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    source._saver._data.put_image = full
    with pytest.raises(SourceError, match=r"raw images cannot be saved in .* any more: No space left"):
        list(source.frames())
    source.close()

    source = open_sequence(100, save=tmp_path)
    source._saver._images.maxsize = 4
    put = source._saver._data.put_image
    source._saver._data.put_image = lambda *image: (time.sleep(0.02), put(*image))
    frames = list(source.frames())
    source.close()
    assert (len(frames), source.losses) == (100, {})
    assert source.figures["raw_images_not_saved"] > 50


def test_a_folder_that_cannot_be_written_is_told_beforehand(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match=r"microscope.save: cannot write to"):
        open_sequence(save=tmp_path / "file")

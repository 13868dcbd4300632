"""Imaging with Micro-Manager's demo cameras through pycromanager's Python backend: every pixel is right.

The n-th image that a demo camera makes after it was set up is always the same, so a camera that is driven
directly (pymmcore, no pycromanager) says what each image must be. The cameras differ in the width of their
stripes, and DisplayImageNumber writes the number of an image into its corner.
"""

import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

pytest.importorskip("pycromanager", reason="pycromanager is not installed (extra: live)")

from acquire.frame import SourceError
from acquire.live import CAMERA_BUFFER, HOOK_QUEUE, NO_PARTNER
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.core import Core, new_core
from acquire.micromanager.devices import set_up

pytestmark = pytest.mark.timeout(90)
# ndstorage's writer leaves its own reader to the garbage collector.
SAVES = pytest.mark.filterwarnings("ignore:unclosed file .*NDTiffStack:ResourceWarning")

STRIPES = (1, 2)
MARKED = {
    f"Demo camera {i + 1}-{key}": value
    for i, stripes in enumerate(STRIPES)
    for key, value in {"StripeWidth": stripes, "DisplayImageNumber": 1}.items()
}


@cache
def truth() -> dict[int, NDArray[np.uint16]]:
    """The first 300 images of a sequence of one camera at 20 ms, (300, 256, 256), by width of its stripes."""
    cores = {width: driven(StripeWidth=width, DisplayImageNumber=1) for width in STRIPES}
    movies = {}
    for core in cores.values():
        core.start_sequence_acquisition(300, 0, True)
    for width, core in cores.items():
        images: list[NDArray[np.uint16]] = []
        while len(images) < 300:
            if core.get_remaining_image_count():
                images.append(core.pop_next_image())
            else:
                time.sleep(0.001)
        core.unload_all_devices()
        assert len({image.tobytes() for image in images}) == 300  # each is like no other
        movies[width] = np.stack(images)
    return movies


def driven(**properties: object) -> Core:
    """A core with one demo camera, 20 ms."""
    core = new_core()
    settings = {f"Demo camera 1-{key}": value for key, value in properties.items()}
    set_up(
        core, MicroscopeConfig(camera="demo", mode="single", exposure_ms=20, buffer_mb=64, settings=settings)
    )
    return core


def test_two_cameras_every_pair_is_right(microscope):
    source = microscope(settings=MARKED, max_frames=300)
    assert source.info.shape == (2, 256, 256) and source.info.n_frames == 300
    assert source.info.interval_s == 0.02 and source.info.bit_depth == 16
    movies = [truth()[width] for width in STRIPES]
    n = 0
    for frame in source.frames():
        assert frame.seq == n
        for channel in (0, 1):
            np.testing.assert_array_equal(frame.pixels[channel], movies[channel][n])
        assert frame.arrived_ns == source.arrived_ns(n)
        n += 1
    assert n == 300 and not source.losses
    assert source.figures["images"] == 600


def test_swapped_cameras(microscope):
    settings, cameras = MARKED, ("Demo camera 2", "Demo camera 1")
    frames = list(microscope(settings=settings, cameras=cameras, max_frames=20).frames())
    for frame in frames:
        np.testing.assert_array_equal(frame.pixels[0], truth()[STRIPES[1]][frame.seq])
        np.testing.assert_array_equal(frame.pixels[1], truth()[STRIPES[0]][frame.seq])
    assert len(frames) == 20


@pytest.mark.parametrize(("mode", "layout"), [("single", "auto"), ("splitter", "side-by-side")])
def test_one_camera(microscope, mode, layout):
    source = microscope(
        mode=mode, layout=layout, settings={k: v for k, v in MARKED.items() if "1-" in k[:14]}, max_frames=100
    )
    frames = list(source.frames())
    assert [frame.seq for frame in frames] == list(range(100)) and not source.losses
    assert frames[0].pixels.shape == source.info.shape
    for frame in frames:
        np.testing.assert_array_equal(np.concatenate(list(frame.pixels), axis=1), truth()[1][frame.seq])


CHANNELS = """
Device,Camera,DemoCamera,DCam
Property,Core,Initialize,1
Property,Camera,PixelType,16bit
Property,Camera,BitDepth,12
Property,Core,Camera,Camera
ConfigGroup,Channel,narrow,Camera,StripeWidth,1
ConfigGroup,Channel,wide,Camera,StripeWidth,2
"""


def test_channels_one_after_the_other_from_a_system_configuration(microscope, tmp_path):
    """Each channel's snaps show its own preset, in the order of the camera driven directly."""
    path = tmp_path / "channels.cfg"
    path.write_text(CHANNELS)
    source = microscope(
        camera="configured", configuration=path, mode="channels", channel_group="Channel",
        channels=("narrow", "wide"), roi=(16, 32, 128, 64), max_frames=30,
    )  # fmt: skip
    assert (
        source.info.shape == (2, 64, 128) and source.info.bit_depth == 12 and source.info.name == "channels"
    )
    frames = list(source.frames())
    assert [frame.seq for frame in frames] == list(range(30)) and not source.losses
    source.close()
    core = new_core()
    options = {
        "configuration": path,
        "mode": "single",
        "exposure_ms": 20,
        "buffer_mb": 64,
        "roi": (16, 32, 128, 64),
    }
    set_up(core, MicroscopeConfig(**options))
    for frame in frames:
        for channel, preset in enumerate(("narrow", "wide")):
            core.set_config("Channel", preset)
            core.snap_image()
            np.testing.assert_array_equal(frame.pixels[channel], core.get_image())
    core.unload_all_devices()


def test_two_cameras_at_intervals_are_snapped_each_with_its_own_pixels(microscope):
    """A snap with a Multi Camera gave both channels the first camera's pixels."""
    settings = {key: value for key, value in MARKED.items() if "Display" not in key}
    source = microscope(settings=settings, interval_ms=60, max_frames=15)
    frames = list(source.frames())
    assert [frame.seq for frame in frames] == list(range(15)) and not source.losses
    intervals_ms = 1e3 * np.diff([frame.time_s for frame in frames])
    assert 50 < np.median(intervals_ms) < 75
    cores = [driven(StripeWidth=stripes) for stripes in STRIPES]
    for frame in frames:
        for channel, core in enumerate(cores):
            core.snap_image()
            np.testing.assert_array_equal(frame.pixels[channel], core.get_image())


@pytest.mark.parametrize("layout", ["auto", "top-bottom"])
def test_demo_cameras_show_the_scene(microscope, sample, layout):
    """The frames are the movie's, looped; numbers and times are the cameras'."""
    movie = tifffile.imread(sample / "movie.tif")
    mode = "two-cameras" if layout == "auto" else "splitter"
    source = microscope(mode=mode, layout=layout, scene=sample / "movie.tif", max_frames=80)
    assert source.info.shape == movie.shape[1:] and "cameras show movie.tif" in source.info.description
    seqs = []
    for frame in source.frames():
        np.testing.assert_array_equal(frame.pixels, movie[frame.seq % len(movie)])
        seqs.append(frame.seq)
    assert seqs == list(range(80)) and frame.time_s > 1.5


def test_a_second_acquisition_in_the_same_process_also_after_failures(microscope):
    for _ in range(2):
        source = microscope(max_frames=5)
        with pytest.raises(SourceError, match="images with pycromanager already"):
            microscope(max_frames=5)
        assert len(list(source.frames())) == 5
        source.close()
        source.close()
        with pytest.raises(SourceError, match="no property Nonsense"):
            microscope(settings={"Demo camera 1-Nonsense": 1})
    never_started = microscope()
    never_started.close()


@SAVES
def test_saved_images_are_the_streamed_ones(microscope, tmp_path, capsys):
    from ndstorage import Dataset

    source = microscope(settings=MARKED, max_frames=60, save=tmp_path / "raw")
    streamed = list(source.frames())
    source.close()
    (folder,) = (tmp_path / "raw").iterdir()
    saved = Dataset(str(folder))
    capsys.readouterr()  # it prints while it reads
    assert len(streamed) == 60 and len(saved.get_image_coordinates_list()) == 120
    for frame in streamed:
        for channel, camera in enumerate(("Demo camera 1", "Demo camera 2")):
            image = saved.read_image(time=frame.seq, channel=camera)
            np.testing.assert_array_equal(image, frame.pixels[channel])
            number = saved.read_metadata(time=frame.seq, channel=camera)["ImageNumber"]
            assert int(number) == frame.seq
    saved.close()


def test_an_overflow_of_the_cameras_buffer_is_one_sentence(microscope, monkeypatch):
    """Frames that came before it are handed out first."""
    from acquire.micromanager.engine_images import EngineImages

    pop = EngineImages.pop

    def slow(self):
        time.sleep(0.03 if max(self._newest.values(), default=0) >= 10 else 0)
        return pop(self)

    monkeypatch.setattr(EngineImages, "pop", slow)
    fast = {f"Demo camera {i}-FastImage": 1 for i in (1, 2)}
    source, seqs = microscope(exposure_ms=2, buffer_mb=1, settings=fast), []
    with pytest.raises(SourceError, match=r"buffer_mb: 1\) overflowed") as error:
        for frame in source.frames():
            seqs.append(frame.seq)
    assert "\n" not in str(error.value)
    assert seqs == list(range(len(seqs))) and 1 <= len(seqs) < 100
    halves = source.losses.get(NO_PARTNER, 0)
    assert source.figures["images"] == 2 * len(seqs) + halves  # all that came are handed out or counted


def test_frames_before_an_error_are_handed_out(microscope, monkeypatch):
    from acquire.micromanager.hook import Hook

    take = Hook._take

    def failing(self, pixels, tags):
        if self.n_images == 10:
            raise ZeroDivisionError("a bug")
        return take(self, pixels, tags)

    monkeypatch.setattr(Hook, "_take", failing)
    source, frames = microscope(mode="single"), []
    with pytest.raises(SourceError, match="the hook failed: ZeroDivisionError") as error:
        for frame in source.frames():
            frames.append(frame)
    assert [frame.seq for frame in frames] == list(range(10))
    assert "\n" not in str(error.value)
    source.close()
    monkeypatch.undo()
    assert len(list(microscope(max_frames=3).frames())) == 3  # nothing of it is left


def test_a_slow_publisher_loses_frames_and_every_one_is_counted(microscope):
    source = microscope(mode="single", exposure_ms=5, queue_frames=2, max_frames=150)
    seqs = []
    for frame in source.frames():
        seqs.append(frame.seq)
        time.sleep(0.02)
    assert seqs == sorted(set(seqs)) and seqs[-1] == 149
    assert source.losses == {HOOK_QUEUE: 150 - len(seqs)} and CAMERA_BUFFER not in source.losses


@SAVES
def test_the_disk_that_is_full_ends_it_with_one_sentence(microscope, monkeypatch, tmp_path):
    from ndstorage.ndtiff_dataset import NDTiffDataset

    put = NDTiffDataset.put_image

    def full(self, coordinates, image, metadata):
        if coordinates["time"] == 10:
            raise OSError(28, "No space left on device")
        put(self, coordinates, image, metadata)

    monkeypatch.setattr(NDTiffDataset, "put_image", full)
    source, frames = microscope(mode="single", exposure_ms=2, save=tmp_path), []
    with pytest.raises(SourceError, match=r"raw images cannot be saved in .*: No space left on device"):
        for frame in source.frames():
            frames.append(frame)
    assert len(frames) >= 10
    source.close()
    monkeypatch.undo()
    assert len(list(microscope(max_frames=3).frames())) == 3


def test_a_folder_that_cannot_be_written_is_refused_before_imaging(microscope, tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SourceError, match=r"microscope\.save: cannot write to"):
        microscope(save=tmp_path / "file" / "raw")

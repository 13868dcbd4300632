"""Following data sets while another process writes them: nothing is missed, mixed up, or taken too early."""

import json
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from acquire.frame import Frame, SourceError
from acquire.live import Action, LiveSource
from acquire.ndtiff.assemble import FARTHEST
from acquire.ndtiff.follow import FollowSource, follow_source
from acquire.source import open_source

WRITER = Path(__file__).with_name("write_ndtiff.py")
H, W = 48, 64
WHOLE = 1 << 32
RESERVE = 5_000_000  # bytes that the writer keeps free in a file

pytestmark = pytest.mark.timeout(60)


def expected(t: int) -> np.ndarray:
    return np.random.default_rng(t).integers(100, 4096, (2, H, W), np.uint16)


@pytest.fixture
def writer() -> Iterator[Any]:
    started = []

    def start(folder: Path, n: int, per_s: float, named: bool = True, max_file_size: int = WHOLE) -> Any:
        words = [folder, n, per_s, "named" if named else "nameless", max_file_size]
        command = [sys.executable, str(WRITER), *map(str, words)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def check(frames: list[Frame]) -> None:
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    for frame in frames:
        np.testing.assert_array_equal(frame.pixels, expected(frame.seq))


@pytest.mark.parametrize(("named", "n_files"), [(True, 1), (True, 4), (False, 1), (False, 3)])
def test_every_frame_in_order_and_soon(tmp_path: Path, writer: Any, named: bool, n_files: int) -> None:
    """The folder does not exist yet when following begins."""
    n = 200 if named and n_files == 1 else 60
    size = WHOLE if n_files == 1 else RESERVE + 2 * n * (2 * H * W + 300) // n_files
    process = writer(tmp_path, n, 50, named, size)
    with closing(follow_source(tmp_path / "cell_1")) as source:
        assert isinstance(source, LiveSource)
        assert source.info.n_frames is None
        assert source.info.shape == (2, H, W)
        assert source.info.interval_s == pytest.approx(0.02)
        assert source.info.pixel_size_nm == pytest.approx(100)
        frames = list(source.frames())
        assert not source.losses
        assert source.arrived_ns(frames[-1].seq) == frames[-1].arrived_ns
        assert source.arrived_ns(n) is None
    assert len(frames) == n
    check(frames)
    assert len(list((tmp_path / "cell_1").glob("*.tif"))) >= n_files
    written = [int(line) for line in process.communicate(timeout=20)[0].split()]
    lags_s = np.array([frame.arrived_ns for frame in frames]) * 1e-9 - np.array(written) * 1e-9
    if named:  # otherwise only the index knows, and Python's writer keeps it back
        assert np.percentile(lags_s, 95) < 0.5
    assert [frame.time_s for frame in frames] == pytest.approx([0.02 * t for t in range(n)])


def test_replay_gives_the_same(tmp_path: Path, writer: Any) -> None:
    writer(tmp_path, 30, 1000).wait(30)
    with closing(follow_source(tmp_path / "cell_1")) as live:
        followed = list(live.frames())
    with closing(open_source(tmp_path / "cell_1")) as recording:
        replayed = list(recording.frames())
    check(replayed)
    for one, other in zip(followed, replayed, strict=True):
        assert (one.seq, one.time_s) == (other.seq, other.time_s)
        np.testing.assert_array_equal(one.pixels, other.pixels)
    for name in ("name", "shape", "interval_s", "pixel_size_nm", "bit_depth"):
        assert getattr(live.info, name) == getattr(recording.info, name)


def test_killed_writer(tmp_path: Path, writer: Any) -> None:
    """What was written is taken, and that the rest is missing is said. Its replay ends at the same frame."""
    process = writer(tmp_path, 10_000, 100)
    frames = []
    with closing(follow_source(tmp_path / "cell_1", idle_s=0.5)) as source:
        with pytest.raises(SourceError, match=r"cell_1 was not ended by its writer") as caught:
            for frame in source.frames():
                frames.append(frame)
                if frame.seq == 40:
                    process.kill()
        assert "\n" not in str(caught.value)
    assert len(frames) > 40
    check(frames)
    assert (tmp_path / "cell_1" / "cell_NDTiffStack.tif").stat().st_size == WHOLE
    with closing(open_source(tmp_path / "cell_1")) as source:
        replayed = list(source.frames())
    check(replayed)
    assert len(replayed) == len(frames)


def test_stop_ends_at_once(tmp_path: Path, writer: Any) -> None:
    writer(tmp_path, 10_000, 20)
    source = follow_source(tmp_path / "cell_1")
    with closing(source):
        stopped_at = []
        frames = source.frames()
        for _ in range(5):
            next(frames)

        def stop() -> None:
            time.sleep(0.3)
            stopped_at.append(time.monotonic())
            source.stop()
            source.stop()

        thread = Thread(target=stop)
        thread.start()
        rest = list(frames)
        assert time.monotonic() - stopped_at[0] < 0.2
        thread.join()
        assert len(rest) < 100
        with pytest.raises(SourceError, match="stop is not possible"):
            source.act(Action("stop"))
    source.close()


def test_stopped_before_it_began(tmp_path: Path) -> None:
    stop = Event()
    Thread(target=lambda: (time.sleep(0.2), stop.set())).start()
    with pytest.raises(SourceError, match="had begun"):
        follow_source(tmp_path / "never", stop=stop)


def test_layouts_and_number_of_frames(tmp_path: Path, writer: Any) -> None:
    writer(tmp_path, 9, 1000).wait(30)
    with pytest.raises(SourceError, match="2 channels"):
        follow_source(tmp_path / "cell_1", layout="side-by-side")
    with closing(follow_source(tmp_path / "cell_1", swap=True, max_frames=4, interval_ms=10)) as source:
        frames = list(source.frames())
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.01, 0.02, 0.03])
    np.testing.assert_array_equal(frames[3].pixels, expected(3)[::-1])


def test_only_data_sets_are_followed(tmp_path: Path) -> None:
    (tmp_path / "movie.tif").write_bytes(b"II*\0" + bytes(100))
    for path in (tmp_path / "movie.tif", tmp_path):
        with pytest.raises(SourceError, match="NDTiff"):
            follow_source(path)


class ByteWriter:
    """Writes a data set as Java does, piece by piece: space is reserved, and only the index has the axes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.stack = (folder / "x_NDTiffStack.tif").open("wb", buffering=0)
        self.index = (folder / "NDTiff.index").open("wb", buffering=0)
        for file in (self.stack, self.index):
            file.truncate(1 << 24)
        self.stack.write(b"II*\0" + struct.pack("<6I", 30, 483729, 3, 3, 2355492, 2) + b"{}")
        self.at = 30

    def pieces(self, axes: dict[str, Any], pixels: np.ndarray, metadata: dict[str, Any]) -> list[Any]:
        """Writers of directory, pixels, metadata, and index entry, each (file, position, bytes)."""
        text = json.dumps(metadata).encode()
        pixels_at = self.at + 2 + 12 * 13 + 4 + 16
        text_at = pixels_at + pixels.nbytes
        following = text_at + len(text) + (text_at + len(text)) % 2
        self.last = self.at + 2 + 12 * 13
        tags = [(256, 4, 1, pixels.shape[1]), (257, 4, 1, pixels.shape[0]), (258, 3, 1, 16), (259, 3, 1, 1)]
        tags += [(262, 3, 1, 1), (273, 4, 1, pixels_at), (277, 3, 1, 1), (278, 3, 1, 1)]
        tags += [(279, 4, 1, pixels.nbytes), (282, 5, 1, 0), (283, 5, 1, 0), (296, 3, 1, 3)]
        tags += [(51123, 2, len(text), text_at)]
        directory = struct.pack("<H", 13) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        directory += struct.pack("<I", following) + bytes(16)
        name, key = b"x_NDTiffStack.tif", json.dumps(axes).encode()
        entry = struct.pack("<I", len(key)) + key + struct.pack("<I", len(name)) + name
        entry += struct.pack("<8I", pixels_at, pixels.shape[1], pixels.shape[0], 4, 0, text_at, len(text), 0)
        place, self.at = self.at, following
        return [
            (self.stack, place, directory),
            (self.stack, pixels_at, pixels.tobytes()),
            (self.stack, text_at, text),
            (self.index, self.index.tell(), entry),
        ]

    def write(self, file: Any, at: int, data: bytes) -> None:
        file.seek(at)
        file.write(data)

    def image(self, axes: dict[str, Any], pixels: np.ndarray, metadata: dict[str, Any]) -> None:
        for piece in self.pieces(axes, pixels, metadata):
            self.write(*piece)

    def finish(self) -> None:
        self.write(self.stack, self.last, bytes(4))
        self.stack.truncate(self.at)
        self.index.truncate(self.index.tell())
        self.close()

    def close(self) -> None:
        self.stack.close()
        self.index.close()


def follow_in_thread(source: FollowSource) -> tuple[Thread, list[Frame]]:
    frames: list[Frame] = []
    thread = Thread(target=lambda: frames.extend(iter_frames(source, frames)))
    thread.start()
    return thread, frames


def iter_frames(source: FollowSource, frames: list[Frame]) -> list[Frame]:
    for frame in source.frames():
        frames.append(frame)
    return []


def wait_for(frames: list[Frame], n: int, seconds: float = 3.0) -> bool:
    until = time.monotonic() + seconds
    while len(frames) < n and time.monotonic() < until:
        time.sleep(0.005)
    return len(frames) >= n


def test_never_before_all_of_it_is_written(tmp_path: Path) -> None:
    """Piece by piece, and each piece in parts; the reserved space behind reads as zeros."""
    written = ByteWriter(tmp_path / "x_1")
    for t in range(2):
        for c in range(2):
            written.image({"time": t, "channel": c}, expected(t)[c], {"BitDepth": 16})
    source = follow_source(tmp_path / "x_1", interval_ms=20)
    assert source.info.bit_depth == 12  # as only the index says
    thread, frames = follow_in_thread(source)
    try:
        assert wait_for(frames, 2)
        for t in range(2, 5):
            written.image({"time": t, "channel": 0}, expected(t)[0], {})
            for file, at, data in written.pieces({"time": t, "channel": 1}, expected(t)[1], {"a": {"b": 1}}):
                assert len(frames) == t
                n_told = len(data.rstrip(b"\0"))  # zeros are there already
                for part in range(0, n_told, n_told // 3):
                    written.write(file, at, data[:part])
                    time.sleep(0.03)
                    assert len(frames) == t
                written.write(file, at, data)
            assert wait_for(frames, t + 1)
        written.finish()
        thread.join(10)
        assert not thread.is_alive()
        check(frames)
        assert len(frames) == 5
    finally:
        source.stop()
        thread.join(5)
        source.close()
        written.close()


def test_pixels_that_come_late_over_a_network(tmp_path: Path) -> None:
    """Directory and metadata are there, a page of the pixels is not: another order than it was written in."""
    written = ByteWriter(tmp_path / "x_1")
    movie = np.random.default_rng(1).integers(100, 4000, (8, 96, 128), np.uint16)
    for t in range(3):
        written.image({"time": t}, movie[t], {})
    source = follow_source(tmp_path / "x_1", interval_ms=20, layout="single")
    thread, frames = follow_in_thread(source)
    try:
        assert wait_for(frames, 3)
        directory, pixels, metadata, entry = written.pieces({"time": 3}, movie[3], {})
        file, at, data = pixels
        hole = (-at) % 4096 + 4096
        for piece in (directory, metadata, entry, (file, at, data[:hole])):
            written.write(*piece)
        written.write(file, at + hole + 4096, data[hole + 4096 :])
        time.sleep(0.1)
        assert len(frames) == 3
        written.write(*pixels)
        assert wait_for(frames, 4)
        written.finish()
        thread.join(10)
        np.testing.assert_array_equal([frame.pixels[0] for frame in frames], movie[:4])
    finally:
        source.stop()
        thread.join(5)
        source.close()
        written.close()


def test_black_corners_hold_nothing_up(tmp_path: Path) -> None:
    """A camera whose images are black in places for real is believed from its second image on."""
    written = ByteWriter(tmp_path / "x_1")
    movie = np.random.default_rng(1).integers(100, 4000, (60, 96, 128), np.uint16)
    movie[:, :50] = 0
    for t in range(60):
        written.image({"time": t}, movie[t], {})
    written.finish()
    begun = time.monotonic()
    with closing(follow_source(tmp_path / "x_1", interval_ms=20)) as source:
        frames = list(source.frames())
    assert time.monotonic() - begun < 4
    np.testing.assert_array_equal([frame.pixels[0] for frame in frames], movie)


def camera_tags(t: int, camera: int) -> dict[str, Any]:
    return {"Camera": f"Cam{camera}", "Multi-CameraChannelIndex": str(camera), "ImageNumber": str(t)}


def test_cameras_far_apart_and_lost_images(tmp_path: Path) -> None:
    """One camera is twelve images ahead, and each lost some; neither time nor axes tell them apart."""
    written = ByteWriter(tmp_path / "x_1")
    n, lost = 40, {(7, 0), (20, 1), (21, 1), (39, 0)}
    order = sorted((t + 12 * camera, t, camera) for t in range(n) for camera in range(2))
    arrived = [(t, camera) for _, t, camera in order if (t, camera) not in lost]
    for number, (t, camera) in enumerate(arrived[:30]):
        written.image({"time": number // 2}, expected(t)[camera], camera_tags(t, camera))
    source = follow_source(tmp_path / "x_1", interval_ms=20)
    thread, frames = follow_in_thread(source)
    try:
        for number, (t, camera) in enumerate(arrived[30:], 30):
            written.image({"time": number // 2}, expected(t)[camera], camera_tags(t, camera))
        written.finish()
        thread.join(10)
        assert not thread.is_alive()
        good = [t for t in range(n) if not {(t, 0), (t, 1)} & lost]
        assert [frame.seq for frame in frames] == good
        for frame in frames:
            np.testing.assert_array_equal(frame.pixels, expected(frame.seq))
        assert source.losses == {"never written": 4}
    finally:
        source.stop()
        thread.join(5)
        source.close()
        written.close()
    with closing(open_source(tmp_path / "x_1", interval_ms=20)) as recording:
        replayed = list(recording.frames())
        assert [frame.seq for frame in replayed] == [frame.seq for frame in frames]
        assert recording.losses == {"never written": 4}


def test_more_channels_than_it_began_with(tmp_path: Path) -> None:
    written = ByteWriter(tmp_path / "x_1")
    for t in range(6):
        written.image({"time": t}, expected(t)[0], {"Camera": "A"})
    with closing(follow_source(tmp_path / "x_1", interval_ms=20)) as source:
        frames = source.frames()
        next(frames)
        written.image({"time": 6}, expected(6)[0], {"Camera": "B"})
        with pytest.raises(SourceError, match="several cameras"):
            list(frames)
    with closing(follow_source(tmp_path / "x_1", interval_ms=20, max_frames=6)) as source:
        written.image({"time": 6, "z": 1}, expected(6)[0], {"Camera": "A"})
        assert source.info.shape[0] in (1, 2)
    written.close()


def test_camera_that_stops_holds_nothing_up(tmp_path: Path) -> None:
    """What waits for its images is given up and counted, not kept for ever."""
    written = ByteWriter(tmp_path / "x_1")
    pixels = np.full((2, 2), 7, np.uint16)
    for t in range(FARTHEST + 40):
        for camera in range(2 if t < 5 else 1):
            written.image({"time": t}, pixels, camera_tags(t, camera))
    with closing(follow_source(tmp_path / "x_1", interval_ms=20, idle_s=0.5)) as source:
        frames = source.frames()
        assert [next(frames).seq for _ in range(5)] == list(range(5))
        with pytest.raises(SourceError, match="not ended"):
            next(frames)
        losses = source.losses
    assert losses["the other camera's image is missing"] == 35
    assert sum(losses.values()) == FARTHEST + 35
    written.close()


def test_second_camera_that_never_comes(tmp_path: Path) -> None:
    """Multi Camera of which one camera is dead: the other one's images are not waited with for ever."""
    written = ByteWriter(tmp_path / "x_1")
    for t in range(FARTHEST + 10):
        tags = camera_tags(t, 0)
        tags["Multi Camera-CameraChannelIndex"] = tags.pop("Multi-CameraChannelIndex")
        written.image({"time": t}, np.full((2, 2), 7, np.uint16), tags)
    with closing(follow_source(tmp_path / "x_1", interval_ms=20)) as source:
        assert source.info.shape == (1, 2, 2)
        assert [frame.seq for frame, _ in zip(source.frames(), range(3), strict=False)] == [0, 1, 2]
    written.close()


def test_images_that_the_index_never_tells_are_counted(tmp_path: Path) -> None:
    written = ByteWriter(tmp_path / "x_1")
    for t in range(6):
        for c in range(2):
            *image, entry = written.pieces({"time": t, "channel": c}, expected(t)[c], {})
            for piece in image if (t, c) > (2, 0) else (*image, entry):
                written.write(*piece)
    written.finish()
    with closing(follow_source(tmp_path / "x_1", interval_ms=20)) as source:
        check(list(source.frames()))
        assert sum(source.losses.values()) == 4


def test_unfinished_without_an_index_is_said(tmp_path: Path) -> None:
    """Killed before the index told anything of the images: there is nothing to wait for."""
    written = ByteWriter(tmp_path / "x_1")
    for t in range(3):
        for piece in written.pieces({"time": t}, expected(t)[0], {})[:-1]:
            written.write(*piece)
    with pytest.raises(SourceError, match="does not tell what its images are"):
        follow_source(tmp_path / "x_1", interval_ms=20, idle_s=0.3)
    written.close()


def test_folders_in_which_no_data_set_will_begin(tmp_path: Path) -> None:
    """Named by mistake, or something else is written there: waiting would have no end."""
    ByteWriter(tmp_path / "x_1").close()
    with pytest.raises(SourceError, match=r"follow one of its folders: x_1$"):
        follow_source(tmp_path)

    def write_other() -> None:
        time.sleep(0.3)
        (tmp_path / "late").mkdir()
        (tmp_path / "late" / "x_MMStack_Pos0.ome.tif").write_bytes(b"II*\0")

    thread = Thread(target=write_other)
    thread.start()
    with pytest.raises(SourceError, match="holds TIFFs but no NDTiff"):
        follow_source(tmp_path / "late")
    thread.join()

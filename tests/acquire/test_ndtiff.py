"""NDTiff data sets written by ndstorage come back image for image, whole, cut, or never finished."""

import json
import struct
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import ndstorage.ndtiff_file
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ndstorage.ndtiff_dataset import NDTiffDataset
from numpy.typing import NDArray

from acquire.frame import Frame, SourceError
from acquire.ndtiff.follow import follow_source
from acquire.source import MovieSource, open_source

N, H, W = 7, 9, 14
MOVIE = np.random.default_rng(8).integers(1, 4096, (N, 2, H, W), np.uint16)
TRUNCATED = "file is truncated"
Image = tuple[dict[str, int | str], NDArray[Any], dict[str, Any]]


@pytest.fixture(autouse=True)
def _no_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each writer opens a reader that nobody uses or closes."""
    monkeypatch.setattr(ndstorage.ndtiff_file, "SingleNDTiffReader", lambda *_, **__: None)


def write(folder: Path, images: Iterable[Image], summary: dict[str, Any] | None = None) -> Path:
    """Write a data set as pycromanager does, with the axes in the metadata too; give its folder."""
    data = NDTiffDataset(str(folder), name="cell", writable=True)
    data.initialize(summary or {})
    for axes, pixels, metadata in images:
        data.put_image(axes, pixels, {"Axes": axes, **metadata})
    data.finish()
    data.close()
    return Path(data.path)


def two_channels(names: tuple[int | str, int | str] = ("GFP", "Cy5"), first_time: int = 0) -> list[Image]:
    return [
        ({"time": first_time + t, "channel": names[c]}, MOVIE[t, c], {"ElapsedTime-ms": 500 + 50.0 * t})
        for t in range(N)
        for c in range(2)
    ]


def camera_images(order: list[tuple[int, int]], lengths: tuple[int, ...] = (N,)) -> list[Image]:
    """Images (time, camera) of two cameras as pycromanager marks them, in the order of arrival."""
    images: list[Image] = []
    for arrival, (t, camera) in enumerate(order):
        begin = max(sum(lengths[:n]) for n in range(len(lengths)) if sum(lengths[:n]) <= t)
        metadata = {
            "Camera": ("left", "right")[camera],
            "Multi-CameraChannelIndex": str(camera),
            "ImageNumber": str(t - begin),
            "TimeReceivedByCore": f"2026-11-23 09:38:{55 + 0.05 * t:09.6f}",
            "ElapsedTime-ms": 0.0,
        }
        images.append(({"time": arrival // 2}, MOVIE[t, camera], metadata))
    return images


def read(path: Path, **how: Any) -> tuple[MovieSource, list[Frame]]:
    with closing(open_source(path, **how)) as source:
        frames = list(source.frames())
        assert isinstance(source, MovieSource)
        return source, frames


def check(frames: list[Frame], times: Iterable[int]) -> None:
    assert [frame.seq for frame in frames] == list(times)
    for frame in frames:
        np.testing.assert_array_equal(frame.pixels, MOVIE[frame.seq])


def test_the_same_as_ndstorage_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = {"Interval_ms": 40.0, "PixelSize_um": 0.108}
    folder = write(tmp_path, two_channels(), summary)
    capsys.readouterr()
    source, frames = read(folder)
    assert capsys.readouterr().out == ""
    check(frames, range(N))
    assert not source.losses
    assert (source.info.name, source.info.bit_depth, source.info.n_frames) == ("cell_1", 16, N)
    assert source.info.pixel_size_nm == pytest.approx(108)
    assert source.info.interval_s == pytest.approx(0.05)
    assert [frame.time_s for frame in frames] == pytest.approx([0.5 + 0.05 * t for t in range(N)])
    with NDTiffDataset(str(folder)) as reference:
        for frame in frames:
            for channel, name in enumerate(("GFP", "Cy5")):
                expected = reference.read_image(time=frame.seq, channel=name)
                np.testing.assert_array_equal(frame.pixels[channel], expected)


@pytest.mark.parametrize("file", ["", "NDTiff.index", "cell_NDTiffStack.tif"])
@pytest.mark.parametrize("names", [("GFP", "Cy5"), (0, 1), (3, 1)])
def test_named_by_any_of_its_files(tmp_path: Path, file: str, names: tuple[int | str, int | str]) -> None:
    """Channels are names or numbers, in the order they are recorded in."""
    folder = write(tmp_path, two_channels(names, first_time=3))
    check(read(folder / file)[1], range(N))
    swapped = read(folder / file, swap=True)[1]
    np.testing.assert_array_equal(swapped[2].pixels, MOVIE[2, ::-1])


def test_layouts(tmp_path: Path) -> None:
    split = [({"time": t}, np.concatenate(list(MOVIE[t]), axis=1), {}) for t in range(N)]
    check(read(write(tmp_path / "a", split), layout="side-by-side")[1], range(N))
    alternating = [({"time": t}, MOVIE[t // 2, t % 2], {}) for t in range(2 * N)]
    check(read(write(tmp_path / "b", alternating), layout="interleaved")[1], range(N))
    _, frames = read(write(tmp_path / "c", alternating))
    assert len(frames) == 2 * N and frames[0].pixels.shape == (1, H, W)
    slices = [({"z": t, "time": 0, "position": 4}, MOVIE[t, 0], {}) for t in range(N)]
    assert len(read(write(tmp_path / "d", slices))[1]) == N
    calcium = [({"time": t}, MOVIE[t, 1], {}) for t in range(N)]
    piezo1 = [({"time": t}, MOVIE[t, 0], {}) for t in range(N)]
    two = read(write(tmp_path / "e", piezo1), calcium_path=write(tmp_path / "f", calcium))
    check(two[1], range(N))


@pytest.mark.parametrize("timed", [True, False])
def test_interval_of_alternating_images_is_that_of_frames(tmp_path: Path, timed: bool) -> None:
    images = [
        ({"time": t}, MOVIE[t // 2, t % 2], {"ElapsedTime-ms": 20.0 * t} if timed else {})
        for t in range(2 * N)
    ]
    folder = write(tmp_path, images, {"Interval_ms": 20.0})
    for source in (
        open_source(folder, layout="interleaved"),
        follow_source(folder, layout="interleaved"),
    ):
        with closing(source):
            times = [frame.time_s for frame in source.frames()]
        assert source.info.interval_s == pytest.approx(0.04)
        assert times == pytest.approx([0.04 * t for t in range(N)])
    with closing(open_source(folder, layout="interleaved", interval_ms=50)) as recording:
        assert recording.info.interval_s == 0.05


def test_eight_bits(tmp_path: Path) -> None:
    """The writer's own TIFF directories call them 16 bits."""
    images = [({"time": t}, MOVIE[t, 0].astype(np.uint8), {}) for t in range(N)]
    source, frames = read(write(tmp_path, images))
    assert source.info.bit_depth == 8
    np.testing.assert_array_equal([frame.pixels[0] for frame in frames], MOVIE[:, 0] % 256)
    images = [({"time": t}, MOVIE[t, 0], {"BitDepth": 12}) for t in range(N)]
    assert read(write(tmp_path, images))[0].info.bit_depth == 12


def test_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndstorage.ndtiff_file, "MAX_FILE_SIZE", 5_000_000 + 1500)
    folder = write(tmp_path, two_channels())
    stacks = sorted(folder.glob("*.tif"))
    assert len(stacks) > 3
    source, frames = read(folder / "cell_NDTiffStack_1.tif")
    check(frames, range(N))
    assert f"of {len(stacks)} files" in source.info.description
    (folder / "NDTiff.index").unlink()
    check(read(folder)[1], range(N))
    write(tmp_path / "again", two_channels())
    (tmp_path / "again" / "cell_1" / "cell_NDTiffStack_1.tif").unlink()
    source, frames = read(tmp_path / "again" / "cell_1")
    assert 0 < len(frames) < N
    assert source.losses == {"file is missing or unreadable": N - len(frames)}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations([0] * N + [1] * N), lengths=st.sampled_from([(N,), (3, 4), (1,) * N]))
def test_cameras_are_paired_by_number(tmp_path: Path, order: list[int], lengths: tuple[int, ...]) -> None:
    """Whatever order two free-running cameras arrive in: within a sequence it says nothing."""
    places: list[tuple[int, int]] = []
    for n, length in enumerate(lengths):
        begin = sum(lengths[:n])
        mixed = order if len(lengths) == 1 else [0] * length + [1] * length
        counts = [begin, begin]
        for camera in mixed:
            places.append((counts[camera], camera))
            counts[camera] += 1
    source, frames = read(write(tmp_path, camera_images(places, lengths)))
    check(frames, range(N))
    assert not source.losses
    assert "paired by camera and image number" in source.info.description
    n_wrong = sum(arrival // 2 != t for arrival, (t, _) in enumerate(places))
    assert (f"time axis is wrong in {n_wrong} images" in source.info.description) == (n_wrong > 0)
    assert source.info.interval_s == pytest.approx(0.05)
    assert frames[-1].time_s - frames[0].time_s == pytest.approx(0.05 * (N - 1))


def test_snapped_cameras_have_no_numbers(tmp_path: Path) -> None:
    images: list[Image] = [
        ({"time": t}, MOVIE[t, camera], {"Camera": "Multi", "CameraChannelIndex": camera})
        for t in range(N)
        for camera in (1, 0)
    ]
    check(read(write(tmp_path, images))[1], range(N))


def test_lost_camera_images(tmp_path: Path) -> None:
    places = [(t, camera) for t in range(N) for camera in range(2) if (t, camera) not in [(2, 1), (4, 0)]]
    source, frames = read(write(tmp_path, camera_images(places)))
    check(frames, [0, 1, 3, 5, 6])
    assert source.losses == {"never written": 2}


@pytest.mark.parametrize(
    "lost", [{(3, 0), (3, 1)}, {(3, 0)}, {(2, 0), (2, 1), (3, 0), (3, 1)}, {(0, 0), (0, 1)}]
)
def test_cameras_with_right_axes(tmp_path: Path, lost: set[tuple[int, int]]) -> None:
    """As this program's own hook saves them; the images that begin a sequence may be lost."""
    places = [(t, camera) for t in range(N) for camera in range(2) if (t, camera) not in lost]
    images: list[Image] = [
        ({"time": t, "channel": metadata["Camera"]}, pixels, metadata)
        for (t, _), (_, pixels, metadata) in zip(places, camera_images(places, (3, 4)), strict=True)
    ]
    source, frames = read(write(tmp_path, images))
    missing = {t for t, _ in lost}
    check(frames, [t for t in range(N) if t not in missing])
    assert source.losses == {"never written": len(missing)}


def test_images_never_written(tmp_path: Path) -> None:
    images = [image for number, image in enumerate(two_channels()) if number not in (3, 8, 9)]
    source, frames = read(write(tmp_path, images))
    check(frames, [0, 2, 3, 5, 6])
    assert source.losses == {"never written": 2}


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.77, 0.999])
@pytest.mark.parametrize("cameras", [False, True])
def test_cut_index_is_completed_from_the_stack(tmp_path: Path, kept: float, cameras: bool) -> None:
    places = [(t, camera) for t in range(N) for camera in range(2)]
    folder = write(tmp_path, camera_images(places) if cameras else two_channels())
    index = folder / "NDTiff.index"
    index.write_bytes(index.read_bytes()[: int(kept * index.stat().st_size)])
    source, frames = read(folder)
    check(frames, range(N))
    assert not source.losses


def test_cut_index_without_axes_in_the_stack(tmp_path: Path) -> None:
    folder = write(tmp_path, [(axes, pixels, {"Axes": None}) for axes, pixels, _ in two_channels()])
    index = folder / "NDTiff.index"
    index.write_bytes(index.read_bytes()[: index.stat().st_size // 2])
    source, frames = read(folder)
    check(frames, range(len(frames)))
    assert 2 <= len(frames) <= N // 2 + 1
    assert source.losses.keys() == {TRUNCATED} or source.losses.keys() == {TRUNCATED, "never written"}
    assert len(frames) + sum(source.losses.values()) == N


@pytest.mark.parametrize("cameras", [False, True])
def test_cut_stack(tmp_path: Path, cameras: bool) -> None:
    places = [(t, camera) for t in range(N) for camera in range(2)]
    folder = write(tmp_path, camera_images(places) if cameras else two_channels())
    stack = folder / "cell_NDTiffStack.tif"
    whole = stack.read_bytes()
    seen = set()
    for length in range(len(whole), 300, -97):
        stack.write_bytes(whole[:length])
        try:
            source, frames = read(folder)
        except SourceError as error:
            assert "\n" not in str(error)
            continue
        if frames[0].pixels.shape[0] == 1:  # a second camera is no longer told of
            assert cameras and len(frames) == 1
            continue
        check(frames, range(len(frames)))
        assert set(source.losses) <= {TRUNCATED, "never written"}
        assert len(frames) + sum(source.losses.values()) == N
        assert len(frames) < N or length > len(whole) - 400
        seen.add(len(frames))
    assert seen >= set(range(1, N))


def test_entry_beyond_the_end_of_the_file(tmp_path: Path) -> None:
    folder = write(tmp_path, two_channels())
    axes, file = json.dumps({"time": N, "channel": "GFP"}).encode(), b"cell_NDTiffStack.tif"
    entry = struct.pack("<I", len(axes)) + axes + struct.pack("<I", len(file)) + file
    entry += struct.pack("<8I", 1 << 31, W, H, 1, 0, (1 << 31) + 2 * H * W, 2, 0)
    with (folder / "NDTiff.index").open("ab") as index:
        index.write(entry)
        index.write(entry.replace(b"GFP", b"Cy5"))
    source, frames = read(folder)
    check(frames, range(N))
    assert source.losses == {TRUNCATED: 1}


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([({"time": 0, "position": p}, MOVIE[0, 0], {}) for p in range(3)], "holds 3 positions; record each"),
        (
            [({"time": t, "z": z}, MOVIE[0, 0], {}) for t in range(4) for z in range(3)],
            r"more than one axis besides channels: 4 \(time\) × 3 \(z\)",
        ),
        ([({"time": 0, "channel": c}, MOVIE[0, 0], {}) for c in "abc"], "has 3 channels"),
        ([({"time": 10**9}, MOVIE[0, 0], {}), ({"time": 0}, MOVIE[0, 0], {})], "impossible axis"),
        (
            [(a, p, {**m, "ImageNumber": 10**8}) for a, p, m in camera_images([(0, 0), (0, 1)])],
            "image number",
        ),
    ],
)
def test_refusals(tmp_path: Path, images: list[Image], words: str) -> None:
    folder = write(tmp_path, images)
    with pytest.raises(SourceError, match=words) as caught:
        open_source(folder)
    assert "\n" not in str(caught.value)
    assert "cell_1" in str(caught.value)


def test_several_data_sets_in_one_folder_are_not_mixed(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", two_channels())
    other = write(tmp_path / "b", two_channels())
    (other / "cell_NDTiffStack.tif").rename(folder / "other_NDTiffStack.tif")
    for open_it in (open_source, follow_source):
        with pytest.raises(SourceError, match="holds several NDTiff data sets"):
            open_it(folder)


def test_metadata_that_are_nested_too_deep(tmp_path: Path) -> None:
    folder = write(tmp_path, [({"time": t}, MOVIE[t, 0], {"x": "y" * 10_000}) for t in range(N)])
    (folder / "NDTiff.index").unlink()
    stack = folder / "cell_NDTiffStack.tif"
    whole = stack.read_bytes()
    at = whole.rindex(b"y" * 10_000) - 500
    begin = whole.index(b"{", at)
    stack.write_bytes(whole[:begin] + b"[" * (len(whole) - begin))
    check_single = read(folder)[1]
    assert [frame.seq for frame in check_single] == list(range(N - 1))


def test_what_is_no_movie(tmp_path: Path) -> None:
    folder = write(tmp_path, two_channels())
    index = folder / "NDTiff.index"
    whole = index.read_bytes()
    at = whole.index(b"cell_NDTiffStack.tif") + len("cell_NDTiffStack.tif") + 12
    for pixel_type, words in ((2, "colour images"), (77, r"unknown type \(77\)")):
        index.write_bytes(whole[:at] + struct.pack("<I", pixel_type) + whole[at + 4 :])
        with pytest.raises(SourceError, match=words):
            open_source(folder)
    index.write_bytes(b"\xff" * 100)
    with pytest.raises(SourceError, match=r"NDTiff\.index is damaged"):
        open_source(folder)
    (folder / "cell_NDTiffStack.tif").unlink()
    index.write_bytes(bytes(1000))  # as Micro-Manager leaves it before the first image
    with pytest.raises(SourceError, match="holds no images"):
        open_source(folder)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_give_frames_or_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    places = [(t, camera) for t in range(N) for camera in range(2)]
    folder = write(tmp_path, camera_images(places))
    for name in ("NDTiff.index", "cell_NDTiffStack.tif"):
        content = bytearray((folder / name).read_bytes())
        for place, value in data.draw(
            st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=5)
        ):
            content[place] = value
        (folder / name).write_bytes(content[: data.draw(st.one_of(st.none(), st.integers(0, len(content))))])
    try:
        _, frames = read(folder)
    except SourceError as error:
        assert "\n" not in str(error)
        return
    assert frames
    assert [frame.seq for frame in frames] == sorted({frame.seq for frame in frames})


def test_many_images_open_fast(tmp_path: Path) -> None:
    """Nothing but the index and the two ends is read: the pixels of this file would be 2.6 GB of zeros."""
    n, size = 20_000, 65_536
    file = b"cell_NDTiffStack.tif"
    with (tmp_path / "NDTiff.index").open("wb") as index:
        for number in range(n):
            axes = json.dumps({"time": number // 2, "channel": number % 2}).encode()
            index.write(struct.pack("<I", len(axes)) + axes + struct.pack("<I", len(file)) + file)
            at = 1000 + 2 * number * size
            index.write(struct.pack("<8I", at, 256, 256, 1, 0, at + 2 * size, 2, 0))
    with (tmp_path / file.decode()).open("wb") as stack:
        stack.truncate(1000 + 2 * n * size)
    begun = time.process_time()
    with closing(open_source(tmp_path)) as source:
        assert source.info.n_frames == n // 2
    assert time.process_time() - begun < 3

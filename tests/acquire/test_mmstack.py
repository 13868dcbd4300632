"""Micro-Manager stacks, written byte by byte as its file format page describes them."""

import json
import struct
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acquire.frame import Frame, SourceError
from acquire.source import MovieSource, open_source

N, H, W = 7, 8, 12
MOVIE = np.random.default_rng(3).integers(0, 4096, (N, 2, H, W), np.uint16)
ALL = [(time, channel) for time in range(N) for channel in range(2)]


def write_stack(
    path: Path,
    places: list[tuple[int, int]],
    *,
    summary: dict[str, Any] | None = None,
    position: int = 0,
    finished: bool = True,
    step_ms: float = 50.0,
) -> None:
    """Write the planes (time, channel) of MOVIE; an unfinished file has no index map."""
    sizes = {"Channels": 2, "Slices": 1, "Frames": N, "Positions": 1}
    text = {"MicroManagerVersion": "2.0.1", "Prefix": "cell", "Interval_ms": 40.0, **sizes, **(summary or {})}
    encoded = json.dumps(text).encode()
    data = bytearray(b"II*\0" + struct.pack("<I", 40 + len(encoded)) + bytes(24))
    data += struct.pack("<II", 2355492, len(encoded)) + encoded
    index = []
    for number, (time, channel) in enumerate(places):
        start = len(data)
        tags = {"ChannelIndex": channel, "SliceIndex": 0, "FrameIndex": time, "PositionIndex": position}
        camera = {"ElapsedTime-ms": 1000 + step_ms * time, "PixelSizeUm": 0.108, "BitDepth": 12}
        metadata = json.dumps(tags | camera).encode()
        pixels_at = start + 2 + 12 * 10 + 4
        metadata_at = pixels_at + 2 * H * W
        end = metadata_at + len(metadata)
        fields = [(256, 4, 1, W), (257, 4, 1, H), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1)]
        fields += [(273, 4, 1, pixels_at), (277, 3, 1, 1), (278, 4, 1, H), (279, 4, 1, 2 * H * W)]
        fields += [(51123, 2, len(metadata), metadata_at)]
        data += struct.pack("<H", 10) + b"".join(struct.pack("<HHII", *field) for field in fields)
        data += struct.pack("<I", end if number + 1 < len(places) else 0)
        data += MOVIE[time, channel].tobytes() + metadata
        index.append((channel, 0, time, position, start))
    if finished:
        header = (54773648, len(data), 483765892, 0, 99384722, 0)
        data[8:32] = struct.pack("<6I", *header)
        data += struct.pack("<II", 3453623, len(index))
        data += b"".join(struct.pack("<5I", *row) for row in index)
    path.write_bytes(data)


def read(path: Path, **how: Any) -> tuple[MovieSource, list[Frame]]:
    with closing(open_source(path, **how)) as source:
        frames = list(source.frames())
        assert isinstance(source, MovieSource)
        return source, frames


def check(frames: list[Frame], times: list[int]) -> None:
    assert [frame.seq for frame in frames] == times
    for frame in frames:
        np.testing.assert_array_equal(frame.pixels, MOVIE[frame.seq])


def test_tifffile_reads_the_same(tmp_path: Path) -> None:
    """The files of these tests are Micro-Manager's in the eyes of another reader."""
    write_stack(tmp_path / "cell_MMStack_Pos0.ome.tif", ALL)
    with tifffile.TiffFile(tmp_path / "cell_MMStack_Pos0.ome.tif") as tif:
        assert tif.is_mmstack and tif.is_micromanager
        assert tif.pages.first.tags[51123].value["ElapsedTime-ms"] == 1000
    source, frames = read(tmp_path / "cell_MMStack_Pos0.ome.tif")
    check(frames, list(range(N)))
    assert (source.info.name, source.info.bit_depth, source.info.n_frames) == ("cell", 12, N)
    assert source.info.pixel_size_nm == pytest.approx(108)
    assert source.info.interval_s == pytest.approx(0.05)
    assert [frame.time_s for frame in frames] == pytest.approx([1 + 0.05 * time for time in range(N)])
    assert not source.losses


def test_user_interval_overrides_elapsed_times(tmp_path: Path) -> None:
    write_stack(tmp_path / "cell_MMStack.ome.tif", ALL)
    _, frames = read(tmp_path / "cell_MMStack.ome.tif", interval_ms=10)
    assert frames[-1].time_s == pytest.approx(0.06)


def test_constant_elapsed_time_is_not_believed(tmp_path: Path) -> None:
    write_stack(tmp_path / "cell_MMStack.ome.tif", ALL, step_ms=0)
    source, frames = read(tmp_path / "cell_MMStack.ome.tif")
    assert source.info.interval_s == pytest.approx(0.04)
    assert [frame.time_s for frame in frames] == pytest.approx([0.04 * time for time in range(N)])


@pytest.mark.parametrize("opened", ["", "_1", "_2"])
@pytest.mark.parametrize("position", ["", "_Pos0", "_1-Pos_000_000"])
def test_several_files(tmp_path: Path, opened: str, position: str) -> None:
    stem = f"cell_MMStack{position}"
    for part, cut in (("", slice(0, 5)), ("_1", slice(5, 10)), ("_2", slice(10, 14))):
        write_stack(tmp_path / f"{stem}{part}.ome.tif", ALL[cut])
    source, frames = read(tmp_path / f"{stem}{opened}.ome.tif")
    check(frames, list(range(N)))
    assert "of 3 files" in source.info.description
    check(read(tmp_path)[1], list(range(N)))  # the folder that holds them
    (tmp_path / f"{stem}_1.ome.tif").unlink()
    with pytest.raises(SourceError, match=r"_1\.ome\.tif is missing"):
        open_source(tmp_path / f"{stem}.ome.tif")


def test_planes_never_written(tmp_path: Path) -> None:
    places = [place for place in ALL if place not in [(2, 1), (4, 0), (4, 1)]]
    write_stack(tmp_path / "cell_MMStack.ome.tif", places, summary={"Frames": N + 3})
    source, frames = read(tmp_path / "cell_MMStack.ome.tif")
    check(frames, [0, 1, 3, 5, 6])
    assert source.info.n_frames == 5
    assert source.losses == {"never written": 5}


def test_crashed_acquisition(tmp_path: Path) -> None:
    """Without an index map, each page's own metadata say what it is."""
    write_stack(tmp_path / "cell_MMStack.ome.tif", ALL[:9], finished=False)
    source, frames = read(tmp_path / "cell_MMStack.ome.tif")
    check(frames, [0, 1, 2, 3])
    assert source.losses == {"never written": 3}


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("what", ["pixels", "everything"])
def test_reserved_space_that_was_never_filled(tmp_path: Path, finished: bool, what: str) -> None:
    """Micro-Manager reserves space: zeros follow the last image, and the index may count them."""
    path = tmp_path / "cell_MMStack.ome.tif"
    write_stack(path, ALL, finished=finished)
    with tifffile.TiffFile(path) as tif:
        pages = list(tif.pages[8:])
        places = [(page.offset, page.dataoffsets[0], page.databytecounts[0]) for page in pages]
    data = bytearray(path.read_bytes())
    for start, pixels_at, size in places:
        start = start if what == "everything" else pixels_at
        data[start : pixels_at + size] = bytes(pixels_at + size - start)
    path.write_bytes(data)
    source, frames = read(path)
    check(frames, [0, 1, 2, 3])
    assert source.losses == {"never written": N - 4}


def test_cut_file(tmp_path: Path) -> None:
    path = tmp_path / "cell_MMStack.ome.tif"
    write_stack(path, ALL)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    source, frames = read(path)
    check(frames, list(range(len(frames))))
    assert 2 <= len(frames) < N
    assert source.losses == {"file is truncated": N - len(frames)}


def test_slices_are_time_where_there_is_one_time_point(tmp_path: Path) -> None:
    write_stack(tmp_path / "a_MMStack.ome.tif", ALL, summary={"Frames": 1})
    check(read(tmp_path / "a_MMStack.ome.tif")[1], list(range(N)))
    write_stack(tmp_path / "b_MMStack.ome.tif", ALL, summary={"Slices": 3})
    with pytest.raises(SourceError, match=r"3 \(Z\) × 7 \(T\)"):
        open_source(tmp_path / "b_MMStack.ome.tif")


def test_more_than_one_position(tmp_path: Path) -> None:
    write_stack(tmp_path / "a_MMStack.ome.tif", ALL)
    write_stack(tmp_path / "a_MMStack_1.ome.tif", ALL, position=1)
    with pytest.raises(SourceError, match="2 positions"):
        open_source(tmp_path / "a_MMStack.ome.tif")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_give_frames_or_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "cell_MMStack.ome.tif"
    write_stack(path, ALL)
    content = bytearray(path.read_bytes())
    places = st.one_of(st.integers(0, 600), st.integers(0, len(content) - 1), st.integers(-400, -1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        content[place] = value
    path.write_bytes(content[: data.draw(st.one_of(st.none(), st.integers(0, len(content))))])
    try:
        _, frames = read(path)
    except SourceError as error:
        assert "\n" not in str(error)
        return
    assert frames
    assert all(
        later.seq > earlier.seq and later.time_s > earlier.time_s for earlier, later in pairwise(frames)
    )


def test_folder_with_two_stacks(tmp_path: Path) -> None:
    write_stack(tmp_path / "a_MMStack_Pos0.ome.tif", ALL)
    write_stack(tmp_path / "a_MMStack_Pos1.ome.tif", ALL, position=1)
    with pytest.raises(SourceError, match="several movies"):
        open_source(tmp_path)
    check(read(tmp_path / "a_MMStack_Pos1.ome.tif")[1], list(range(N)))

"""Bad input gives one clear sentence, and damaged movies give the frames that are left."""

import math
import os
import subprocess
import sys
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
from acquire.source import open_source

N, H, W = 10, 8, 16
MOVIE = np.random.default_rng(4).integers(0, 4096, (N, 2, H, W), np.uint16)


def read(path: Path, **how: Any) -> tuple[list[Frame], dict[str, int]]:
    with closing(open_source(path, **how)) as source:
        return list(source.frames()), dict(source.losses)


def write(path: Path, kind: str) -> None:
    if kind == "ome":
        tifffile.imwrite(path, MOVIE, ome=True, metadata={"axes": "TCYX"})
    elif kind == "imagej":
        tifffile.imwrite(path, MOVIE, imagej=True, metadata={"axes": "TCYX"})
    elif kind == "shaped":
        tifffile.imwrite(path, MOVIE)
    elif kind == "zlib":
        tifffile.imwrite(path, MOVIE, ome=True, compression="zlib", metadata={"axes": "TCYX"})
    elif kind == "plain":
        tifffile.imwrite(path, MOVIE.reshape(-1, H, W), metadata=None)
    else:  # each directory before its pixels
        with tifffile.TiffWriter(path, bigtiff=True) as tif:
            for image in MOVIE.reshape(-1, H, W):
                tif.write(image, metadata=None)


UNKNOWN_END = "file is truncated; how many frames are lost is unknown"
KINDS = ["ome", "imagej", "shaped", "zlib", "plain", "paged"]


def layout_of(kind: str) -> dict[str, str]:
    return {"layout": "interleaved"} if kind in ("plain", "paged") else {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.5, 0.77, 0.95])
def test_truncated_movie(tmp_path: Path, kind: str, kept: float) -> None:
    path = tmp_path / "m.tif"
    write(path, kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    how = layout_of(kind)
    if kind in ("ome", "zlib"):  # tifffile puts the OME-XML at the end
        with pytest.raises(SourceError, match=r"cut off before it says .*: --layout interleaved") as caught:
            read(path)
        assert "\n" not in str(caught.value)
        how = {"layout": "interleaved"}
    frames, losses = read(path, **how)
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    for frame in frames:
        np.testing.assert_array_equal(frame.pixels, MOVIE[frame.seq])
    if kind in ("paged", "zlib"):  # such files do not tell how long they were
        assert losses.get(UNKNOWN_END, 0) == (len(frames) < N)
        assert losses.get("file is truncated", 0) <= 1  # a page with its directory, but not all its pixels
        assert set(losses) <= {UNKNOWN_END, "file is truncated"}
    else:
        assert set(losses) <= {"file is truncated"}
        assert len(frames) + losses.get("file is truncated", 0) == N
    if kind in ("imagej", "shaped", "plain", "ome"):
        assert len(frames) >= math.floor(N * kept) - 4


def test_fewer_pages_than_promised(tmp_path: Path) -> None:
    description = f"ImageJ=1.54f\nimages={2 * N + 8}\nchannels=2\nframes={N + 4}\nhyperstack=true\n"
    tifffile.imwrite(tmp_path / "m.tif", MOVIE.reshape(-1, H, W), description=description, metadata=None)
    frames, losses = read(tmp_path / "m.tif")
    assert len(frames) == N
    assert losses == {"file is truncated": 4}


def test_more_pages_than_promised(tmp_path: Path) -> None:
    description = "ImageJ=1.54f\nimages=4\nchannels=2\nframes=2\nhyperstack=true\n"
    tifffile.imwrite(tmp_path / "m.tif", MOVIE.reshape(-1, H, W), description=description, metadata=None)
    with pytest.raises(SourceError, match="holds 20 pages, but its description promises 4"):
        open_source(tmp_path / "m.tif")


def test_unreadable_page_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    write(path, "zlib")
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[7]
        start, count = page.dataoffsets[0], page.databytecounts[0]
    data = bytearray(path.read_bytes())
    data[start : start + count] = bytes(count)
    path.write_bytes(data)
    frames, losses = read(path)
    assert [frame.seq for frame in frames] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert frames[3].time_s == pytest.approx(0.4)
    assert losses == {"unreadable page": 1}


def test_ome_planes_never_written(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    write(path, "ome")
    with tifffile.TiffFile(path) as tif:
        xml = tif.ome_metadata
    assert xml is not None
    blocks = '<TiffData FirstT="0" IFD="0" PlaneCount="6"/><TiffData FirstT="5" IFD="6" PlaneCount="10"/>'
    xml = xml.replace(f'<TiffData IFD="0" PlaneCount="{2 * N}"/>', blocks)
    written = np.concatenate([MOVIE[:3], MOVIE[5:]]).reshape(-1, H, W)
    tifffile.imwrite(path, written, description=xml, metadata=None)
    frames, losses = read(path)
    assert [frame.seq for frame in frames] == [0, 1, 2, 5, 6, 7, 8, 9]
    for frame in frames:
        np.testing.assert_array_equal(frame.pixels, MOVIE[frame.seq])
    assert losses == {"never written": 2}


def test_page_of_another_size(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "m.tif") as tif:
        for image in (MOVIE[0, 0], MOVIE[1, 0][:, :-2], MOVIE[2, 0], MOVIE[3, 0].astype(np.uint8)):
            tif.write(image, metadata=None)
    frames, losses = read(tmp_path / "m.tif")
    assert [frame.seq for frame in frames] == [0, 2]
    assert losses == {"page of another size or type": 2}


@pytest.mark.parametrize("layout", ["single", "interleaved"])
def test_files_of_another_size_or_type(tmp_path: Path, layout: str) -> None:
    """Each file of a folder is compared with the first, though each is sound in itself."""
    for number in range(N):
        tifffile.imwrite(tmp_path / f"f{number}.tif", MOVIE[number, 0], metadata=None)
    tifffile.imwrite(tmp_path / "f3.tif", MOVIE[3, 0][: H // 2], metadata=None)
    tifffile.imwrite(tmp_path / "f6.tif", MOVIE[6, 0].astype(np.float32), metadata=None)
    tifffile.imwrite(tmp_path / "f8.tif", MOVIE[8, 0].astype(np.uint8), metadata=None)
    frames, losses = read(tmp_path, layout=layout)
    assert [frame.seq for frame in frames] == ([0, 1, 2, 4, 5, 7, 9] if layout == "single" else [0, 2])
    assert losses == {"page of another size or type": 3}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows any bytes in names")
@pytest.mark.parametrize("bad", ["file", "calcium", "folder", "child", "inner folder", "here"])
def test_names_that_are_not_utf8(tmp_path: Path, bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.fsdecode(b"gr\xfcn")
    path, calcium_path = tmp_path / "m.tif", None
    if bad == "file":
        path = tmp_path / f"{name}.tif"
    elif bad == "calcium":
        calcium_path = tmp_path / f"{name}.tif"
        write(calcium_path, "plain")
    elif bad in ("folder", "child", "here"):
        path = (
            tmp_path / ("folder" if bad == "child" else name) / (f"{name}.tif" if bad == "child" else "m.tif")
        )
        path.parent.mkdir()
    else:
        (tmp_path / "outer" / name).mkdir(parents=True)
    write(path, "plain")
    if bad == "here":
        monkeypatch.chdir(path.parent)
        path = Path()
    elif bad in ("folder", "child"):
        path = path.parent
    elif bad == "inner folder":
        path = tmp_path / "outer"
    with pytest.raises(SourceError, match=r"gr\?n.* is not valid UTF-8; rename it") as caught:
        open_source(path, calcium_path=calcium_path)
    str(caught.value).encode()


def test_circular_chain_ends(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    with tifffile.TiffWriter(path) as tif:
        for _ in range(200):
            tif.write(MOVIE[0, 0], metadata=None)
    with tifffile.TiffFile(path) as tif:
        last, middle = tif.pages[199].offset, tif.pages[120].offset
    data = bytearray(path.read_bytes())
    n_tags = int.from_bytes(data[last : last + 2], "little")
    data[last + 2 + 12 * n_tags : last + 6 + 12 * n_tags] = middle.to_bytes(4, "little")
    path.write_bytes(data)
    frames, losses = read(path)
    assert len(frames) == 200
    assert losses == {"unreadable page; how many frames are lost is unknown": 1}


def bad_file(folder: Path, kind: str) -> Path:
    path = folder / "m.tif"
    image = np.zeros((4, 8, 8))
    if kind == "text":
        path.write_text("frame,x,y\n1,2,3\n")
    elif kind == "PNG":
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    elif kind == "empty":
        path.touch()
    elif kind == "header only":
        path.write_bytes(b"II*\0\0\0\0\0")
    elif kind == "header cut":
        path.write_bytes(b"II*\0")
    elif kind == "folder":
        path.mkdir()
        (path / "Pos0").mkdir()
    elif kind == "RGB":
        tifffile.imwrite(path, np.zeros((4, 8, 8, 3), np.uint8), photometric="rgb")
    elif kind == "two samples":
        samples = np.zeros((4, 8, 8, 2), np.uint16)
        tifffile.imwrite(path, samples, photometric="minisblack", planarconfig="contig", metadata=None)
    elif kind == "several images":
        with tifffile.TiffWriter(path, ome=True) as tif:
            tif.write(image.astype(np.uint16), photometric="minisblack")
            tif.write(image.astype(np.uint16), photometric="minisblack")
    elif kind == "several series":
        with tifffile.TiffWriter(path) as tif:
            tif.write(image.astype(np.uint16), photometric="minisblack")
            tif.write(image.astype(np.uint16), photometric="minisblack")
    elif kind == "z-stack over time":
        tifffile.imwrite(path, np.zeros((4, 3, 8, 8), np.uint16), imagej=True, metadata={"axes": "TZYX"})
    elif kind == "NDTiff":
        path.write_bytes(
            b"II*\0"
            + (28).to_bytes(4, "little")
            + b"".join(number.to_bytes(4, "little") for number in (483729, 3, 0, 2355492, 2))
            + b"{}"
        )
    elif kind == "JPEG":
        tifffile.imwrite(path, image.astype(np.uint8), compression="jpeg", photometric="minisblack")
    elif kind != "missing":
        tifffile.imwrite(path, image.astype(kind), photometric="minisblack")
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "does not exist"),
        ("text", "not a TIFF"),
        ("PNG", "not a TIFF"),
        ("empty", r"empty \(0 bytes\)"),
        ("header only", "holds no images"),
        ("header cut", "damaged"),
        ("folder", r"no .tif files; give one of its folders: Pos0"),
        ("RGB", "colour images \\(3 samples"),
        ("two samples", "2 samples per pixel"),
        ("several images", "several images"),
        ("several series", "holds 8 pages, but its description promises 4"),
        ("z-stack over time", r"4 \(T\) × 3 \(Z\)"),
        ("JPEG", "compressed by method 7"),
        ("NDTiff", "NDTiff"),
        ("float32", "floating-point 32-bit"),
        ("int16", "signed 16-bit"),
        ("uint32", "unsigned 32-bit"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, kind: str, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        read(bad_file(tmp_path, kind))
    assert "\n" not in str(caught.value)
    assert "m.tif" in str(caught.value)


def test_folder_of_movies(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", "plain")
    with pytest.raises(SourceError, match="holds 20 images; a folder must hold one image a file"):
        open_source(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file(tmp_path: Path) -> None:
    write(tmp_path / "m.tif", "plain")
    (tmp_path / "m.tif").chmod(0)
    with pytest.raises(SourceError, match="Permission denied"):
        open_source(tmp_path / "m.tif")


@pytest.mark.parametrize("interval_ms", [0.0, -1.0, math.nan, math.inf])
def test_impossible_interval(tmp_path: Path, interval_ms: float) -> None:
    write(tmp_path / "m.tif", "imagej")
    with pytest.raises(SourceError, match="must be positive"):
        open_source(tmp_path / "m.tif", interval_ms=interval_ms)


def test_nothing_leaks_to_the_terminal(tmp_path: Path) -> None:
    write(tmp_path / "m.tif", "ome")
    data = (tmp_path / "m.tif").read_bytes()
    (tmp_path / "m.tif").write_bytes(data[: len(data) // 2])
    code = (
        "import logging, sys; logging.basicConfig(); from acquire.source import open_source;"
        "source = open_source(sys.argv[1], layout='interleaved'); list(source.frames());"
        "source.close(); assert source.losses"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m.tif")], capture_output=True, text=True, check=True
    )
    assert done.stdout == done.stderr == ""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_damaged_bytes_give_frames_or_a_sentence(tmp_path: Path, data: st.DataObject, kind: str) -> None:
    path = tmp_path / f"{kind}.tif"
    write(path, kind)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:  # half of the flips where they hurt: header and directories
        structure = [0, tif.pages[0].offset, tif.pages[1].offset, tif.pages[-1].offset]
    places = st.one_of(
        st.integers(0, len(content) - 1),
        st.builds(
            lambda base, step: min(base + step, len(content) - 1),
            st.sampled_from(structure),
            st.integers(0, 300),
        ),
    )
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=5)):
        content[place] = value
    path.write_bytes(content[: data.draw(st.sampled_from([None, data.draw(st.integers(0, len(content)))]))])
    try:
        frames, losses = read(path, **layout_of(kind))
    except SourceError as error:
        assert "\n" not in str(error)
        return
    assert frames
    assert all(later.seq > earlier.seq for earlier, later in pairwise(frames))
    assert all(frame.pixels.dtype == np.uint16 and frame.pixels.shape[0] in (1, 2) for frame in frames)
    assert all(count > 0 for count in losses.values())

"""Files of each kind, written by tifffile, come back pixel for pixel with their metadata."""

import json
import math
from collections.abc import Mapping
from contextlib import closing
from itertools import permutations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from acquire.frame import Frame, SourceError, SourceInfo
from acquire.source import ASSUMED_INTERVAL_S, open_source

N, H, W = 5, 9, 14
MOVIE = np.random.default_rng(2).integers(0, 4096, (N, 2, H, W), np.uint16)


def read(path: Path, **how: float) -> tuple[SourceInfo, list[Frame], Mapping[str, int]]:
    with closing(open_source(path, **how)) as source:  # type: ignore[arg-type]
        return source.info, list(source.frames()), source.losses


def pixels(path: Path) -> NDArray[np.uint16]:
    info, frames, losses = read(path)
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert info.n_frames == len(frames) and not losses
    return np.stack([frame.pixels for frame in frames])


ORDERS = ["".join(order) + "YX" for order in permutations("TCZ")]


@pytest.mark.parametrize(
    ("axes", "time_axis"),
    [(axes, "T") for axes in [*ORDERS, "TCYX", "CTYX"]] + [(axes, "Z") for axes in [*ORDERS, "ZCYX", "CZYX"]],
)
def test_ome_in_any_order(tmp_path: Path, axes: str, time_axis: str) -> None:
    source_axes = f"{time_axis}CYX"
    other = {"T": "Z", "Z": "T"}[time_axis]
    movie = MOVIE.transpose([source_axes.index(axis) for axis in axes if axis != other])
    if other in axes:
        movie = np.expand_dims(movie, axes.index(other))
    tifffile.imwrite(tmp_path / "m.ome.tif", movie, metadata={"axes": axes})
    np.testing.assert_array_equal(pixels(tmp_path / "m.ome.tif"), MOVIE)


def test_ome_metadata(tmp_path: Path) -> None:
    metadata = {
        "axes": "TCYX",
        "PhysicalSizeX": 108.0,
        "PhysicalSizeXUnit": "nm",
        "TimeIncrement": 50.0,
        "TimeIncrementUnit": "ms",
        "SignificantBits": 12,
    }
    tifffile.imwrite(tmp_path / "cell 1.ome.tif", MOVIE, metadata=metadata)
    info, frames, _ = read(tmp_path / "cell 1.ome.tif")
    assert (info.name, info.bit_depth) == ("cell 1", 12)
    assert info.interval_s == pytest.approx(0.05)
    assert info.pixel_size_nm == pytest.approx(108)
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    info, frames, _ = read(tmp_path / "cell 1.ome.tif", interval_ms=20)
    assert info.interval_s == 0.02
    assert frames[-1].time_s == pytest.approx(0.08)


def test_ome_times_of_planes(tmp_path: Path) -> None:
    planes = {"DeltaT": [0.1 * (i // 2) for i in range(2 * N)]}
    tifffile.imwrite(tmp_path / "m.ome.tif", MOVIE, metadata={"axes": "TCYX", "Plane": planes})
    assert read(tmp_path / "m.ome.tif")[0].interval_s == pytest.approx(0.1)


def test_default_pixel_size_is_not_believed(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m.ome.tif", MOVIE, metadata={"axes": "TCYX", "PhysicalSizeX": 1.0})
    assert read(tmp_path / "m.ome.tif")[0].pixel_size_nm is None
    tifffile.imwrite(tmp_path / "n.tif", MOVIE[:, 0], resolution=(72, 72), resolutionunit="INCH")
    assert read(tmp_path / "n.tif")[0].pixel_size_nm is None
    tifffile.imwrite(
        tmp_path / "o.tif", MOVIE[:, 0], imagej=True, resolution=(9.26, 9.26), metadata={"axes": "TYX"}
    )
    assert read(tmp_path / "o.tif")[0].pixel_size_nm is None


def test_unknown_interval_is_assumed_in_times_only(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m.tif", MOVIE[:, 0])
    info, frames, _ = read(tmp_path / "m.tif")
    assert info.interval_s is None
    assert frames[-1].time_s == pytest.approx(4 * ASSUMED_INTERVAL_S)


@pytest.mark.parametrize("axes", ["TCYX", "ZCYX"])
def test_imagej(tmp_path: Path, axes: str) -> None:
    metadata = {"axes": axes, "finterval": 0.02, "unit": "um"}
    tifffile.imwrite(tmp_path / "m.tif", MOVIE, imagej=True, resolution=(1 / 0.108,) * 2, metadata=metadata)
    np.testing.assert_array_equal(pixels(tmp_path / "m.tif"), MOVIE)
    info = read(tmp_path / "m.tif")[0]
    assert info.interval_s == 0.02
    assert info.pixel_size_nm == pytest.approx(108)
    assert info.description.startswith("ImageJ hyperstack")


def test_imagej_movie_saved_without_axes(tmp_path: Path) -> None:
    movie = np.arange(8 * H * W, dtype=np.uint16).reshape(8, H, W)
    tifffile.imwrite(tmp_path / "m.tif", movie, imagej=True)
    np.testing.assert_array_equal(pixels(tmp_path / "m.tif"), movie[:, None])


def test_imagej_stack_with_one_directory(tmp_path: Path) -> None:
    """ImageJ describes a stack above 4 GB by its first directory alone."""
    description = f"ImageJ=1.54f\nimages={2 * N}\nchannels=2\nframes={N}\nhyperstack=true\nfinterval=0.1\n"
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, MOVIE[0, 0], byteorder=">", description=description, metadata=None)
    with path.open("ab") as file:
        file.write(MOVIE.reshape(-1, H, W)[1:].astype(">u2").tobytes())
    np.testing.assert_array_equal(pixels(path), MOVIE)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_plain_pages(tmp_path: Path, byteorder: str, bigtiff: bool) -> None:
    with tifffile.TiffWriter(tmp_path / "m.tif", bigtiff=bigtiff, byteorder=byteorder) as tif:  # type: ignore[arg-type]
        for image in MOVIE[:, 0]:
            tif.write(image, metadata=None)
    np.testing.assert_array_equal(pixels(tmp_path / "m.tif"), MOVIE[:, :1])


@pytest.mark.parametrize("movie", [MOVIE, MOVIE.swapaxes(0, 1)])
def test_arrays_without_axis_names(tmp_path: Path, movie: NDArray[np.uint16]) -> None:
    tifffile.imwrite(tmp_path / "m.tif", movie)
    np.testing.assert_array_equal(pixels(tmp_path / "m.tif"), MOVIE)
    tifffile.imwrite(tmp_path / "n.tif", movie, truncate=True)
    np.testing.assert_array_equal(pixels(tmp_path / "n.tif"), MOVIE)


@pytest.mark.parametrize("compression", ["zlib", "lzw", "zstd", "packbits"])
@pytest.mark.parametrize("predictor", [False, True])
def test_compressed(tmp_path: Path, compression: str, predictor: bool) -> None:
    tifffile.imwrite(
        tmp_path / "m.ome.tif",
        MOVIE,
        compression=compression,
        predictor=predictor,
        rowsperstrip=4,
        metadata={"axes": "TCYX"},
    )
    np.testing.assert_array_equal(pixels(tmp_path / "m.ome.tif"), MOVIE)


def test_tiles(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m.ome.tif", MOVIE, tile=(16, 16), metadata={"axes": "TCYX"})
    np.testing.assert_array_equal(pixels(tmp_path / "m.ome.tif"), MOVIE)


def test_8_bit(tmp_path: Path) -> None:
    movie = (MOVIE >> 4).astype(np.uint8)
    tifffile.imwrite(tmp_path / "m.tif", movie, imagej=True, metadata={"axes": "TCYX"})
    np.testing.assert_array_equal(pixels(tmp_path / "m.tif"), movie)
    assert read(tmp_path / "m.tif")[0].bit_depth == 8


def test_packed_12_bit(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "m.tif", MOVIE[:, 0], bitspersample=12, photometric="minisblack", metadata=None
    )
    assert (tmp_path / "m.tif").stat().st_size < MOVIE[:, 0].nbytes + 2000
    np.testing.assert_array_equal(pixels(tmp_path / "m.tif"), MOVIE[:, :1])
    assert read(tmp_path / "m.tif")[0].bit_depth == 12


def test_ome_of_several_files(tmp_path: Path) -> None:
    """One file a channel, as Bio-Formats writes them; then a file goes missing."""
    names = ["m_c0.ome.tif", "m_c1.ome.tif"]
    namespace = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    ome = ElementTree.Element(f"{{{namespace}}}OME", UUID="urn:uuid:0")
    image = ElementTree.SubElement(ome, f"{{{namespace}}}Image", ID="Image:0")
    sizes = {"SizeX": W, "SizeY": H, "SizeZ": 1, "SizeC": 2, "SizeT": N}
    attributes = {"ID": "Pixels:0", "DimensionOrder": "XYCZT", "Type": "uint16"}
    element = ElementTree.SubElement(
        image, f"{{{namespace}}}Pixels", attributes | {key: str(value) for key, value in sizes.items()}
    )
    for time in range(N):
        for channel in range(2):
            where = {"IFD": time, "FirstT": time, "FirstC": channel, "PlaneCount": 1}
            data = ElementTree.SubElement(
                element, f"{{{namespace}}}TiffData", {key: str(value) for key, value in where.items()}
            )
            uuid = ElementTree.SubElement(data, f"{{{namespace}}}UUID", FileName=names[channel])
            uuid.text = f"urn:uuid:{channel}"
    xml = ElementTree.tostring(ome, encoding="unicode")
    for channel, name in enumerate(names):
        tifffile.imwrite(tmp_path / name, MOVIE[:, channel], description=xml, metadata=None)
    np.testing.assert_array_equal(pixels(tmp_path / names[0]), MOVIE)
    (tmp_path / names[1]).rename(tmp_path / "elsewhere.tif")
    with pytest.raises(SourceError, match="file is missing or unreadable: 5"):
        read(tmp_path / names[0])


def test_renamed_ome_file(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "old.ome.tif", MOVIE, metadata={"axes": "TCYX"})
    with tifffile.TiffFile(tmp_path / "old.ome.tif") as tif:
        xml = tif.ome_metadata
    assert xml is not None
    xml = xml.replace(
        'PlaneCount="10"/>', 'PlaneCount="10"><UUID FileName="old.ome.tif">urn:uuid:9</UUID></TiffData>'
    )
    tifffile.imwrite(tmp_path / "new.ome.tif", MOVIE.reshape(-1, H, W), description=xml, metadata=None)
    (tmp_path / "old.ome.tif").unlink()
    np.testing.assert_array_equal(pixels(tmp_path / "new.ome.tif"), MOVIE)


def test_folder_in_natural_order(tmp_path: Path) -> None:
    many = np.arange(1, 13, dtype=np.uint16)[:, None, None] + np.zeros((12, H, W), np.uint16)
    for number, image in enumerate(many):
        tifffile.imwrite(tmp_path / f"cell2_t{number}.tif", image)
    (tmp_path / "notes.txt").write_text("x")
    np.testing.assert_array_equal(pixels(tmp_path), many[:, None])


@pytest.mark.parametrize(
    "name", ["img_channel{c:03d}_position000_time{t:09d}_z000.tif", "img_{t:09d}_{n}_000.tif"]
)
def test_folder_with_micro_manager_names(tmp_path: Path, name: str) -> None:
    for time in range(N):
        for channel, label in enumerate(["561 PIEZO1", "640 calcium"]):
            tifffile.imwrite(tmp_path / name.format(c=channel, t=time, n=label), MOVIE[time, channel])
    summary = {"Summary": {"Interval_ms": 20, "PixelSize_um": 0.11, "BitDepth": 12}, "Coords-0": {}}
    (tmp_path / "metadata.txt").write_text(json.dumps(summary, indent=1))
    np.testing.assert_array_equal(pixels(tmp_path), MOVIE)
    info = read(tmp_path)[0]
    assert (info.interval_s, info.bit_depth, info.n_frames) == (0.02, 12, N)
    assert info.pixel_size_nm is not None and math.isclose(info.pixel_size_nm, 110)
    (tmp_path / name.format(c=1, t=2, n="640 calcium")).unlink()
    _, frames, losses = read(tmp_path)
    assert [frame.seq for frame in frames] == [0, 1, 3, 4]
    assert losses == {"never written": 1}

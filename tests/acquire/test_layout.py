"""Channel layouts: every pixel lands in its channel, and what does not fit is refused with its numbers."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from acquire.frame import SourceError
from acquire.layout import Layout, choose_layout
from acquire.source import open_source

N, H, W = 6, 12, 10
MOVIE = np.random.default_rng(1).integers(0, 65535, (N, 2, H, W), np.uint16)


def write(folder: Path, layout: Layout) -> dict[str, Path]:
    """Write MOVIE in a layout; returns the paths as `open_source` takes them."""
    path, calcium_path = folder / "movie.tif", folder / "calcium.tif"
    if layout == "two-files":
        tifffile.imwrite(path, MOVIE[:, 0])
        tifffile.imwrite(calcium_path, MOVIE[:, 1])
        return {"path": path, "calcium_path": calcium_path}
    if layout == "stack":
        tifffile.imwrite(path, MOVIE, imagej=True, metadata={"axes": "TCYX"})
    elif layout == "interleaved":
        tifffile.imwrite(path, MOVIE.reshape(2 * N, H, W))
    elif layout == "side-by-side":
        tifffile.imwrite(path, np.concatenate([MOVIE[:, 0], MOVIE[:, 1]], axis=2))
    elif layout == "top-bottom":
        tifffile.imwrite(path, np.concatenate([MOVIE[:, 0], MOVIE[:, 1]], axis=1))
    else:
        tifffile.imwrite(path, MOVIE[:, 0])
    return {"path": path}


def pixels(**how: object) -> NDArray[np.uint16]:
    with closing(open_source(**how)) as source:  # type: ignore[arg-type]
        frames = list(source.frames())
    assert all(frame.pixels.shape == source.info.shape for frame in frames)
    assert all(frame.pixels.dtype == np.uint16 for frame in frames)
    assert source.info.n_frames == len(frames) and not source.losses
    return np.stack([frame.pixels for frame in frames])


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("layout", ["stack", "interleaved", "two-files", "side-by-side", "top-bottom"])
def test_two_channels(tmp_path: Path, layout: Layout, swap: bool) -> None:
    expected = MOVIE[:, ::-1] if swap else MOVIE
    np.testing.assert_array_equal(pixels(**write(tmp_path, layout), layout=layout, swap=swap), expected)


@pytest.mark.parametrize("layout", ["stack", "two-files", "single"])
def test_auto_follows_the_file(tmp_path: Path, layout: Layout) -> None:
    expected = MOVIE[:, :1] if layout == "single" else MOVIE
    np.testing.assert_array_equal(pixels(**write(tmp_path, layout)), expected)


def test_max_frames(tmp_path: Path) -> None:
    np.testing.assert_array_equal(pixels(**write(tmp_path, "stack"), max_frames=2), MOVIE[:2])


@pytest.mark.parametrize(
    ("layout", "grid_shape", "image_shape", "words"),
    [
        ("side-by-side", (5, 1), (10, 11), "11 pixels wide"),
        ("top-bottom", (5, 1), (11, 10), "11 pixels high"),
        ("interleaved", (5, 1), (10, 10), "has 5"),
        ("interleaved", (4, 2), (10, 10), "2 channels"),
        ("stack", (5, 1), (10, 10), "has 1"),
        ("stack", (5, 3), (10, 10), "has 3"),
        ("auto", (5, 3), (10, 10), "3 channels"),
        ("single", (5, 2), (10, 10), "2 channels"),
        ("two-files", (5, 1), (10, 10), "calcium_path"),
    ],
)
def test_what_does_not_fit_is_refused(
    layout: Layout, grid_shape: tuple[int, int], image_shape: tuple[int, int], words: str
) -> None:
    with pytest.raises(SourceError, match=words):
        choose_layout(layout, swap=False, grid_shape=grid_shape, image_shape=image_shape, name="m.tif")


def test_one_channel_cannot_be_swapped() -> None:
    with pytest.raises(SourceError, match="one channel only"):
        choose_layout("auto", swap=True, grid_shape=(5, 1), image_shape=(8, 8), name="m.tif")


@pytest.mark.parametrize(
    ("calcium", "words"),
    [
        (MOVIE[:, 1, :-1], "10×12 pixels, its calcium movie 10×11"),
        (MOVIE[:-1, 1], "6 frames, its calcium movie 5"),
    ],
)
def test_unequal_files_are_refused(tmp_path: Path, calcium: NDArray[np.uint16], words: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", MOVIE[:, 0])
    tifffile.imwrite(tmp_path / "b.tif", calcium)
    with pytest.raises(SourceError, match=words):
        open_source(tmp_path / "a.tif", calcium_path=tmp_path / "b.tif")


@given(
    name=st.sampled_from(["side-by-side", "top-bottom"]),
    half=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    swap=st.booleans(),
)
def test_halves_hold_every_pixel_once(name: Layout, half: tuple[int, int], swap: bool) -> None:
    height, width = (half[0], 2 * half[1]) if name == "side-by-side" else (2 * half[0], half[1])
    plane = np.arange(height * width, dtype=np.uint16).reshape(1, height, width)
    fitting = choose_layout(name, swap=swap, grid_shape=(1, 1), image_shape=(height, width), name="m")
    channels = fitting.split(plane)
    assert channels.shape == (2, *half)
    np.testing.assert_array_equal(np.sort(channels, axis=None), plane.reshape(-1))
    assert channels[1 if swap else 0, 0, 0] == 0

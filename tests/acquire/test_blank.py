"""Blank planes: never written where the camera has a pedestal, pictures where it has none."""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from acquire.frame import SourceError
from acquire.source import open_source

N, H, W = 10, 8, 16
MOVIE = np.random.default_rng(6).integers(90, 4096, (N, 2, H, W), np.uint16)
MOVIE[:, :, 3, 5] = 0  # a dead pixel


def write(path: Path, movie: NDArray[np.generic], kind: str) -> None:
    if kind == "plain":
        tifffile.imwrite(path, movie.reshape(-1, H, W), metadata=None)
    elif kind == "compressed":
        tifffile.imwrite(path, movie, ome=True, compression="zlib", metadata={"axes": "TCYX"})
    else:
        tifffile.imwrite(path, movie, ome=kind == "ome", imagej=kind == "imagej", metadata={"axes": "TCYX"})


def read(path: Path, kind: str = "ome") -> tuple[list[int], dict[str, int]]:
    how: dict[str, Any] = {"layout": "interleaved"} if kind == "plain" else {}
    with closing(open_source(path, **how)) as source:
        return [frame.seq for frame in source.frames()], dict(source.losses)


@pytest.mark.parametrize("kind", ["ome", "imagej", "plain", "compressed"])
@pytest.mark.parametrize(
    ("blank", "left"),
    [
        (np.s_[6:], [0, 1, 2, 3, 4, 5]),
        (np.s_[4], [0, 1, 2, 3, 5, 6, 7, 8, 9]),
        (np.s_[7, 1], [0, 1, 2, 3, 4, 5, 6, 8, 9]),
        (np.s_[:3], [3, 4, 5, 6, 7, 8, 9]),
    ],
    ids=["end", "middle", "one channel", "start"],
)
def test_zero_filled_planes_were_never_written(
    tmp_path: Path, kind: str, blank: Any, left: list[int]
) -> None:
    movie = MOVIE.copy()
    movie[blank] = 0
    write(tmp_path / "m.tif", movie, kind)
    assert read(tmp_path / "m.tif", kind) == (left, {"never written": N - len(left)})


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("blank", [np.s_[:], np.s_[:, 1]], ids=["movie", "calcium"])
def test_empty_movie_is_refused(tmp_path: Path, dtype: type[np.unsignedinteger[Any]], blank: Any) -> None:
    movie = (MOVIE >> 4).astype(dtype)
    movie[blank] = 0
    write(tmp_path / "m.tif", movie, "ome")
    with pytest.raises(SourceError, match="image of m is empty: all pixels are 0"):
        read(tmp_path / "m.tif")


def test_black_frames_of_movies_without_pedestal_are_kept(tmp_path: Path) -> None:
    sparse = np.where(MOVIE > 3000, MOVIE, 0).astype(np.uint16)
    rescaled = (MOVIE >> 4).astype(np.uint8)
    movies: list[NDArray[Any]] = [sparse, rescaled]
    for movie in movies:
        dark = np.where(np.arange(N)[:, None, None, None] // 2 == 2, 0, movie).astype(movie.dtype)
        write(tmp_path / "m.tif", dark, "imagej")
        assert read(tmp_path / "m.tif") == (list(range(N)), {})


def test_one_lit_pixel_is_a_picture(tmp_path: Path) -> None:
    movie = MOVIE.copy()
    movie[4] = 0
    movie[4, :, -1, -1] = 1
    write(tmp_path / "m.tif", movie, "ome")
    assert read(tmp_path / "m.tif") == (list(range(N)), {})

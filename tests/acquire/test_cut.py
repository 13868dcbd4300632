"""Files that end too early say so, wherever they end and whenever they were cut."""

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from acquire.frame import SourceError
from acquire.source import open_source

N, H, W = 5, 24, 16
MOVIE = np.random.default_rng(5).integers(1, 4096, (N, H, W), np.uint16)
TRUNCATED = "file is truncated"
CAUSES = {TRUNCATED, f"{TRUNCATED}; how many frames are lost is unknown"}
# Tiles and strips: their positions lie behind the directory, so a cut may part them.
KINDS: dict[str, dict[str, Any]] = {
    "paged": {},
    "strips": {"rowsperstrip": 6},
    "tiles": {"tile": (16, 16)},
    "compressed": {"tile": (16, 16), "compression": "zlib"},
}


def write(path: Path, kind: str) -> bytes:
    with tifffile.TiffWriter(path) as tif:
        for image in MOVIE:
            tif.write(image, metadata=None, **KINDS[kind])
    return path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_cut_anywhere(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.tif"
    data = write(path, kind)
    n_read = set()
    for length in range(8, len(data), 11):
        path.write_bytes(data[:length])
        try:
            with closing(open_source(path)) as source:
                frames = list(source.frames())
        except SourceError as error:
            assert "\n" not in str(error)
            continue
        assert [frame.seq for frame in frames] == list(range(len(frames)))
        for frame in frames:
            np.testing.assert_array_equal(frame.pixels[0], MOVIE[frame.seq])
        assert set(source.losses) <= CAUSES
        assert source.losses or len(frames) == N
        assert len(frames) + sum(source.losses.values()) <= N
        n_read.add(len(frames))
    assert set(range(1, N)) <= n_read


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.3, 0.5, 0.72, 0.9])
def test_cut_while_it_is_replayed(tmp_path: Path, kind: str, kept: float) -> None:
    path = tmp_path / "m.tif"
    size = len(write(path, kind))
    with closing(open_source(path)) as source:
        frames = source.frames()
        seqs = [next(frames).seq]
        os.truncate(path, int(kept * size))
        seqs += [frame.seq for frame in frames]
        assert seqs == list(range(len(seqs)))
        assert source.losses == {TRUNCATED: N - len(seqs)}


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_cut_ome_asks_for_the_layout(tmp_path: Path, compression: str | None) -> None:
    """Written by tifffile: the OME-XML comes last, so any cut takes it away."""
    path = tmp_path / "m.ome.tif"
    movie = MOVIE[:4].reshape(2, 2, H, W)
    tifffile.imwrite(path, movie, ome=True, compression=compression, metadata={"axes": "TCYX"})
    data = path.read_bytes()
    for length in range(len(data) - 1, 0, -37):
        path.write_bytes(data[:length])
        with pytest.raises(SourceError, match=r"cut off|damaged|truncated") as caught:
            open_source(path)
        assert "\n" not in str(caught.value)
        if length > 400:  # behind the first directory
            assert "--layout interleaved" in str(caught.value)

"""Real recordings open without options, and memory does not grow with the movie."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile

from acquire.source import open_source

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    ("name", "shape", "n_frames", "interval_s", "bit_depth"),
    [
        ("smlm_real/Beads-AS-Exp.tif", (1, 150, 150), 151, None, 16),
        ("smlm_real/FakeTracks.tif", (1, 128, 128), 50, 1.0, 8),
        ("smlm_real/thunderstorm_tubulins1_00020.tif", (1, 256, 256), 1, None, 16),
        ("piezo1_synthetic/medium_108nm.tif", (1, 128, 128), 100, 1.0, 16),
        ("piezo1_synthetic/high_snr_108nm.tif", (1, 128, 128), 100, 1.0, 16),
    ],
)
def test_real_file(
    name: str, shape: tuple[int, int, int], n_frames: int, interval_s: float | None, bit_depth: int
) -> None:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"reference data {name} is not here")
    with closing(open_source(path)) as source:
        assert source.info.shape == shape
        assert source.info.n_frames == n_frames
        assert source.info.interval_s == interval_s
        assert source.info.pixel_size_nm is None
        assert source.info.bit_depth == bit_depth
        movie = np.stack([frame.pixels[0] for frame in source.frames()])
        assert not source.losses
    np.testing.assert_array_equal(movie, tifffile.imread(path).reshape(movie.shape))


READ_ALL = """
import sys
from pathlib import Path
from acquire.source import open_source
source = open_source(sys.argv[1])
n_frames = sum(1 for _ in source.frames())
source.close()
# Not ru_maxrss, which starts from the peak of the process that started this one.
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(n_frames, status["VmHWM"].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_memory_does_not_grow(tmp_path: Path, compression: str | None) -> None:
    peaks = {}
    for n_frames in (200, 2000):
        path = tmp_path / f"{n_frames}.ome.tif"
        movie = np.full((n_frames, 2, 64, 64), 7, np.uint16)  # 32 MB at 2000 frames
        tifffile.imwrite(path, movie, compression=compression, metadata={"axes": "TCYX"})
        command = [sys.executable, "-c", READ_ALL, str(path)]
        counted, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert int(counted) == n_frames
        peaks[n_frames] = 1024 * int(peak)
    assert peaks[2000] < peaks[200] + 8e6

"""Frames of others' simulators: on small files of the same names and, for the cameras, on the real ones."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from rich.console import Console
from scipy.ndimage import convolve, uniform_filter

from bench.foreign_frames import (
    BEADS,
    BEADS_CAMERA,
    CHALLENGE,
    CHALLENGE_CAMERA,
    CHALLENGE_PIXEL_NM,
    CHALLENGE_SIGMA_PX,
    read_frames,
    run,
)
from bench.light import GaussianPsf
from bench.outputs import UsageError
from model.camera import Camera

DATA = Path(__file__).parents[2].parent / "shared/data/smlm_real"
IMMERKAER = np.outer([1, -2, 1], [1, -2, 1]) / 6.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A frame of 48² with four emitters of 2000 photons and its CSV, and a stack of 106 small frames."""
    truth = np.array([[10.2, 12.7], [30.0, 9.5], [14.4, 35.1], [36.3, 33.8]])
    rng = np.random.default_rng(1)
    light = np.full((48, 48), 20.0, np.float32)
    GaussianPsf(CHALLENGE_SIGMA_PX).add(light, *truth.T, np.full(4, 2000.0))
    tifffile.imwrite(tmp_path / f"{CHALLENGE}.tif", CHALLENGE_CAMERA.expose(light, rng))
    lines = [f"{k}, 20, {x}, {y}, 0, 2000" for k, (x, y) in enumerate((truth + 0.5) * CHALLENGE_PIXEL_NM)]
    header = "Ground-truth,frame,xnano,ynano,znano,intensity"
    (tmp_path / f"{CHALLENGE}.csv").write_text("\n".join([header, *lines]), encoding="utf-8")
    stack = np.full((106, 32, 32), 2.0, np.float32)
    tifffile.imwrite(tmp_path / f"{BEADS}.tif", BEADS_CAMERA.expose(stack, rng))
    return tmp_path


def test_every_frame_is_judged_by_both_engines_and_drawn(
    folder: Path, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, figure = tmp_path / "frames.json", tmp_path / "frames.svg"
    rows = run(folder, Console(width=220), out, figure, exported)
    assert [(row.frame[:4], row.engine) for row in rows] == [
        (frame, engine) for frame in ("SMLM", "bead", "bead", "bead") for engine in ("network", "wavelet")
    ]
    wavelet = rows[1]
    assert (wavelet.n_truth, wavelet.jaccard) == (4, 1.0)
    assert wavelet.rmse_nm is not None and wavelet.rmse_nm < 10
    assert wavelet.sigma_px == pytest.approx(CHALLENGE_SIGMA_PX, abs=0.1)
    assert (rows[3].jaccard, rows[3].rmse_nm) == (None, None)
    written = json.loads(out.read_text(encoding="utf-8"))["results"]
    assert [row["n_found"] for row in written] == [row.n_found for row in rows]
    assert "</svg>" in figure.read_text(encoding="utf-8")
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(rows)


def test_a_missing_file_is_a_sentence(folder: Path) -> None:
    (folder / f"{BEADS}.tif").unlink()
    with pytest.raises(UsageError, match=rf"there is no .*{BEADS}\.tif"):
        read_frames(folder)


def transfer(mean: np.ndarray, noise: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Noise variance in the dark and its growth per count, fitted to ten equally filled bins of the mean."""
    chosen = (mean > low) & (mean < high)
    bins = np.array_split(np.argsort(mean[chosen]), 10)
    points = [(mean[chosen][some].mean(), noise[chosen][some].var()) for some in bins]
    slope, floor = np.polyfit(*np.transpose(points), 1)
    return float(floor), float(slope)


@pytest.mark.skipif(not DATA.exists(), reason="the challenge's frames are not in ../shared/data")
def test_the_cameras_are_what_the_noise_says() -> None:
    tubulins = read_frames(DATA)[0]
    above = tubulins.counts.astype(float) - CHALLENGE_CAMERA.offset
    y, x = np.indices(above.shape)
    assert tubulins.truth is not None
    far = np.all([np.hypot(x - u, y - v) > 10 for u, v in tubulins.truth], axis=0)
    floor, slope = transfer(uniform_filter(above, 3)[far], convolve(above, IMMERKAER)[far], 40, 300)
    agrees(CHALLENGE_CAMERA, floor, slope)

    a, b, c = (tifffile.imread(DATA / f"{BEADS}.tif").astype(float)[k:][:148] for k in (0, 1, 2))
    mean, noise = (a + b + c) / 3 - BEADS_CAMERA.offset, (a - 2 * b + c) / np.sqrt(6)
    _, slope = transfer(mean, noise, 20, 1900)
    agrees(BEADS_CAMERA, float(noise[np.abs(mean) < 2].var()), slope)


def agrees(camera: Camera, floor: float, slope: float) -> None:
    assert 1 / camera.e_per_adu == pytest.approx(slope, rel=0.1)
    assert (camera.read_noise_e / camera.e_per_adu) ** 2 == pytest.approx(floor, rel=0.2)

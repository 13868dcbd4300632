"""Still scenes of random emitters with known truth, for benchmarks of localization."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from model.bound import crlb
from model.camera import Camera
from model.optics import Array, GaussianPsf, add_gaussians

SCMOS = Camera(offset=100.0, e_per_adu=1.0, read_noise_e=1.4)
# e_per_adu and gain of the synthetic PIEZO1 recordings, read noise of a usual EMCCD.
EMCCD = Camera(offset=100.0, e_per_adu=3.6, read_noise_e=30.0, em_gain=100.0)
BORDER_SIGMA = 5.0  # emitters this far outside still shine in


@dataclass(frozen=True, slots=True)
class Scene:
    """Frames of independent random emitters, and the truth.

    Attributes
    ----------
    counts
        Raw counts uint16, shape (F, H, W).
    truth
        Per frame the emitters' positions (x, y) in pixels, (N, 2); some lie just outside the image.
    bounds
        Per frame the Cramér–Rao bounds in pixels, (N, 4): x and y isolated, x and y beside neighbours.
    camera, pixel_nm, sigma_px
        How it was recorded; σ is that of the PSF.
    """

    counts: NDArray[np.uint16]
    truth: list[Array]
    bounds: list[Array]
    camera: Camera
    pixel_nm: float
    sigma_px: float


@dataclass(frozen=True, slots=True)
class SceneConfig:
    """What a simulated scene shows; lengths in nm, light in photo-electrons."""

    density_um2: float = 0.5
    photons: float = 1000.0
    camera: Camera = SCMOS
    size: int = 128
    pixel_nm: float = 110.0
    sigma_nm: float = 135.0
    background: float = 15.0
    photon_cv: float = 0.25
    structured: bool = True  # background with a gradient and blobs; False: flat, as the bound assumes


def simulate_scene(config: SceneConfig, n_frames: int, seed: int) -> Scene:
    """Draw independent frames of static emitters over a background with a gradient and defocused blobs."""
    rng = np.random.default_rng(seed)
    sigma = config.sigma_nm / config.pixel_nm
    border = BORDER_SIGMA * sigma
    side_um = (config.size + 2 * border) * config.pixel_nm / 1000
    counts, truth, bounds = [], [], []
    for _ in range(n_frames):
        n = rng.poisson(config.density_um2 * side_um**2)
        xy = rng.uniform(-0.5 - border, config.size - 0.5 + border, (n, 2))
        photons = config.photons * rng.gamma(1 / config.photon_cv**2, config.photon_cv**2, n)
        if config.structured:
            expected = draw_background(config.background, config.size, sigma, rng)
        else:
            expected = np.full((config.size, config.size), config.background, np.float32)
        at = np.clip(np.rint(xy), 0, config.size - 1).astype(int)
        background = expected[at[:, 1], at[:, 0]].astype(np.float64)
        GaussianPsf(sigma).add(expected, xy[:, 0], xy[:, 1], photons)
        counts.append(config.camera.expose(expected, rng))
        truth.append(xy)
        bounds.append(_bounds(xy, photons, sigma, background, config.camera))
    return Scene(np.stack(counts), truth, bounds, config.camera, config.pixel_nm, sigma)


def read_scene(stem: Path, frames: Sequence[int]) -> Scene:
    """Frames of a recording `stem`.tif with `stem`_ground_truth.csv and `stem`_metadata.json beside it.

    The format is that of the synthetic PIEZO1 movies: frames counted from 1, positions in nm with the
    centre of the first pixel at 0 (measured: median offset of matched pairs below 0.04 px), and
    photons = (ADU − baseline) · photons_per_adu / em_gain (measured: the movie's mean is the truth's).
    """
    metadata = json.loads(stem.with_name(f"{stem.name}_metadata.json").read_text(encoding="utf-8"))
    table = pd.read_csv(stem.with_name(f"{stem.name}_ground_truth.csv"))
    pixel_nm, chip = float(metadata["pixel_size_nm"]), metadata["camera"]
    camera = Camera(
        offset=float(chip["baseline_adu"]),
        e_per_adu=float(chip["photons_per_adu"]),
        read_noise_e=float(chip["readout_noise_e"]),
        em_gain=float(chip["em_gain"]),
    )
    sigma = metadata["psf_sigma_nm"] / pixel_nm
    truth, bounds = [], []
    for frame in frames:
        rows = table[table["frame"] == frame + 1]
        xy = rows[["x_nm", "y_nm"]].to_numpy(np.float64) / pixel_nm
        photons = rows["intensity_photons"].to_numpy(np.float64)
        background = np.full(len(xy), float(metadata["background_per_pixel"]))
        truth.append(xy)
        bounds.append(_bounds(xy, photons, sigma, background, camera))
    counts = tifffile.imread(stem.with_suffix(".tif"))[list(frames)]
    return Scene(counts, truth, bounds, camera, pixel_nm, sigma)


def _bounds(xy: Array, photons: Array, sigma: float, background: Array, camera: Camera) -> Array:
    columns = (xy[:, 0], xy[:, 1], photons, np.full(len(xy), sigma), background)
    return np.hstack([crlb(*columns, camera), crlb(*columns, camera, joint=True)])


def draw_background(
    level: float, size: int, sigma_px: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw an expected background (size, size): gradient up to ±30 %, blobs of 4–8 PSF widths."""
    slope = 0.15 * rng.uniform(-1, 1, 2)
    ramp = np.linspace(-1, 1, size)
    image: NDArray[np.float32] = (level * (1 + slope[0] * ramp[:, None] + slope[1] * ramp[None, :])).astype(
        np.float32
    )
    n = rng.poisson((size / 32) ** 2)
    blob_sigma = sigma_px * rng.uniform(4, 8, n)
    peak = level * rng.uniform(0.2, 1.0, n)
    x, y = rng.uniform(0, size, (2, n))
    add_gaussians(image, x, y, peak * 2 * np.pi * blob_sigma**2, blob_sigma)
    return image

"""Still scenes of random emitters with known truth, for benchmarks of localization."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from pathlib import Path

from model.camera import Camera
from model.bound import crlb
from model.optics import Array, add_gaussians, make_psf

SCMOS = Camera(offset=100.0, e_per_adu=1.0, read_noise_e=1.4)
# e_per_adu and gain of the synthetic PIEZO1 recordings, read noise of a usual EMCCD.
EMCCD = Camera(offset=100.0, e_per_adu=3.6, read_noise_e=30.0, em_gain=100.0)
BORDER_SIGMA = 5.0


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
    psf: str = "gaussian"


def simulate_scene(config: SceneConfig, n_frames: int, seed: int, with_bounds: bool = True) -> Scene:
    """Draw independent frames of static emitters over a background with a gradient and defocused blobs."""
    rng = np.random.default_rng(seed)
    sigma = config.sigma_nm / config.pixel_nm
    border = BORDER_SIGMA * sigma
    side_um = (config.size + 2 * border) * config.pixel_nm / 1000
    psf = make_psf(config.psf, sigma)
    counts, truth, bounds = [], [], []
    for _ in range(n_frames):
        n = rng.poisson(config.density_um2 * side_um**2)
        xy = rng.uniform(-0.5 - border, config.size - 0.5 + border, (n, 2))
        photons = config.photons * rng.gamma(1 / config.photon_cv**2, config.photon_cv**2, n)
        expected = draw_background(config.background, config.size, sigma, rng)
        at = np.clip(np.rint(xy), 0, config.size - 1).astype(int)
        background = expected[at[:, 1], at[:, 0]].astype(np.float64)
        psf.add(expected, xy[:, 0], xy[:, 1], photons)
        counts.append(config.camera.expose(expected, rng))
        truth.append(xy)
        if with_bounds:
            columns = (xy[:, 0], xy[:, 1], photons, np.full(n, sigma), background)
            bounds.append(
                np.hstack([crlb(*columns, config.camera), crlb(*columns, config.camera, joint=True)])
            )
    return Scene(np.stack(counts), truth, bounds, config.camera, config.pixel_nm, sigma)


def draw_background(level: float, size: int, sigma_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Expected background (size, size): ±30 % gradient, and out-of-focus blobs of 4–8 PSF widths."""
    slope = 0.3 * rng.uniform(-1, 1, 2)
    ramp = np.linspace(-1, 1, size)
    image = (level * (1 + 0.5 * (slope[0] * ramp[:, None] + slope[1] * ramp[None, :]))).astype(np.float32)
    n = rng.poisson((size / 32) ** 2)
    blob_sigma = sigma_px * rng.uniform(4, 8, n)
    peak = level * rng.uniform(0.2, 1.0, n)
    x, y = rng.uniform(0, size, (2, n))
    add_gaussians(image, x, y, peak * 2 * np.pi * blob_sigma**2, blob_sigma)
    return image

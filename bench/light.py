"""What the optics and the chip do to the light of a scene, beyond what the methods are told."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.conditions import SceneConfig
from model.camera import Camera
from model.optics import (
    GAUSSIAN_RADIUS_SIGMA,
    AiryPsf,
    Array,
    GaussianPsf,
    Psf,
    add_gaussians,
    gaussian_profile,
)

Image = NDArray[np.float32]

ELLIPTICITY = 1.2  # σ in x over σ in y
HALO_SHARE, HALO_WIDTH = 0.2, 3.0
HOT_SHARE, HOT_ELECTRONS = 0.001, (200.0, 2000.0)  # an emitter of 1000 photons peaks at about 100
WARM_SHARE, WARM_ELECTRONS = 0.01, (10.0, 50.0)
OFFSET_SD, GAIN_SD, READ_NOISE_LOG_SD = 2.0, 0.02, 0.3  # ADU, relative, of the logarithm


@dataclass(frozen=True, slots=True)
class EllipticalPsf:
    """Integrated Gaussian, wider in x than in y; `sigma_px` is the geometric mean."""

    sigma_px: float

    def add(self, image: Image, x_px: Array, y_px: Array, photons: Array) -> None:
        """Add emitters to `image` in place."""
        height, width = image.shape
        stretch = math.sqrt(ELLIPTICITY)
        radius = math.ceil(GAUSSIAN_RADIUS_SIGMA * self.sigma_px * stretch)
        for x, y, n in zip(x_px, y_px, photons, strict=True):
            x0, y0 = round(float(x)) - radius, round(float(y)) - radius
            px, py, unused_a, unused_b = (np.empty(2 * radius + 1) for _ in range(4))
            gaussian_profile(float(x), self.sigma_px * stretch, x0, px, unused_a, unused_b)
            gaussian_profile(float(y), self.sigma_px / stretch, y0, py, unused_a, unused_b)
            left, right = max(x0, 0), max(min(x0 + len(px), width), 0)
            top, bottom = max(y0, 0), max(min(y0 + len(py), height), 0)
            stamp = n * np.outer(py[top - y0 : bottom - y0], px[left - x0 : right - x0])
            image[top:bottom, left:right] += stamp.astype(np.float32)


@dataclass(frozen=True, slots=True)
class HaloPsf:
    """Gaussian of which a share of the light has spread into a wider one."""

    sigma_px: float

    def add(self, image: Image, x_px: Array, y_px: Array, photons: Array) -> None:
        """Add emitters to `image` in place; `photons` counts the halo's."""
        GaussianPsf(self.sigma_px).add(image, x_px, y_px, (1 - HALO_SHARE) * photons)
        GaussianPsf(HALO_WIDTH * self.sigma_px).add(image, x_px, y_px, HALO_SHARE * photons)


def true_psf(config: SceneConfig) -> Psf:
    """The PSF that the scene really has."""
    kinds: dict[str, type[GaussianPsf | AiryPsf | EllipticalPsf | HaloPsf]] = {
        "gaussian": GaussianPsf,
        "airy": AiryPsf,
        "elliptical": EllipticalPsf,
        "halo": HaloPsf,
    }
    return kinds[config.psf](config.true_sigma_px)


def draw_background(config: SceneConfig, rng: np.random.Generator) -> Image:
    """Expected background (size, size): flat, or a gradient up to ±30 % and blobs of 4–8 PSF widths."""
    level, size = config.background, config.size
    image = np.full((size, size), level, np.float32)
    if not config.structured:
        return image
    slope = 0.15 * rng.uniform(-1, 1, 2)
    ramp = np.linspace(-1, 1, size)
    image *= (1 + slope[0] * ramp[:, None] + slope[1] * ramp[None, :]).astype(np.float32)
    n = rng.poisson((size / 32) ** 2)
    blob_sigma = config.true_sigma_px * rng.uniform(4, 8, n)
    peak = level * rng.uniform(0.2, 1.0, n)
    x, y = rng.uniform(0, size, (2, n))
    add_gaussians(image, x, y, peak * 2 * np.pi * blob_sigma**2, blob_sigma)
    return image


def draw_chip(config: SceneConfig, rng: np.random.Generator) -> tuple[Camera, Image]:
    """The camera with its maps, and the electrons (size, size) that its pixels collect in the dark."""
    shape = (config.size, config.size)
    dark = np.zeros(shape, np.float32)
    if not config.fixed_pattern:
        return config.camera, dark
    for share, (low, high) in ((WARM_SHARE, WARM_ELECTRONS), (HOT_SHARE, HOT_ELECTRONS)):
        some = rng.random(shape) < share
        dark[some] = np.exp(rng.uniform(np.log(low), np.log(high), int(some.sum())))
    camera = replace(
        config.camera,
        offset=(config.camera.offset + rng.normal(0, OFFSET_SD, shape)).astype(np.float32),
        e_per_adu=(config.camera.e_per_adu * (1 + rng.normal(0, GAIN_SD, shape))).astype(np.float32),
        read_noise_e=(config.camera.read_noise_e * np.exp(rng.normal(0, READ_NOISE_LOG_SD, shape))).astype(
            np.float32
        ),
    )
    return camera, dark

"""Point spread functions integrated over pixels; the only place where a PSF is written down.

The simulator, the classical fitter, the bound and the evaluation all use these functions.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import map_coordinates
from scipy.special import j1

Array = NDArray[np.float64]

# Stamps are cut where less than 1e-6 of a Gaussian's light is left.
GAUSSIAN_RADIUS_SIGMA = 5.0
# Gaussian that fits an in-focus Airy disk best: σ = 0.21 λ/NA (Zhang, Zerubia & Olivo-Marin,
# Appl. Opt. 46, 1819 (2007)).
AIRY_SIGMA = 0.21


@njit(cache=True, nogil=True, fastmath=True)
def gaussian_profile(
    position: float, sigma: float, start: int, value: Array, d_position: Array, d_sigma: Array
) -> None:
    """Fill the 1-D integrated Gaussian and its derivatives for `len(value)` pixels from pixel `start`.

    Pixel i covers [i − ½, i + ½]; the profile sums to 1 over all pixels, a 2-D PSF is the product of
    two (Smith et al., Nat. Methods 7, 373 (2010)). Positions and σ are in pixels.
    """
    scale = 1.0 / (math.sqrt(2.0) * sigma)
    norm = 1.0 / (math.sqrt(2.0 * math.pi) * sigma)
    u = start - 0.5 - position
    low_erf = math.erf(u * scale)
    low_exp = norm * math.exp(-((u * scale) ** 2))
    for k in range(len(value)):
        v = u + 1.0
        high_erf = math.erf(v * scale)
        high_exp = norm * math.exp(-((v * scale) ** 2))
        value[k] = 0.5 * (high_erf - low_erf)
        d_position[k] = low_exp - high_exp
        d_sigma[k] = (u * low_exp - v * high_exp) / sigma
        u, low_erf, low_exp = v, high_erf, high_exp


@njit(cache=True, nogil=True)
def add_gaussians(image: NDArray[np.float32], x: Array, y: Array, photons: Array, sigma: Array) -> None:
    """Add integrated Gaussians to `image` (H, W) in place; emitters may lie outside the image."""
    height, width = image.shape
    for i in range(len(x)):
        radius = math.ceil(GAUSSIAN_RADIUS_SIGMA * sigma[i])
        x0, y0 = round(x[i]) - radius, round(y[i]) - radius
        n = 2 * radius + 1
        if x0 >= width or y0 >= height or x0 + n <= 0 or y0 + n <= 0:
            continue
        px, py, unused_a, unused_b = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
        gaussian_profile(x[i], sigma[i], x0, px, unused_a, unused_b)
        gaussian_profile(y[i], sigma[i], y0, py, unused_a, unused_b)
        for r in range(max(0, -y0), min(n, height - y0)):
            row = photons[i] * py[r]
            for c in range(max(0, -x0), min(n, width - x0)):
                image[y0 + r, x0 + c] += np.float32(row * px[c])


class Psf(Protocol):
    """A point spread function that can be painted into an image of expected photo-electrons."""

    @property
    def sigma_px(self) -> float:
        """Standard deviation in pixels of the Gaussian that fits it best."""
        ...

    def add(self, image: NDArray[np.float32], x_px: Array, y_px: Array, photons: Array) -> None:
        """Add emitters (positions in pixels, photons in focus) to `image` (H, W) in place."""
        ...


@dataclass(frozen=True, slots=True)
class GaussianPsf:
    """Integrated Gaussian of standard deviation `sigma_px` pixels."""

    sigma_px: float

    def add(self, image: NDArray[np.float32], x_px: Array, y_px: Array, photons: Array) -> None:
        """Add emitters to `image` in place."""
        add_gaussians(
            image,
            np.asarray(x_px, np.float64),
            np.asarray(y_px, np.float64),
            np.asarray(photons, np.float64),
            np.full(len(x_px), self.sigma_px),
        )


@dataclass(frozen=True, slots=True)
class AiryPsf:
    """Integrated Airy disk, given by the σ (pixels) of the Gaussian that fits it best.

    Intensity (2 J₁(v)/v)² with v = 2π NA r / λ (Born & Wolf, Principles of Optics, 8.5.2). The rings
    are followed to `RADIUS_SIGMA` σ; the light beyond is lost, as it is under any window.
    """

    sigma_px: float

    RADIUS_SIGMA = 12.0
    # Table points in one σ: pixel values are then exact to 1e-4 of the peak (measured for σ of
    # 0.4 to 10 px), and the table of any σ is made within 0.1 s.
    STEPS_SIGMA = 40

    def add(self, image: NDArray[np.float32], x_px: Array, y_px: Array, photons: Array) -> None:
        """Add emitters to `image` in place."""
        height, width = image.shape
        radius = math.ceil(self.RADIUS_SIGMA * self.sigma_px)
        steps = math.ceil(self.STEPS_SIGMA / self.sigma_px)
        cumulative = _airy_cumulative(self.sigma_px, radius, steps)
        for x, y, n in zip(x_px, y_px, photons, strict=True):
            x0, y0 = round(float(x)) - radius, round(float(y)) - radius
            columns = slice(max(x0, 0), min(x0 + 2 * radius + 1, width))
            rows = slice(max(y0, 0), min(y0 + 2 * radius + 1, height))
            if columns.start >= columns.stop or rows.start >= rows.stop:
                continue
            edges_x = (np.arange(columns.start, columns.stop + 1) - 0.5 - x + radius + 1) * steps
            edges_y = (np.arange(rows.start, rows.stop + 1) - 0.5 - y + radius + 1) * steps
            grid = np.meshgrid(edges_y, edges_x, indexing="ij")
            corners = map_coordinates(cumulative, grid, order=1, mode="nearest")
            image[rows, columns] += (n * np.diff(np.diff(corners, axis=0), axis=1)).astype(np.float32)


@lru_cache(maxsize=8)
def _airy_cumulative(sigma_px: float, radius: int, steps: int) -> Array:
    """Airy light summed over x' < x and y' < y, on a grid of 1/steps pixels that spans ±(radius + 1)."""
    n = 2 * (radius + 1) * steps
    centres = (np.arange(n) + 0.5) / steps - (radius + 1)
    r = np.hypot(centres[:, None], centres[None, :])
    disk = _airy_disk(r, sigma_px) / steps**2
    cumulative = np.zeros((n + 1, n + 1))
    cumulative[1:, 1:] = disk.cumsum(axis=0).cumsum(axis=1)
    return cumulative


def _airy_disk(r: Array, sigma_px: float) -> Array:
    """Share of the light per px² at distances r > 0 in pixels."""
    wave_number = 2 * np.pi * AIRY_SIGMA / sigma_px  # 2π NA/λ in 1/px
    v = wave_number * r
    # ∫ (2 J₁(v)/v)² over the plane is 4π in v, which normalizes the disk to 1.
    disk: Array = (2 * j1(v) / v) ** 2 * wave_number**2 / (4 * np.pi)
    return disk


@dataclass(frozen=True, slots=True)
class AiryProfiles:
    """The Airy disk of σ = 1 as a sum of products: Σ wₖ·fₖ(x)·fₖ(y).

    Six products leave an error of 4e-4 of the peak (measured), as the singular values of so smooth a
    function fall fast; a point of the table is at most 5e-4 σ away. The light beyond ±12 σ is lost.

    Attributes
    ----------
    weights
        wₖ, shape (K,).
    cumulative
        ∫fₖ up to each point of a line, shape (L, K).
    points_sigma, centre
        Points of the line in one σ, and the index of its middle.
    """

    weights: Array
    cumulative: Array
    points_sigma: int
    centre: int


@lru_cache(maxsize=1)
def airy_profiles(n_products: int = 6, points_sigma: int = 1000) -> AiryProfiles:
    """Separate the Airy disk by its eigenvectors (Eckart & Young, Psychometrika 1, 211 (1936))."""
    radius, steps = int(AiryPsf.RADIUS_SIGMA), AiryPsf.STEPS_SIGMA
    n = 2 * radius * steps
    centres = (np.arange(n) + 0.5) / steps - radius
    weights, vectors = np.linalg.eigh(_airy_disk(np.hypot(centres[:, None], centres), 1.0) / steps**2)
    largest = np.argsort(-np.abs(weights))[:n_products]
    cumulative = np.zeros((n + 1, n_products))
    cumulative[1:] = vectors[:, largest].cumsum(axis=0)
    points = np.linspace(-radius, radius, 2 * radius * points_sigma + 1)
    fine = CubicSpline(np.arange(n + 1) / steps - radius, cumulative)(points)
    return AiryProfiles(weights[largest], np.asarray(fine), points_sigma, radius * points_sigma)


def make_psf(kind: str, sigma_px: float) -> Psf:
    """PSF of a kind, "gaussian" or "airy", with the σ in pixels of its best Gaussian."""
    if kind == "gaussian":
        return GaussianPsf(sigma_px)
    if kind == "airy":
        return AiryPsf(sigma_px)
    raise ValueError(f"PSF type {kind!r} is not known; choose gaussian or airy")

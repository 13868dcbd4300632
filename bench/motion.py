"""Emitters of a movie, frame by frame: static, diffusing, blinking, or new in every frame."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bench.conditions import DIFFUSION_UM2_S, INTERVAL_S, SceneConfig
from model.optics import Array

BORDER_SIGMA = 5.0  # emitters this far outside still shine in
ISOLATED_SIGMA = 6.0  # emitters this far apart share no light
SUB_STEPS = 8  # positions within an exposure: motion blur
FLICKER_CV = 0.05  # of an emitter's photons from frame to frame
OFF, ON = 0.1, 0.3  # probability per frame to go dark, and to come back


@dataclass(frozen=True, slots=True)
class Emitters:
    """What shines in one frame: paths (S, N, 2) of x, y in pixels within the exposure, photons (N,)."""

    path: Array
    photons: Array

    @property
    def xy(self) -> Array:
        """Mean positions (N, 2) during the exposure: what a localization should find."""
        return np.asarray(self.path.mean(axis=0))


def draw_emitters(config: SceneConfig, n_frames: int, rng: np.random.Generator) -> Iterator[Emitters]:
    """Emitters of each frame of one movie; some lie just outside the image."""
    xy, photons = _born(config, rng)
    lit = rng.random(len(xy)) < _share_lit(config)
    for _ in range(n_frames):
        path = xy[None]
        if config.motion == "diffusing":
            steps = rng.normal(0.0, diffusion_step_px(config) / np.sqrt(SUB_STEPS), (SUB_STEPS, *xy.shape))
            path = xy + np.cumsum(steps, axis=0)
            xy = path[-1]
        flicker = rng.gamma(1 / FLICKER_CV**2, FLICKER_CV**2, len(photons))
        yield Emitters(path[:, lit], (photons * flicker)[lit])
        if config.motion == "unrelated":
            xy, photons = _born(config, rng)
            lit = np.ones(len(xy), np.bool_)
        elif config.motion == "blinking":
            lit ^= rng.random(len(xy)) < np.where(lit, OFF, ON)


def diffusion_step_px(config: SceneConfig) -> float:
    """Standard deviation of a diffusing emitter's displacement per frame and axis, in pixels."""
    return float(np.sqrt(2 * DIFFUSION_UM2_S * INTERVAL_S)) * 1000 / config.pixel_nm


def blurred_sigma_px(config: SceneConfig) -> float:
    """σ in pixels of the mean image of an emitter about its mean position.

    Positions during an exposure T spread about their mean with the variance DT/3 = step²/6 per axis
    (Berglund, Phys. Rev. E 82, 011917 (2010)). The bound of a static Gaussian this wide is a reference
    for diffusing emitters, not their bound: each one's image has a shape of its own.
    """
    blur = diffusion_step_px(config) ** 2 / 6 if config.motion == "diffusing" else 0.0
    return float(np.sqrt(config.true_sigma_px**2 + blur))


def are_isolated(xy: Array, distance: float) -> NDArray[np.bool_]:
    """True (N,) where the nearest other position is further than `distance`."""
    if len(xy) < 2:
        return np.ones(len(xy), np.bool_)
    distances, _ = KDTree(xy).query(xy, k=2)
    return np.asarray(distances)[:, 1] > distance


def _share_lit(config: SceneConfig) -> float:
    return ON / (ON + OFF) if config.motion == "blinking" else 1.0


def _born(config: SceneConfig, rng: np.random.Generator) -> tuple[Array, Array]:
    """Positions (N, 2) and photons (N,); where some are dark there are more of them."""
    border = BORDER_SIGMA * config.true_sigma_px
    side_um = (config.size + 2 * border) * config.pixel_nm / 1000
    n = rng.poisson(config.density_um2 / _share_lit(config) * side_um**2)
    xy = rng.uniform(-0.5 - border, config.size - 0.5 + border, (n, 2))
    if config.isolated:
        xy = xy[are_isolated(xy, ISOLATED_SIGMA * config.true_sigma_px)]
    return xy, config.photons * rng.gamma(1 / config.photon_cv**2, config.photon_cv**2, len(xy))

"""Localizations of puncta that move, blink, bleach and are missed, with the track each belongs to."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.localizations import Localizations
from stream.results import NO_TRACK, Ids

Array = NDArray[np.float64]

MEAN_PHOTONS = 1000.0
SD_BETWEEN, SD_WITHIN = 0.4, 0.15  # of ln photons: between puncta, and of one between frames
FALSE_BRIGHTNESS = 0.5  # of false localizations, relative to puncta
SD_PX = (0.2, 0.4)  # localization error of a punctum, uniform


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingScene:
    """What is simulated; diffusion coefficients in px² a frame, probabilities per frame.

    Births keep the number of puncta constant; off and on are blinking, missed and false the detector's.
    """

    name: str
    n_puncta: int
    mobile_px2: float = 0.25
    slow_px2: float = 0.026
    mobile_fraction: float = 0.4
    side_px: float = 256.0
    n_frames: int = 500
    off: float = 0.02
    on: float = 0.3
    mean_life: float = 150.0
    missed: float = 0.1
    false_share: float = 0.05


@dataclass(frozen=True, slots=True)
class TrackingFrame:
    """Localizations of a frame in random order, and the true track of each, −1 for false ones (N,)."""

    found: Localizations
    track_id: Ids


def simulate_frames(scene: TrackingScene, seed: int) -> tuple[list[TrackingFrame], pd.DataFrame]:
    """Simulate a movie's localizations.

    Returns
    -------
    frames
        What the detector gives, frame by frame.
    truth
        Columns `frame, track_id, x_nm, y_nm` of every punctum that shines, missed or not; one pixel is
        1 nm here.
    """
    rng = np.random.default_rng(seed)
    n, side = scene.n_puncta, scene.side_px
    position = rng.uniform(0, side, (n, 2))
    step_px = np.sqrt(2 * np.where(rng.random(n) < scene.mobile_fraction, scene.mobile_px2, scene.slow_px2))
    ln_photons = np.log(MEAN_PHOTONS) + rng.normal(0, SD_BETWEEN, n)
    sd = rng.uniform(*SD_PX, n)
    shines, identity, n_born = np.ones(n, np.bool_), np.arange(n), n
    frames, truth = [], []
    for frame in range(scene.n_frames):
        truth.append((np.full(shines.sum(), frame), identity[shines], *position[shines].T))
        seen = shines & (rng.random(n) >= scene.missed)
        frames.append(_localize(position[seen], ln_photons[seen], sd[seen], identity[seen], scene, rng))

        position = position + rng.normal(size=(n, 2)) * step_px[:, None]
        position = side - np.abs(side - np.abs(position))  # walls reflect
        chance = rng.random(n)
        shines = np.where(shines, chance >= scene.off, chance < scene.on)
        dies = rng.random(n) < 1 / scene.mean_life
        n_new = int(dies.sum())
        position[dies], shines[dies] = rng.uniform(0, side, (n_new, 2)), True
        identity[dies] = n_born + np.arange(n_new)
        n_born += n_new
    columns = (np.concatenate(column) for column in zip(*truth, strict=True))
    return frames, pd.DataFrame(dict(zip(("frame", "track_id", "x_nm", "y_nm"), columns, strict=True)))


def _localize(
    position: Array,
    ln_photons: Array,
    sd: Array,
    identity: Ids,
    scene: TrackingScene,
    rng: np.random.Generator,
) -> TrackingFrame:
    """What the detector makes of the puncta it sees; false ones lie anywhere."""
    n_false = int(rng.poisson(scene.false_share * scene.n_puncta))
    found = position + rng.normal(size=position.shape) * sd[:, None]
    found = np.concatenate([found, rng.uniform(0, scene.side_px, (n_false, 2))])
    ln_false = np.log(FALSE_BRIGHTNESS * MEAN_PHOTONS) + rng.normal(0, SD_BETWEEN, n_false)
    photons = np.exp(np.concatenate([rng.normal(ln_photons, SD_WITHIN), ln_false]))
    error = np.concatenate([sd, rng.uniform(*SD_PX, n_false)])
    track_id = np.concatenate([identity, np.full(n_false, NO_TRACK)])
    order = rng.permutation(len(track_id))
    localizations = Localizations.from_columns(
        x_px=found[order, 0],
        y_px=found[order, 1],
        x_sd_px=error[order],
        y_sd_px=error[order],
        photons=photons[order],
        background=np.zeros(len(order)),
        psf_sigma_px=np.full(len(order), 1.4),
    )
    return TrackingFrame(localizations, track_id[order])

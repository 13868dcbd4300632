"""Movies of emitters with known truth: simulated, or read from a synthetic recording."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from bench.conditions import SceneConfig
from bench.light import draw_background, draw_chip, true_psf
from bench.motion import blurred_sigma_px, draw_emitters
from model.bound import crlb
from model.camera import Camera
from model.optics import Array


@dataclass(frozen=True, slots=True)
class Truth:
    """Emitters of a frame: x, y in pixels (N, 2), photons (N,), background per pixel (N,).

    Some lie just outside the image.
    """

    xy: Array
    photons: Array
    background: Array


@dataclass(frozen=True, slots=True)
class Scene:
    """Frames of one or several movies, one after the other, and the truth.

    Attributes
    ----------
    counts
        Raw counts uint16, shape (F, H, W).
    movie
        Index of the movie that each frame belongs to, ascending (F,).
    truth
        Emitters of each frame.
    camera, sigma_px
        What the methods are told; σ is that of the PSF in pixels.
    true_camera, true_sigma_px
        What it really was, for the bounds; motion blur counts as a wider PSF.
    pixel_nm
        Size of a pixel.
    """

    counts: NDArray[np.uint16]
    movie: NDArray[np.intp]
    truth: list[Truth]
    camera: Camera
    sigma_px: float
    true_camera: Camera
    true_sigma_px: float
    pixel_nm: float


def simulate_scene(config: SceneConfig, n_movies: int, n_frames: int, seed: int) -> Scene:
    """Draw `n_movies` movies of `n_frames` frames each; the first of many are those of few."""
    psf = true_psf(config)
    counts, truth = [], []
    for movie in range(n_movies):
        rng = np.random.default_rng([seed, movie])
        background = draw_background(config, rng)
        camera, dark = draw_chip(config, rng)
        for emitters in draw_emitters(config, n_frames, rng):
            expected = background + dark
            for x, y in emitters.path.transpose(0, 2, 1):
                psf.add(expected, x, y, emitters.photons / len(emitters.path))
            counts.append(camera.expose(expected, rng))
            x, y = np.clip(np.rint(emitters.xy), 0, config.size - 1).astype(int).T
            truth.append(Truth(emitters.xy, emitters.photons, background[y, x].astype(np.float64)))
    return Scene(
        counts=np.stack(counts),
        movie=np.repeat(np.arange(n_movies), n_frames),
        truth=truth,
        camera=config.told_camera or config.camera,
        sigma_px=config.sigma_px,
        true_camera=config.camera,
        true_sigma_px=blurred_sigma_px(config),
        pixel_nm=config.pixel_nm,
    )


def read_scene(stem: Path, frames: Sequence[int]) -> Scene:
    """Frames of a recording `stem`.tif with `stem`_ground_truth.csv and `stem`_metadata.json beside it.

    Consecutive frames make a movie; where a number is skipped, the next one begins. The format is that
    of the synthetic PIEZO1 movies: frames counted from 1, positions in nm with the centre of the first
    pixel at 0 (measured: median offset of matched pairs below 0.04 px), and
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
    truth = []
    for frame in frames:
        rows = table[table["frame"] == frame + 1]
        xy = rows[["x_nm", "y_nm"]].to_numpy(np.float64) / pixel_nm
        background = np.full(len(xy), float(metadata["background_per_pixel"]))
        truth.append(Truth(xy, rows["intensity_photons"].to_numpy(np.float64), background))
    return Scene(
        counts=tifffile.imread(stem.with_suffix(".tif"))[list(frames)],
        movie=np.cumsum(np.diff(frames, prepend=frames[0]) > 1),
        truth=truth,
        camera=camera,
        sigma_px=sigma,
        true_camera=camera,
        true_sigma_px=sigma,
        pixel_nm=pixel_nm,
    )


def bounds(scene: Scene) -> list[Array]:
    """Cramér–Rao bounds in pixels per frame, (N, 4): x and y isolated, x and y beside neighbours.

    They are those of a Gaussian of the true σ and of the true camera's mean read noise.
    """

    def of(truth: Truth, joint: bool) -> Array:
        x, y = truth.xy.T
        sigma = np.full(len(x), scene.true_sigma_px)
        return crlb(x, y, truth.photons, sigma, truth.background, scene.true_camera, joint=joint)

    return [np.hstack([of(truth, False), of(truth, True)]) for truth in scene.truth]

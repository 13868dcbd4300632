"""Dual-channel movies with known truth: emitters → PSF → background → camera, one frame at a time.

The composition is that of DECODE's simulator (Speiser et al., Nat. Methods 18, 1082 (2021)): each part
knows only its neighbour's output, so any of them can be replaced.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.optics import add_gaussians, make_psf
from train.puncta import Population, Snapshot
from train.simulation_config import SimulationConfig, SimulationError

__all__ = ["FrameTruth", "SimulatedFrame", "SimulationConfig", "SimulationError", "TrueEvent", "simulate"]

Image = NDArray[np.float32]
Column = NDArray[np.float64]

# Out-of-focus light: Gaussians of these σ (pixels) and heights (relative to the background's level).
BLOB_SIGMA_PX = (4.0, 12.0)
BLOB_HEIGHT = (0.3, 1.0)


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """The puncta that shine in one frame within the image, one row a punctum.

    Positions in pixels (centre of pixel (0, 0) at (0, 0), mean over the exposure), photons in
    photo-electrons, background in photo-electrons per pixel under the punctum without other puncta,
    `dff` the ΔF/F0 of its own calcium event.
    """

    track_id: NDArray[np.int64]
    x_px: Column
    y_px: Column
    photons: Column
    background: Column
    dff: Column
    is_open: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """A calcium event, told in the frame of its peak; its end may lie after the movie's.

    It lasts from the first frame in which calcium flows to the last with at least a tenth of the peak
    ΔF/F0; x and y are the punctum's position at the peak in pixels.
    """

    track_id: int
    onset_frame: int
    peak_frame: int
    end_frame: int
    amplitude_dff: float
    x_px: float
    y_px: float


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """Counts uint16 (2, H, W) in the order PIEZO1, calcium, and what is true of them."""

    index: int
    pixels: NDArray[np.uint16]
    truth: FrameTruth
    events: tuple[TrueEvent, ...]


def simulate(config: SimulationConfig, seed: int | np.random.SeedSequence) -> Iterator[SimulatedFrame]:
    """Simulate a movie frame by frame; the same seed gives the same movie.

    The sample and the camera draw from generators of their own, so the same seed shows the same puncta
    to any camera. Memory does not grow with the movie.
    """
    sequence = np.random.SeedSequence(seed) if isinstance(seed, int) else seed
    scene_rng, camera_rng = (
        np.random.default_rng(np.random.SeedSequence(sequence.entropy, spawn_key=(*sequence.spawn_key, i)))
        for i in range(2)
    )
    camera = config.camera_model()
    psf = make_psf(config.psf_type, config.psf_sigma_px)
    background = _background(config, config.background_photons, scene_rng)
    rest = _background(config, config.calcium_rest_photons, scene_rng)
    population = Population(config, scene_rng)
    for index in range(config.n_frames):
        puncta = population.step()
        shines = puncta.photons > 0
        path = puncta.path_px[:, :, shines]
        n_sub_steps = path.shape[1]
        light = np.tile(puncta.photons[shines] / n_sub_steps, n_sub_steps)
        piezo1 = background.copy()
        psf.add(piezo1, path[0].ravel(), path[1].ravel(), light)
        calcium = rest * (1 + _clouds(puncta, rest.shape))
        yield SimulatedFrame(
            index,
            np.stack([camera.expose(piezo1, camera_rng), camera.expose(calcium, camera_rng)]),
            _truth(puncta, background),
            _events(puncta, index, rest.shape),
        )


def _background(config: SimulationConfig, level: float, rng: np.random.Generator) -> Image:
    """Light that does not come from puncta: a level, a gradient in some direction, blurred blobs."""
    height, width = config.image_size
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    slope = (x * np.cos(angle) + y * np.sin(angle)) / (abs(np.cos(angle)) + abs(np.sin(angle)))
    image: Image = (level * (1 + config.background_gradient * slope)).astype(np.float32)
    n = config.background_blobs
    sigma = rng.uniform(*BLOB_SIGMA_PX, n)
    light = level * rng.uniform(*BLOB_HEIGHT, n) * 2 * np.pi * sigma**2
    add_gaussians(image, rng.uniform(0, width, n), rng.uniform(0, height, n), light, sigma)
    return image


def _clouds(puncta: Snapshot, shape: tuple[int, ...]) -> Image:
    """ΔF/F0 of every pixel (H, W): Gaussian clouds of height `dff` around the open channels."""
    clouds = np.zeros(shape, np.float32)
    rows = np.flatnonzero(puncta.dff)
    sigma = puncta.cloud_sigma_px[rows]
    x, y = puncta.path_px[:, :, rows].mean(axis=1)
    add_gaussians(clouds, x, y, puncta.dff[rows] * 2 * np.pi * sigma**2, sigma)
    return clouds


def _truth(puncta: Snapshot, background: Image) -> FrameTruth:
    x, y = puncta.path_px.mean(axis=1)
    rows = np.flatnonzero((puncta.photons > 0) & _inside(x, y, background.shape))
    x, y = x[rows], y[rows]
    return FrameTruth(
        puncta.track_id[rows],
        x,
        y,
        puncta.photons[rows],
        background[np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)].astype(np.float64),
        puncta.dff[rows],
        puncta.is_open[rows],
    )


def _events(puncta: Snapshot, index: int, shape: tuple[int, ...]) -> tuple[TrueEvent, ...]:
    x, y = puncta.path_px[:, :, puncta.peaks].mean(axis=1)
    return tuple(
        TrueEvent(
            int(puncta.track_id[row]),
            index + int(puncta.onset[i]),
            index,
            index + int(puncta.end[i]),
            float(puncta.dff[row]),
            float(x[i]),
            float(y[i]),
        )
        for i, row in enumerate(puncta.peaks)
        if _inside(x[i], y[i], shape)
    )


def _inside(x: Column, y: Column, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether positions lie on a pixel of the image."""
    height, width = shape
    inside: NDArray[np.bool_] = (np.abs(x - (width - 1) / 2) < width / 2) & (
        np.abs(y - (height - 1) / 2) < height / 2
    )
    return inside

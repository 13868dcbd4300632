"""Dual-channel movies with known truth, one frame at a time, from the simulator that networks train on.

The composition is that of DECODE's simulator (Speiser et al., Nat. Methods 18, 1082 (2021)): each part
knows only its neighbour's output, so any of them can be replaced.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.calcium_channel import CalciumChannel, CalciumFrame
from train.light import background_light, puncta_light
from train.movie_scene import calcium_of, cameras_of, scene_of
from train.population import Population, Snapshot
from train.random import Random
from train.simulation_config import SimulationConfig
from train.simulator import inside

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """The puncta that shine in one frame within the image, one row a punctum.

    Positions in pixels (centre of pixel (0, 0) at (0, 0), mean over the exposure), photons in
    photo-electrons, background in photo-electrons per pixel under the punctum without other puncta,
    `dff` the ΔF/F0 of its own calcium event, and `is_on` whether that lasts, from its onset until a tenth of
    its peak (to be open, for networks, takes half of it). `step_px` is the standard deviation of the
    diffusion per axis and frame, NaN for confined and directed puncta.
    """

    track_id: NDArray[np.int64]
    x_px: Column
    y_px: Column
    photons: Column
    background: Column
    dff: Column
    is_on: NDArray[np.bool_]
    step_px: Column


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


@dataclass(frozen=True, slots=True)
class Light:
    """What reaches the cameras in one frame.

    `background` is the PIEZO1 channel's without puncta, (1, H, W); `expected` the photo-electrons of both
    channels (2, H, W), PIEZO1 first.
    """

    puncta: Snapshot
    calcium: CalciumFrame
    background: Tensor
    expected: Tensor


def simulate(config: SimulationConfig, seed: int | np.random.SeedSequence) -> Iterator[SimulatedFrame]:
    """Simulate a movie frame by frame; the same seed gives the same movie.

    Puncta, cameras and calcium draw from generators of their own, so the same seed shows the same puncta
    to any camera and with any indicator. Memory does not grow with the movie.
    """
    sequence = np.random.SeedSequence(seed) if isinstance(seed, int) else seed
    sample_random, camera_random, calcium_random = (_random(sequence, i) for i in range(3))
    cameras = cameras_of(config, camera_random)
    for index, light in enumerate(light_of(config, sample_random, calcium_random)):
        yield SimulatedFrame(
            index,
            cameras.expose(light.expected, camera_random).numpy().astype(np.uint16),
            _truth(light),
            _events(light.calcium, index, config.image_size),
        )


def light_of(config: SimulationConfig, sample_random: Random, calcium_random: Random) -> Iterator[Light]:
    """Simulate what is before the cameras, frame by frame, with all that the simulator knows."""
    scene = scene_of(config)
    background = background_light(scene, scene.background, sample_random)
    population = Population(scene, sample_random)
    channel = CalciumChannel(scene, calcium_of(config), population, calcium_random)
    for _ in range(config.n_frames):
        puncta = population.step()
        piezo1 = background + puncta_light(scene, puncta.path_px, puncta.photons)
        calcium = channel.step(puncta, piezo1)
        yield Light(puncta, calcium, background, torch.cat([piezo1, calcium.expected]))


def _random(sequence: np.random.SeedSequence, child: int) -> Random:
    """Generator number `child` of a seed."""
    own = np.random.SeedSequence(sequence.entropy, spawn_key=(*sequence.spawn_key, child))
    return Random(*own.generate_state(4).tolist())


def shining(light: Light) -> Tensor:
    """Which puncta (N,) shine within the image."""
    height, width = light.background.shape[1:]
    return ((light.puncta.photons > 0) & inside(light.puncta.xy, (height, width)))[0]


def _truth(light: Light) -> FrameTruth:
    puncta, calcium, shines = light.puncta, light.calcium, shining(light)
    xy = puncta.xy[0, shines]
    x, y = xy.round().long().T
    return FrameTruth(
        puncta.track_id[0, shines].numpy(),
        _column(xy[:, 0]),
        _column(xy[:, 1]),
        _column(puncta.photons[0, shines]),
        _column(light.background[0, y, x]),
        _column(calcium.dff[0, shines]),
        calcium.is_on[0, shines].numpy(),
        _column(puncta.step_px[0, shines]),
    )


def _events(calcium: CalciumFrame, index: int, size: tuple[int, int]) -> tuple[TrueEvent, ...]:
    rows = (calcium.peaks & inside(calcium.event_xy, size))[0]
    columns = (
        calcium.event_track[0, rows],
        index - calcium.onset_ago[0, rows],
        index + calcium.end_in[0, rows],
        calcium.event_dff[0, rows],
        calcium.event_xy[0, rows],
    )
    return tuple(
        TrueEvent(track, onset, index, end, dff, *xy)
        for track, onset, end, dff, xy in zip(*(column.tolist() for column in columns), strict=True)
    )


def _column(values: Tensor) -> Column:
    return values.numpy().astype(np.float64)

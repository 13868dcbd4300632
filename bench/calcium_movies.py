"""Dual-channel movies for the calcium benchmark, with what every punctum's channel does in each frame."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from model.optics import Array
from train.calcium_channel import CalciumChannel
from train.calcium_labels import CLOSED, OPEN, puncta_states
from train.light import background_light, puncta_light
from train.movie_scene import calcium_of, cameras_of, scene_of
from train.population import Population
from train.random import Random
from train.sensor import Sensor
from train.simulation_config import SimulationConfig
from train.simulator import inside

IN_WAVE_DFF = 0.1  # a punctum lies inside a wave that raises the calcium there by at least this


@dataclass(frozen=True, slots=True)
class CalciumFrameTruth:
    """A frame and the puncta that shine in it; N of them.

    Attributes
    ----------
    counts
        Raw counts uint16 (2, H, W).
    xy
        Positions in pixels (N, 2).
    is_open, is_closed
        Open: at least half of the event's peak, and at least two noise standard deviations in a matched
        filter on this frame; closed: no event. What is neither is not judged (N,).
    in_wave
        Whether a wave passes there (N,).
    """

    counts: NDArray[np.uint16]
    xy: Array
    is_open: NDArray[np.bool_]
    is_closed: NDArray[np.bool_]
    in_wave: NDArray[np.bool_]


def calcium_movie(config: SimulationConfig, seed: int) -> Iterator[CalciumFrameTruth]:
    """Simulate a movie as `train.simulate` does, and keep what only the simulator knows."""
    sample, camera, indicator = (Random(seed, child) for child in range(3))
    scene, cameras = scene_of(config), cameras_of(config, camera)
    calcium_camera = Sensor(
        offset=cameras.offset[1:],
        e_per_adu=cameras.e_per_adu[1:],
        read_noise_e=cameras.read_noise_e[1:],
        em_gain=cameras.em_gain[1:],
        hot_e=cameras.hot_e[1:],
        told_gain=cameras.told_gain[1:],
    )
    background = background_light(scene, scene.background, sample)
    population = Population(scene, sample)
    channel = CalciumChannel(scene, calcium_of(config), population, indicator)
    for _ in range(config.n_frames):
        puncta = population.step()
        piezo1 = background + puncta_light(scene, puncta.path_px, puncta.photons)
        calcium = channel.step(puncta, piezo1)
        expected = torch.cat([piezo1, calcium.expected]).clamp(min=0.0)
        state = puncta_states(puncta, calcium, calcium_camera)[0]
        shines = ((puncta.photons > 0) & inside(puncta.xy, config.image_size))[0]
        yield CalciumFrameTruth(
            counts=cameras.expose(expected, camera).numpy().astype(np.uint16),
            xy=puncta.xy[0, shines].numpy().astype(np.float64),
            is_open=(state == OPEN)[shines].numpy(),
            is_closed=(state == CLOSED)[shines].numpy(),
            in_wave=(calcium.wave_dff[0] >= IN_WAVE_DFF)[shines].numpy(),
        )

"""Dual-channel movies with every calcium event at a punctum, and where waves pass."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from train.calcium_channel import CalciumChannel
from train.light import background_light, puncta_light
from train.movie_scene import calcium_of, cameras_of, scene_of
from train.population import Population
from train.random import Random
from train.simulation_config import SimulationConfig
from train.simulator import inside

IN_WAVE_DFF = 0.1  # a wave is where it raises the calcium by at least this


@dataclass(frozen=True, slots=True)
class TruePeak:
    """An event that peaks in a frame; its onset and end by frame, decay time in frames, place in pixels."""

    track_id: int
    onset_frame: int
    peak_frame: int
    end_frame: int
    amplitude_dff: float
    decay_frames: float
    x_px: float
    y_px: float


@dataclass(frozen=True, slots=True)
class EventFrame:
    """A frame: raw counts uint16 (2, H, W), events that peak in it, and where a wave is, bool (H, W)."""

    counts: NDArray[np.uint16]
    peaks: tuple[TruePeak, ...]
    wave: NDArray[np.bool_]


def event_movie(config: SimulationConfig, seed: int) -> Iterator[EventFrame]:
    """Simulate a movie as `train.simulate.light_of` does, and keep what only the simulator knows."""
    sample, exposure, indicator = (Random(seed, child) for child in range(3))
    cameras = cameras_of(config, exposure)
    scene = scene_of(config)
    background = background_light(scene, scene.background, sample)
    population = Population(scene, sample)
    channel = CalciumChannel(scene, calcium_of(config), population, indicator)
    for frame in range(config.n_frames):
        puncta = population.step()
        piezo1 = background + puncta_light(scene, puncta.path_px, puncta.photons)
        calcium = channel.step(puncta, piezo1)
        peaks = (calcium.peaks & inside(calcium.event_xy, config.image_size))[0].nonzero()[:, 0].tolist()
        counts = cameras.expose(torch.cat([piezo1, calcium.expected]), exposure).numpy().astype(np.uint16)
        yield EventFrame(
            counts,
            tuple(
                TruePeak(
                    int(calcium.event_track[0, k]),
                    frame - int(calcium.onset_ago[0, k]),
                    frame,
                    min(frame + int(calcium.end_in[0, k]), config.n_frames - 1),
                    float(calcium.event_dff[0, k]),
                    float(channel.activity.tau[0, k]),
                    *calcium.event_xy[0, k].tolist(),
                )
                for k in peaks
            ),
            (channel.waves.dff()[0] >= IN_WAVE_DFF).numpy(),
        )

"""Dual-channel movies for the calcium benchmark, with what every punctum's channel does in each frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.optics import Array
from train.calcium_labels import CLOSED, OPEN, puncta_states
from train.movie_scene import cameras_of
from train.random import Random
from train.simulate import light_of, shining
from train.simulation_config import SimulationConfig

TETHERED: dict[str, Any] = {
    "indicator": "tethered",
    "calcium_rest_photons": 10.0,
    "dff_min": 0.5,
    "dff_max": 3.0,
    "indicator_off_probability": 0.05,
}
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
    cameras = cameras_of(config, camera)
    for light in light_of(config, sample, indicator):
        state = puncta_states(light.puncta, light.calcium, cameras.channel(1))[0]
        shines = shining(light)
        yield CalciumFrameTruth(
            counts=cameras.expose(light.expected, camera).numpy().astype(np.uint16),
            xy=light.puncta.xy[0, shines].numpy().astype(np.float64),
            is_open=(state == OPEN)[shines].numpy(),
            is_closed=(state == CLOSED)[shines].numpy(),
            in_wave=(light.calcium.wave_dff[0] >= IN_WAVE_DFF)[shines].numpy(),
        )

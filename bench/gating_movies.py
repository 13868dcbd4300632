"""Movies of a tethered indicator with two-level gating: the simulator's, but for what lights the spots."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.gating_traces import Gates, GatingScene
from model.optics import Array
from train.calcium_channel import CalciumChannel
from train.calcium_scene import CalciumScene
from train.light import background_light, puncta_light
from train.movie_scene import calcium_of, cameras_of, scene_of
from train.population import Population
from train.random import Random
from train.scene import Scene
from train.simulation_config import SimulationConfig


@dataclass(frozen=True, slots=True)
class GatingFrame:
    """A frame and its N living puncta within the image, those too that are dark in the PIEZO1 channel.

    `counts` are raw, uint16 (2, H, W); `xy` in pixels (N, 2); shares of the exposure as in
    `bench.gating_traces.Traces` (N,).
    """

    counts: NDArray[np.uint16]
    track_id: NDArray[np.int64]
    xy: Array
    open_share: Array
    lit_share: Array


class TwoLevelChannel(CalciumChannel):
    """A calcium channel whose puncta open and close at random, independent of the simulator's own events."""

    def __init__(
        self,
        scene: Scene,
        calcium: CalciumScene,
        population: Population,
        random: Random,
        gates: Gates,
    ) -> None:
        super().__init__(scene, calcium, population, random)
        self._gates = gates
        self.open_share, self.lit_share, self._light = gates.step()

    def advance(self) -> None:
        """Move everything on by a frame."""
        super().advance()
        self.open_share, self.lit_share, self._light = self._gates.step()

    def height(self) -> Tensor:
        """Brightness of the sources (B, M), of puncta relative to resting ones."""
        n = len(self._light)
        light = torch.from_numpy(self._light).float()[None]
        return torch.cat([light, super().height()[:, n:]], 1)


def gating_movie(config: SimulationConfig, gating: GatingScene, seed: int) -> Iterator[GatingFrame]:
    """Simulate a movie; `gating` says how spots behave, but for their photons, which are `config`'s."""
    sample, camera, indicator = (Random(seed, child) for child in range(3))
    cameras = cameras_of(config, camera)
    scene = scene_of(config)
    background = background_light(scene, scene.background, sample)
    population = Population(scene, sample)
    gates = Gates(gating, population.is_alive.shape[1], np.random.default_rng((seed, 3)))
    channel = TwoLevelChannel(scene, calcium_of(config), population, indicator, gates)
    height, width = config.image_size
    for _ in range(config.n_frames):
        puncta = population.step()
        piezo1 = background + puncta_light(scene, puncta.path_px, puncta.photons)
        calcium = channel.step(puncta, piezo1)
        counts = cameras.expose(torch.cat([piezo1, calcium.expected]), camera).numpy().astype(np.uint16)
        xy = puncta.xy[0].numpy().astype(np.float64)
        inside = (xy >= 0).all(axis=1) & (xy[:, 0] <= width - 1) & (xy[:, 1] <= height - 1)
        here = np.flatnonzero(puncta.is_alive[0].numpy() & inside)
        yield GatingFrame(
            counts,
            puncta.track_id[0].numpy()[here],
            xy[here],
            channel.open_share[here],
            channel.lit_share[here],
        )

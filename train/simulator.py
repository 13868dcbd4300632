"""Training samples made on the fly: puncta → PSF → background → camera, a batch of windows at a time.

The composition is that of DECODE's simulator (Speiser et al., Nat. Methods 18, 1082 (2021)): each part
knows only its neighbour's output, so any of them can be replaced.
"""

import torch
from torch import Tensor

from model.maps import normalize
from train.batch import Batch
from train.calcium_window import CalciumWindow
from train.light import background_light, puncta_light
from train.population import Population
from train.random import Random
from train.training_scenes import TrainingScenes


class Simulator:
    """Batch number k is a function of the seed and k alone, so training can resume anywhere.

    Parameters
    ----------
    scenes
        The ranges that the samples are drawn from.
    seed
        Of the whole series of batches.
    crop_px, window
        Side of the images (a multiple of the network's) and frames in a window.
    device
        Where the samples are made.
    """

    def __init__(
        self,
        scenes: TrainingScenes,
        seed: int,
        *,
        crop_px: int = 48,
        window: int = 3,
        device: torch.device | str = "cpu",
    ) -> None:
        self.scenes = scenes
        self._seed = seed
        self._size = (crop_px, crop_px)
        self._window = window
        self._device = torch.device(device)

    def batch(self, step: int, n: int, scenes: TrainingScenes | None = None) -> Batch:
        """Batch number `step` of `n` windows; `scenes` stands in for the simulator's own (a curriculum)."""
        ranges = scenes or self.scenes
        random = Random(self._seed, step, device=self._device)
        scene = ranges.scene(n, self._size, random)
        sensor = ranges.sensor(n, self._size, random)
        population = Population(scene, random)
        background = background_light(scene, scene.background, random)
        read_variance = sensor.read_variance
        calcium = None
        if ranges.calcium:
            # From a generator of its own: puncta are the same with and without calcium.
            other = Random(self._seed, step, 1, device=self._device)
            camera = ranges.sensor(n, self._size, other)
            calcium = CalciumWindow(ranges.calcium, scene, population, background, camera, other)
        frames = []
        for k in range(self._window):
            puncta = population.step()
            expected = background + puncta_light(scene, puncta.path_px, puncta.photons)
            frames.append(normalize(sensor.to_scaled_photons(sensor.expose(expected, random)), read_variance))
            is_middle = k == self._window // 2
            if is_middle:
                xy, light = puncta.xy, puncta.photons
            if calcium:
                calcium.step(puncta, expected, is_middle=is_middle)
        is_emitter = (light > 0) & inside(xy, self._size)
        # A halo's light is not told from background, so it is not asked for.
        light = light * (1 - scene.halo)
        scale = sensor.scale[:, 0]
        order, keep = _compact(is_emitter)
        sigma = (scene.sigma_px[:, :1] * scene.sigma_px[:, 1:]).sqrt().expand_as(keep)
        batch = Batch(
            frames=torch.stack(frames, 1)[:, :, None],
            present=ranges.present(n, self._window, random),
            xy=torch.where(keep[..., None], xy.gather(1, order[..., None].expand(-1, -1, 2)), 0.0),
            photons=torch.where(keep, (light * scale).gather(1, order), 1.0),
            sigma_px=torch.where(keep, sigma, 1.0),
            is_emitter=keep,
            background=background * scale[..., None],
        )
        return calcium.complete(batch) if calcium else batch


def inside(xy: Tensor, size: tuple[int, int]) -> Tensor:
    """Whether positions (…, 2) lie on a pixel of the image."""
    half = torch.tensor([size[1], size[0]], device=xy.device) / 2
    return ((xy + 0.5 - half).abs() < half).all(-1)


def _compact(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Indices (B, M) that put the chosen of each row first, and which of the M are chosen."""
    most = max(int(chosen.sum(1).max()), 1)
    order = chosen.long().argsort(dim=1, descending=True, stable=True)[:, :most]
    return order, chosen.gather(1, order)

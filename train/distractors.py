"""Calcium and light without an open PIEZO1: waves, sparks away from puncta, static structures."""

import math

import torch
from torch import Tensor

from train.calcium_scene import CalciumScene
from train.light import gaussians
from train.random import Random
from train.scene import Scene

SPARK_DISTANCE_PX = 3.0  # sparks keep off puncta by this much …
BESIDE_PX = 6.0  # … and those beside a punctum are at most this far from it
TRIES = 5
FAR_PX = 1e4  # where empty slots disturb nobody
STRUCTURE_SIGMA_PX = (1.0, 3.0)
STRUCTURE_HEIGHT = (0.3, 3.0)  # relative to the resting level, or to a resting spot of a tethered indicator
STRUCTURE_OFFSET_PX = 4.0  # farthest from the punctum it lies beside


class Waves:
    """Broad circular fronts of calcium that cross the image, one at a time in each of B samples."""

    def __init__(self, scene: CalciumScene, size: tuple[int, int], random: Random) -> None:
        self._scene, self._random = scene, random
        self._size = torch.tensor([size[1], size[0]], device=random.device).view(2, 1, 1).float()
        y, x = (torch.arange(side, device=random.device).float() for side in size)
        self._grid = (y[:, None], x)
        self._centre = self._anywhere()  # from far to the side, a front is nearly straight
        self._start = -scene.wave_width_px
        self._is_running = torch.zeros_like(scene.tethered)
        self._front = self._start  # radius of the front

    def begin_anywhere(self) -> None:
        """Put every sample at some point of its endless past: before, during or after a wave."""
        scene, random = self._scene, self._random
        end = self._end()
        expected = scene.wave_rate * (end - self._start) / scene.wave_speed_px
        self._is_running = random.chance(tuple(end.shape), expected / (1 + expected))
        self._front = random.uniform(tuple(end.shape), self._start, end)

    def step(self) -> None:
        """Advance by a frame: fronts travel, leave, and start."""
        scene = self._scene
        front = self._front + scene.wave_speed_px
        self._is_running = self._is_running & (front < self._end())
        starts = ~self._is_running & self._random.chance(tuple(front.shape), scene.wave_rate)
        self._centre = torch.where(starts, self._anywhere(), self._centre)
        self._front = torch.where(starts, self._start, front)
        self._is_running = self._is_running | starts

    def dff(self, ago: float = 0.0) -> Tensor:
        """ΔF/F0 of every pixel (B, H, W), now or some frames earlier on the way of the present wave.

        The front rises as half a Gaussian and falls as a wider one; the width is about that at half height.
        """
        scene = self._scene
        y, x = self._grid
        image = torch.zeros(len(self._front), len(y), len(x), device=x.device)
        rows = self._is_running[:, 0]
        if not rows.any():
            return image
        centre_x, centre_y = self._centre[:, rows, :, None]
        width = scene.wave_width_px[rows, :, None]
        front = self._front[rows, :, None] - scene.wave_speed_px[rows, :, None] * ago
        behind = front - torch.hypot(x - centre_x, y - centre_y)
        sigma = torch.where(behind < 0, width / 4, width / 1.5)
        image[rows] = scene.wave_dff[rows, :, None] * torch.exp(-0.5 * (behind / sigma) ** 2)
        return image

    def _anywhere(self) -> Tensor:
        """Centres (2, B, 1) in the image or around it, up to its size away."""
        return self._size * self._random.uniform((2, len(self._scene.rest), 1), -1.0, 2.0)

    def _end(self) -> Tensor:
        """Radius of a front that has left the image behind (B, 1)."""
        farthest = torch.maximum(self._centre.abs(), (self._centre - self._size).abs())
        distance: Tensor = torch.linalg.vector_norm(farthest, dim=0)
        return distance + 2 * self._scene.wave_width_px


def spark_places(
    puncta: Tensor,
    is_alive: Tensor,
    n_sparks: int,
    beside: Tensor,
    field: tuple[Tensor, Tensor],
    random: Random,
) -> tuple[Tensor, Tensor]:
    """Places of sparks off all puncta, and whether there is one: (2, B, S) and (B, S).

    Parameters
    ----------
    puncta, is_alive
        Positions (2, B, N), and which are puncta.
    n_sparks
        S.
    beside
        Share of the sparks near a punctum, (B, 1).
    field
        Lowest and highest position, (2, 1, 1) each.
    """
    n_batch, n_puncta = is_alive.shape
    shape = (n_batch, n_sparks * TRIES)
    low, high = field
    at = low + (high - low) * random.uniform((2, *shape))
    if n_puncta:
        partner = (random.uniform(shape) * is_alive.sum(1, keepdim=True)).long()  # living puncta come first
        angle = random.uniform(shape, 0.0, 2 * math.pi)
        distance = random.uniform(shape, SPARK_DISTANCE_PX, BESIDE_PX)
        offset = distance * torch.stack([torch.cos(angle), torch.sin(angle)])
        near = puncta.gather(2, partner.clamp(max=n_puncta - 1).expand(2, -1, -1)) + offset
        is_beside = random.chance((n_batch, n_sparks), beside).repeat(1, TRIES) & is_alive.any(
            1, keepdim=True
        )
        at = torch.where(is_beside, near, at)
    living = torch.where(is_alive, puncta, FAR_PX)
    to_puncta = torch.cdist(at.permute(1, 2, 0), living.permute(1, 2, 0))
    fits = (to_puncta >= SPARK_DISTANCE_PX).all(2).view(n_batch, TRIES, n_sparks)
    chosen = fits.long().argmax(1, keepdim=True)  # the first that fits
    places = at.view(2, n_batch, TRIES, n_sparks).gather(2, chosen.expand(2, -1, -1, -1))[:, :, 0]
    return places, fits.any(1)


def still_light(
    scene: Scene, calcium: CalciumScene, puncta: Tensor, is_alive: Tensor, random: Random
) -> Tensor:
    """Static bright structures (B, H, W) in photo-electrons, half of them at or beside puncta (2, B, N)."""
    height, width = scene.size
    most = int(calcium.structures.max().ceil()) * 2
    shape = (scene.n, most)
    size = torch.tensor([width, height], device=random.device).view(2, 1, 1)
    at = size * random.uniform((2, *shape))
    n_puncta = is_alive.shape[1]
    if n_puncta:
        partner = (random.uniform(shape) * is_alive.sum(1, keepdim=True)).long().clamp(max=n_puncta - 1)
        angle, distance = (
            random.uniform(shape, 0.0, 2 * math.pi),
            random.uniform(shape, 0.0, STRUCTURE_OFFSET_PX),
        )
        # One in three lies right at the punctum.
        distance = (distance * 1.5 - STRUCTURE_OFFSET_PX / 2).clamp(min=0.0)
        offset = distance * torch.stack([torch.cos(angle), torch.sin(angle)])
        at = torch.where(random.chance(shape, 0.5), puncta.gather(2, partner.expand(2, -1, -1)) + offset, at)
    sigma = random.uniform(shape, *STRUCTURE_SIGMA_PX)
    light = torch.where(calcium.tethered, calcium.spot_photons, calcium.rest * 2 * math.pi * sigma**2)
    light = light * random.log_uniform(shape, *STRUCTURE_HEIGHT)
    light = light * random.chance(shape, calcium.structures / max(most, 1))
    return gaussians(scene.size, at[0], at[1], light, sigma, sigma)

"""The calcium channel of the past: the baseline that a running mean held before a window of frames began.

To simulate a hundred earlier frames for every sample would cost many times the window itself. So the
events live through the past, which is cheap, but are pictured in a few long exposures.
"""

from itertools import pairwise

import torch
from torch import Tensor

from model.maps import BASELINE_RATE
from train.calcium_channel import CalciumChannel
from train.calcium_scene import CalciumScene
from train.light import gaussians
from train.population import Population
from train.random import Random
from train.scene import Scene
from train.sensor import Sensor

# Exposures of the past, the latest first, each from one of these numbers of frames ago to the next; the
# last stands for all that is older.
EDGES = (0, 2, 6, 14, 26, 48)
MOST_FRAMES = 400  # a running mean forgets what is older


def past_weights(n: Tensor) -> Tensor:
    """Weights (B, MOST_FRAMES) of the frames 1, 2, … ago in the baseline of `model.graph` after n (B, 1)."""
    rate = BASELINE_RATE
    n_equal = torch.clamp(n, max=int(1 / rate))  # so many frames count equally, and later ones more
    n_later = n - n_equal
    ago = torch.arange(1, MOST_FRAMES + 1, device=n.device)
    equal = (1 - rate) ** n_later / n_equal * (ago <= n)
    return torch.where(ago <= n_later, rate * (1 - rate) ** (ago - 1), equal)


def live_through(
    channel: CalciumChannel,
    population: Population,
    background: Tensor,
    sensor: Sensor,
    n: Tensor,
    random: Random,
) -> Tensor:
    """Put a channel into the midst of things; gives the running mean of its last frames.

    Parameters
    ----------
    channel, population
        The samples, before their first step.
    background
        Expected photo-electrons of the PIEZO1 channel without puncta (B, H, W).
    sensor
        Cameras of the calcium channel.
    n
        Number of earlier frames (B, 1), 1 … MOST_FRAMES.

    Returns
    -------
    Running mean in scaled photons (B, H, W), as `model.graph.Graph` has it; of waves it knows
    the present one only.
    """
    scene, calcium = channel.scene, channel.calcium
    weights = past_weights(n)
    squares = weights.square().sum(1, keepdim=True)
    ago = torch.arange(1.0, MOST_FRAMES + 1, device=n.device)
    # The indicator was brighter before it bleached.
    brightness = _by_exposure(weights * torch.exp(ago / calcium.bleach_life))
    brightness = brightness * (1 + calcium.lamp_sd * squares.sqrt() * random.normal((scene.n, 1)))
    shares = _by_exposure(weights)
    # Frames older than the last exposure are represented by it.
    oldest = weights[:, EDGES[-2] : EDGES[-1]]
    oldest *= shares[:, -1:] / oldest.sum(1, keepdim=True).clamp(min=1e-9)

    channel.activity.begin_anywhere()
    channel.waves.begin_anywhere()
    edges = torch.tensor(EDGES, device=n.device, dtype=torch.float32)
    length = edges.diff()
    middle = edges[:-1] + length / 2
    xy, spread = population.earlier(middle, length, random)
    expected = calcium.bleed[..., None] * background
    expected = expected + _leaked(scene, calcium, population, xy, spread, shares)
    for k in reversed(range(len(EDGES) - 1)):
        height = torch.zeros_like(channel.activity.age)
        for i in reversed(range(EDGES[k], EDGES[k + 1])):
            channel.advance()
            height += weights[:, i, None] * channel.height()
        height = height / shares[:, k, None].clamp(min=1e-9)
        expected = expected + channel.image(
            xy[k],
            height,
            channel.activity.sigma_px,
            spread[k],
            channel.waves.dff(float(middle[k]) - 0.5),
            brightness[:, k, None],
        )
    return sensor.average(expected, squares[..., None], random)


def _by_exposure(weights: Tensor) -> Tensor:
    """Sum weights of frames (B, MOST_FRAMES) over the exposures (B, F); the last has all that is older."""
    edges = (*EDGES[:-1], MOST_FRAMES)
    return torch.stack([weights[:, a:b].sum(1) for a, b in pairwise(edges)], 1)


def _leaked(
    scene: Scene, calcium: CalciumScene, population: Population, xy: Tensor, spread: Tensor, shares: Tensor
) -> Tensor:
    """Mean light of the puncta (B, H, W) that leaked in during the exposures of the past."""
    rows = calcium.bleed[:, 0] > 0
    image = torch.zeros(scene.n, *scene.size, device=xy.device)
    if rows.any():
        x, y = xy[:, :, rows].permute(1, 2, 0, 3).flatten(2)
        light = population.mean_photons[rows] * calcium.bleed[rows]
        sigma = (scene.sigma_px[rows, :, None, None] ** 2 + spread[:, rows].movedim(1, 0)[:, None]).sqrt()
        sigma_x, sigma_y = sigma.flatten(2).unbind(1)
        light = (light[:, None] * shares[rows][..., None]).flatten(1)
        image[rows] = gaussians(scene.size, x, y, light, sigma_x, sigma_y)
    return image

"""Images of expected photo-electrons: puncta through the PSF, and light that is not theirs.

A PSF here is a sum of products of two one-dimensional profiles, integrated over pixels, so a whole batch
is a matrix product. The Gaussian is one product; the Airy disk needs six (see `model.optics`).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from model.optics import airy_profiles
from train.random import Random
from train.scene import Scene

BLOB_SIGMA_PX = (4.0, 12.0)
BLOB_HEIGHT = (0.2, 1.0)  # relative to the background's level
TEXTURE_PX = 8  # size of autofluorescent patches


def puncta_light(scene: Scene, path_px: Tensor, photons: Tensor) -> Tensor:
    """Light of puncta (B, H, W) along their paths (2, B, S, N) with `photons` (B, N) each."""
    n_sub = path_px.shape[2]
    x, y = path_px.flatten(2)
    light = photons.repeat(1, n_sub) / n_sub
    sigma_x, sigma_y = scene.sigma_px[:, :1], scene.sigma_px[:, 1:]
    image = torch.zeros(scene.n, *scene.size, device=light.device)
    plain = ~scene.airy[:, 0]
    core = light * (1 - scene.halo)
    if plain.any():
        image[plain] = gaussians(scene.size, x[plain], y[plain], core[plain], sigma_x[plain], sigma_y[plain])
    if not plain.all():
        rings = ~plain
        image[rings] = airy_disks(scene.size, x[rings], y[rings], core[rings], sigma_x[rings], sigma_y[rings])
    wide = (scene.halo > 0)[:, 0]
    if wide.any():
        width = scene.halo_width[wide]
        image[wide] += gaussians(
            scene.size,
            x[wide],
            y[wide],
            (light * scene.halo)[wide],
            sigma_x[wide] * width,
            sigma_y[wide] * width,
        )
    return image


def gaussians(
    size: tuple[int, int], x: Tensor, y: Tensor, light: Tensor, sigma_x: Tensor, sigma_y: Tensor
) -> Tensor:
    """Integrated Gaussians (B, H, W) at x, y (B, N); σ (B, 1) or (B, N)."""
    rows = _gaussian_profile(size[0], y, sigma_y) * light[..., None]
    return torch.bmm(rows.transpose(1, 2), _gaussian_profile(size[1], x, sigma_x))


def airy_disks(
    size: tuple[int, int], x: Tensor, y: Tensor, light: Tensor, sigma_x: Tensor, sigma_y: Tensor
) -> Tensor:
    """Integrated Airy disks (B, H, W), stretched where σ differs in x and y."""
    rows = _airy_profiles(size[0], y, sigma_y) * light[..., None, None]
    columns = _airy_profiles(size[1], x, sigma_x)
    weights = torch.as_tensor(airy_profiles().weights, dtype=light.dtype, device=light.device)
    return torch.bmm((rows * weights[:, None]).flatten(1, 2).transpose(1, 2), columns.flatten(1, 2))


def _gaussian_profile(size: int, position: Tensor, sigma: Tensor) -> Tensor:
    """(B, N, size): share of the light in each pixel of a line."""
    edges = torch.arange(size + 1, device=position.device) - 0.5
    below = torch.erf((edges - position[..., None]) / (math.sqrt(2) * sigma[..., None]))
    return 0.5 * below.diff(dim=-1)


def _airy_profiles(size: int, position: Tensor, sigma: Tensor) -> Tensor:
    """(B, N, K, size): the profiles of the Airy disk's K products."""
    table = airy_profiles()
    cumulative = torch.as_tensor(table.cumulative, dtype=position.dtype, device=position.device)
    edges = torch.arange(size + 1, device=position.device) - 0.5
    at = (edges - position[..., None]) / sigma[..., None] * table.points_sigma + table.centre
    below = cumulative[at.round().long().clamp(0, len(cumulative) - 1)]
    return below.diff(dim=-2).transpose(-1, -2)


def background_light(scene: Scene, level: Tensor, random: Random) -> Tensor:
    """Light that is not the puncta's (B, H, W) around a level (B, 1): gradient, blobs, autofluorescence."""
    height, width = scene.size
    n = scene.n
    y, x = (torch.linspace(-1, 1, side, device=level.device) for side in (height, width))
    angle = random.uniform((n, 1, 1), 0.0, 2 * math.pi)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    slope = (x * cosine + y[:, None] * sine) / (cosine.abs() + sine.abs())
    image = level[..., None] * (1 + scene.gradient[..., None] * slope)
    image = image * (1 + scene.texture[..., None] * _texture(scene, random))
    most = int(scene.blobs.max().ceil()) * 3 + 1
    shape = (n, most)
    sigma = random.uniform(shape, *BLOB_SIGMA_PX)
    lit = random.chance(shape, scene.blobs / most)
    light = level * random.uniform(shape, *BLOB_HEIGHT) * 2 * math.pi * sigma**2 * lit
    at_x, at_y = random.uniform(shape, 0.0, width), random.uniform(shape, 0.0, height)
    return image + gaussians(scene.size, at_x, at_y, light, sigma, sigma)


def _texture(scene: Scene, random: Random) -> Tensor:
    """Smooth random field (B, H, W) between −1 and 1."""
    grid = (math.ceil(side / TEXTURE_PX) + 1 for side in scene.size)
    coarse = random.uniform((scene.n, 1, *grid), -1.0, 1.0)
    return functional.interpolate(coarse, scene.size, mode="bilinear", align_corners=True)[:, 0]

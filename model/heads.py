"""From what a network's last layer says to the maps of `model.maps`: finite, offsets within reach."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.maps import CELL, DX, DY, LOG_PHOTONS, LOG_SD_PHOTONS, LOG_SD_X, LOG_SD_Y, LOGIT, MAX_OFFSET_PX

START_PROBABILITY = 0.01  # what an untrained network says of every pixel


def bound(row: int, raw: Tensor) -> Tensor:
    """Row `row` of the maps from the raw answer to it, any shape."""
    if row in (DX, DY):
        return MAX_OFFSET_PX * torch.tanh(raw / MAX_OFFSET_PX)
    if row == LOG_PHOTONS:
        return (raw + math.log(1000)).clamp(0, 14)
    if row in (LOG_SD_X, LOG_SD_Y, LOG_SD_PHOTONS):
        return (raw - 1.5).clamp(-5, 1)
    return raw


def bound_maps(raw: Tensor) -> Tensor:
    """Maps (B, N_MAPS, …) of raw answers of the same shape."""
    return torch.stack([bound(k, row) for k, row in enumerate(raw.unbind(1))], dim=1)


def maps_of_cells(cells: Tensor) -> Tensor:
    """Maps (B, N_MAPS, H, W) of raw answers in cells (B, 4 · N_MAPS, H/2, W/2)."""
    return bound_maps(functional.pixel_shuffle(cells, CELL))


def start_head(head: nn.Conv2d | nn.Conv3d, repeats: int) -> None:
    """Let an untrained head say that emitters are rare; each map has `repeats` channels in a row."""
    with torch.no_grad():
        head.weight.mul_(0.1)
        start_log_odds(head, LOGIT * repeats, (LOGIT + 1) * repeats)


def start_log_odds(head: nn.Conv2d | nn.Conv3d, first: int, last: int) -> None:
    """Zero the bias, and let channels `first` up to `last` say that what they tell of is rare."""
    assert head.bias is not None
    with torch.no_grad():
        head.bias.zero_()[first:last] = math.log(START_PROBABILITY / (1 - START_PROBABILITY))

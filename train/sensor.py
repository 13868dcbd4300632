"""Cameras of a batch of samples: from expected photo-electrons to what an engine makes of the counts."""

from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from model.camera import EM_EXCESS
from train.random import Random

HOT_PIXEL_E = (30.0, 5000.0)  # what hot pixels collect by themselves; log-uniform


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """Cameras of B samples, float32 tensors of shape (B, 1, 1) or maps (B, H, W).

    Attributes
    ----------
    offset, e_per_adu, read_noise_e, em_gain
        As in `model.camera.Camera`.
    hot_e
        Electrons that hot pixels collect by themselves, 0 elsewhere.
    told_gain
        What the user believes of `e_per_adu`, relative to the truth.
    floor
        Lowest count; the offset where software has cut everything below it, else 0.
    """

    offset: Tensor
    e_per_adu: Tensor
    read_noise_e: Tensor
    em_gain: Tensor
    hot_e: Tensor
    told_gain: Tensor
    floor: Tensor

    @property
    def excess(self) -> Tensor:
        """Excess-noise factor F² (B, 1, 1)."""
        return torch.where(self.em_gain > 1, EM_EXCESS, 1.0)

    @property
    def scale(self) -> Tensor:
        """What the user gets for a photo-electron: told gain over F², (B, 1, 1)."""
        return self.told_gain / self.excess

    @property
    def read_variance(self) -> Tensor:
        """Read variance on the scale of the user's photons over F²."""
        return (self.read_noise_e / self.em_gain * self.scale) ** 2

    def channel(self, index: int) -> Self:
        """Camera number `index` alone."""
        return type(self)(**{f.name: getattr(self, f.name)[index : index + 1] for f in fields(self)})

    def expose(self, expected: Tensor, random: Random) -> Tensor:
        """Counts, whole numbers in float32 (B, H, W), of expected photo-electrons.

        Shot noise, electron multiplication, read noise and conversion as in `model.camera.Camera.expose`.
        """
        # Rounding, and a lamp that flickers, may leave a little less than nothing.
        electrons = random.poisson((expected + self.hot_e).clamp(min=0.0))
        multiplies = (self.em_gain > 1)[:, 0, 0]
        if multiplies.any():
            # No electron in, none out; a gamma variate needs a positive shape.
            primary = electrons[multiplies]
            amplified = random.gamma(primary.clamp(min=1e-3)) * self.em_gain[multiplies]
            electrons[multiplies] = torch.where(primary > 0, amplified, 0.0)
        electrons = electrons + random.normal(tuple(electrons.shape)) * self.read_noise_e
        counts = (electrons / self.e_per_adu + self.offset).round().clamp(max=65535)
        return torch.maximum(counts, self.floor)

    def average(self, expected: Tensor, squares: Tensor, random: Random) -> Tensor:
        """Weighted mean of many exposures on the scale of `to_scaled_photons`, (B, H, W).

        Parameters
        ----------
        expected
            Weighted mean of the expected photo-electrons (B, H, W).
        squares
            Sum of the squared weights, (B, 1, 1); the weights sum to 1.
        """
        light = (expected + self.hot_e) * self.scale
        variance = light * self.told_gain + self.read_variance
        return light + (squares * variance).sqrt() * random.normal(tuple(expected.shape))

    def to_scaled_photons(self, counts: Tensor) -> Tensor:
        """Photo-electrons over F² as the user's settings give them, (B, H, W)."""
        return (counts - self.offset) * self.e_per_adu / self.em_gain * self.scale

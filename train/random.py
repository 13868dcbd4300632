"""Random numbers of one generator, on any device: the same seed gives the same sample."""

import math

import numpy as np
import torch
from torch import Tensor


class Random:
    """Draws float32 tensors of given shapes.

    Parameters
    ----------
    seed
        Whole numbers, for instance a seed and the number of a step.
    device
        Where the tensors live; devices have generators of their own and differ in what they draw.
    """

    def __init__(self, *seed: int, device: torch.device | str = "cpu") -> None:
        state = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(int(state >> np.uint64(1)))

    def uniform(
        self, shape: tuple[int, ...], low: float | Tensor = 0.0, high: float | Tensor = 1.0
    ) -> Tensor:
        """Uniform in [low, high)."""
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def log_uniform(self, shape: tuple[int, ...], low: float, high: float) -> Tensor:
        """Uniform in the logarithm; `low` > 0."""
        return torch.exp(self.uniform(shape, math.log(low), math.log(high)))

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Mean 0, standard deviation 1."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def chance(self, shape: tuple[int, ...], probability: float | Tensor) -> Tensor:
        """True with a probability."""
        return torch.rand(shape, generator=self.generator, device=self.device) < probability

    def poisson(self, mean: Tensor) -> Tensor:
        """Poisson counts of the given means (≥ 0)."""
        return torch.poisson(mean, generator=self.generator)

    def gamma(self, shape_parameter: Tensor) -> Tensor:
        """Gamma variates of scale 1 and the given shape parameters (> 0)."""
        return torch._standard_gamma(shape_parameter, generator=self.generator)

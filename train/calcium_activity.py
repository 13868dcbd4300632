"""Calcium transients of many sources at once: linear rise, exponential decay, frame by frame."""

import math

import torch
from torch import Tensor

from train.calcium_scene import TAIL, CalciumScene
from train.random import Random

OPEN_FRACTION = 0.5  # a channel counts as open while ΔF/F0 is at least this fraction of its peak
END_FRACTION = 0.1  # an event ends where ΔF/F0 falls under this fraction of its peak
AT_REST = -1.0


class Activity:
    """Transients of M sources in B samples, at rest in the beginning.

    Attributes
    ----------
    age
        Frames since the onset of the event under way (B, M), AT_REST where there is none.
    peak, tau, sigma_px
        Peak ΔF/F0, decay time in frames and σ of the cloud of the latest event, (B, M).
    """

    def __init__(self, scene: CalciumScene, rate: Tensor, random: Random) -> None:
        self._scene, self._rate, self._random = scene, rate, random
        self.age = torch.full_like(rate, AT_REST)
        self.peak, self.tau, self.sigma_px = (torch.ones_like(rate) for _ in range(3))
        self._length = torch.zeros_like(rate)  # frames until the source is at rest again
        self._draw(torch.ones_like(rate, dtype=torch.bool))

    def step(self) -> None:
        """Advance by a frame: events grow older, end, and begin at sources at rest."""
        age = self.age + 1
        at_rest = (self.age < 0) | (age >= self._length)
        opens = at_rest & self._random.chance(tuple(age.shape), self._rate)
        self.age = age.masked_fill_(at_rest, AT_REST).masked_fill_(opens, 0.0)
        self._draw(opens)

    def begin_anywhere(self) -> None:
        """Put every source at some point of its endless past: at rest, or in an event of any age."""
        scene, random, shape = self._scene, self._random, tuple(self.age.shape)
        # Renewal theory: long events are met in proportion to their length.
        cycle = scene.mean_busy_frames - 1 + 1 / self._rate
        running = random.chance(shape, self._length / cycle)
        self.age = torch.where(running, (random.uniform(shape) * self._length).floor(), AT_REST)

    @property
    def dff(self) -> Tensor:
        """ΔF/F0 at the sources (B, M)."""
        since_peak = self.age + 1 - self._scene.rise_frames
        rising = (self.age + 1) / self._scene.rise_frames
        return self.peak * torch.where(since_peak <= 0, rising, torch.exp(-since_peak / self.tau))

    @property
    def is_on(self) -> Tensor:
        """True from the onset to the last frame with END_FRACTION of the peak (B, M)."""
        return (self.age >= 0) & (self.age <= self.last_age)

    @property
    def is_open(self) -> Tensor:
        """True where ΔF/F0 is at least OPEN_FRACTION of the peak (B, M)."""
        # A hair of slack: half the rise is half the peak, whatever the rounding.
        return (self.age >= 0) & (self.dff >= (OPEN_FRACTION - 1e-6) * self.peak)

    @property
    def last_age(self) -> Tensor:
        """Age in the last frame of an event (B, M)."""
        return self._scene.rise_frames - 1 + (self.tau * math.log(1 / END_FRACTION)).floor()

    @property
    def peaks(self) -> Tensor:
        """True where an event peaks in this frame (B, M)."""
        return self.age == self._scene.rise_frames - 1

    def _draw(self, rows: Tensor) -> None:
        """Give the sources `rows` (B, M) an event each."""
        scene, at = self._scene, rows.nonzero(as_tuple=True)
        peak, tau, cloud = self._random.uniform((3, len(at[0])))

        def between(low: Tensor, high: Tensor, u: Tensor) -> Tensor:
            return torch.lerp(low[at[0], 0], high[at[0], 0], u)

        self.peak[at] = between(scene.dff_low, scene.dff_high, peak)
        self.tau[at] = tau = between(scene.tau_low, scene.tau_high, tau)
        self.sigma_px[at] = between(scene.cloud_low_px, scene.cloud_high_px, cloud)
        self._length[at] = scene.rise_frames[at[0], 0] + (tau * TAIL).floor()

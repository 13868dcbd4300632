"""Traces of a tethered indicator's spots with known gating, one number a frame: quick, for many conditions.

Channel and fluorophores switch at any moment, not between frames, so a frame in which something changes
shows a mean of both levels, as a camera does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.calcium.photometry import SHOT_FACTOR, Array, Spots

SUB_STEPS = 10  # of a frame
SPOT_SIGMA_PX = 1.5
ANNULUS_PX = 100  # free pixels that tell the background
BACKGROUND_VARIANCE = 12.6  # per pixel: 10 photo-electrons and a read noise of 1.6


@dataclass(frozen=True, slots=True)
class GatingScene:
    """How channels and fluorophores behave; times are means of exponential dwell times, in frames.

    `photons` is the mean resting light of a spot in a frame with all its `n_fluorophores`, which varies
    between spots with the standard deviation `photons_sd` of its logarithm. `open_frames` of 0 is a channel
    that never opens, `dark_frames` of 0 an indicator that never blinks.
    """

    photons: float = 200.0
    dff: float = 1.0
    open_frames: float = 12.0
    closed_frames: float = 60.0
    lit_frames: float = 50.0
    dark_frames: float = 3.3
    n_fluorophores: int = 1
    photons_sd: float = 0.2


@dataclass(frozen=True, slots=True)
class Traces:
    """N spots over T frames: shares of the frame in which the channel is open and the fluorophores are lit.

    `rest` are the spots' resting photons (N,), the others are (N, T).
    """

    photons: Array
    dark_variance: Array
    open_share: Array
    lit_share: Array
    rest: Array

    def frame(self, t: int) -> Spots:
        """Measurements of one frame."""
        background = np.full(len(self.rest), BACKGROUND_VARIANCE)
        return Spots(self.photons[:, t], self.dark_variance[:, t], background, background / ANNULUS_PX, 1.0)


class TwoStates:
    """N independent things that are on or off, from equilibrium; steps are frames of `SUB_STEPS`."""

    def __init__(self, n: int, on_frames: float, off_frames: float, rng: np.random.Generator) -> None:
        self._rng = rng
        self._always = not (on_frames > 0 and off_frames > 0)
        if self._always:
            self._is_on = np.full(n, on_frames > 0)
            return
        self._is_on = rng.random(n) < on_frames / (on_frames + off_frames)
        self._leave = [-np.expm1(-1 / (SUB_STEPS * frames)) for frames in (off_frames, on_frames)]

    def step(self) -> NDArray[np.bool_]:
        """One frame, (SUB_STEPS, N)."""
        path = np.empty((SUB_STEPS, len(self._is_on)), np.bool_)
        for sub in range(SUB_STEPS):
            if not self._always:
                chance = np.where(self._is_on, self._leave[1], self._leave[0])
                self._is_on = self._is_on ^ (self._rng.random(len(chance)) < chance)
            path[sub] = self._is_on
        return path


class Gates:
    """Channels and fluorophores of N spots, frame by frame."""

    def __init__(self, scene: GatingScene, n: int, rng: np.random.Generator) -> None:
        self._scene = scene
        self._channel = TwoStates(n, scene.open_frames, scene.closed_frames, rng)
        self._dyes = [
            TwoStates(n, scene.lit_frames, scene.dark_frames, rng) for _ in range(scene.n_fluorophores)
        ]

    def step(self) -> tuple[Array, Array, Array]:
        """Of one frame: open share, lit share, and light relative to that of a resting lit spot, (N,)."""
        is_open = self._channel.step()
        lit = np.mean([dye.step() for dye in self._dyes], axis=0)
        light = (lit * (1 + self._scene.dff * is_open)).mean(axis=0)
        return is_open.mean(axis=0), lit.mean(axis=0), light


def simulate_traces(scene: GatingScene, n: int, n_frames: int, seed: int) -> Traces:
    """Traces of n spots; noise is that of a matched Gaussian on a camera."""
    rng = np.random.default_rng(seed)
    rest = scene.photons * np.exp(rng.normal(0, scene.photons_sd, n) - scene.photons_sd**2 / 2)
    gates = Gates(scene, n, rng)
    open_share, lit_share, light = (
        np.stack(rows, axis=1) for rows in zip(*(gates.step() for _ in range(n_frames)), strict=True)
    )
    light = light * rest[:, None]
    area = 4 * np.pi * SPOT_SIGMA_PX**2
    dark = np.full(light.shape, BACKGROUND_VARIANCE * area * (1 + area / ANNULUS_PX))
    # The weighted sum of Poisson pixels has 4/3 of the variance that the photons alone would have.
    noise = rng.normal(0, 1, light.shape) * np.sqrt((SHOT_FACTOR - 1) * light + dark)
    return Traces(rng.poisson(light) + noise, dark, open_share, lit_share, rest)

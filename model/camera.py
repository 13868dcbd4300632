"""The camera: from expected photo-electrons to counts, and from counts back to photo-electrons."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]

# Electron multiplication doubles the shot-noise variance (Robbins & Hadwen, IEEE Trans. Electron
# Devices 50, 1227 (2003)).
EM_EXCESS = 2.0


class CameraError(ValueError):
    """Camera parameters make no sense; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Camera:
    """An sCMOS or EMCCD camera; `photons = (ADU − offset) · e_per_adu / em_gain`.

    Attributes
    ----------
    offset
        Counts without light in ADU: a number, or a map of shape (H, W) (sCMOS).
    e_per_adu
        Electrons per count after any electron multiplication: a number, or a map (H, W).
    read_noise_e
        Read noise in electrons r.m.s.: a number, or a map (H, W).
    em_gain
        Electron-multiplication gain; 1 for cameras without it.
    bit_depth
        Bits per pixel; counts saturate at 2**bit_depth − 1.
    """

    offset: float | Map = 100.0
    e_per_adu: float | Map = 1.0
    read_noise_e: float | Map = 1.6
    em_gain: float = 1.0
    bit_depth: int = 16

    def __post_init__(self) -> None:
        for name in ("offset", "e_per_adu", "read_noise_e", "em_gain"):
            if not np.isfinite(getattr(self, name)).all():
                raise CameraError(f"camera.{name} has values that are not finite: mend its map")
        if self.em_gain < 1:
            raise CameraError(f"camera.em_gain is {self.em_gain}; it must be 1 (no multiplication) or more")
        if np.any(np.asarray(self.e_per_adu) <= 0):
            raise CameraError("camera.e_per_adu must be positive everywhere")
        if np.any(np.asarray(self.read_noise_e) < 0):
            raise CameraError("camera.read_noise_e must not be negative")
        if not 1 <= self.bit_depth <= 16:
            raise CameraError(f"camera.bit_depth is {self.bit_depth}; frames are stored in 16 bits")

    @property
    def excess(self) -> float:
        """Excess-noise factor F² on the shot-noise variance: 2 with electron multiplication, else 1."""
        return EM_EXCESS if self.em_gain > 1 else 1.0

    @property
    def read_variance(self) -> float | Map:
        """Read-noise variance referred to the photo-electrons, in e²."""
        return (self.read_noise_e / self.em_gain) ** 2

    def to_photons(self, counts: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Photo-electrons of raw counts, float32, any shape that ends in (H, W); may be negative."""
        scale = np.asarray(self.e_per_adu, np.float32) / np.float32(self.em_gain)
        photons: NDArray[np.float32] = (counts.astype(np.float32) - np.float32(self.offset)) * scale
        return photons

    def variance(self, expected: NDArray[np.float32]) -> NDArray[np.float32]:
        """Noise variance in e² of pixels that expect `expected` photo-electrons."""
        return np.asarray(self.excess * expected + self.read_variance, np.float32)

    def expose(self, expected: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint16]:
        """Draw raw counts for expected photo-electrons per pixel (shot, multiplication, read noise, ADC).

        Raises
        ------
        ValueError
            If an expectation is negative or not finite.
        """
        electrons = rng.poisson(expected).astype(np.float64)
        if self.em_gain > 1:
            lit = electrons > 0
            electrons[lit] = rng.gamma(electrons[lit], self.em_gain)
        electrons += rng.normal(0.0, 1.0, electrons.shape) * self.read_noise_e
        counts = np.rint(electrons / self.e_per_adu + self.offset)
        return np.clip(counts, 0, 2**self.bit_depth - 1).astype(np.uint16)

"""A batch of training samples: windows of frames and what is true of the frame in their middle."""

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """B windows of T frames and the truth of their middle frame; N is the largest number of emitters.

    Attributes
    ----------
    frames
        (B, T, C, H, W) normalized as in `model.maps.normalize`. Channels: PIEZO1, and where calcium is
        simulated the calcium frame and its slow baseline.
    present
        (B, T), 1 or 0 where a frame is missing; the middle one never is.
    xy
        (B, N, 2) positions in pixels of the emitters that shine within the crop.
    photons, sigma_px
        (B, N) photons divided by the excess factor F², without a halo's, and standard deviation of the
        PSF in pixels.
    is_emitter
        (B, N), False for the rows that only fill up.
    background
        (B, H, W) expected background photons divided by F².
    calcium_label, calcium_weight
        (B, H, W): 1 where calcium flows at a punctum, and how much the pixel counts (0: not known);
        None without a calcium channel.
    """

    frames: Tensor
    present: Tensor
    xy: Tensor
    photons: Tensor
    sigma_px: Tensor
    is_emitter: Tensor
    background: Tensor
    calcium_label: Tensor | None = None
    calcium_weight: Tensor | None = None

    def to(self, device: torch.device) -> Self:
        """Copy to a device."""
        moved = {
            f.name: value.to(device) for f in fields(self) if (value := getattr(self, f.name)) is not None
        }
        return replace(self, **moved)

    def state(self) -> dict[str, Tensor]:
        """Tensors by name, to be saved."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

"""The guide's architecture: a 3D U-Net with one encoder and two decoders, for whoever has trained one.

Convolutions run over x, y and time; space is pooled, time is not. The encoder sees the PIEZO1 channel
alone, as a U-Net with one input channel does, so that its weights fit and calcium can neither make nor
move a punctum. The calcium decoder takes the encoder's skips, detached, and beside each of them the
calcium channels pooled to that level: calcium is a cloud wider than a punctum, and pooling is its filter.

A missing frame is zeros. No frame of a camera is without noise, so the network can tell them apart, and
the first convolution keeps the one input channel that a pretrained encoder has.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.heads import bound_maps, start_head
from model.maps import CELL, N_MAPS
from model.network import CALCIUM_INPUTS, Answer, Network

VOLUME = (3, 3, 3)  # kernel over time, y and x
PLANE = (1, 3, 3)  # where the image is small, time has been seen
POOL = (1, 2, 2)


@dataclass(frozen=True, slots=True)
class UNet3dConfig:
    """Size of a 3D U-Net.

    Attributes
    ----------
    base_channels
        Channels at full resolution; they double with each level down to eight times as many.
    window
        Frames seen.
    calcium
        Whether there is a calcium decoder.
    """

    base_channels: int = 16
    window: int = 5
    calcium: bool = True


def double_convolution(n_in: int, n_out: int, kernel: tuple[int, int, int]) -> nn.Sequential:
    """Two times convolution, batch normalization and activation; keeps (T, H, W)."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Sequential(
        nn.Conv3d(n_in, n_out, kernel, padding=padding),
        nn.BatchNorm3d(n_out),
        nn.ReLU(),
        nn.Conv3d(n_out, n_out, kernel, padding=padding),
        nn.BatchNorm3d(n_out),
        nn.ReLU(),
    )


class Encoder(nn.Module):
    """Features at full, half, quarter, eighth and sixteenth resolution."""

    def __init__(self, base: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            [
                double_convolution(1, base, VOLUME),
                double_convolution(base, 2 * base, VOLUME),
                double_convolution(2 * base, 4 * base, VOLUME),
                double_convolution(4 * base, 8 * base, VOLUME),
                double_convolution(8 * base, 8 * base, PLANE),
            ]
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 1, T, H, W) to one tensor a level, the finest first."""
        skips = [self.levels[0](image)]
        for level in self.levels[1:]:
            skips.append(level(functional.max_pool3d(skips[-1], POOL)))
        return skips


class Decoder(nn.Module):
    """From the deepest features up to full resolution, past the skips."""

    def __init__(self, base: int, widths: tuple[int, int, int, int], beside: int, n_out: int) -> None:
        super().__init__()
        n_below = 8 * base
        levels: list[nn.Module] = []
        for n_skip, width in zip((8 * base, 4 * base, 2 * base, base), widths, strict=True):
            kernel = VOLUME if levels else PLANE
            levels.append(double_convolution(n_below + n_skip + beside, width, kernel))
            n_below = width
        self.levels = nn.ModuleList(levels)
        self.head = nn.Conv3d(n_below, n_out, 1)
        start_head(self.head, 1)

    def forward(self, skips: list[Tensor], beside: list[Tensor]) -> Tensor:
        """Skips and what is beside each of them (or nothing), finest first, to (B, n_out, T, H, W)."""
        x = skips[-1]
        for k, level in zip((3, 2, 1, 0), self.levels, strict=True):
            up = functional.interpolate(x, scale_factor=tuple(map(float, POOL)), mode="nearest")
            x = level(torch.cat([up, skips[k], *beside[k : k + 1]], dim=1))
        out: Tensor = self.head(x)
        return out


class UNet3d(Network):
    """Shared encoder, localization decoder and calcium decoder; see the module's docstring."""

    multiple = 16

    def __init__(self, config: UNet3dConfig) -> None:
        super().__init__()
        base = config.base_channels
        self.config = config
        self.window = config.window
        self.has_calcium = config.calcium
        self.encoder = Encoder(base)
        self.localization = Decoder(base, (6 * base, 4 * base, 2 * base, base), 0, N_MAPS)
        if self.has_calcium:
            self.calcium = Decoder(base, (4 * base, 2 * base, base, base), CALCIUM_INPUTS, 1)

    def raw(self, frames: Tensor, present: Tensor) -> tuple[Tensor, Tensor | None]:
        """Raw answers for the middle of windows; missing frames count as zeros."""
        raw, calcium = self._answer(frames * present[:, :, None, None, None])
        middle = self.window // 2
        cells = functional.pixel_unshuffle(raw[:, :, middle], CELL)
        return cells, None if calcium is None else calcium[:, :, middle]

    def all_frames(self, frames: Tensor, present: Tensor) -> Answer:
        """Answer for every frame: maps (B, N_MAPS, T, H, W) and calcium log-odds (B, 1, T, H, W)."""
        raw, calcium = self._answer(frames * present[:, :, None, None, None])
        return Answer(bound_maps(raw), calcium)

    def step(self, frame: Tensor, present: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Append the newest frame to the earlier ones, answer for the middle, drop the oldest."""
        n_channels = frame.shape[1]
        window = torch.cat([state[0], frame * present.view(1, 1, 1, 1)], dim=1)
        frames = window.view(1, self.window, *frame.shape[1:])
        cells, calcium = self.raw(frames, torch.ones_like(frames[:, :, 0, 0, 0]))
        later = window[:, n_channels:]
        return (cells, later) if calcium is None else (cells, calcium, later)

    def state_shapes(self) -> tuple[tuple[int, int], ...]:
        """The earlier frames themselves, zeros where missing: all their channels, the oldest first."""
        return (((self.window - 1) * self.n_channels, 1),)

    def decoders(self) -> dict[str, tuple[nn.Module, ...]]:
        """Modules by task."""
        parts: dict[str, tuple[nn.Module, ...]] = {
            "encoder": (self.encoder,),
            "localization": (self.localization,),
        }
        return parts | ({"calcium": (self.calcium,)} if self.has_calcium else {})

    def _answer(self, frames: Tensor) -> tuple[Tensor, Tensor | None]:
        """Raw answers (B, N_MAPS, T, H, W) and calcium log-odds of frames, zeros if missing."""
        volume = frames.transpose(1, 2)
        skips = self.encoder(volume[:, :1])
        raw = self.localization(skips, [])
        if not self.has_calcium:
            return raw, None
        pyramid = [volume[:, 1:]]
        for _ in range(3):
            pyramid.append(functional.avg_pool3d(pyramid[-1], POOL))
        # Detached: learning calcium must not cost localization.
        return raw, self.calcium([skip.detach() for skip in skips], pyramid)

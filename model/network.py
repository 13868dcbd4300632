"""The streaming network: each frame's features are computed once and fused over a short window.

Localization sees the PIEZO1 channel only, so nothing in the calcium channel can make or move a punctum;
the calcium decoder sees both. Every kind of network keeps to `Network`, so training, export and the
engines know one interface. `python -m model.network` prints the check of the architecture.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.heads import maps_of_cells, start_head, start_log_odds
from model.maps import CELL, N_MAPS, state_sizes

CALCIUM_INPUTS = 2  # the calcium frame and its slow baseline
# Slow, because training ends with these statistics frozen: they should be the mean of many batches.
BATCHNORM_MOMENTUM = 0.02
# Quarter-resolution pixels averaged into a context (48 full pixels, a training crop), and between contexts.
CONTEXT_SIZE, CONTEXT_STRIDE = 12, 4


class Answer(NamedTuple):
    """Localization maps (B, N_MAPS, H, W) and the log-odds of calcium (B, 1, H, W), or None."""

    maps: Tensor
    calcium: Tensor | None


class Network(nn.Module, ABC):
    """From normalized frames (see `model.maps.normalize`) to maps of the frame in the window's middle.

    Attributes
    ----------
    window
        Number of frames seen, odd; the answer for a frame comes `window // 2` frames later.
    multiple
        Height and width must be multiples of this.
    has_calcium
        Whether there is a calcium decoder; if so, frames have the channels PIEZO1, calcium and calcium
        baseline (a slow running mean), else PIEZO1 only.
    """

    window: int
    multiple: int
    has_calcium: bool

    @property
    def n_channels(self) -> int:
        """Channels of a frame."""
        return 1 + CALCIUM_INPUTS if self.has_calcium else 1

    def forward(self, frames: Tensor, present: Tensor) -> Answer:
        """Answer for the middle of windows: frames (B, T, C, H, W), `present` (B, T) 1 or 0 (missing)."""
        cells, calcium = self.raw(frames, present)
        return Answer(maps_of_cells(cells), calcium)

    @abstractmethod
    def raw(self, frames: Tensor, present: Tensor) -> tuple[Tensor, Tensor | None]:
        """As `forward`, with raw answers in cells (B, 4 · N_MAPS, H/2, W/2) instead of maps."""

    def log_odds(self, frames: Tensor, present: Tensor) -> Tensor | None:
        """Answer of `forward` on calcium alone, where localization is not learned."""
        return self.forward(frames, present).calcium

    @abstractmethod
    def step(self, frame: Tensor, present: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Take the newest frame of one movie and answer for the frame `window // 2` before it.

        Parameters
        ----------
        frame
            (1, C, H, W) normalized.
        present
            (1,): 0 where there is no such frame (after the last one, or lost), else 1.
        state
            What the last step returned, or `first_state`.

        Returns
        -------
        Raw answers in cells of 2 × 2 pixels (1, 4 · N_MAPS, H/2, W/2), which `model.puncta` or
        `model.heads.maps_of_cells` turns into what they mean; calcium log-odds (1, 1, H, W; only with a
        calcium decoder); and the new state.
        """

    @abstractmethod
    def state_shapes(self) -> tuple[tuple[int, int], ...]:
        """Channels and stride of each state: tensors of (1, channels, H / stride, W / stride)."""

    def first_state(self, height: int, width: int) -> tuple[Tensor, ...]:
        """State before the first frame of a movie: zeros."""
        return tuple(torch.zeros(size) for size in state_sizes(self.state_shapes(), height, width))

    @abstractmethod
    def decoders(self) -> dict[str, tuple[nn.Module, ...]]:
        """Modules by task: "encoder", "localization", and "calcium" where there is one."""


@dataclass(frozen=True, slots=True)
class StreamingConfig:
    """Widths of a streaming network, in channels.

    Attributes
    ----------
    features
        Per-frame features, kept in the state.
    half, quarter
        Trunk at half and quarter resolution.
    half_blocks, quarter_blocks
        Residual blocks there; the last half-resolution block comes after the quarter-resolution ones.
    calcium
        Calcium features at quarter resolution; 0 leaves the calcium decoder out.
    window
        Frames seen.
    """

    features: int = 24
    half: int = 32
    quarter: int = 64
    half_blocks: int = 2
    quarter_blocks: int = 1
    calcium: int = 12
    window: int = 3


SIZES = {
    "tiny": StreamingConfig(16, 20, 40, calcium=8),
    "small": StreamingConfig(),
    "medium": StreamingConfig(34, 48, 96, calcium=16),
    "base": StreamingConfig(48, 64, 128, half_blocks=3, quarter_blocks=3, calcium=32),
}


def convolution(n_in: int, n_out: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution and batch normalization; both fold into one when the network is exported."""
    padding = (size - stride) // 2 if stride > 1 else size // 2
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, stride, padding, bias=False),
        nn.BatchNorm2d(n_out, momentum=BATCHNORM_MOMENTUM),
    )


class ResidualBlock(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = convolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (B, width, H, W)."""
        return functional.silu(x + self.second(functional.silu(self.first(x))))


class FrameEncoder(nn.Module):
    """Features of a single frame at 1/`stride` of its resolution."""

    def __init__(self, n_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.fold = nn.PixelUnshuffle(stride)
        self.stem = convolution(n_in * stride**2, width)
        self.block = ResidualBlock(width)

    def forward(self, image: Tensor) -> Tensor:
        """(B, n_in, H, W) to (B, width, H / stride, W / stride)."""
        features: Tensor = self.block(functional.silu(self.stem(self.fold(image))))
        return features


class Context(nn.Module):
    """What the puncta around look like, for every place: a wide average, worked on and added.

    Two puncta too close to be told apart by their shape are told by their light, but only by who knows
    how bright, wide and frequent puncta are here.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width, 1)
        self.second = convolution(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (B, width, H, W); H and W are multiples of `CONTEXT_STRIDE`."""
        border = (CONTEXT_SIZE - CONTEXT_STRIDE) // 2
        around = functional.avg_pool2d(x, CONTEXT_SIZE, CONTEXT_STRIDE, border, count_include_pad=False)
        around = self.second(functional.silu(self.first(around)))
        return x + functional.interpolate(around, scale_factor=float(CONTEXT_STRIDE), mode="bilinear")


class LocalizationDecoder(nn.Module):
    """Trunk at half and quarter resolution over the features of a window, and the maps."""

    def __init__(self, config: StreamingConfig) -> None:
        super().__init__()
        half, quarter = config.half, config.quarter
        self.fuse = convolution(config.window * config.features, half, 1)
        self.before = nn.Sequential(*(ResidualBlock(half) for _ in range(config.half_blocks - 1)))
        self.down = convolution(half, quarter, 2, stride=2)
        self.context = Context(quarter)
        self.deep = nn.Sequential(*(ResidualBlock(quarter) for _ in range(config.quarter_blocks)))
        self.up = convolution(quarter, half, 1)
        self.after = ResidualBlock(half)
        self.head = nn.Conv2d(half, CELL**2 * N_MAPS, 1)
        start_head(self.head, CELL**2)

    def forward(self, window: Tensor) -> Tensor:
        """(B, window · features, H/2, W/2) to raw answers in cells (B, 4 · N_MAPS, H/2, W/2)."""
        x = self.before(functional.silu(self.fuse(window)))
        deep = self.deep(self.context(functional.silu(self.down(x))))
        up = functional.interpolate(self.up(deep), scale_factor=2.0, mode="nearest")
        cells: Tensor = self.head(self.after(functional.silu(x + up)))
        return cells


class CalciumDecoder(nn.Module):
    """Where calcium flows: calcium features of a window beside the PIEZO1 features of its middle."""

    def __init__(self, config: StreamingConfig) -> None:
        super().__init__()
        width = config.calcium
        self.fuse = convolution(config.window * width, width, 1)
        self.puncta = convolution(config.features, width, 2, stride=2)
        self.context = Context(width)
        self.block = ResidualBlock(width)
        self.head = nn.Conv2d(width, 16, 1)
        self.unfold = nn.PixelShuffle(4)
        start_log_odds(self.head, 0, 16)

    def forward(self, window: Tensor, puncta: Tensor) -> Tensor:
        """(B, window · calcium, H/4, W/4) and (B, features, H/2, W/2) to log-odds (B, 1, H, W)."""
        x = functional.silu(self.fuse(window) + self.puncta(puncta))
        log_odds: Tensor = self.unfold(self.head(self.block(self.context(x))))
        return log_odds


class StreamingNetwork(Network):
    """Features once a frame, a window of them fused; see the module's docstring."""

    multiple = 4 * CONTEXT_STRIDE

    def __init__(self, config: StreamingConfig) -> None:
        super().__init__()
        self.config = config
        self.window = config.window
        self.has_calcium = config.calcium > 0
        self.encoder = FrameEncoder(1, config.features, 2)
        self.localization = LocalizationDecoder(config)
        if self.has_calcium:
            self.calcium_encoder = FrameEncoder(CALCIUM_INPUTS, config.calcium, 4)
            self.calcium = CalciumDecoder(config)

    def raw(self, frames: Tensor, present: Tensor) -> tuple[Tensor, Tensor | None]:
        """Raw answers for the middle of windows; missing frames count as features of zero."""
        features = self._features(self.encoder, frames[:, :, :1], present)
        return self.localization(features.flatten(1, 2)), self._calcium(features, frames, present)

    def log_odds(self, frames: Tensor, present: Tensor) -> Tensor | None:
        """Without the localization decoder, most of the work."""
        return self._calcium(self._features(self.encoder, frames[:, :, :1], present), frames, present)

    def step(self, frame: Tensor, present: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Encode the newest frame, answer for the middle of the window, move the window on."""
        weight = present.view(1, 1, 1, 1)
        features = torch.cat([state[0], self.encoder(frame[:, :1]) * weight], dim=1)
        cells = self.localization(features)
        n = self.config.features
        if not self.has_calcium:
            return cells, features[:, n:]
        calcium = torch.cat([state[1], self.calcium_encoder(frame[:, 1:]) * weight], dim=1)
        start = self.window // 2 * n
        log_odds = self.calcium(calcium, features[:, start : start + n])
        return cells, log_odds, features[:, n:], calcium[:, self.config.calcium :]

    def state_shapes(self) -> tuple[tuple[int, int], ...]:
        """Features of the window's earlier frames at half, calcium features at quarter resolution."""
        earlier = self.window - 1
        shapes = ((earlier * self.config.features, 2), (earlier * self.config.calcium, 4))
        return shapes if self.has_calcium else shapes[:1]

    def decoders(self) -> dict[str, tuple[nn.Module, ...]]:
        """Modules by task."""
        parts: dict[str, tuple[nn.Module, ...]] = {
            "encoder": (self.encoder,),
            "localization": (self.localization,),
        }
        return parts | ({"calcium": (self.calcium_encoder, self.calcium)} if self.has_calcium else {})

    def _calcium(self, features: Tensor, frames: Tensor, present: Tensor) -> Tensor | None:
        if not self.has_calcium:
            return None
        calcium = self._features(self.calcium_encoder, frames[:, :, 1:], present)
        # Detached: learning calcium must not cost localization.
        log_odds: Tensor = self.calcium(calcium.flatten(1, 2), features[:, self.window // 2].detach())
        return log_odds

    def _features(self, encoder: nn.Module, frames: Tensor, present: Tensor) -> Tensor:
        n_batch, n_frames = present.shape
        features: Tensor = encoder(frames.flatten(0, 1)).unflatten(0, (n_batch, n_frames))
        return features * present[:, :, None, None, None]


def n_parameters(*modules: nn.Module) -> int:
    """Trainable and frozen parameters of the modules."""
    return sum(p.numel() for module in modules for p in module.parameters())


if __name__ == "__main__":
    from model.check import main

    main()

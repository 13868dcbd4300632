"""The guide's check of the architecture, printed by `python -m model.network`."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from model.build import build_network
from model.heads import maps_of_cells
from model.maps import (
    BACKGROUND,
    DX,
    DY,
    LOG_PHOTONS,
    LOG_SD_PHOTONS,
    LOG_SD_X,
    LOG_SD_Y,
    LOG_SIGMA,
    LOGIT,
)
from model.network import SIZES, Answer, Network, n_parameters
from model.unet3d import UNet3d, UNet3dConfig

SIDE = 256  # pixels of the frame whose cost is stated
TITLES = {"encoder": "Encoder", "localization": "Loc decoder", "calcium": "Ca decoder"}


def main() -> None:
    """Print sizes, costs and shapes; end with an error if a network does not do what it promises."""
    unet = UNet3d(UNet3dConfig()).eval()
    print("Model architecture:")
    for task, modules in unet.decoders().items():
        print(f"  {TITLES[task]} params: {n_parameters(*modules):,}")
    print(f"  Total params: {n_parameters(unet):,}")

    print("\nOutput shapes:")
    for name, shape in output_shapes(unet).items():
        print(f"  {name}: {shape}")

    print(f"\nCost of one dual-channel frame of {SIDE} × {SIDE} pixels:")
    print(f"  {'network':<18}{'params':>10}{'GFLOP':>9}")
    configs: dict[str, dict[str, object]] = {
        f"streaming {size}": {"kind": "streaming", "size": size} for size in SIZES
    }
    for name, config in (configs | {"unet3d": {"kind": "unet3d"}}).items():
        with torch.device("meta"):
            network = build_network(config)
        print(f"  {name:<18}{n_parameters(network):>10,}{gflop_per_frame(network):>9.2f}")
        check_step(build_network(config))
    print("\nModel architecture validated")


def output_shapes(unet: UNet3d) -> dict[str, torch.Size]:
    """Shapes that a 3D U-Net gives for two windows of 64 × 64 pixels, run for real."""
    frames = torch.randn(2, unet.window, 3, 64, 64)
    with torch.no_grad():
        maps, calcium = unet.all_frames(frames, torch.ones(2, unet.window))
    assert calcium is not None
    if not (maps.isfinite().all() and calcium.isfinite().all()):
        raise RuntimeError("an untrained 3D U-Net gives values that are not finite")
    parts = {
        "prob": (LOGIT,),
        "offset": (DX, DY),
        "photons": (LOG_PHOTONS,),
        "uncertainty": (LOG_SD_X, LOG_SD_Y, LOG_SD_PHOTONS),
        "PSF sigma": (LOG_SIGMA,),
        "background": (BACKGROUND,),
    }
    shapes = {f"Localization {name}": maps[:, rows].shape for name, rows in parts.items()}
    return shapes | {"Calcium prob": calcium.shape}


def gflop_per_frame(network: Network, side: int = SIDE) -> float:
    """Floating-point operations of one `step`, in 10⁹ (a multiplication and an addition are two).

    Counted by PyTorch for convolutions; the network must be on the meta device, so that nothing is computed.
    """
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        frame = torch.zeros(1, network.n_channels, side, side)
        network.eval().step(frame, torch.ones(1), *network.first_state(side, side))
    return float(counter.get_total_flops()) / 1e9


def check_step(network: Network) -> None:
    """Take a window frame by frame and at once: the network that runs must be the one that was trained.

    Raises
    ------
    AssertionError
        If the two ways do not agree.
    """
    network.eval()
    side, window = 2 * network.multiple, network.window
    frames = torch.randn(window, network.n_channels, side, side)
    answer = frame_by_frame(network, frames, [1] * window)[window // 2]
    with torch.no_grad():
        at_once = network(frames[None], torch.ones(1, window))
    n_answers = 2 if network.has_calcium else 1
    torch.testing.assert_close(answer[:n_answers], at_once[:n_answers])


def frame_by_frame(network: Network, frames: Tensor, present: Sequence[int]) -> list[Answer]:
    """Answers for the frames (T, C, H, W) of a movie, taken one after the other, as an engine does.

    Those that are not `present` hold what they hold, which must not matter.
    """
    late, n_frames = network.window // 2, len(frames)
    after = torch.full((late, *frames.shape[1:]), 7.0)
    state = network.first_state(*frames.shape[2:])
    answers = []
    with torch.no_grad():
        for frame, is_there in zip(torch.cat([frames, after]), [*present, *([0] * late)], strict=True):
            cells, *more = network.step(frame[None], torch.tensor([float(is_there)]), *state)
            answers.append(Answer(maps_of_cells(cells), more.pop(0) if network.has_calcium else None))
            state = tuple(more)
    return answers[late : late + n_frames]

"""The guide's check of the architecture, printed by `python -m model.network`."""

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from model.build import build_network
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
from model.network import CALCIUM_INPUTS, SIZES, Network, n_parameters
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
        frame = torch.zeros(1, n_channels(network), side, side)
        network.eval().step(frame, torch.ones(1), *first_state(network, side))
    return float(counter.get_total_flops()) / 1e9


def check_step(network: Network) -> None:
    """Take a window frame by frame and at once: the network that runs must be the one that was trained.

    Raises
    ------
    AssertionError
        If the two ways do not agree.
    """
    network.eval()
    side, n_answers = 2 * network.multiple, 2 if network.has_calcium else 1
    frames = torch.randn(1, network.window, n_channels(network), side, side)
    state = first_state(network, side)
    answers: tuple[Tensor, ...] = ()
    with torch.no_grad():
        for k in range(network.window):
            out = network.step(frames[:, k], torch.ones(1), *state)
            answers, state = out[:n_answers], out[n_answers:]
        at_once = network(frames, torch.ones(1, network.window))
    for answer, expected in zip(answers, at_once[:n_answers], strict=True):
        torch.testing.assert_close(answer, expected)


def n_channels(network: Network) -> int:
    """Channels of a network's frames."""
    return 1 + CALCIUM_INPUTS if network.has_calcium else 1


def first_state(network: Network, side: int) -> tuple[Tensor, ...]:
    """State before the first frame of a movie of side × side pixels."""
    return tuple(torch.zeros(1, n, side // stride, side // stride) for n, stride in network.state_shapes())

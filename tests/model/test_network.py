"""What every kind of network promises."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model.build import build_network
from model.check import check_step, frame_by_frame, gflop_per_frame, main
from model.maps import LOGIT, N_MAPS
from model.network import Network

H, W = 16, 32
CONFIGS = {
    "streaming": {"kind": "streaming", "features": 4, "half": 6, "quarter": 8, "calcium": 3},
    "streaming of 5": {
        "kind": "streaming",
        "features": 2,
        "half": 4,
        "quarter": 4,
        "calcium": 2,
        "window": 5,
    },
    "streaming, no calcium": {"kind": "streaming", "features": 4, "half": 6, "quarter": 8, "calcium": False},
    "unet3d": {"kind": "unet3d", "base_channels": 2},
    "unet3d, no calcium": {"kind": "unet3d", "base_channels": 2, "calcium": False},
}
DUAL = [name for name in CONFIGS if "no calcium" not in name]


def make(name: str) -> Network:
    """A network that has seen data: its batch normalization is not the identity."""
    torch.manual_seed(1)
    network = build_network(CONFIGS[name]).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network


def movie(network: Network, n_frames: int) -> Tensor:
    return torch.randn(n_frames, network.n_channels, H, W, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(present=st.lists(st.integers(0, 1), min_size=1, max_size=7))
def test_frame_by_frame_is_window_by_window(name, present):
    network = make(name)
    frames, half = movie(network, len(present)), network.window // 2
    padded = torch.cat(
        [torch.full_like(frames[:1], 5.0)] * half + [frames] + [torch.zeros_like(frames[:1])] * half
    )
    padded_present = torch.tensor([0.0] * half + present + [0.0] * half)
    with torch.no_grad():
        for k, answer in enumerate(frame_by_frame(network, frames, present)):
            window = slice(k, k + network.window)
            expected = network(padded[None, window], padded_present[None, window])
            torch.testing.assert_close(answer.maps, expected.maps, rtol=1e-4, atol=1e-5)
            if network.has_calcium:
                torch.testing.assert_close(answer.calcium, expected.calcium, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_shapes(name):
    network = make(name)
    frames = torch.stack([movie(network, network.window)] * 2)
    with torch.no_grad():
        maps, calcium = network(frames, torch.ones(2, network.window))
    assert maps.shape == (2, N_MAPS, H, W)
    assert (calcium is None) == (not network.has_calcium) == ("calcium" not in network.decoders())
    assert calcium is None or calcium.shape == (2, 1, H, W)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_middle_frame_and_its_neighbours_all_count(name):
    network = make(name)
    frames = movie(network, network.window)[None]
    with torch.no_grad():
        whole = network(frames, torch.ones(1, network.window)).maps
        for k in range(network.window):
            present = torch.ones(1, network.window)
            present[0, k] = 0
            assert not torch.equal(network(frames, present).maps, whole)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_untrained_network_says_that_emitters_are_rare(name):
    network = make(name)
    with torch.no_grad():
        answer = network(movie(network, network.window)[None], torch.ones(1, network.window))
    assert answer.maps[:, LOGIT].sigmoid().mean() < 0.1
    assert answer.maps.isfinite().all()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", DUAL)
def test_calcium_cannot_move_a_punctum(name, training):
    network = make(name).train(training)
    frames, present = movie(network, network.window)[None], torch.ones(1, network.window)
    other = frames.clone()
    other[:, :, 1:] = 100 * torch.randn_like(other[:, :, 1:])
    with torch.no_grad():
        a, b = network(frames, present), network(other, present)
    assert torch.equal(a.maps, b.maps)
    assert not torch.equal(a.calcium, b.calcium)


@pytest.mark.parametrize("name", DUAL)
def test_calcium_is_learned_at_no_cost_to_localization(name):
    network = make(name).train()
    network(
        movie(network, network.window)[None], torch.ones(1, network.window)
    ).calcium.square().sum().backward()
    parts = network.decoders()
    gradients = {task: [p.grad for m in modules for p in m.parameters()] for task, modules in parts.items()}
    assert all(g is None for task in ("encoder", "localization") for g in gradients[task])
    assert all(g is not None for g in gradients["calcium"])


@pytest.mark.parametrize("name", DUAL)
def test_calcium_sees_the_puncta(name):
    network = make(name)
    frames, present = movie(network, network.window)[None], torch.ones(1, network.window)
    other = frames.clone()
    other[:, :, :1] += 1
    with torch.no_grad():
        assert not torch.equal(network(frames, present).calcium, network(other, present).calcium)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_belongs_to_one_task(name):
    network = make(name)
    parameters = [p for modules in network.decoders().values() for m in modules for p in m.parameters()]
    assert {*map(id, parameters)} == {*map(id, network.parameters())}
    assert len(parameters) == len(list(network.parameters()))


def test_the_small_network_is_small():
    with torch.device("meta"):
        network = build_network({"kind": "streaming", "size": "small"})
        assert network.has_calcium
        assert 0.5 < gflop_per_frame(network) <= 2.5


def test_flops_are_counted_right():
    """A lone 1 × 1 convolution of a known cost, through the same counter."""

    class Single(nn.Module):
        n_channels = 1

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(1, 10, 1)

        def step(self, frame, present):
            return (self.layer(frame),)

        def first_state(self, height, width):
            return ()

    with torch.device("meta"):
        assert gflop_per_frame(Single(), 100) == pytest.approx(2 * 10 * 100**2 / 1e9)


def test_the_guides_check(capsys):
    main()
    printed = capsys.readouterr().out
    assert "Encoder params: 1,1" in printed
    assert "Localization prob: torch.Size([2, 1, 5, 64, 64])" in printed
    assert printed.endswith("Model architecture validated\n")


def test_a_state_starts_at_zero():
    network = make("streaming")
    state = network.first_state(16, 32)
    assert [tuple(s.shape) for s in state] == [(1, 8, 8, 16), (1, 6, 4, 8)]
    assert not any(s.any() for s in state)


def test_the_check_finds_a_step_that_does_something_else():
    network = make("streaming, no calcium")
    check_step(network)
    network.step = lambda frame, present, *state: type(network).step(network, frame, 0 * present, *state)
    with pytest.raises(AssertionError, match="not close"):
        check_step(network)


@pytest.mark.parametrize("name", CONFIGS)
def test_calcium_alone_is_the_calcium_of_the_whole(name):
    network = make(name)
    frames = movie(network, network.window)[None]
    with torch.no_grad():
        whole = network(frames, torch.ones(1, network.window)).calcium
        alone = network.log_odds(frames, torch.ones(1, network.window))
    if whole is None:
        assert alone is None
    else:
        torch.testing.assert_close(alone, whole)

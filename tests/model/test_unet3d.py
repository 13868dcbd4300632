import pytest
import torch

from model.freeze import freeze, train_unfrozen, unfreeze
from model.network import n_parameters
from model.unet3d import UNet3d, UNet3dConfig


@pytest.fixture
def unet() -> UNet3d:
    torch.manual_seed(1)
    return UNet3d(UNet3dConfig(base_channels=2)).eval()


def test_sizes_are_the_guides():
    with torch.device("meta"):
        unet = UNet3d(UNet3dConfig())
    sizes = {task: n_parameters(*modules) for task, modules in unet.decoders().items()}
    assert sizes == pytest.approx({"encoder": 1.2e6, "localization": 0.8e6, "calcium": 0.4e6}, rel=0.05)
    assert n_parameters(unet) == pytest.approx(2.4e6, rel=0.01)


def test_the_encoders_weights_are_found_under_its_name(unet):
    names = unet.state_dict()
    assert {name.split(".")[0] for name in names} == {"encoder", "localization", "calcium"}


def test_the_middle_of_all_frames_is_the_answer(unet):
    frames, present = torch.randn(2, 5, 3, 16, 16), torch.tensor([[1.0] * 5, [0.0, 1, 1, 1, 0]])
    with torch.no_grad():
        every, middle = unet.all_frames(frames, present), unet(frames, present)
    assert every.maps.shape == (2, 9, 5, 16, 16)
    assert every.calcium.shape == (2, 1, 5, 16, 16)
    assert torch.equal(every.maps[:, :, 2], middle.maps)
    assert torch.equal(every.calcium[:, :, 2], middle.calcium)


def test_a_missing_frame_is_zeros(unet):
    frames, present = torch.randn(1, 5, 3, 16, 16), torch.tensor([[0.0, 1, 1, 1, 0]])
    blank = frames * present[:, :, None, None, None]
    with torch.no_grad():
        for a, b in zip(unet(frames, present), unet(blank, torch.ones(1, 5)), strict=True):
            assert torch.equal(a, b)


def test_what_is_frozen_stays_as_it_is(unet):
    freeze(unet.encoder)
    train_unfrozen(unet)
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    optimizer = torch.optim.SGD(unet.parameters(), lr=0.1)
    unet(torch.randn(2, 5, 3, 16, 16), torch.ones(2, 5)).maps.square().mean().backward()
    optimizer.step()
    changed = {name for name, value in unet.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith("encoder.") for name in changed)
    assert any("running_mean" in name for name in changed)
    assert any("head.weight" in name for name in changed)


def test_what_is_unfrozen_learns_again(unet):
    freeze(unet.encoder)
    unfreeze(unet.encoder)
    before = unet.encoder.levels[0][1].running_mean.clone()
    unet(torch.randn(2, 5, 3, 16, 16), torch.ones(2, 5)).maps.square().mean().backward()
    assert all(p.grad is not None for p in unet.encoder.parameters())
    assert not torch.equal(unet.encoder.levels[0][1].running_mean, before)

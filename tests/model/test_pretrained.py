from pathlib import Path

import pytest
import torch
from torch import nn

from model.build import build_network
from model.engines.base import ModelError
from model.network import Network
from model.pretrained import load_encoder


class Stage(nn.Module):
    """A double convolution as people write it, with names of its own."""

    def __init__(self, n_in: int, n_out: int, kernel: tuple[int, int, int], bias: bool) -> None:
        super().__init__()
        padding = tuple(k // 2 for k in kernel)
        self.conv1 = nn.Conv3d(n_in, n_out, kernel, padding=padding, bias=bias)
        self.norm1 = nn.BatchNorm3d(n_out)
        self.conv2 = nn.Conv3d(n_out, n_out, kernel, padding=padding, bias=bias)
        self.norm2 = nn.BatchNorm3d(n_out)

    def forward(self, x):
        x = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(x)))


class UsersUNet(nn.Module):
    """A user's U-Net: widths 2, 4, 8, 16 and more below, a decoder that is none of our business."""

    def __init__(self, n_in: int = 1, base: int = 2, n_stages: int = 5, bias: bool = True) -> None:
        super().__init__()
        widths = [n_in, base, 2 * base, 4 * base, 8 * base, 8 * base, 8 * base]
        self.encoder = nn.ModuleDict(
            {
                f"enc{k}": Stage(widths[k], widths[k + 1], (1, 3, 3) if k >= 4 else (3, 3, 3), bias)
                for k in range(n_stages)
            }
        )
        self.decoder = nn.Conv3d(base, 4, 1)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm3d):
                nn.init.normal_(module.running_mean, std=0.2)
                nn.init.uniform_(module.running_var, 0.5, 2)

    def skips(self, x):
        out = []
        for k, stage in enumerate(self.encoder.values()):
            x = stage(nn.functional.max_pool3d(x, (1, 2, 2)) if k else x)
            out.append(x)
        return out


@pytest.fixture
def network() -> Network:
    torch.manual_seed(1)
    return build_network({"kind": "unet3d", "base_channels": 2}).eval()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "best_model.pth"


def prefixed(prefix: str, state: dict) -> dict:
    return {prefix + name: value for name, value in state.items()}


WRAPPERS = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model_state_dict": lambda state: {"model_state_dict": state, "optimizer": {"lr": 1e-3}},
    "model": lambda state: {"model": state},
    "data parallel": lambda state: {"state_dict": prefixed("module.", state)},
    "lightning": lambda state: {"state_dict": prefixed("model.unet.", state)},
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("bias", [True, False])
def test_the_encoder_does_what_the_users_did(network, path, wrapper, bias):
    theirs = UsersUNet(bias=bias).eval()
    torch.save(WRAPPERS[wrapper](theirs.state_dict()), path)
    rest = {k: v.clone() for k, v in network.state_dict().items() if not k.startswith("encoder.")}
    report = load_encoder(network, path)
    image = torch.randn(1, 1, 5, 16, 16)
    with torch.no_grad():
        for a, b in zip(network.encoder(image), theirs.skips(image), strict=True):
            torch.testing.assert_close(a, b)
    assert all(torch.equal(network.state_dict()[k], v) for k, v in rest.items())
    assert str(report) == "20 of 20 encoder layers loaded"


def test_our_own_networks_fit(path):
    for config in ({"kind": "unet3d", "base_channels": 2}, {"kind": "streaming", "size": "tiny"}):
        a, b = build_network(config), build_network(config)
        torch.save(a.state_dict(), path)
        assert not load_encoder(b, path).kept
        for x, y in zip(a.encoder.parameters(), b.encoder.parameters(), strict=True):
            assert torch.equal(x, y)


def test_what_a_shallower_encoder_lacks_is_said(network, path):
    torch.save(UsersUNet(n_stages=4).state_dict(), path)
    report = load_encoder(network, path)
    assert report.kept == tuple(f"encoder.levels.4.{k}" for k in (0, 1, 3, 4))
    assert len(report.loaded) == 16
    assert "still untrained: encoder.levels.4.0, " in str(report)


def test_what_a_deeper_encoder_has_more_is_said(network, path):
    torch.save(UsersUNet(n_stages=6).state_dict(), path)
    report = load_encoder(network, path)
    assert report.unused == tuple(f"encoder.enc5.{name}" for name in ("conv1", "norm1", "conv2", "norm2"))
    assert "not in the network: encoder.enc5.conv1, " in str(report)


@pytest.mark.parametrize(
    ("unet", "sentence"),
    [
        (
            {"n_in": 2},
            r"encoder\.enc0\.conv1\.weight has shape \(2, 2, 3, 3, 3\), the network's "
            r"encoder\.levels\.0\.0\.weight has shape \(2, 1, 3, 3, 3\); .* sees PIEZO1 alone",
        ),
        ({"base": 4}, r"has shape \(4, 1, 3, 3, 3\).* its width is base_channels"),
    ],
)
def test_another_architecture_is_refused_and_changes_nothing(network, path, unet, sentence):
    torch.save(UsersUNet(**unet).state_dict(), path)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(ModelError, match=sentence):
        load_encoder(network, path)
    assert all(torch.equal(network.state_dict()[k], v) for k, v in before.items())


def test_a_misfit_in_the_depth_changes_nothing(network, path):
    state = UsersUNet().state_dict()
    state["encoder.enc4.conv2.weight"] = torch.zeros(16, 16, 3, 3, 3)
    torch.save(state, path)
    before = network.encoder.levels[0][0].weight.clone()
    with pytest.raises(ModelError, match=r"encoder\.enc4\.conv2\.weight has shape .* must be the network's"):
        load_encoder(network, path)
    assert torch.equal(network.encoder.levels[0][0].weight, before)


def test_weights_that_are_not_finite_are_refused(network, path):
    state = UsersUNet().state_dict()
    state["encoder.enc2.conv1.weight"][0, 0, 0, 0, 0] = torch.nan
    torch.save(state, path)
    with pytest.raises(ModelError, match=r"encoder\.enc2\.conv1\.weight is not finite"):
        load_encoder(network, path)


CONTENTS = {
    "no encoder": ({"down.weight": torch.zeros(2)}, "no key begins with 'encoder.'"),
    "no convolution": ({"encoder.norm.weight": torch.zeros(2)}, "holds no convolution, only norm"),
    "a tensor": (torch.zeros(2), "holds a Tensor; save the weights"),
    "an object": ({"state_dict": {}, "path": Path("x")}, "holds more than tensors"),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_a_file_without_an_encoder_is_refused(network, path, content):
    value, sentence = CONTENTS[content]
    torch.save(value, path)
    with pytest.raises(ModelError, match=sentence):
        load_encoder(network, path)


def test_what_is_no_checkpoint_is_refused(network, path):
    with pytest.raises(ModelError, match="No such file or directory; give the path"):
        load_encoder(network, path)
    for content in (b"", b"not a checkpoint", b"PK\x03\x04 damaged"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"best_model\.pth is (no checkpoint|damaged)"):
            load_encoder(network, path)
    torch.save(UsersUNet().state_dict(), path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelError, match="damaged"):
        load_encoder(network, path)

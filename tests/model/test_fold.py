import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra: train)")

from torch import nn  # noqa: E402

from model.build import build_network  # noqa: E402
from model.fold import fold_batchnorm  # noqa: E402

CONFIGS = [
    {"kind": "streaming", "features": 4, "half": 6, "quarter": 8, "calcium": 3},
    {"kind": "unet3d", "base_channels": 2},
]
NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: str(config["kind"]))
def test_folding_keeps_the_answers_and_the_weights_names(config: dict[str, object]) -> None:
    torch.manual_seed(1)
    network = build_network(config).eval()
    for module in network.modules():
        if isinstance(module, NORMALIZATIONS):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.3, 3)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias, std=0.3)
    frames, present = torch.randn(2, network.window, 3, 32, 16), torch.ones(2, network.window)
    convolutions = {
        name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Conv3d)
    }
    with torch.no_grad():
        before = network.raw(frames, present)
        fold_batchnorm(network)
        after = network.raw(frames, present)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert not any(isinstance(module, NORMALIZATIONS) for module in network.modules())
    names = {f"{name}.{part}" for name in convolutions for part in ("weight", "bias")}
    assert set(network.state_dict()) == names


def test_what_no_normalization_follows_stays() -> None:
    torch.manual_seed(2)
    lone = nn.Sequential(nn.Conv2d(1, 2, 3), nn.SiLU(), nn.BatchNorm2d(2)).eval()
    kept = list(lone)
    fold_batchnorm(lone)
    assert list(lone) == kept

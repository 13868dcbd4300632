import json

import pytest
import torch

from model.build import build_network, network_config
from model.engines.base import ModelError
from model.network import SIZES


@pytest.mark.parametrize(
    "config",
    [
        {"kind": "streaming"},
        {"kind": "streaming", "size": "tiny"},
        {"kind": "streaming", "size": "base", "calcium": False, "window": 5},
        {"kind": "unet3d"},
        {"kind": "unet3d", "base_channels": 2, "calcium": False},
    ],
)
def test_a_network_is_made_again_from_its_configuration(config):
    with torch.device("meta"):
        network = build_network(config)
        again = build_network(json.loads(json.dumps(network_config(network))))
    assert network.config == again.config
    assert {k: v.shape for k, v in network.state_dict().items()} == {
        k: v.shape for k, v in again.state_dict().items()
    }


def test_names_and_overrules():
    with torch.device("meta"):
        assert build_network({"kind": "streaming"}).config == SIZES["small"]
        assert build_network({"kind": "streaming", "size": "tiny", "calcium": True}).config == SIZES["tiny"]
        network = build_network({"kind": "streaming", "size": "tiny", "calcium": False, "half": 24})
    assert not network.has_calcium
    assert (network.config.half, network.config.features) == (24, SIZES["tiny"].features)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, "network kind is None, .* choose one of streaming, unet3d"),
        ({"kind": "resnet"}, "network kind is 'resnet'"),
        ({"kind": "streaming", "size": "huge"}, "network size is 'huge', .* tiny, small, medium, base"),
        ({"kind": "streaming", "size": ["small"]}, r"network size is \['small'\]"),
        (
            {"kind": "unet3d", "size": "small"},
            "unet3d has no key 'size'; it has base_channels, window, calcium",
        ),
        ({"kind": "streaming", "width": 3}, "streaming has no key 'width'"),
        ({"kind": "streaming", "half": 0}, "half is 0; it must be a whole number of at least 1"),
        ({"kind": "streaming", "half": "32"}, "half is '32'; it must be a whole number"),
        ({"kind": "streaming", "half": True}, "half is True; it must be a whole number"),
        ({"kind": "unet3d", "calcium": 1}, "calcium is 1; it must be true or false"),
        ({"kind": "unet3d", "window": 4}, "window is 4 frames; it must be odd"),
        ({"kind": ["unet3d"]}, r"network kind is \['unet3d'\]"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(config, sentence):
    with pytest.raises(ModelError, match=sentence):
        build_network(config)

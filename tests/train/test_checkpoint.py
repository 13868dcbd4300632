"""Networks on disk: written whole, read back the same, refused where they do not fit."""

import pickle

import pytest

pytest.importorskip("torch", reason="torch is not installed (extra: train)")

import torch

from model.build import build_network, network_config
from train.checkpoint import load_network, load_weights, read_checkpoint, save_network
from train.errors import CheckpointError

SMALL = {"kind": "streaming", "features": 4, "half": 4, "quarter": 4, "calcium": 0}
NETWORKS = [SMALL, SMALL | {"calcium": 4}, {"kind": "unet3d", "base_channels": 2, "window": 3}]


@pytest.mark.parametrize("config", NETWORKS)
def test_a_network_comes_back_as_it_was(tmp_path, config):
    network = build_network(config)
    path = tmp_path / "best_model.pth"
    save_network(path, network, {"step": 3, "validation": {"jaccard": 0.5}})
    again = load_network(path)
    assert network_config(again) == network_config(network)
    assert not again.training
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    assert read_checkpoint(path)["meta"] == {"step": 3, "validation": {"jaccard": 0.5}}
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "best_model.pth"
    save_network(path, build_network(SMALL), {"step": 1})
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        save_network(path, build_network(SMALL), {"step": lambda: 2})
    assert read_checkpoint(path)["meta"] == {"step": 1}


def test_localization_goes_into_a_network_with_calcium(tmp_path):
    path = tmp_path / "best_model.pth"
    source, target = build_network(SMALL), build_network(SMALL | {"calcium": 4})
    save_network(path, source, {})
    load_weights(target, read_checkpoint(path)["state_dict"], path, ("encoder", "localization"))
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value)


GOOD = {"format": 1, "network": SMALL, "state_dict": {}, "meta": {}}


def _write(path, content):
    torch.save(content, path)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: None, "cannot read checkpoint"),
        (lambda path: path.write_bytes(b""), "is not a checkpoint"),
        (lambda path: path.write_text("hello"), "is not a checkpoint"),
        (lambda path: path.mkdir(), "cannot read checkpoint"),
        (lambda path: _write(path, {"a": torch.zeros(1)}), "is not a checkpoint of piezo1 train"),
        (lambda path: _write(path, [1]), "is not a checkpoint of piezo1 train"),
        (
            lambda path: _write(path, GOOD | {"format": 2}),
            "has checkpoint format 2",
        ),
        *(
            (
                lambda path, part=part: _write(path, GOOD | part),
                "a part of it is not what piezo1 train writes",
            )
            for part in (
                {"network": 7},
                {"state_dict": None},
                {"state_dict": {"a": 1}},
                {"meta": [1]},
                {"meta": {"config": 3}},
            )
        ),
        (
            lambda path: _write(path, GOOD | {"network": {"kind": "x"}}),
            "unknown to this version",
        ),
        (
            lambda path: _write(path, GOOD),
            "is of another architecture: it has no weights",
        ),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_sentence(tmp_path, write, sentence):
    path = tmp_path / "x.pth"
    write(path)
    with pytest.raises(CheckpointError, match=sentence) as error:
        load_network(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_part_of_a_file_is_refused(tmp_path, share):
    path = tmp_path / "best_model.pth"
    save_network(path, build_network(SMALL), {})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="incomplete"):
        load_network(path)


def test_pickled_code_is_not_run(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"format": 1, "x": pytest.raises}, path)
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        load_network(path)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (SMALL | {"half": 6}, "has shape"),
        (SMALL | {"calcium": 4}, "is unknown to this network"),
        ({"kind": "unet3d", "base_channels": 2}, "it has no weights"),
    ],
)
def test_another_architecture_is_refused(tmp_path, other, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        load_weights(build_network(SMALL), build_network(other).state_dict(), tmp_path / "x.pth")

import json
import shutil
from pathlib import Path

import pytest

from model.card import card_path, read_model
from model.engines.base import ModelError


@pytest.fixture
def model(exported: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copy(card_path(exported), tmp_path / "mine.json")
    return Path(shutil.copy(exported, tmp_path / "mine.onnx"))


def change(model: Path, **values: object) -> None:
    path = card_path(model)
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_card_says_what_was_exported(model: Path) -> None:
    _, card = read_model(model)
    assert card.channels == ("PIEZO1", "calcium") and card.has_calcium and card.precision == "fp32"
    assert (card.window, card.multiple, card.state_shapes) == (3, 16, ((8, 2), (8, 4)))
    assert card.threshold == 0.3 and card.metrics == {"jaccard": 0.1}
    assert card.architecture["features"] == 4 and card.optics.sigma_px == (1.0, 1.8)


@pytest.mark.parametrize("missing", [".onnx", ".json"])
def test_a_missing_file_is_named(model: Path, missing: str) -> None:
    model.with_suffix(missing).unlink()
    with pytest.raises(ModelError, match=rf"there is no .*mine\{missing}"):
        read_model(model)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read"):
        read_model(tmp_path)


def test_a_graph_of_another_card_is_refused(model: Path) -> None:
    graph = bytearray(model.read_bytes())
    graph[len(graph) // 2] ^= 1
    model.write_bytes(bytes(graph))
    with pytest.raises(ModelError, match=r"not the file that mine\.json describes"):
        read_model(model)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"format": 4, "something": "new"}, "has format 4, this program reads 3: update the program"),
        ({"format": 1, "baseline_rate": 0.03}, "has format 1, .* or export the network with this version"),
        ({"something": "new"}, "something: Extra inputs are not permitted"),
        ({"threshold": 1.5}, "threshold: Input should be less than 1"),
        ({"window": 4}, "window must be odd"),
        ({"precision": "int8"}, "precision: Input should be 'fp32' or 'fp16'"),
        ({"channels": ["calcium"]}, "channels must be PIEZO1, calcium, or PIEZO1 alone"),
        ({"state_shapes": [[3]]}, r"state_shapes\.0\.1"),
    ],
)
def test_a_wrong_card_is_explained(model: Path, values: dict[str, object], sentence: str) -> None:
    change(model, **values)
    with pytest.raises(ModelError, match=sentence):
        read_model(model)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": "new"}', b"{}"])
def test_what_is_no_card_is_refused(model: Path, text: bytes) -> None:
    card_path(model).write_bytes(text)
    with pytest.raises(ModelError, match=r"mine\.json is not a model card") as refused:
        read_model(model)
    assert "\n" not in str(refused.value)

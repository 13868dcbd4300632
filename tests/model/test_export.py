from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra: train)")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: train)")

from model.build import build_network, network_config  # noqa: E402
from model.card import Trained, TrainedOptics, read_model  # noqa: E402
from model.engines.base import ModelError  # noqa: E402
from model.export import check_graph, export, receptive_field_px  # noqa: E402
from model.maps import LOGIT  # noqa: E402
from model.network import Network  # noqa: E402

OPTICS = TrainedOptics(
    sigma_px=(1, 1.8), photons=(150, 6000), background=(2, 150), puncta_per_um2=(0.1, 2), pixel_size_nm=110
)
TINY = {"kind": "streaming", "features": 3, "half": 4, "quarter": 4, "calcium": 0}


def trained(network: Network) -> Trained:
    return Trained(
        architecture=network_config(network),
        optics=OPTICS,
        threshold=0.5,
        metrics={},
        training={},
        commit="abc",
    )


def test_the_graph_is_small_and_keeps_secrets(exported: Path) -> None:
    graph = onnx.load(exported)
    kinds = {node.op_type for node in graph.graph.node}
    assert "BatchNormalization" not in kinds and "Conv" in kinds
    assert [value.name for value in graph.graph.input] == ["frame", "present", "state_0", "state_1"]
    assert [value.name for value in graph.graph.output] == ["maps", "calcium", "next_0", "next_1"]
    sides = [dimension.dim_param for dimension in graph.graph.input[2].type.tensor_type.shape.dim]
    assert sides[2:] == ["8*rows", "8*columns"]
    assert str(Path(__file__).parents[2]).encode() not in exported.read_bytes()


def test_a_network_without_calcium_and_with_a_longer_window(tmp_path: Path) -> None:
    network = build_network({**TINY, "window": 5})
    network.train()
    card = export(network, tmp_path / "a.onnx", trained(network))
    assert network.training  # left as it was
    assert card.channels == ("PIEZO1",) and not card.has_calcium
    assert card.window == 5 and card.state_shapes == ((12, 2),)
    assert read_model(tmp_path / "a.onnx")[1] == card
    # 48 without the context, which is averaged over 48 pixels every 16 and spread between these places.
    assert card.receptive_field_px == receptive_field_px(network.eval()) == 104


def test_a_graph_that_answers_differently_is_refused(exported: Path) -> None:
    graph, card = read_model(exported)
    network = build_network(card.architecture).eval()
    network.load_state_dict(torch.load(exported.with_suffix(".pt"), weights_only=True))
    check_graph(graph, network)
    head = network.localization.head.bias
    with torch.no_grad():
        head[LOGIT * 4] += 0.01
        with pytest.raises(
            ModelError, match=r"is not exported: the graph's answers differ from PyTorch's by"
        ):
            check_graph(graph, network)
        head[LOGIT * 4] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        check_graph(graph, network)


def test_where_it_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    network = build_network(TINY)
    with pytest.raises(ModelError, match=r"must end in \.onnx"):
        export(network, tmp_path / "a.pt", trained(network))
    with pytest.raises(ModelError, match=r"cannot write .* there is no folder"):
        export(network, tmp_path / "no folder" / "a.onnx", trained(network))

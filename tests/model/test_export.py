"""What is exported: names, sizes, weights, and that nothing is written that answers differently."""

import copy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra: train)")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: train)")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra: train)")

from model.build import build_network, network_config  # noqa: E402
from model.camera import Camera  # noqa: E402
from model.card import SHIPPED_MODEL, Trained, TrainedOptics, card_path, read_model  # noqa: E402
from model.compare import check_graph, unmatched  # noqa: E402
from model.decode import puncta_table  # noqa: E402
from model.engines.base import ModelError  # noqa: E402
from model.engines.onnxruntime import open_onnxruntime  # noqa: E402
from model.engines.rebuild import rebuild  # noqa: E402
from model.ensemble import Ensemble  # noqa: E402
from model.export import ANSWERS, PRECISIONS, export, receptive_field_px, trace, without_answers  # noqa: E402
from model.fold import fold_batchnorm  # noqa: E402
from model.graph import Graph  # noqa: E402
from model.graph_io import Opening, as_bytes  # noqa: E402
from model.maps import LOGIT, most_room  # noqa: E402
from model.network import Network  # noqa: E402

OPTICS = TrainedOptics(
    sigma_px=(1, 1.8), photons=(150, 6000), background=(2, 150), puncta_per_um2=(0.1, 2), pixel_size_nm=110
)
TINY = {"kind": "streaming", "features": 3, "half": 4, "quarter": 4, "calcium": 0}


def made(seed: int, **config: object) -> Network:
    """A network that finds puncta."""
    torch.manual_seed(seed)
    network = build_network(TINY | config)
    head = network.localization.head
    torch.nn.init.normal_(head.weight)
    torch.nn.init.zeros_(head.bias)
    return network


def trained(network: Network) -> Trained:
    return Trained(
        architecture=network_config(network),
        optics=OPTICS,
        threshold=0.5,
        metrics={},
        training={},
        commit="abc",
    )


@pytest.fixture(scope="module")
def members() -> list[Network]:
    return [made(1), made(2, half=6)]


@pytest.fixture(scope="module")
def ensemble(members: list[Network], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ensemble") / "both.onnx"
    network = Ensemble(members).train()
    export(network, path, trained(network))
    assert network.training  # left as it was
    return path


@pytest.fixture(scope="module")
def traced() -> tuple[bytes, Graph]:
    """A graph in half precision with its raw answers, as it is before it is checked, and its reference."""
    network = made(3, window=5).eval()
    fold_batchnorm(network)
    return trace(Graph(copy.deepcopy(network), PRECISIONS["fp16"])), Graph(network)


def shapes(values: object) -> dict[str, list[object]]:
    return {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in values
    }


def test_the_graph_takes_raw_counts_of_any_size_and_gives_a_table(exported: Path) -> None:
    graph = onnx.load(exported).graph
    inputs, outputs = shapes(graph.input), shapes(graph.output)
    frame, camera = ["counts", "present", "threshold"], ["offset", "gain", "read_variance", "excess"]
    states = ["baseline", "n_frames", "state_0", "state_1"]
    assert list(inputs) == [*frame, "room", *camera, "places", *states]
    assert list(outputs) == ["table", "count", "needed", *(f"next_{name}" for name in states)]
    assert inputs["counts"] == [2, "height", "width", 2]
    assert inputs["baseline"] == outputs["next_baseline"] == [1, "height", "width"]
    assert outputs["table"][1] == 9 and isinstance(outputs["table"][0], str)
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    int32 = onnx.TensorProto.INT32
    whole = {"counts": onnx.TensorProto.UINT8, "count": int32, "needed": int32}
    assert types == {name: whole.get(name, onnx.TensorProto.FLOAT) for name in types}


def test_the_graph_is_folded_and_keeps_secrets(exported: Path) -> None:
    graph = onnx.load(exported)
    kinds = {node.op_type for node in graph.graph.node}
    assert "BatchNormalization" not in kinds and "Conv" in kinds
    for secret in (str(Path(__file__).parents[2]), "graph.py"):
        assert secret.encode() not in exported.read_bytes()
    assert not graph.metadata_props and not any(node.metadata_props for node in graph.graph.node)


def test_the_network_is_found_again_in_the_file(exported: Path) -> None:
    graph, card = read_model(exported)
    network = build_network(card.architecture).eval()
    network.load_state_dict(torch.load(exported.with_suffix(".pt"), weights_only=True))
    again = rebuild(graph, card).network
    frames = torch.randn(1, 3, 3, 16, 32)
    with torch.no_grad():
        for a, b in zip(network(frames, torch.ones(1, 3)), again(frames, torch.ones(1, 3)), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_weights_of_another_architecture_are_not_taken(exported: Path) -> None:
    graph, card = read_model(exported)
    other = card.model_copy(update={"architecture": {**card.architecture, "half": 5}})
    with pytest.raises(ModelError, match="does not hold the weights of the architecture in its model card"):
        rebuild(graph, other)


def test_an_ensemble_without_calcium(ensemble: Path, members: list[Network]) -> None:
    """One graph, whose card and weights are those of all members."""
    graph, card = read_model(ensemble)
    assert card.architecture == {"kind": "ensemble", "members": [network_config(m) for m in members]}
    assert card.channels == ("PIEZO1",) and not card.has_calcium
    assert card.multiple == 16 and card.window == 3 and card.state_shapes == ((6, 2), (6, 2))
    # 48 without the context, which is averaged over 48 pixels every 16 and spread between these places.
    assert card.receptive_field_px == receptive_field_px(members[0].eval()) == 104
    inputs = shapes(onnx.load_from_string(graph).graph.input)
    assert "places" not in inputs and "baseline" not in inputs and inputs["counts"][0] == 1
    again = rebuild(graph, card).network
    assert [n.config for n in again.networks()] == [m.config for m in members]
    frames = torch.randn(1, 3, 1, 16, 32)
    with torch.no_grad():
        raw, nothing = again.raw(frames, torch.ones(1, 3))
        said = [member.eval().raw(frames, torch.ones(1, 3))[0] for member in members]
    torch.testing.assert_close(raw, sum(said) / 2, rtol=1e-4, atol=1e-4)
    assert nothing is None


@pytest.mark.parametrize("size", [(16, 16), (2, 3), (37, 50)])
def test_the_graph_of_an_ensemble_runs_at_any_size(ensemble: Path, size: tuple[int, int]) -> None:
    """ONNX Runtime's puncta are those of the rebuilt network, also beside missing frames."""
    graph, card = read_model(ensemble)
    opening = Opening(graph, card, *size, Camera(), np.eye(2, 3, dtype=np.float32))
    session, whole = open_onnxruntime(opening, threads=1), rebuild(graph, card)
    state = whole.first_state(*size)
    constants = [torch.from_numpy(opening.constants[name]) for name in opening.inputs[4:8]]
    room = torch.zeros(most_room(opening.padded[1]))
    rng = np.random.default_rng(4)
    for present in (1, 1, 0, 1):
        counts = as_bytes(rng.poisson(130, (1, *size)).astype(np.uint16))
        session.submit(counts, bool(present), 0.3)
        numbers = torch.tensor([float(present)]), torch.tensor([0.3])
        with torch.inference_mode():
            table, count, _, *state = whole(torch.from_numpy(counts), *numbers, room, *constants, *state)
        found = session.collect()
        wanted = table[table[:, 7] > 0].numpy()
        assert len(wanted) == int(count) == len(found)
        assert unmatched(found, wanted, 0.01) == 0
    assert len(found) or min(size) < 16


def test_networks_that_do_not_fit_are_no_ensemble() -> None:
    with pytest.raises(ModelError, match="at least 2 networks, got 1"):
        Ensemble([made(1)])
    for other, sentence in (
        ({"window": 5}, r"their window differs \(3, 5\)"),
        ({"calcium": 2}, r"number of channels differs \(1, 3\)"),
    ):
        with pytest.raises(ModelError, match=sentence):
            Ensemble([made(1), made(2, **other)])


def test_half_precision(traced: tuple[bytes, Graph]) -> None:
    graph, reference = traced
    check_graph(graph, reference, "fp16")
    bare = onnx.load_from_string(without_answers(graph)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*bare.input, *bare.output)}
    assert types["state_0"] == types["next_state_0"] == onnx.TensorProto.FLOAT16
    assert types["table"] == types["gain"] == onnx.TensorProto.FLOAT
    weights = {w.data_type for w in bare.initializer if w.name.startswith("network.")}
    assert weights == {onnx.TensorProto.FLOAT16}
    assert not set(ANSWERS) & set(types) and ANSWERS[0] in shapes(onnx.load_from_string(graph).graph.output)


def test_a_graph_that_answers_differently_is_refused(traced: tuple[bytes, Graph]) -> None:
    graph, reference = traced
    with pytest.raises(ModelError, match=r"is not exported: the graph's answers differ .* more than 1e-04"):
        check_graph(graph, reference, "fp32")  # half precision is not that good
    other = copy.deepcopy(reference)
    head = other.network.localization.head.bias
    with torch.no_grad():
        head[LOGIT * 4] += 1
    with pytest.raises(ModelError, match=r"is not exported: the graph's answers differ from PyTorch's by"):
        check_graph(graph, other, "fp16")
    with torch.no_grad():
        head[LOGIT * 4] = torch.nan
    with pytest.raises(ModelError, match="its answers are not finite numbers"):
        check_graph(graph, other, "fp16")


def test_a_network_that_has_gone_wrong_is_not_written(tmp_path: Path) -> None:
    network = made(1)
    with torch.no_grad():
        network.localization.head.weight[0] = torch.nan
    with pytest.raises(ModelError, match="is not exported: its weights are not finite numbers"):
        export(network, tmp_path / "a.onnx", trained(network))
    assert not list(tmp_path.iterdir())


def test_where_it_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    network = build_network(TINY)
    with pytest.raises(ModelError, match=r"must end in \.onnx"):
        export(network, tmp_path / "a.pt", trained(network))
    with pytest.raises(ModelError, match=r"cannot write .* there is no folder"):
        export(network, tmp_path / "no folder" / "a.onnx", trained(network))


def test_what_cannot_be_written_after_the_work_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traced: tuple[bytes, Graph]
) -> None:
    network = made(3)
    path = tmp_path / "a.onnx"
    card_path(path).mkdir()  # where the card should be
    monkeypatch.setattr("model.export.trace", lambda graph: traced[0])  # the work is not what is tested
    monkeypatch.setattr("model.export.check_graph", lambda *_: None)
    with pytest.raises(ModelError, match=r"cannot write .*a\.onnx and its card: "):
        export(network, path, trained(network))


def test_a_network_of_other_multiples_is_no_graph() -> None:
    network = build_network(TINY)
    network.multiple = 12
    with pytest.raises(ValueError, match="needs multiples of 12 pixels, not of 16"):
        Graph(network)


def test_puncta_without_partners_are_counted() -> None:
    one = np.array([[1, 1], [5, 5], [9, 9]], np.float32)
    assert unmatched(one, one[::-1] + np.float32(0.005), 0.01) == 0
    assert unmatched(one, one[:2], 0.01) == unmatched(one[:2], one, 0.01) == 1
    assert unmatched(one, one[:0], 0.01) == 3 and unmatched(one[:0], one[:0], 0.01) == 0


def test_a_decoder_that_answers_differently_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the network that ships, since one that has learned nothing has no puncta to compare."""
    network = rebuild(*read_model(SHIPPED_MODEL)).network
    traced = trace(Graph(network))
    check_graph(traced, Graph(network))

    def beside(*given: object) -> tuple[torch.Tensor, torch.Tensor]:
        table, needed = puncta_table(*given)
        table[:, 0] += 0.02
        return table, needed

    monkeypatch.setattr("model.compare.puncta_table", beside)
    with pytest.raises(
        ModelError, match=r"\d+ of \d+ puncta differ between the graph and PyTorch by more than"
    ):
        check_graph(traced, Graph(network))

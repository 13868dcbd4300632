"""TensorRT for RTX builds engines without a GPU: whether our graphs are such as it takes."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed (extra: gpu)")

from model.build import build_network
from model.camera import Camera
from model.card import Trained, read_model
from model.engines.base import ModelError
from model.engines.engine_cache import cached
from model.engines.tensorrt_build import build_engine
from model.export import export
from model.graph_io import Opening

CAPABILITIES = [(8, 6), (8, 9), (12, 0)]


@pytest.fixture(scope="module")
def exported_fp16(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    _, card = read_model(exported)
    path = tmp_path_factory.mktemp("half") / "half.onnx"
    said = {name: getattr(card, name) for name in Trained.model_fields}
    export(build_network(card.architecture), path, Trained(**said), "fp16")
    return path


def opening(path: Path, graph: bytes | None = None) -> Opening:
    content, card = read_model(path)
    transform = np.eye(2, 3, dtype=np.float32)
    return Opening(graph or content, card, 37, 50, Camera(), transform)


@pytest.mark.parametrize("fixture", ["exported", "exported_fp16"])
def test_an_engine_is_built_for_gpus_that_are_not_here(fixture: str, request: pytest.FixtureRequest) -> None:
    plan = build_engine(opening(request.getfixturevalue(fixture)), CAPABILITIES)
    assert len(plan) > 10_000


def test_a_gpu_that_it_does_not_know_is_named(exported: Path) -> None:
    with pytest.raises(
        ModelError, match=r"does not build for compute capability 9\.0 \(it knows SM"
    ) as refused:
        build_engine(opening(exported), [(9, 0)])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("cut", [100, 5000])
def test_a_damaged_graph_is_explained(exported: Path, cut: int) -> None:
    with pytest.raises(ModelError, match=r"TensorRT cannot read the graph: .") as refused:
        build_engine(opening(exported, exported.read_bytes()[:-cut]), CAPABILITIES[:1])
    assert "\n" not in str(refused.value)


def test_a_build_that_runs_out_of_memory_is_one_sentence_and_leaves_no_engine(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT says so to its logger, and gives nothing."""
    import tensorrt_rtx

    out_of_memory = "[virtualMemoryBuffer.cpp] Out of memory (requested 17179869184 bytes)\nmore"

    def give_up(builder: tensorrt_rtx.Builder, *_: object) -> None:
        builder.logger.log(tensorrt_rtx.ILogger.Severity.ERROR, out_of_memory)

    monkeypatch.setattr(tensorrt_rtx.Builder, "build_serialized_network", give_up)
    with pytest.raises(ModelError, match=r"cannot build an engine: .* Out of memory .*bytes\)$"):
        cached("a key", lambda: build_engine(opening(exported), CAPABILITIES[:1]), tmp_path)
    assert not list(tmp_path.iterdir())

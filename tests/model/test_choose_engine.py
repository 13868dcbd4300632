from pathlib import Path

import pytest

from model.camera import Camera
from model.engines import choose
from model.engines.base import Engine, ModelError
from stream.config import EngineConfig


def chosen(**settings: object) -> Engine:
    return choose.choose_engine(EngineConfig(**settings), Camera(), 1.3)


def test_auto_takes_the_network_that_ships(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "SHIPPED_MODEL", exported)
    description = chosen().description
    assert "untrained network" in description and "auto: the network that ships" in description
    assert "threshold 0.4" in chosen(threshold=0.4).description


def test_the_backend_is_taken(exported: Path) -> None:
    for backend, title in (("onnxruntime", "by ONNX Runtime"), ("torch", "by PyTorch")):
        assert title in chosen(model=exported, backend=backend).description
    unknown = EngineConfig.model_construct(name="network", model=exported, backend="magic")
    with pytest.raises(ModelError, match=r"backend 'magic' is not known; choose one of auto, tensorrt"):
        choose.choose_engine(unknown, Camera(), 1.3)


def test_auto_falls_back_to_wavelet_and_says_so(
    tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "small.onnx"
    monkeypatch.setattr(choose, "SHIPPED_MODEL", shipped)
    assert "wavelet" in chosen().description and "no trained network ships" in chosen().description
    shipped.write_bytes(exported.read_bytes())
    assert "CANNOT BE USED: there is no" in chosen().description
    with pytest.raises(ModelError, match="there is no"):
        choose.check_engine(EngineConfig(name="network"))


@pytest.mark.parametrize("name", ["auto", "network"])
def test_a_network_that_is_named_is_taken_or_refused(name: str, exported: Path, tmp_path: Path) -> None:
    assert "untrained network" in chosen(name=name, model=exported).description
    lost = EngineConfig(name=name, model=tmp_path / "lost.onnx")
    for refuse in (choose.check_engine, choose.warm_up):
        with pytest.raises(ModelError, match="lost"):
            refuse(lost)
    with pytest.raises(ModelError, match="lost"):
        choose.choose_engine(lost, Camera(), 1.3)


def test_wavelet_when_asked_and_names_that_are_not_known() -> None:
    assert "wavelet" in chosen(name="wavelet").description
    assert "as configured" in chosen(name="wavelet").description
    unknown = EngineConfig.model_construct(name="tensorflow")
    with pytest.raises(ModelError, match="'tensorflow', which is not known; choose one of auto, network"):
        choose.choose_engine(unknown, Camera(), 1.3)

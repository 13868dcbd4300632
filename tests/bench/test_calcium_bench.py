"""The calcium benchmark's engine; its movies are simulated with torch."""

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

pytest.importorskip("torch", reason="torch is not installed (extra: train)")

from bench import calcium
from bench.outputs import UsageError
from model.card import card_path
from train.simulation_config import SimulationConfig


def test_all_conditions_share_camera_and_psf_as_they_share_the_engine() -> None:
    plain = SimulationConfig(**calcium.PLAIN)
    for config in calcium.CONDITIONS.values():
        assert config.camera_model() == plain.camera_model()
        assert config.psf_sigma_px == plain.psf_sigma_px


def test_a_network_without_a_calcium_decoder_is_refused(exported: Path, tmp_path: Path) -> None:
    model = tmp_path / "blind.onnx"
    shutil.copy(exported, model)
    card = json.loads(card_path(exported).read_text(encoding="utf-8"))
    card["channels"] = card["channels"][:1]
    card_path(model).write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(UsageError, match=r"blind\.onnx has no calcium decoder"):
        calcium.run(None, Console(), 1, model)


def test_movies_do_not_mix_though_they_share_an_engine(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = SimulationConfig(image_size=(32, 32), n_frames=24)
    monkeypatch.setattr(calcium, "CONDITIONS", {"first": small, "again": small})
    monkeypatch.setattr(calcium, "run_events", lambda *_: [])
    scores = calcium.run(None, Console(width=220), 1, exported)
    figures = [(s.n_open, s.n_closed, s.true_positive, s.false_positive) for s in scores]
    assert figures[:2] == figures[2:]
    assert scores[0].n_closed > 0
    header = capsys.readouterr().out.splitlines()[0]
    assert header.startswith("condition") and header.endswith("closed")

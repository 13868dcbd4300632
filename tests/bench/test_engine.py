"""Timing engines, comparing them, and what the reports say."""

import sys
from dataclasses import asdict

import numpy as np
import pytest
from rich.console import Console

from bench import gpu
from bench.agreement import Agreement, compare
from bench.engine import run
from bench.engine_process import Timing
from bench.engine_report import processor, write_report
from bench.outputs import OutputError, UsageError

QUIET = Console(quiet=True)


def table(*xy: tuple[float, float]) -> np.ndarray:
    rows = np.zeros((len(xy), 9), np.float32)
    rows[:, :2] = np.reshape(xy, (-1, 2))
    return rows


def test_an_engine_is_timed_and_one_that_does_not_run_here_says_why(tmp_path) -> None:
    path = tmp_path / "figures.json"
    figures = run(
        path, None, QUIET, backends=("onnxruntime", "tensorrt"), sides=(32,), seconds=0.1, compare=False
    )
    good, bad = figures["timings"]
    assert good["problem"] == "" and good["description"].startswith("ONNX Runtime")
    assert 0 < good["p50_ms"] <= good["p95_ms"] <= good["p99_ms"] and good["frames"] >= 10
    assert good["frames_per_s"] > 0 and good["open_s"] > 0 and good["cpu_ms"] > 0
    if bad["problem"]:
        assert bad["frames"] == 0 and "\n" not in bad["problem"]
    assert path.exists()


def test_a_backend_that_is_not_known_is_named() -> None:
    with pytest.raises(UsageError, match=r"'abacus' is not known; choose of tensorrt, torch_cuda"):
        run(None, None, QUIET, backends=("abacus",))


def test_puncta_agree_that_have_a_partner_in_the_other_table() -> None:
    wanted = [table((1, 1), (5, 5)), table(), table((3, 3))]
    found = [table((1.004, 1), (9, 9)), table((2, 2)), table((3, 3))]
    agreement = compare("x", wanted, found, 0.01)
    assert agreement.puncta == 3
    assert agreement.share == pytest.approx(4 / 7)  # of seven puncta in both, two pairs
    assert agreement.largest_px == pytest.approx(0.004, abs=1e-5)
    assert compare("x", [table()], [table()], 0.01).share == 0


FIGURES = {
    "timings": [
        asdict(Timing("torch_cuda", 512, "", "PyTorch on a card", 1.0, 1200.0, 0.8, 0.9, 3.5, 1.0, 99, 50.0)),
        asdict(Timing("tensorrt", 512, problem="is not installed")),
    ],
    "agreement": [
        asdict(Agreement("torch_cuda", "", 1000, 0.05, 0.9995, 0.001, 0.04)),
        asdict(Agreement("tensorrt", problem="crashed")),
    ],
}


def test_the_report_says_what_was_measured_where_and_when(tmp_path, monkeypatch) -> None:
    path = tmp_path / "performance.md"
    monkeypatch.setattr(sys, "argv", ["/bin/piezo1", "bench", "engine", "--side", "512"])
    write_report(path, "Speed", processor(), FIGURES, ["that is all"])
    text = path.read_text(encoding="utf-8")
    for words in (
        "# Speed",
        "`piezo1 bench engine --side 512`",
        processor(),
        "| torch_cuda | 512² | 1200 | 0.80 | 0.90 | 3.50 | 1.0 | 1.0 | 50 | – | PyTorch on a card |",
        "is not installed |",
        "| torch_cuda | 99.950% | 1000 | 0.05 | 0.00100 | 0.0400 |",
        "| tensorrt | crashed |",
        "- that is all",
    ):
        assert words in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("| t")}
    assert widths == {12, 7}
    with pytest.raises(OutputError, match="cannot write"):
        write_report(tmp_path / "no" / "x.md", "Speed", "d", FIGURES, [])


def test_promises_of_a_gpu_are_kept_missed_or_not_measured() -> None:
    kept, unmeasured = gpu.bars(FIGURES)
    assert "MISSED (1200 frames/s, 3.50 ms)" in kept
    assert "not measured" in unmeasured
    faster = {"timings": [{**FIGURES["timings"][0], "p99_ms": 2.0}]}
    assert "kept (1200 frames/s, 2.00 ms)" in gpu.bars(faster)[0]


def test_without_a_gpu_its_benchmark_says_so(tmp_path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: train)")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UsageError, match=r"no NVIDIA GPU .* `piezo1 bench engine` times the CPU"):
        gpu.run(tmp_path / "report.md", QUIET, 0.1)
    assert not list(tmp_path.iterdir())

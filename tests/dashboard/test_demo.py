"""The demo and the core commands, as they run without torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tifffile

from dashboard.demo import SAMPLE, unseen
from stream.load import load_config
from stream.pipeline import Supervisor
from stream.record.run import open_run
from train.truth import load_truth


@pytest.fixture
def piezo1_without_torch(tmp_path):
    """Run the command line where torch cannot be imported, neither here nor in a child process."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "torch.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "piezo1", *arguments]
        environment = os.environ | {"PYTHONPATH": str(blocked)}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=100, cwd=tmp_path, env=environment
        )

    return run


def test_the_demo_runs_and_judges_itself(piezo1_without_torch, tmp_path):
    answer = piezo1_without_torch("demo", "--output", str(tmp_path / "runs"))
    assert answer.returncode == 0, answer.stderr
    for word in ("precision", "Cramér–Rao", "link F1", "events found", "frames/s"):
        assert word in answer.stdout
    (folder,) = (tmp_path / "runs").iterdir()
    truth, run = load_truth(SAMPLE), open_run(folder)
    assert run.info["counts"]["frames_out"] == truth.n_frames
    assert len(run.puncta()) > 0.8 * len(truth.puncta)
    assert (folder / "overview.png").stat().st_size > 50_000


def test_the_shipped_sample_is_small_and_whole():
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 3e6
    truth = load_truth(SAMPLE)
    assert tifffile.imread(SAMPLE / "movie.tif").shape == (truth.n_frames, 2, *truth.image_size)
    assert len(truth.events) > 20


def test_simulating_without_torch_says_what_to_install(piezo1_without_torch, tmp_path):
    answer = piezo1_without_torch("simulate", "-o", str(tmp_path / "set"))
    assert answer.returncode == 1
    assert "this needs torch: pip install" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not Path(tmp_path / "set").exists()


def test_a_run_that_saw_a_part_of_the_sample_says_so(settings, sample):
    folders = [
        Supervisor(load_config(options=settings(**more)), transport="inproc").run().folder
        for more in ({"source__max_frames": 20, "output__name": "part"}, {"output__name": "whole"})
    ]
    assert unseen(folders[0], sample).startswith("the run saw 20 of the sample's 60 frames")
    assert unseen(folders[1], sample) == ""

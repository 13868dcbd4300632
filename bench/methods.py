"""Everybody who takes part in the localization benchmark: ours and the peers.

A method gives, for each of its settings, tables (N, 4) of frame, x, y (pixels) and a score; raising a
cut on the score is then its detection threshold.
"""

import subprocess
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trackpy

from acquire.frame import Frame
from bench.scenes import Scene
from model.engines.wavelet import WaveletEngine
from model.optics import Array

WORKER = Path(__file__).with_name("peers_worker.py")
OUR_THRESHOLDS = (0.7, 0.85, 1.0, 1.2, 1.5, 2.0)
DEFAULT_THRESHOLD = 1.0
DEFAULT_SETTING = f"threshold {DEFAULT_THRESHOLD:g}"
TRACKPY_DIAMETERS = (5, 7)
PICASSO_BOXES = (5, 7)
# Below trackpy's default (diameter + 1), which forbids close pairs: this favours it by far.
TRACKPY_SEPARATION = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method with one setting found in one scene, and the CPU time it took."""

    setting: str
    table: Array
    seconds: float

    def positions(self, n_frames: int, cut: float) -> list[Array]:
        """Positions (M, 2) per frame whose score is at least `cut`."""
        kept = self.table[self.table[:, 3] >= cut]
        return [kept[kept[:, 0] == frame, 1:3] for frame in range(n_frames)]


def run_wavelet(scene: Scene, threshold: float) -> Answer:
    """Our wavelet engine; its one setting is the threshold, so the score is constant."""
    engine = WaveletEngine(scene.camera, scene.sigma_px, threshold)
    start = time.process_time()
    results = [engine.step(Frame(k, 0.0, counts[None]))[0] for k, counts in enumerate(scene.counts)]
    seconds = time.process_time() - start
    rows = [
        np.stack([np.full(len(found), seq), found.x_px, found.y_px, np.zeros(len(found))], axis=1)
        for seq, found in results
    ]
    return Answer(f"threshold {threshold:g}", np.concatenate(rows).astype(np.float64), seconds)


def run_trackpy(scene: Scene, diameter: int) -> Answer:
    """trackpy.locate (Crocker–Grier centroids); the score is its mass, which `minmass` cuts."""
    rows = [np.empty((0, 4))]
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns about every frame in which it finds nothing
        for k, counts in enumerate(scene.counts):
            found = trackpy.locate(counts, diameter, separation=TRACKPY_SEPARATION, characterize=False)
            columns = found[["x", "y", "mass"]].to_numpy(np.float64)
            rows.append(np.column_stack([np.full(len(columns), k), columns]))
    return Answer(f"diameter {diameter}", np.concatenate(rows), time.process_time() - start)


def run_picasso(python: Path, scenes: list[Scene]) -> list[list[Answer]]:
    """Picasso's maximum-likelihood fits, for each scene one answer a box size; the score is its net gradient.

    Raises
    ------
    RuntimeError
        If the worker fails; the message ends with what it said.
    """
    request: dict[str, Any] = {"boxes": np.array(PICASSO_BOXES)}
    for i, scene in enumerate(scenes):
        camera = scene.camera
        request[f"counts_{i}"] = scene.counts
        request[f"camera_{i}"] = np.array([camera.offset, camera.e_per_adu, camera.em_gain])
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "request.npz", Path(folder) / "answer.npz"
        np.savez(asked, **request)
        done = subprocess.run([python, WORKER, asked, answered], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the Picasso worker failed under {python}: {done.stderr.strip()[-500:]}")
        with np.load(answered) as answer:
            return [
                [
                    Answer(
                        f"box {box}", _finite(answer[f"table_{i}_{box}"]), float(answer[f"seconds_{i}_{box}"])
                    )
                    for box in PICASSO_BOXES
                ]
                for i in range(len(scenes))
            ]


def _finite(table: Array) -> Array:
    return table[np.isfinite(table).all(axis=1)]

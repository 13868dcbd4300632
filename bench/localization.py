"""Localization benchmark: ours against trackpy and Picasso on the same frames in the same run.

Everybody's settings are tuned for each condition on scenes of another seed (of the recordings: on other
frames); ours is also scored with its one default threshold everywhere.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from bench.methods import (
    DEFAULT_SETTING,
    DEFAULT_THRESHOLD,
    OUR_THRESHOLDS,
    TRACKPY_DIAMETERS,
    Answer,
    run_picasso,
    run_trackpy,
    run_wavelet,
)
from bench.scenes import EMCCD, Scene, SceneConfig, read_scene, simulate_scene
from bench.scoring import Score, score
from model.optics import Array

# The test seed was new when docs/results.md was written; 202 had been looked at during development.
TUNE_SEED, TEST_SEED = 101, 80321
N_CUTS = 80
RECORDED = ("medium_108nm", "high_snr_108nm")
RECORDINGS = Path("../shared/data/piezo1_synthetic")
SPEED = SceneConfig(density_um2=382 / (256 * 0.11) ** 2, size=256)

CONDITIONS: dict[str, SceneConfig] = (
    {
        f"isolated, flat background, {photons} photons": SceneConfig(0.03, photons, structured=False)
        for photons in (300, 1000, 3000)
    }
    | {
        f"sCMOS {density:g}/µm² {photons} photons": SceneConfig(
            density, photons, size=128 if density < 1 else 64
        )
        for photons in (300, 1000, 3000)
        for density in (0.1, 0.5, 1, 2)
    }
    | {
        f"EMCCD {density:g}/µm² 1000 photons": SceneConfig(
            density, camera=EMCCD, size=128 if density < 1 else 64
        )
        for density in (0.1, 0.5, 1)
    }
)


@dataclass(frozen=True, slots=True)
class Result:
    """Score of one method in one condition, with the setting that tuning chose."""

    condition: str
    method: str
    setting: str
    score: Score
    ms_per_frame: float


def run(
    out: Path | None = None,
    frames: int = 40,
    peers_python: Path | None = None,
    conditions: Sequence[str] = (),
    recordings: Path = RECORDINGS,
) -> list[Result]:
    """Run the benchmark and print its table.

    Parameters
    ----------
    out
        JSON file for the results, or None.
    frames
        Frames of each test scene.
    peers_python
        Python that can import picasso; None leaves Picasso out.
    conditions
        Parts of the names of the conditions to run; none given means all.
    recordings
        Folder of the synthetic PIEZO1 recordings; left out, and said so, where it is absent.
    """
    console = Console(width=165, highlight=False)
    scenes = _scenes(frames, conditions, recordings, console)
    picasso: list[list[Answer]] = []
    if peers_python is None:
        console.print("Picasso is left out: give --peers-python")
    elif scenes:
        picasso = run_picasso(peers_python, [scene for pair in scenes.values() for scene in pair])
    results: list[Result] = []
    console.print(HEADER)
    for k, (name, (tune, test)) in enumerate(scenes.items()):
        ours = [(run_wavelet(tune, t), run_wavelet(test, t)) for t in OUR_THRESHOLDS]
        answers = {
            "wavelet, one threshold": [pair for pair in ours if pair[1].setting == DEFAULT_SETTING],
            "wavelet, tuned": ours,
            "trackpy, tuned": [(run_trackpy(tune, d), run_trackpy(test, d)) for d in TRACKPY_DIAMETERS],
        }
        if picasso:
            answers["Picasso, tuned"] = list(zip(picasso[2 * k], picasso[2 * k + 1], strict=True))
        for method, pairs in answers.items():
            results.append(_tuned(name, method, tune, test, pairs))
            console.print(_line(results[-1]))
    speed = measure_speed(max(frames // 2, 1))
    console.print(
        f"wavelet, 256², {speed['emitters']:.0f} emitters a frame: {speed['frames_per_s']:.0f} frames/s "
        "(CPU time of one thread)"
    )
    if out is not None:
        out.write_text(json.dumps({"results": [asdict(r) for r in results], "speed": speed}, indent=1) + "\n")
    return results


def measure_speed(frames: int) -> dict[str, float]:
    """Speed of the wavelet engine with its default threshold, in frames per second of CPU time."""
    scene = simulate_scene(SPEED, frames, TEST_SEED)
    size = scene.counts.shape[1]
    emitters = [np.count_nonzero(np.all((xy > -0.5) & (xy < size - 0.5), axis=1)) for xy in scene.truth]
    seconds = min(run_wavelet(scene, DEFAULT_THRESHOLD).seconds for _ in range(3))
    return {"emitters": float(np.mean(emitters)), "frames_per_s": frames / seconds}


def _scenes(
    frames: int, wanted: Sequence[str], recordings: Path, console: Console
) -> dict[str, tuple[Scene, Scene]]:
    """Scenes to tune and to test on, by condition."""

    def chosen(name: str) -> bool:
        return not wanted or any(part in name for part in wanted)

    n_tune = max(frames // 2, 2)
    scenes = {
        name: (simulate_scene(config, n_tune, TUNE_SEED), simulate_scene(config, frames, TEST_SEED))
        for name, config in CONDITIONS.items()
        if chosen(name)
    }
    for name in filter(chosen, RECORDED):
        stem = recordings / name
        if stem.with_suffix(".tif").exists():
            # The last frames tune, the first test: molecules live on for frames. Every fifth frame of
            # the first 80 was looked at while the method was built, and is left out.
            unseen = [frame for frame in range(80) if frame % 5][:frames]
            scenes[name] = (read_scene(stem, range(80, 100)), read_scene(stem, unseen))
        else:
            console.print(f"{name} is left out: no {stem.with_suffix('.tif')}")
    return scenes


def _tuned(
    condition: str, method: str, tune: Scene, test: Scene, pairs: list[tuple[Answer, Answer]]
) -> Result:
    """Score on the test scene with the setting and cut of the best Jaccard on the tuning scene."""
    best_jaccard, best_cut, best = -1.0, -np.inf, pairs[0][1]
    for tuning, testing in pairs:
        for cut in _cuts(tuning.table[:, 3]):
            jaccard = score(tune, tuning.positions(len(tune.counts), cut)).jaccard
            if jaccard > best_jaccard:
                best_jaccard, best_cut, best = jaccard, float(cut), testing
    n = len(test.counts)
    setting = best.setting + (f", cut {best_cut:.0f}" if best_cut > 0 else "")
    return Result(
        condition, method, setting, score(test, best.positions(n, best_cut)), 1000 * best.seconds / n
    )


def _cuts(scores: Array) -> Array:
    """Cuts that keep evenly spaced shares of the answers, and evenly spaced orders of magnitude.

    The latter are for the methods that answer with many times more maxima than there are emitters.
    """
    if not len(scores):
        return np.zeros(1)
    ranks = np.concatenate([np.linspace(1, len(scores), N_CUTS), np.geomspace(1, len(scores), N_CUTS)])
    return np.unique(np.sort(scores)[-ranks.astype(int)])


HEADER = (
    f"{'condition':38}{'method':24}{'Jaccard':>8}{'prec.':>7}{'recall':>7}{'RMSE nm':>9}"
    f"{'isolated/bound':>15}{'all/isolated':>13}{'all/joint':>10}{'ms/frame':>9}  setting"
)


def _line(result: Result) -> str:
    s = result.score
    return (
        f"{result.condition:38}{result.method:24}{s.jaccard:8.3f}{s.precision:7.3f}{s.recall:7.3f}"
        f"{s.rmse_nm:9.1f}{s.isolated_ratio:15.2f}{s.isolated_ratio_all:13.2f}{s.joint_ratio:10.2f}"
        f"{result.ms_per_frame:9.2f}  {result.setting}"
    )

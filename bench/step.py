"""CPU time a frame of tracker and calcium stage at 256 × 256 with 200 puncta, without the engine."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bench.calcium import DISTRACTORS
from bench.calcium_movies import TETHERED, calcium_movie
from bench.outputs import save_figures
from model.localizations import Localizations
from stream.calcium.detector import CalciumDetector
from stream.config import CalciumConfig, TrackerConfig
from stream.tracking.tracker import Tracker
from train.simulation_config import SimulationConfig

SEED = 88001
SETTLING_FRAMES = 30  # not timed: compilation, and tracks that are still few
MISSED, ERROR_PX = 0.05, 0.15  # localizations come from the truth: only time is measured here
BAR_MS = 4.0

SCENE: dict[str, Any] = {
    "image_size": (256, 256),
    "num_puncta_mean": 200.0,
    "n_frames": 200,
    "calcium_rest_photons": 100.0,
}
CONDITIONS: dict[str, dict[str, Any]] = {
    "cytosolic, waves and sparks": DISTRACTORS,
    "tethered, waves and sparks": TETHERED | DISTRACTORS,
}


def run(out: Path | None, console: Console) -> list[dict[str, Any]]:
    """Time the stages and print the table; milliseconds of CPU time a frame.

    Raises
    ------
    OutputError
        If the figures cannot be written.
    """
    console.print(
        f"{'':30}{'tracks':>7}{'tracker p50':>13}{'calcium p50':>13}{'both p50':>10}{'both p99':>10}  ms"
    )
    figures = [_time(name, SimulationConfig(**SCENE | changes)) for name, changes in CONDITIONS.items()]
    for f in figures:
        console.print(
            f"{f['condition']:30}{f['tracks']:7.0f}{f['tracker_ms']:13.2f}{f['calcium_ms']:13.2f}"
            f"{f['both_p50_ms']:10.2f}{f['both_p99_ms']:10.2f}  "
            f"{'met' if f['both_p50_ms'] <= BAR_MS else 'missed'}: at most {BAR_MS:g}",
            highlight=False,
        )
    save_figures(out, {"results": figures})
    return figures


def _time(name: str, config: SimulationConfig) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    camera = config.camera_model()
    tracker = Tracker(TrackerConfig(), config.pixel_size_nm, config.interval_s)
    stage = CalciumDetector(CalciumConfig(indicator=config.indicator))
    spent, n_tracks = [], []
    for seq, frame in enumerate(calcium_movie(config, SEED)):
        seen = frame.xy[rng.random(len(frame.xy)) >= MISSED]
        found = _localizations(seen + rng.normal(0, ERROR_PX, seen.shape), rng)
        image, time_s = camera.to_photons(frame.counts[1]), seq * config.interval_s
        began = time.process_time()
        tracks = tracker.step(seq, time_s, found)
        tracked = time.process_time()
        stage.step(seq, time_s, image, found, tracks)
        spent.append((tracked - began, time.process_time() - tracked))
        n_tracks.append(len(found) + len(tracks.gap_track_id))
    ms = 1e3 * np.array(spent[SETTLING_FRAMES:])
    both = ms.sum(axis=1)
    return {
        "condition": name,
        "tracks": float(np.mean(n_tracks[SETTLING_FRAMES:])),
        "tracker_ms": float(np.median(ms[:, 0])),
        "calcium_ms": float(np.median(ms[:, 1])),
        "both_p50_ms": float(np.median(both)),
        "both_p99_ms": float(np.percentile(both, 99)),
    }


def _localizations(xy: np.ndarray[Any, np.dtype[np.float64]], rng: np.random.Generator) -> Localizations:
    n = len(xy)
    return Localizations.from_columns(
        x_px=xy[:, 0],
        y_px=xy[:, 1],
        x_sd_px=np.full(n, ERROR_PX),
        y_sd_px=np.full(n, ERROR_PX),
        photons=np.exp(rng.normal(np.log(1000), 0.2, n)),
        background=np.full(n, 15.0),
        psf_sigma_px=np.full(n, 1.4),
        calcium_probability=np.full(n, 0.05),
    )

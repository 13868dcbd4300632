"""Benchmark of the field's calcium: transients anywhere, and waves, against the simulator's truth.

The seeds are used here only.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bench.calcium_field_movies import FieldFrameTruth, field_movie
from bench.calcium_field_scoring import TransientCounts, score_transients
from bench.calcium_movies import IN_WAVE_DFF
from bench.outputs import save_figures
from stream.config import CalciumConfig
from stream.field.detector import CalciumField
from stream.results import CalciumTransient
from train.simulation_config import SimulationConfig

TEST_SEED = 81801
SETTLING_FRAMES = 20  # not judged: the baselines begin there
NO_WAVE_DFF = 0.02  # below this a wave is nowhere near
SPEED_SIDES = (128, 256, 512)
SPEED_FRAMES = 150

PLAIN: dict[str, Any] = {
    "image_size": (128, 128),
    "n_frames": 150,
    "calcium_rest_photons": 100.0,
    "spark_rate_um2_s": 0.02,
}
LIGHT: dict[str, Any] = {"lamp_flicker": 0.05, "calcium_bleach_s": 10.0, "structures": 4.0}
WAVES: dict[str, Any] = {
    "wave_rate_hz": 0.5,
    "lamp_flicker": 0.02,
    "calcium_bleach_s": 20.0,
    "structures": 4.0,
}
DIM: dict[str, Any] = {"dff_max": 0.5}
CONDITIONS: dict[str, SimulationConfig] = {
    name: SimulationConfig(**PLAIN | changes)
    for name, changes in {
        "nothing else": {},
        "nothing else, ΔF/F0 .1–.5": DIM,
        "flicker 5 %, bleaching 10 s": LIGHT,
        "no events, flicker and bleaching": LIGHT | {"event_rate_hz": 0.0, "spark_rate_um2_s": 0.0},
        "waves, flicker, bleaching": WAVES,
        "waves, flicker, bleaching, ΔF/F0 .1–.5": WAVES | DIM,
        "weak waves (ΔF/F0 .3)": WAVES | {"wave_dff": 0.3},
        "wide waves (25 µm, the field's size)": WAVES | {"wave_width_um": 25.0},
        "waves, 15 photons": WAVES | {"calcium_rest_photons": 15.0},
    }.items()
}


@dataclass(slots=True)
class FieldScore:
    """Counts over the movies of one condition.

    `in_wave` counts puncta in frames with a wave's ΔF/F0 ≥ 0.1 there, `no_wave` those below 0.02; what lies
    between is not judged. False waves are those reported in a condition without any.
    """

    condition: str
    transients: TransientCounts = field(default_factory=TransientCounts)
    in_wave_flagged: int = 0
    in_wave: int = 0
    no_wave_flagged: int = 0
    no_wave: int = 0
    waves: int = 0
    false_waves_per_min: float | None = None

    @property
    def sensitivity(self) -> float:
        """Share of the puncta in a wave that are flagged; NaN without waves."""
        return self.in_wave_flagged / self.in_wave if self.in_wave else float("nan")

    @property
    def specificity(self) -> float:
        """Share of the puncta without a wave that are not flagged."""
        return 1 - self.no_wave_flagged / self.no_wave if self.no_wave else float("nan")


def run(out: Path | None, console: Console, movies: int = 6) -> list[FieldScore]:
    """Run the benchmark and print its tables.

    Parameters
    ----------
    out
        JSON file for the figures, or None.
    movies
        Movies of each condition.

    Raises
    ------
    OutputError
        If the figures cannot be written.
    """
    console.print(
        f"{'condition':42}{'true':>6}{'false':>6}{'prec.':>7}{'recall':>7}{'F1':>6}{'alone':>7}"
        f"{'|Δ| nm':>8}{'lag':>6}{'wave sens.':>11}{'spec.':>7}{'false waves/min':>16}",
        highlight=False,
    )
    scores = []
    for name, config in CONDITIONS.items():
        scores.append(_judge(name, config, range(TEST_SEED, TEST_SEED + movies)))
        s, t = scores[-1], scores[-1].transients
        false_waves = "" if s.false_waves_per_min is None else f"{s.false_waves_per_min:.1f}"
        console.print(
            f"{name:42}{t.n_true:6d}{t.n_false:6d}{t.precision:7.3f}{t.recall:7.3f}{t.f1:6.3f}{t.recall_alone:7.3f}"
            f"{t.median_error_nm:8.0f}{t.mean_lag:6.2f}{s.sensitivity:11.3f}{s.specificity:7.4f}{false_waves:>16}",
            highlight=False,
        )
    speed = {side: _cpu_ms(side) for side in SPEED_SIDES}
    for side, ms in speed.items():
        console.print(f"{side} × {side}: {ms:.2f} ms of CPU a frame", highlight=False)
    figures = [
        asdict(s) | {"sensitivity": s.sensitivity, "specificity": s.specificity} | s.transients.figures()
        for s in scores
    ]
    save_figures(out, {"results": [_plain(f) for f in figures], "cpu_ms": speed})
    return scores


def follow(config: SimulationConfig, frames: Sequence[FieldFrameTruth]) -> tuple[list[CalciumTransient], Any]:
    """Transients of a movie, and by frame whether each living punctum is flagged."""
    stage, flagged = CalciumField(CalciumConfig()), []
    found: list[CalciumTransient] = []
    for seq, frame in enumerate(frames):
        update = stage.step(seq, seq * config.interval_s, frame.photons)
        found += update.transients
        flagged.append(update.in_wave(*frame.puncta_xy.T))
    return [*found, *stage.flush()], flagged


def _judge(name: str, config: SimulationConfig, seeds: range) -> FieldScore:
    score = FieldScore(name)
    for seed in seeds:
        frames = list(field_movie(config, seed))
        found, flagged = follow(config, frames)
        for frame, said in list(zip(frames, flagged, strict=True))[SETTLING_FRAMES:]:
            inside, outside = frame.wave_dff >= IN_WAVE_DFF, frame.wave_dff < NO_WAVE_DFF
            score.in_wave += int(inside.sum())
            score.in_wave_flagged += int((inside & said).sum())
            score.no_wave += int(outside.sum())
            score.no_wave_flagged += int((outside & said).sum())
        score.waves += sum(t.is_wave for t in found)
        truth = [frame.begins for frame in frames]
        spots = [t for t in found if not t.is_wave]
        score.transients += score_transients(truth, spots, config, SETTLING_FRAMES)
    if config.wave_rate_hz == 0:
        judged_s = (config.n_frames - SETTLING_FRAMES) * config.interval_s * len(seeds)
        score.false_waves_per_min = score.waves / judged_s * 60
    return score


def _cpu_ms(side: int) -> float:
    """CPU time a frame of a movie with events, waves and flicker, ms; the fastest of three passes."""
    config = SimulationConfig(
        **PLAIN | WAVES | {"image_size": (side, side), "n_frames": SPEED_FRAMES // (side // 128)}
    )
    images = [frame.photons for frame in field_movie(config, TEST_SEED)]
    passes = []
    for _ in range(3):
        stage = CalciumField(CalciumConfig())
        for seq, image in enumerate(images):
            if seq == SETTLING_FRAMES:
                began = time.process_time()
            stage.step(seq, seq * config.interval_s, image)
        passes.append((time.process_time() - began) / (len(images) - SETTLING_FRAMES) * 1e3)
    return min(passes)


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    """Null for what is not a number, as JSON wants it."""
    return {
        key: None if isinstance(value, float) and np.isnan(value) else value for key, value in figures.items()
    }

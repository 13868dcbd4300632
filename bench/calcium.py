"""Calcium benchmark: whether calcium flows at a punctum, per punctum and frame, and event by event.

Frame by frame, the network against the calcium stage of the stream on the same frames and the same
localizations, those of the network. Events are judged in `bench.calcium_events`.
The seeds are used here only.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from acquire.frame import Frame
from bench.calcium_events import run_events
from bench.calcium_movies import TETHERED, CalciumFrameTruth, calcium_movie
from bench.ours import PLAIN_BACKEND
from bench.outputs import UsageError, save_figures
from model.card import SHIPPED_MODEL, read_model
from model.engines.network import NetworkEngine
from model.localizations import Localizations
from model.matching import match_localizations
from stream.calcium.detector import CalciumDetector
from stream.config import CalciumConfig, TrackerConfig
from stream.tracking.tracker import Tracker
from train.simulation_config import SimulationConfig

Bools = NDArray[np.bool_]

TEST_SEED = 70701
RADIUS_NM = 250.0
SETTLING_FRAMES = 20  # not judged: the baselines of both methods begin there
THRESHOLD = 0.5
NETWORK, STAGE = "network", "calcium stage"

PLAIN: dict[str, Any] = {"image_size": (128, 128), "n_frames": 120, "calcium_rest_photons": 100.0}
DISTRACTORS: dict[str, Any] = {
    "wave_rate_hz": 0.5,
    "spark_rate_um2_s": 0.05,
    "lamp_flicker": 0.02,
    "calcium_bleach_s": 20.0,
    "structures": 4.0,
}
CONDITIONS: dict[str, SimulationConfig] = {
    name: SimulationConfig(**PLAIN | changes)
    for name, changes in {
        "cytosolic, nothing else": {},
        "cytosolic, waves and sparks": DISTRACTORS,
        "cytosolic, waves and sparks, ΔF/F0 .1–.5": DISTRACTORS | {"dff_max": 0.5},
        "tethered, nothing else": TETHERED,
        "tethered, waves and sparks": TETHERED | DISTRACTORS,
    }.items()
}


@dataclass(frozen=True, slots=True)
class CalciumScore:
    """Counts over puncta and frames that were localized; what is neither open nor closed is left out."""

    condition: str
    method: str
    n_open: int
    n_closed: int
    n_closed_in_wave: int
    true_positive: int
    false_positive: int
    false_positive_in_wave: int

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        missed = self.n_open - self.true_positive
        return _ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + missed)

    @property
    def sensitivity(self) -> float:
        """Share of the open that are called open."""
        return _ratio(self.true_positive, self.n_open)

    @property
    def specificity(self) -> float:
        """Share of the closed that are called closed."""
        return 1 - _ratio(self.false_positive, self.n_closed)

    @property
    def specificity_in_wave(self) -> float:
        """The same inside waves; NaN without any."""
        return 1 - _ratio(self.false_positive_in_wave, self.n_closed_in_wave)


def run(out: Path | None, console: Console, movies: int = 6, model: Path | None = None) -> list[CalciumScore]:
    """Run the benchmark and print its tables.

    Parameters
    ----------
    out
        JSON file for the figures, or None.
    movies
        Movies of each condition.
    model
        A network's file; None takes the one that is shipped.

    Raises
    ------
    ModelError
        If it cannot be loaded.
    UsageError
        If it was not trained for calcium.
    OutputError
        If the figures cannot be written.
    """
    engine = _calcium_engine(model or SHIPPED_MODEL)
    console.print(
        f"{'condition':44}{'method':22}{'F1':>6}{'sens.':>7}{'spec.':>7}{'in waves':>9}"
        f"{'open':>7}{'closed':>8}"
    )
    scores = []
    for name, config in CONDITIONS.items():
        said: dict[str, list[Bools]] = {NETWORK: [], STAGE: []}
        truth: list[tuple[Bools, Bools, Bools]] = []
        for movie in range(movies):
            for frame_truth, answers in _judged_frames(config, TEST_SEED + movie, engine):
                truth.append(frame_truth)
                for method, answer in answers.items():
                    said[method].append(answer)
        for method, answers_of in said.items():
            scores.append(_score(name, method, truth, answers_of))
            s = scores[-1]
            console.print(
                f"{name:44}{method:22}{s.f1:6.3f}{s.sensitivity:7.3f}{s.specificity:7.3f}"
                f"{s.specificity_in_wave:9.3f}{s.n_open:7d}{s.n_closed:8d}",
                highlight=False,
            )
    figures = [
        asdict(s)
        | {
            "f1": s.f1,
            "sensitivity": s.sensitivity,
            "specificity": s.specificity,
            "specificity_in_wave": None if np.isnan(s.specificity_in_wave) else s.specificity_in_wave,
        }
        for s in scores
    ]
    events = run_events(console, movies, engine)
    save_figures(out, {"results": figures, "events": [s.as_dict() for s in events]})
    return scores


def _calcium_engine(model: Path) -> NetworkEngine:
    """The network for all movies: they share camera and PSF, and between movies it is as new."""
    if not read_model(model)[1].has_calcium:
        raise UsageError(f"{model} has no calcium decoder, so there is nothing to measure: train one on top")
    plain = SimulationConfig(**PLAIN)
    return NetworkEngine(plain.camera_model(), plain.psf_sigma_px, model=model, backend=PLAIN_BACKEND)


def _judged_frames(
    config: SimulationConfig, seed: int, engine: NetworkEngine
) -> Iterator[tuple[tuple[Bools, Bools, Bools], dict[str, Bools]]]:
    """Per frame what is true of the localized puncta (open, closed, in a wave), and what the methods say."""
    camera = config.camera_model()
    tracker = Tracker(TrackerConfig(), config.pixel_size_nm, config.interval_s)
    stage = CalciumDetector(CalciumConfig(indicator=config.indicator))
    frames: dict[int, CalciumFrameTruth] = {}

    def judge(
        answers: list[tuple[int, Localizations]],
    ) -> Iterator[tuple[tuple[Bools, Bools, Bools], dict[str, Bools]]]:
        for seq, found in answers:
            truth, time_s = frames.pop(seq), seq * config.interval_s
            tracks = tracker.step(seq, time_s, found)
            update = stage.step(seq, time_s, camera.to_photons(truth.counts[1]), found, tracks)
            if seq < SETTLING_FRAMES:
                continue
            xy = np.stack([found.x_px, found.y_px], axis=1)
            i, j = match_localizations(truth.xy * config.pixel_size_nm, xy * config.pixel_size_nm, RADIUS_NM)
            yield (
                (truth.is_open[i], truth.is_closed[i], truth.in_wave[i]),
                {NETWORK: found.calcium_probability[j] > THRESHOLD, STAGE: update.is_open[j]},
            )

    for seq, truth in enumerate(calcium_movie(config, seed)):
        frames[seq] = truth
        yield from judge(engine.step(Frame(seq, seq * config.interval_s, truth.counts)))
    yield from judge(engine.flush())


def _score(
    condition: str, method: str, truth: list[tuple[Bools, Bools, Bools]], said: list[Bools]
) -> CalciumScore:
    is_open, is_closed, in_wave = (np.concatenate(column) for column in zip(*truth, strict=True))
    yes = np.concatenate(said)
    return CalciumScore(
        condition,
        method,
        n_open=int(is_open.sum()),
        n_closed=int(is_closed.sum()),
        n_closed_in_wave=int((is_closed & in_wave).sum()),
        true_positive=int((yes & is_open).sum()),
        false_positive=int((yes & is_closed).sum()),
        false_positive_in_wave=int((yes & is_closed & in_wave).sum()),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")

"""Calcium events end to end: network, tracker and calcium stage on simulated movies, judged event by event.

Beside them the rule of thumb (`bench.calcium_roi`) on the same tracks in the same run. The seeds are used
here only; thresholds were fixed on others.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from acquire.frame import Frame
from bench.calcium_event_movies import EventFrame, event_movie
from bench.calcium_movies import TETHERED
from bench.calcium_roi import SquareRule
from model.engines.base import Engine
from model.localizations import Localizations
from stream.calcium.detector import CalciumDetector
from stream.calcium.telling import RISE_10_90
from stream.config import CalciumConfig, TrackerConfig
from stream.results import NO_TRACK, CalciumEvent
from stream.tracking.tracker import Tracker
from train.evaluate_events import match_events
from train.simulation_config import SimulationConfig

Array = NDArray[np.float64]

TEST_SEED = 72301
RADIUS_NM, TOLERANCE_FRAMES = 250.0, 3
STAGE, SQUARE = "calcium stage", "5 × 5 pixels, 2 sd"

MOVIE: dict[str, Any] = {
    "image_size": (128, 128),
    "n_frames": 300,
    "num_puncta_mean": 40.0,
    "calcium_rest_photons": 100.0,
    "calcium_bleach_s": 20.0,
}
# About 3 waves and 60 sparks a movie.
DISTRACTORS: dict[str, Any] = {"wave_rate_hz": 0.4, "spark_rate_um2_s": 0.021}
BRIGHT: dict[str, Any] = {"structures": 8.0, "background_photons": 60.0, "background_blobs": 10.0}
CONDITIONS: dict[str, SimulationConfig] = {
    name: SimulationConfig(**MOVIE | changes)
    for name, changes in {
        "clean": {},
        "waves and sparks": DISTRACTORS,
        "waves and sparks, bright background": DISTRACTORS | BRIGHT,
        "ΔF/F0 .1–.5": {"dff_max": 0.5},
        "ΔF/F0 .1–.5, waves and sparks": DISTRACTORS | {"dff_max": 0.5},
        "tethered": TETHERED,
        "tethered, waves and sparks": TETHERED | DISTRACTORS,
    }.items()
}


@dataclass(frozen=True, slots=True)
class EventScore:
    """Events of one method in all movies of a condition; NaN where there is nothing to judge.

    Attributes
    ----------
    n_true, n_found, n_matched
        Events; a found one is right if its onset lies within ±3 frames and its place at the peak within
        250 nm of a true one's, one to one.
    n_false_in_wave
        Of the false ones, those that peak inside a wave.
    track_minutes
        What the tracks last, together.
    onset_bias_frames, onset_lag_frames
        Mean of found − true onset of the matched, and median of its absolute value.
    amplitude_bias, amplitude_error, decay_bias, decay_error, rise_error_frames
        Median of found / true − 1 of the matched, and of its absolute value; of the rise from 10 to 90 %,
        median of |found − true| in frames.
    """

    condition: str
    method: str
    n_true: int
    n_found: int
    n_matched: int
    n_false_in_wave: int
    track_minutes: float
    onset_bias_frames: float
    onset_lag_frames: float
    amplitude_bias: float
    amplitude_error: float
    rise_error_frames: float
    decay_bias: float
    decay_error: float

    @property
    def precision(self) -> float:
        """Share of the found that are right."""
        return self.n_matched / self.n_found if self.n_found else math.nan

    @property
    def recall(self) -> float:
        """Share of the true ones that were found."""
        return self.n_matched / self.n_true if self.n_true else math.nan

    @property
    def f1(self) -> float:
        """2 matched / (true + found)."""
        return 2 * self.n_matched / max(self.n_true + self.n_found, 1)

    @property
    def false_per_track_minute(self) -> float:
        """False events over the time that tracks last."""
        return (self.n_found - self.n_matched) / self.track_minutes if self.track_minutes else math.nan

    def as_dict(self) -> dict[str, Any]:
        """Everything by name, None for NaN, as JSON wants it."""
        values = asdict(self) | {
            name: getattr(self, name) for name in ("precision", "recall", "f1", "false_per_track_minute")
        }
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}


@dataclass(frozen=True, slots=True)
class Judged:
    """One method on one movie: its events, the true ones, and the pairs (rows of either)."""

    true: pd.DataFrame
    found: pd.DataFrame
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]]
    n_false_in_wave: int
    track_minutes: float


def run_events(console: Console, movies: int, engine: Engine) -> list[EventScore]:
    """Run all conditions, print the table and give the figures; movies share the engine and its camera."""
    console.print(
        f"\n{'events: condition':38}{'method':24}{'F1':>6}{'prec.':>7}{'recall':>7}{'lag':>5}{'bias':>7}"
        f"{'amplitude':>11}{'rise':>6}{'decay':>12}{'false/min':>10}{'in waves':>9}{'true':>6}"
    )
    scores = []
    for name, config in CONDITIONS.items():
        judged: dict[str, list[Judged]] = {}
        for movie in range(movies):
            for method, result in judge_movie(config, TEST_SEED + movie, engine).items():
                judged.setdefault(method, []).append(result)
        for method, results in judged.items():
            s = score(name, method, results, config)
            scores.append(s)
            console.print(
                f"{name:38}{method:24}{s.f1:6.3f}{s.precision:7.3f}{s.recall:7.3f}{s.onset_lag_frames:5.1f}"
                f"{s.onset_bias_frames:+7.2f}{s.amplitude_bias:+6.0%}±{s.amplitude_error:4.0%}"
                f"{s.rise_error_frames:6.1f}{s.decay_bias:+7.0%}±{s.decay_error:4.0%}"
                f"{s.false_per_track_minute:10.2f}{s.n_false_in_wave:9d}{s.n_true:6d}",
                highlight=False,
            )
    return scores


def judge_movie(config: SimulationConfig, seed: int, engine: Engine) -> dict[str, Judged]:
    """All methods on one movie, each with the network's localizations and the same tracks."""
    tracker = Tracker(TrackerConfig(), config.pixel_size_nm, config.interval_s)
    calcium = CalciumConfig(indicator=config.indicator)
    stage, square = CalciumDetector(calcium), SquareRule()
    events: list[CalciumEvent] = []
    camera = config.camera_model()
    shown: dict[int, EventFrame] = {}
    frames: list[EventFrame] = []
    lives: dict[int, tuple[int, int]] = {}

    def take(answers: list[tuple[int, Localizations]]) -> None:
        for seq, found in answers:
            time_s, image = seq * config.interval_s, camera.to_photons(shown.pop(seq).counts[1])
            tracks = tracker.step(seq, time_s, found)
            events.extend(stage.step(seq, time_s, image, found, tracks).events)
            square.step(seq, image, found, tracks)
            for track in tracks.track_id[tracks.track_id != NO_TRACK].tolist():
                lives[track] = (lives.get(track, (seq, seq))[0], seq)

    for seq, frame in enumerate(event_movie(config, seed)):
        shown[seq] = frame
        frames.append(EventFrame(frame.counts[:, :0, :0], frame.peaks, frame.wave))
        take(engine.step(Frame(seq, seq * config.interval_s, frame.counts)))
    take(engine.flush())
    events.extend(stage.flush())
    minutes = sum(lives[t][1] - lives[t][0] + 1 for t in square.confirmed) * config.interval_s / 60
    true = truth_table(frames, config.pixel_size_nm)
    found = {
        STAGE: event_table(events, config.pixel_size_nm),
        SQUARE: square.events(config.pixel_size_nm),
    }
    return {
        method: _judge(true, table, [f.wave for f in frames], config.pixel_size_nm, minutes)
        for method, table in found.items()
    }


def truth_table(frames: list[EventFrame], pixel_size_nm: float) -> pd.DataFrame:
    """The true events of a movie, one row each, positions in nm."""
    rows = [asdict(peak) for frame in frames for peak in frame.peaks]
    columns = ["track_id", "onset_frame", "peak_frame", "amplitude_dff", "decay_frames", "x_px", "y_px"]
    return _in_nm(pd.DataFrame(rows, columns=columns), pixel_size_nm)


def event_table(events: list[CalciumEvent], pixel_size_nm: float) -> pd.DataFrame:
    """Found events as a table, positions in nm."""
    columns = ["track_id", "onset_frame", "peak_frame", "amplitude_dff", "rise_s", "decay_s", "x_px", "y_px"]
    return _in_nm(pd.DataFrame([asdict(e) for e in events], columns=columns), pixel_size_nm)


def _in_nm(table: pd.DataFrame, pixel_size_nm: float) -> pd.DataFrame:
    places = {"x_nm": table.pop("x_px") * pixel_size_nm, "y_nm": table.pop("y_px") * pixel_size_nm}
    return table.assign(**places)


def _judge(
    true: pd.DataFrame,
    found: pd.DataFrame,
    waves: list[NDArray[np.bool_]],
    pixel_size_nm: float,
    minutes: float,
) -> Judged:
    pairs = match_events(true, found, RADIUS_NM, TOLERANCE_FRAMES)
    false = found.drop(index=found.index[pairs[1]])
    in_wave = 0
    for frame, x_nm, y_nm in zip(false["peak_frame"], false["x_nm"], false["y_nm"], strict=True):
        wave = waves[min(int(frame), len(waves) - 1)]
        row = min(max(round(y_nm / pixel_size_nm), 0), wave.shape[0] - 1)
        column = min(max(round(x_nm / pixel_size_nm), 0), wave.shape[1] - 1)
        in_wave += int(wave[row, column])
    return Judged(true, found, pairs, in_wave, minutes)


def score(condition: str, method: str, results: list[Judged], config: SimulationConfig) -> EventScore:
    """Figures over all movies of a condition."""

    def of_pairs(name: str, of: str) -> tuple[Array, Array]:
        true = [r.true[of].to_numpy(np.float64)[r.pairs[0]] for r in results]
        found = [
            r.found[name].to_numpy(np.float64)[r.pairs[1]]
            if name in r.found
            else np.full(len(r.pairs[1]), np.nan)
            for r in results
        ]
        return np.concatenate(true), np.concatenate(found)

    onset, amplitude = of_pairs("onset_frame", "onset_frame"), of_pairs("amplitude_dff", "amplitude_dff")
    decay, rise = of_pairs("decay_s", "decay_frames"), of_pairs("rise_s", "decay_frames")[1]
    lag, amplitude_error = onset[1] - onset[0], amplitude[1] / amplitude[0] - 1
    decay_error = decay[1] / config.interval_s / decay[0] - 1
    rise_error = np.abs(rise / config.interval_s - RISE_10_90 * config.event_rise_frames)
    return EventScore(
        condition=condition,
        method=method,
        n_true=sum(len(r.true) for r in results),
        n_found=sum(len(r.found) for r in results),
        n_matched=len(lag),
        n_false_in_wave=sum(r.n_false_in_wave for r in results),
        track_minutes=sum(r.track_minutes for r in results),
        onset_bias_frames=float(lag.mean()) if len(lag) else math.nan,
        onset_lag_frames=_median(np.abs(lag)),
        amplitude_bias=_median(amplitude_error),
        amplitude_error=_median(np.abs(amplitude_error)),
        rise_error_frames=_median(rise_error),
        decay_bias=_median(decay_error),
        decay_error=_median(np.abs(decay_error)),
    )


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else math.nan

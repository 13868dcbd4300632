"""Gating benchmark: open or closed, frame by frame, of channels with a tethered indicator that blinks.

Against the half-amplitude threshold of patch-clamp idealisation (Colquhoun & Sigworth, in Single-Channel
Recording (1995)), which is told every spot's true levels; once as it is, and once with a second threshold at
half of the resting light, below which it gives no answer. The seeds are used here only.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from acquire.frame import Frame
from bench.gating_movies import GatingFrame, gating_movie
from bench.gating_score import NOT_THERE, Calls, GatingScore, score_gating
from bench.gating_traces import GatingScene, Traces, simulate_traces
from bench.ours import PLAIN_BACKEND
from bench.outputs import save_figures
from model.engines.network import NetworkEngine
from model.localizations import Localizations
from model.matching import match_localizations
from model.optics import Array, add_gaussians
from stream.calcium.detector import CalciumDetector
from stream.calcium.photometry import measure_spots
from stream.config import CalciumConfig, TrackerConfig
from stream.gating.idealisation import Gating
from stream.results import CLOSED, OPEN, UNCERTAIN
from stream.tracking.tracker import Tracker
from train.simulation_config import SimulationConfig

TEST_SEED = 80811
SPOTS, FRAMES = 100, 600
SETTLING_FRAMES = 20  # not judged: nobody knows the resting light before
RADIUS_NM = 250.0
TIMED_TRACKS, TIMED_FRAMES = 200, 200
OURS, HALF, HALF_DARK = "hidden Markov", "half amplitude", "half amplitude, dark"

SCENES: dict[str, GatingScene] = {
    f"{photons} photons, ΔF/F0 {dff:g}": GatingScene(photons=photons, dff=dff)
    for photons in (50, 100, 200, 500, 1000)
    for dff in (0.5, 1, 2, 3)
} | {
    f"200 photons, ΔF/F0 1, {name}": scene
    for name, scene in {
        "open 4, closed 20 frames": GatingScene(open_frames=4, closed_frames=20),
        "open 60, closed 300 frames": GatingScene(open_frames=60, closed_frames=300),
        "open 60, closed 30 frames": GatingScene(open_frames=60, closed_frames=30),
        "never open": GatingScene(open_frames=0),
        "no blinks": GatingScene(dark_frames=0),
        "blinks of 20 frames": GatingScene(dark_frames=20, lit_frames=100),
        "3 fluorophores": GatingScene(n_fluorophores=3, lit_frames=100),
        "3 fluorophores of ΔF/F0 3": GatingScene(n_fluorophores=3, lit_frames=100, dff=3),
        "3 fluorophores, never open": GatingScene(n_fluorophores=3, lit_frames=100, open_frames=0),
    }.items()
}
# 250 frames/s; spots gate by the scene, so the simulator's own events and blinks are off.
MOVIE: dict[str, Any] = {
    "image_size": (128, 128),
    "n_frames": 300,
    "interval_ms": 4.0,
    "indicator": "tethered",
    "event_rate_hz": 0.0,
    "indicator_off_probability": 0.0,
    "calcium_rest_photons": 10.0,
    "mean_life_frames": 2000.0,
}
MOVIES: dict[str, tuple[SimulationConfig, GatingScene]] = {
    name: (SimulationConfig(**MOVIE | changes), GatingScene(dff=dff))
    for name, dff, changes in (
        ("100 photons, ΔF/F0 1", 1.0, {"spot_photons": 100.0}),
        ("200 photons, ΔF/F0 1", 1.0, {"spot_photons": 200.0}),
        ("200 photons, ΔF/F0 2", 2.0, {"spot_photons": 200.0}),
        ("500 photons, ΔF/F0 2", 2.0, {"spot_photons": 500.0}),
        ("200 photons, ΔF/F0 2, waves", 2.0, {"wave_rate_hz": 3.0, "wave_speed_um_s": 50.0}),
        ("200 photons, ΔF/F0 2, EMCCD", 2.0, {"camera": "emccd"}),
        ("200 photons, ΔF/F0 2, 0.8/µm²", 2.0, {"puncta_per_um2": 0.8}),
    )
}


def run(
    out: Path | None, console: Console, *, movies: bool = True, spots: int = SPOTS
) -> list[dict[str, Any]]:
    """Run the benchmark and print its tables.

    Parameters
    ----------
    out
        JSON file for the figures, or None.
    movies
        Also measure on movies, at true positions and through network and tracker.
    spots
        Spots of each condition's traces.

    Raises
    ------
    OutputError
        If the figures cannot be written.
    """
    console.print(
        f"{'condition':54}{'method':34}{'uncert.':>8}{'balanced':>9}{'sens.':>7}{'spec.':>7}"
        f"{'blinks: closing':>16}{'opening':>12}{'uncert.':>8}{'dwell':>7}"
    )
    results = []

    def tell(condition: str, method: str, score: GatingScore) -> None:
        results.append({"condition": condition, "method": method, "balanced": score.balanced} | asdict(score))
        s = score
        console.print(
            f"{condition:54}{method:34}{s.uncertain:8.3f}{s.balanced:9.3f}{s.sensitivity:7.3f}"
            f"{s.specificity:7.3f}{f'{s.read_as_closing}/{s.blinks_open}':>16}"
            f"{f'{s.read_as_opening}/{s.blinks_closed}':>12}{s.uncertain_in_blinks:8.3f}{s.dwell:7.2f}",
            highlight=False,
        )

    for name, scene in SCENES.items():
        traces = simulate_traces(scene, spots, FRAMES, TEST_SEED)
        answers = {OURS: idealise(traces)} | half_amplitude(traces.photons, traces.rest, scene.dff)
        for method, calls in answers.items():
            tell(name, method, _judge(calls, traces.open_share, traces.lit_share))
    for name, (config, scene) in MOVIES.items() if movies else ():
        for method, score in _movie_scores(config, scene):
            tell(name, method, score)
    cpu_ms = _cpu_ms()
    console.print(f"CPU at {TIMED_TRACKS} tracks: {cpu_ms:.2f} ms a frame")
    save_figures(out, {"cpu_ms_200_tracks": cpu_ms, "results": results})
    return results


def idealise(traces: Traces) -> Calls:
    """What the stage says of traces, (N, T)."""
    gating, ids = Gating(CalciumConfig()), np.arange(len(traces.rest))
    return np.stack([gating.follow(ids, 1, traces.frame(t)) for t in range(traces.photons.shape[1])], axis=1)


def half_amplitude(photons: Array, rest: Array, dff: float) -> dict[str, Calls]:
    """The peers' answers (N, T), told the resting photons (N,) and ΔF/F0."""
    calls = np.where(photons > rest[:, None] * (1 + dff / 2), OPEN, CLOSED).astype(np.int8)
    calls[~np.isfinite(photons)] = NOT_THERE
    dark = photons < rest[:, None] / 2
    return {HALF: calls, HALF_DARK: np.where(dark, UNCERTAIN, calls).astype(np.int8)}


def _judge(calls: Calls, open_share: Array, lit_share: Array) -> GatingScore:
    judged = slice(SETTLING_FRAMES, None)
    return score_gating(calls[:, judged], open_share[:, judged], lit_share[:, judged])


def _movie_scores(config: SimulationConfig, scene: GatingScene) -> Iterator[tuple[str, GatingScore]]:
    """Scores at true positions, of the peers there, and through network and tracker."""
    camera, settings = config.camera_model(), CalciumConfig()
    frames = list(gating_movie(config, scene, TEST_SEED))
    rows = {track: i for i, track in enumerate(np.unique(np.concatenate([f.track_id for f in frames])))}
    shape = (len(rows), len(frames))
    calls, photons = np.full(shape, NOT_THERE, np.int8), np.full(shape, np.nan)
    open_share, lit_share = np.zeros(shape), np.zeros(shape)
    gating = Gating(settings)
    annulus = (settings.annulus_inner_px, settings.annulus_outer_px)
    for t, frame in enumerate(frames):
        order = np.argsort(frame.track_id)
        x, y = np.ascontiguousarray(frame.xy[order].T)
        measured = measure_spots(camera.to_photons(frame.counts[1]), x, y, settings.core_sigma_px, annulus)
        row = [rows[track] for track in frame.track_id[order]]
        calls[row, t] = gating.follow(frame.track_id[order], 1, measured)
        photons[row, t] = measured.photons
        open_share[row, t], lit_share[row, t] = frame.open_share[order], frame.lit_share[order]
    yield f"{OURS}, true positions", _judge(calls, open_share, lit_share)

    at_rest = np.where((open_share == 0) & (lit_share == 1), photons, np.nan)
    known = np.isfinite(at_rest).any(axis=1)
    rest = np.nanmedian(at_rest[known], axis=1)
    for method, answer in half_amplitude(photons[known], rest, scene.dff).items():
        yield f"{method}, true positions", _judge(answer, open_share[known], lit_share[known])
    found = _through_network(config, frames, rows)
    yield f"{OURS}, network and tracker", _judge(found, open_share, lit_share)


def _through_network(config: SimulationConfig, frames: list[GatingFrame], rows: dict[int, int]) -> Calls:
    """What the stage says at the tracks of puncta that the network found, given to the puncta nearby."""
    camera = config.camera_model()
    engine = NetworkEngine(camera, config.psf_sigma_px, backend=PLAIN_BACKEND)
    tracker = Tracker(TrackerConfig(), config.pixel_size_nm, config.interval_s)
    stage = CalciumDetector(CalciumConfig(indicator="tethered"))
    calls = np.full((len(rows), len(frames)), NOT_THERE, np.int8)

    def take(answers: list[tuple[int, Localizations]]) -> None:
        for t, found in answers:
            frame, time_s = frames[t], t * config.interval_s
            tracks = tracker.step(t, time_s, found)
            update = stage.step(t, time_s, camera.to_photons(frame.counts[1]), found, tracks)
            x = np.concatenate([found.x_px, tracks.gap_x_px])
            y = np.concatenate([found.y_px, tracks.gap_y_px])
            state = np.concatenate([update.state, update.gap_state])
            nm = config.pixel_size_nm
            i, j = match_localizations(frame.xy * nm, np.stack([x, y], axis=1) * nm, RADIUS_NM)
            calls[[rows[track] for track in frame.track_id[i]], t] = state[j]

    for t, frame in enumerate(frames):
        take(engine.step(Frame(t, t * config.interval_s, frame.counts)))
    take(engine.flush())
    return calls


def _cpu_ms() -> float:
    """CPU time of one frame, photometry included; the first frames compile."""
    rng = np.random.default_rng(TEST_SEED)
    x, y = rng.uniform(0, 255, (2, TIMED_TRACKS))
    image = np.full((256, 256), 10.0, np.float32)
    add_gaussians(image, x, y, np.full(TIMED_TRACKS, 200.0), np.full(TIMED_TRACKS, 1.5))
    images = rng.poisson(image, (10, *image.shape)).astype(np.float32)
    gating, ids = Gating(CalciumConfig()), np.arange(TIMED_TRACKS)
    for warm in images:
        gating.step(ids, 1, warm, x, y)
    began = time.process_time()
    for t in range(TIMED_FRAMES):
        gating.step(ids, 1, images[t % 10], x, y)
    return (time.process_time() - began) / TIMED_FRAMES * 1e3

"""Memory of the tracker and the calcium stage over very many frames."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import psutil

from bench.tracking_ledger import Ledger
from bench.tracking_methods import INTERVAL_S, PIXEL_NM
from bench.tracking_scene import TrackingFrame, TrackingScene, simulate_frames
from model.optics import Array
from stream.calcium.detector import CalciumDetector
from stream.config import CalciumConfig, TrackerConfig
from stream.tracking.tracker import Tracker

SEED = 91301
SMALL = TrackingScene(name="endurance", n_puncta=20, side_px=64.0, n_frames=500)
SAMPLES = 50  # of the memory
WARM_UP = 100  # frames that are not timed: numba compiles


def endurance(n_frames: int, scene: TrackingScene = SMALL) -> dict[str, Any]:
    """Tracker and calcium stage on the same few frames, forth and back; slope of the process' memory."""
    frames, _ = simulate_frames(scene, SEED)
    side = round(scene.side_px)
    noise = np.random.default_rng(SEED).poisson(20.0, (16, side, side)).astype(np.float32)
    tracker, stage = Tracker(TrackerConfig(), PIXEL_NM, INTERVAL_S), CalciumDetector(CalciumConfig())
    ledger, process = Ledger(), psutil.Process()
    at, mib = [], []
    began = 0.0
    for seq, frame in enumerate(to_and_fro(frames, n_frames)):
        if seq == WARM_UP:
            began = time.process_time()
        update = tracker.step(seq, seq * INTERVAL_S, frame.found)
        ledger.add(seq, update, len(frame.found))
        stage.step(seq, seq * INTERVAL_S, noise[seq % len(noise)], frame.found, update)
        if (seq + 1) % (n_frames // SAMPLES) == 0:
            at.append(seq)
            mib.append(process.memory_info().rss / 2**20)
    ms = (time.process_time() - began) * 1e3 / (n_frames - WARM_UP)
    ledger.finish(tracker.flush())
    settled = SAMPLES // 10  # libraries load and compile at the beginning
    return {
        "n_frames": n_frames,
        "slope_bytes": _slope(np.array(at[settled:], np.float64), np.array(mib[settled:])) * 2**20,
        "first_mib": mib[settled],
        "last_mib": mib[-1],
        "ms_per_frame": ms,
        "n_born": ledger.n_born,
        "problems": ledger.problems,
    }


def to_and_fro(frames: Sequence[TrackingFrame], n_frames: int) -> Iterator[TrackingFrame]:
    """As many frames as wanted: a random walk looks the same backwards."""
    period = 2 * len(frames) - 2
    for k in range(n_frames):
        yield frames[min(k % period, period - k % period)]


def _slope(x: Array, y: Array) -> float:
    x = x - x.mean()
    return float(x @ y / (x @ x))

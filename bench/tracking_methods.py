"""Who takes part in the tracking benchmark, and our own tracker and the ceiling among them."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.tracking_scoring import Linked, TrackingMovie
from stream.config import TrackerConfig
from stream.results import NO_TRACK
from stream.tracking.population import Population
from stream.tracking.tracker import Tracker

PIXEL_NM, INTERVAL_S = 108.0, 0.05  # all that our tracker is told
OURS, ORACLE = "piezo1", "true identities"


@dataclass(frozen=True, slots=True)
class TrackingMethod:
    """A method: its name, its setting in words, and what links a movie's localizations."""

    name: str
    setting: str
    link: Callable[[TrackingMovie], Linked]


def our_method() -> TrackingMethod:
    """The online tracker as it comes."""
    return TrackingMethod(OURS, "defaults", _link_online)


def oracle() -> TrackingMethod:
    """What perfect linking of these localizations would score."""
    return TrackingMethod(ORACLE, "", _link_truly)


def _link_online(movie: TrackingMovie) -> Linked:
    tracker = Tracker(TrackerConfig(), PIXEL_NM, INTERVAL_S)
    track_id, dropped, cpu_ms, wall_ms = [], [], [], []
    for seq, frame in enumerate(movie.frames):
        cpu, wall = time.process_time(), time.perf_counter()
        update = tracker.step(seq, seq * INTERVAL_S, frame.found)
        wall_ms.append((time.perf_counter() - wall) * 1e3)
        cpu_ms.append((time.process_time() - cpu) * 1e3)
        track_id.append(update.track_id)
        dropped.append(update.dropped)
    dropped.append(tracker.flush().dropped)
    ids = np.concatenate(track_id)
    ids[np.isin(ids, np.concatenate(dropped))] = NO_TRACK  # it says itself that they were none
    return Linked(ids, np.array(cpu_ms), np.array(wall_ms), _learnt(tracker.population))


def _learnt(population: Population) -> str:
    """What the tracker found out about the recording, in words."""
    classes = zip(population.diffusion_px2_s * INTERVAL_S, population.class_share, strict=True)
    diffusion = ", ".join(f"{d:.3g} ({share:.0%})" for d, share in classes)
    photon_sd = math.sqrt(population.photon_variance)
    return f"D {diffusion} px²/frame, scatter of ln photons {photon_sd:.2f}"


def _link_truly(movie: TrackingMovie) -> Linked:
    nothing = np.full(1, np.nan)
    return Linked(movie.found["emitter"].to_numpy(np.int64), nothing, nothing)

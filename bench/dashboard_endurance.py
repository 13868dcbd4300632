"""Memory of the dashboard over a long run: the real window, fed results as fast as it takes them."""

import gc
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console

from acquire.frame import Frame
from bench.outputs import save_figures
from model.localizations import Localizations
from stream import wire
from stream.results import (
    NO_IDS,
    CalciumEvent,
    CalciumTransient,
    CalciumUpdate,
    Column,
    FrameResult,
    TrackUpdate,
)
from stream.watch.news import Link, News

INTERVAL_S, SIDE, N_TRACKS = 0.01, 64, 50
PER_TICK = 10  # results; with a window that is slower than it should be, that many come at once
PAINT_EVERY = 200  # ticks
MEASURE_EVERY = 10_000  # results
LINK = Link("watching", "watching the endurance run")


def session(interval_s: float = INTERVAL_S) -> wire.Session:
    """Of a run with small pictures, so that the buffers of pictures are full soon."""
    return wire.Session(
        "endurance", "made up", "live", "runs/endurance", "here", (2, SIDE, SIDE), None, interval_s, 108.0, 16,
        "live", True, None, "none", "", [],
    )  # fmt: skip


@dataclass(slots=True)
class LongRun:
    """News of a run without an end: tracks are born and die, channels open, waves pass.

    It stands in for the client: `take` gives the news of the next tick, a clock's `now_s` goes with it.
    """

    n_tracks: int = N_TRACKS
    seed: int = 0
    now_s: float = 0.0
    seq: int = 0
    n_events: int = 0

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._ids = np.arange(self.n_tracks)
        self._places = self._random.uniform(2, SIDE - 2, (self.n_tracks, 2)).astype(np.float32)
        self._next = self.n_tracks
        self._pixels = self._random.integers(90, 400, (8, 2, SIDE, SIDE), np.uint16)

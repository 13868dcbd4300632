"""What the panels beside the images draw: traces, events, histograms, counters, health."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream.results import CalciumEvent

Array = NDArray[np.float64]
Level = Literal["ok", "caution", "alarm"]


@dataclass(frozen=True, slots=True)
class TraceMark:
    """An event on a trace: row of the trace, when it began, peaked and ended (s), and its ΔF/F0."""

    row: int
    onset_s: float
    peak_s: float
    end_s: float
    amplitude_dff: float
    event_id: int


@dataclass(frozen=True, slots=True)
class TraceView:
    """ΔF/F0 of some tracks.

    Attributes
    ----------
    track_id
        (n,) tracks from top to bottom.
    time_s
        (T,) times of the frames, those that are missing left out.
    dff
        (n, T) ΔF/F0, NaN where a track did not live or nothing could be measured.
    threshold_dff
        (n,) ΔF/F0 above which an event is told at present, as far as it can be known; NaN elsewhere.
    is_selected
        (n,) whether the user chose it; the others are the most active ones.
    marks
        Events on these tracks within this time.
    now_s
        The moment that the images show.
    """

    track_id: NDArray[np.int64]
    time_s: Array
    dff: NDArray[np.float32]
    threshold_dff: NDArray[np.float32]
    is_selected: NDArray[np.bool_]
    marks: tuple[TraceMark, ...]
    now_s: float


@dataclass(frozen=True, slots=True)
class EventView:
    """The newest calcium events, oldest first, how many there were in all, and which of them is selected."""

    events: tuple[CalciumEvent, ...]
    n_all: int
    selected: int | None


@dataclass(frozen=True, slots=True)
class RasterView:
    """Events over time: onset and end (s) and row of each (n,), and the track of each row (m,)."""

    onset_s: Array
    end_s: Array
    row: NDArray[np.int64]
    track_id: NDArray[np.int64]
    now_s: float


@dataclass(frozen=True, slots=True)
class HistogramView:
    """One live histogram.

    Attributes
    ----------
    name, unit
        E.g. "diffusion coefficient" and "µm²/s".
    edges, counts
        (b + 1,) and (b,).
    is_log
        Whether the edges are equidistant in the logarithm.
    n, median
        Number of values, those outside the edges counted too, and their median, NaN without any.
    """

    name: str
    unit: str
    edges: Array
    counts: NDArray[np.int64]
    is_log: bool
    n: int
    median: float


@dataclass(frozen=True, slots=True)
class Counter:
    """A number with its name and unit as text, and a sentence that explains it."""

    name: str
    text: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One item of the health bar.

    Attributes
    ----------
    name, text
        E.g. "latency" and "12 ms (p99 31)".
    level
        How it is; caution is drawn amber, alarm red.
    word
        The same in a word or two for who does not see colours, e.g. "slow"; empty where all is well.
    meaning
        A sentence that says what it is, its limit, and what to do about it.
    """

    name: str
    text: str
    level: Level = "ok"
    word: str = ""
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Badge:
    """What is watched: LIVE, REPLAY or SIMULATION (or NO RUN), and a sentence."""

    kind: Literal["live", "replay", "simulation", "none"]
    text: str

"""Whether calcium rises at puncta more often than by chance: counts, distances, and nulls for both.

Transients found anywhere in the field, without looking at the puncta, are held against the puncta of the
same frames. Two nulls answer two questions (`stream.cooccurrence.null` says how they are made):

- *space*: do puncta sit where calcium rises? A punctum that rests beside a busy site for the whole movie
  counts here.
- *time*: does calcium rise when a punctum is there? Only puncta that come, go or move can tell; one that
  rests through a quarter of the recording is there after every shift, too.

Neither says what causes what. What both share on a scale finer than the shifts looks like an association:
in space, structures under about 3 µm that attract both (the edge of a cell, adhesions); in time, faults
shorter than a quarter of the recording that hide both (a loss of focus).
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.special import chdtri

from stream.cooccurrence.null import Array, Field, Frames, Shifts

Counts = NDArray[np.int64]

RADIUS_NM = 250.0  # as for all that is matched
N_SHIFTS = 999
CONFIDENCE = 0.95
BIN_EDGES_NM: Array = np.linspace(0.0, 2000.0, 21)
QUESTIONS = {
    "space": "do puncta sit where calcium rises?",
    "time": "does calcium rise when a punctum is there?",
}


@dataclass(frozen=True, slots=True)
class NullTest:
    """Observed against shifted.

    Attributes
    ----------
    question
        What this null asks.
    n_shifts, expected
        Number of shifts, and transients with a punctum within the radius after a shift, mean.
    rate_ratio, rate_ratio_low, rate_ratio_high
        Observed over expected, and its 95 % confidence interval: that of a Poisson count (Garwood,
        Biometrika 28, 437 (1936)), with the ratio of variance and mean that the shifts show, since the
        transients of a site are not independent. NaN where nothing is expected.
    p_more, p_less, p_two_sided
        (k + 1) / (n + 1) with the k shifts that give as many or more (as many or fewer); twice the lesser.
    distance_mean, distance_low, distance_high
        (bins + 1,) transients by distance to the nearest punctum, as `CoOccurrence.distance_counts`: mean
        over the shifts and the envelope that holds 95 % of them, bin by bin.
    """

    question: str
    n_shifts: int
    expected: float
    rate_ratio: float
    rate_ratio_low: float
    rate_ratio_high: float
    p_more: float
    p_less: float
    p_two_sided: float
    distance_mean: Array
    distance_low: Array
    distance_high: Array


@dataclass(frozen=True, slots=True)
class CoOccurrence:
    """How often puncta and calcium transients meet.

    Attributes
    ----------
    n_transients, n_at_puncta, radius_nm
        Transients, and those with a punctum within the radius in the frame of their peak.
    bin_edges_nm, distance_counts
        (bins + 1,) and (bins + 1,): transients by the distance from their place to the nearest punctum in
        the frame of their peak; the last count is of those beyond the last edge.
    space, time
        The tests.
    seed
        Of the shifts.
    """

    n_transients: int
    n_at_puncta: int
    radius_nm: float
    bin_edges_nm: Array
    distance_counts: Counts
    space: NullTest
    time: NullTest
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Everything by name, lists for arrays, None for NaN: as JSON wants it."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    def summary(self) -> list[str]:
        """Lines for people."""
        lines = [
            f"transients {self.n_transients}, {self.n_at_puncta} of them with a punctum within "
            f"{self.radius_nm:.0f} nm at their peak"
        ]
        for name, test in (("space", self.space), ("time", self.time)):
            if not math.isfinite(test.rate_ratio_high):
                lines.append(f"{name:10} cannot be told, as every shift gives the same: {test.question}")
                continue
            lines.append(
                f"{name:10} {test.expected:.1f} expected: ratio {test.rate_ratio:.2f} "
                f"({test.rate_ratio_low:.2f} to {test.rate_ratio_high:.2f}), p {test.p_more:.3g} for more, "
                f"{test.p_two_sided:.3g} two-sided: {test.question}"
            )
        return lines


def cooccurrence(
    puncta: pd.DataFrame,
    transients: pd.DataFrame,
    field: Field,
    *,
    radius_nm: float = RADIUS_NM,
    n_shifts: int = N_SHIFTS,
    seed: int = 0,
) -> CoOccurrence:
    """Count the transients at puncta and test the count against shifts in space and in time.

    Parameters
    ----------
    puncta
        Columns `frame`, `x_nm`, `y_nm`: where puncta are, best with bridged gaps (`trajectories` of a run).
    transients
        Columns `peak_frame`, `x_nm`, `y_nm`; found without the help of puncta, waves left out.
    field
        Where and when both were looked for.
    radius_nm
        How near is at a punctum; at most the last of `BIN_EDGES_NM`.
    n_shifts, seed
        Random shifts of each kind; the same seed gives the same result.

    Raises
    ------
    ValueError
        If the radius or the number of shifts make no sense, or a transient peaks in a frame that was not
        recorded.
    """
    if not 0 < radius_nm <= BIN_EDGES_NM[-1]:
        raise ValueError(f"radius_nm is {radius_nm:g}; it must be above 0 and at most {BIN_EDGES_NM[-1]:g}")
    if n_shifts < 1:
        raise ValueError(f"n_shifts is {n_shifts}; it must be at least 1")
    xy = transients[["x_nm", "y_nm"]].to_numpy(np.float64)
    frame = transients["peak_frame"].to_numpy(np.int64)
    unknown = frame[~np.isin(frame, field.frames)]
    if len(unknown):
        raise ValueError(f"a transient peaks in frame {unknown[0]}, which is not among the recorded frames")
    near, shifts = _Nearest(puncta, radius_nm), Shifts(xy, frame, field)
    observed, counts = near.count(xy, frame)
    tests = {}
    for stream, (name, shifted) in enumerate({"space": shifts.in_space, "time": shifts.in_time}.items()):
        random = np.random.default_rng([seed, stream])
        null = [near.count(*shifted(random)) for _ in range(n_shifts)]
        tests[name] = _test(QUESTIONS[name], observed, null)
    return CoOccurrence(
        n_transients=len(transients),
        n_at_puncta=observed,
        radius_nm=radius_nm,
        bin_edges_nm=BIN_EDGES_NM,
        distance_counts=counts,
        space=tests["space"],
        time=tests["time"],
        seed=seed,
    )


class _Nearest:
    """Finds the nearest punctum of a frame."""

    def __init__(self, puncta: pd.DataFrame, radius_nm: float) -> None:
        self._radius_nm = radius_nm
        self._far = float(BIN_EDGES_NM[-1])
        xy = puncta[["x_nm", "y_nm"]].to_numpy(np.float64)
        self._tree = KDTree(self._points(xy, puncta["frame"].to_numpy(np.int64))) if len(xy) else None

    def count(self, xy: Array, frame: Frames) -> tuple[int, Counts]:
        """Number of places with a punctum within the radius, and their number in each bin of distance."""
        distance: Array = np.full(len(xy), np.inf)
        if self._tree is not None and len(xy):
            points = self._points(xy, frame)
            distance = np.asarray(self._tree.query(points, distance_upper_bound=self._far)[0])
        bins = np.searchsorted(BIN_EDGES_NM, distance, side="right") - 1
        near = int(np.count_nonzero(distance <= self._radius_nm))
        return near, np.bincount(bins, minlength=len(BIN_EDGES_NM)).astype(np.int64)

    def _points(self, xy: Array, frame: Frames) -> Array:
        # Frames lie so far apart in a third dimension that only those of one frame are near.
        return np.column_stack([xy, 2 * self._far * frame])


def _test(question: str, observed: int, null: list[tuple[int, Counts]]) -> NullTest:
    counts = np.array([count for count, _ in null])
    distances = np.array([histogram for _, histogram in null])
    n, expected = len(counts), float(counts.mean())
    p_more = (1 + np.count_nonzero(counts >= observed)) / (n + 1)
    p_less = (1 + np.count_nonzero(counts <= observed)) / (n + 1)
    low, high = count_interval(observed, counts)
    tail = 50 * (1 - CONFIDENCE)
    return NullTest(
        question=question,
        n_shifts=n,
        expected=expected,
        rate_ratio=observed / expected if expected else math.nan,
        rate_ratio_low=low / expected if expected else math.nan,
        rate_ratio_high=high / expected if expected else math.nan,
        p_more=float(p_more),
        p_less=float(p_less),
        p_two_sided=float(min(1.0, 2 * min(p_more, p_less))),
        distance_mean=distances.mean(axis=0),
        distance_low=np.percentile(distances, tail, axis=0),
        distance_high=np.percentile(distances, 100 - tail, axis=0),
    )


def count_interval(observed: int, null: Counts) -> tuple[float, float]:
    """Confidence interval of a count whose variance over its mean is that of the null."""
    spread = float(null.var() / null.mean()) if null.any() else 1.0
    if not spread:  # every shift gives the same, so nothing can be told
        return math.nan, math.nan
    independent, tail = observed / spread, (1 - CONFIDENCE) / 2
    low = chdtri(2 * independent, 1 - tail) / 2 if observed else 0.0  # quantiles of χ²
    high = chdtri(2 * independent + 2, tail) / 2
    return spread * float(low), spread * float(high)


def _plain(value: Any) -> Any:
    """The same in what JSON knows."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if isinstance(value, float) and not math.isfinite(value) else value

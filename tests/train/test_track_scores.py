"""Scores of tracks, checked by hand and against the definition written out plainly."""

import math
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.track_scores import PairedTracks, pair_tracks, wholeness

GATE = 500.0


def tracks(*given: dict[int, tuple[float, float]]) -> pd.DataFrame:
    """Tracks, each as positions by frame."""
    rows = [(f, k, x, y) for k, track in enumerate(given) for f, (x, y) in track.items()]
    return pd.DataFrame(rows, columns=["frame", "track_id", "x_nm", "y_nm"])


def resting(x: float, y: float, *frames: int) -> dict[int, tuple[float, float]]:
    return dict.fromkeys(frames, (x, y))


TRUE = tracks(resting(0, 0, *range(10)), resting(5000, 0, *range(10)))


def test_perfect_tracks() -> None:
    score = pair_tracks(TRUE, TRUE.sample(frac=1, random_state=1), GATE)
    assert score == PairedTracks(2, 2, 2, 1.0, 1.0, 1.0, 1.0, 0.0, pairs=())


def test_a_track_beside_and_one_that_is_false() -> None:
    found = tracks(resting(300, 400, *range(5)), resting(5000, 100, *range(10)), resting(9e5, 0, *range(4)))
    score = pair_tracks(TRUE, found, GATE)  # the first is a whole ε away: worth nothing
    assert (score.n_paired, score.jsc_theta) == (1, 1 / 4)
    assert score.alpha == pytest.approx(400 * 10 / (500 * 20))
    assert score.beta == pytest.approx(400 * 10 / (500 * 20 + 500 * 9))
    assert score.jsc == pytest.approx(10 / (20 + 19 - 10))
    assert score.rmse_nm == pytest.approx(100 / math.sqrt(2))


def test_gaps_are_bridged_and_no_track_is_none() -> None:
    found = TRUE[~TRUE["frame"].isin([3, 4, 5])]
    lone = tracks(resting(0, 0, *range(10))).assign(track_id=-1)
    assert pair_tracks(TRUE, pd.concat([found, lone]), GATE).alpha == 1
    moving = tracks({0: (0, 0), 4: (400, 80)})
    assert pair_tracks(tracks({f: (100 * f, 20 * f) for f in range(5)}), moving, GATE).rmse_nm < 1e-9


def test_nothing_true_or_nothing_found() -> None:
    none = TRUE[:0]
    assert pair_tracks(TRUE, none, GATE).alpha == pair_tracks(TRUE, none, GATE).jsc_theta == 0
    assert math.isnan(pair_tracks(none, none, GATE).alpha)
    assert pair_tracks(none, TRUE, GATE).beta == 0


@st.composite
def some_tracks(draw: st.DrawFn) -> pd.DataFrame:
    coordinate = st.integers(0, 8).map(lambda k: 150.0 * k)
    track = st.dictionaries(st.integers(0, 5), st.tuples(coordinate, coordinate), min_size=1, max_size=5)
    return tracks(*draw(st.lists(track, max_size=3)))


@settings(max_examples=60, deadline=None)
@given(some_tracks(), some_tracks())
def test_scores_are_those_of_the_definition(true: pd.DataFrame, found: pd.DataFrame) -> None:
    score = pair_tracks(true, found, GATE)
    x, y = ([filled(t) for _, t in table.groupby("track_id")] for table in (true, found))
    nothing = GATE * sum(map(len, x))
    # Every true track gets a found one or nothing, in all ways.
    ways = permutations([*range(len(y)), *[-1] * len(x)], len(x))
    best = min(sum(apart(a, y[k] if k >= 0 else {}) for a, k in zip(x, way, strict=True)) for way in ways)
    if nothing:
        assert score.alpha == pytest.approx(1 - best / nothing, abs=1e-9)
        assert 0 <= score.beta <= score.alpha + 1e-12 <= 1 + 1e-9


def filled(track: pd.DataFrame) -> dict[int, np.ndarray]:
    frames = np.arange(track["frame"].min(), track["frame"].max() + 1)
    track = track.sort_values("frame")
    xy = [np.interp(frames, track["frame"], track[name]) for name in ("x_nm", "y_nm")]
    return dict(zip(frames.tolist(), np.stack(xy, 1), strict=True))


def apart(a: dict[int, np.ndarray], b: dict[int, np.ndarray]) -> float:
    both = a.keys() & b.keys()
    return GATE * len(a.keys() ^ b.keys()) + sum(min(float(np.hypot(*(a[f] - b[f]))), GATE) for f in both)


def test_tracks_in_pieces() -> None:
    """A long true track in two found ones, another whole but for a false localization in it."""
    found = pd.DataFrame({"frame": [*range(12), *range(12)], "track_id": [5] * 9 + [6] * 3 + [7] * 12})
    emitter = np.array([0] * 12 + [-1] + [1] * 11)
    frames = pd.Series({0: 12, 1: 12, 2: 20, 3: 4})
    pieces = wholeness(emitter, found, frames)
    assert pieces.switches == 1
    assert pieces.completeness == pytest.approx((9 / 12 + 11 / 12 + 0) / 3)
    assert pieces.purity == pytest.approx((1 + 1 + 11 / 12) / 3)
    assert pieces.continuous_frames == pytest.approx(23 / 3)


def test_no_tracks_at_all() -> None:
    nothing = pd.DataFrame({"frame": [], "track_id": []}, dtype=np.int64)
    pieces = wholeness(np.empty(0, np.int64), nothing, pd.Series({0: 30}))
    assert (pieces.completeness, pieces.switches) == (0, 0)
    assert math.isnan(pieces.purity) and math.isnan(pieces.continuous_frames)

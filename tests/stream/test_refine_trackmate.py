"""Refinement's own linking and joining against TrackMate's result and laptrack itself."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laptrack import LapTrack

from stream.refine.joining import JoinOptions, join_segments
from stream.refine.linking import link_frames
from stream.refine.spots import Spots

TRACKMATE = Path(__file__).parents[3] / "shared" / "data" / "tracking"


def edges(spots, distance, options=None, chunk=200_000):
    """All edges as pairs of rows."""
    links = link_frames(spots, distance, chunk)
    found = [links]
    if options is not None:
        joined = join_segments(spots, np.arange(len(spots)), links, options, np.ones(len(spots)), chunk)
        found += [joined.gaps, joined.splits, joined.merges]
    return {pair for e in found for pair in zip(e.source.tolist(), e.target.tolist(), strict=True)}


@pytest.mark.parametrize(("kind", "max_frame_gap"), [("with", 2), ("without", None)])
def test_the_edges_are_those_of_trackmate(kind, max_frame_gap):
    """TrackMate 6.0.3 with the settings in its XML: 15 px, 2 frames, percentile .9, factor 1.05."""
    path = TRACKMATE / f"trackmate_tracks_{kind}_gap_closing_spots.csv"
    if not path.exists():
        pytest.skip("reference data of TrackMate is not beside the checkout")
    table = pd.read_csv(path).sort_values("frame", kind="stable")
    spots = Spots(table["frame"].to_numpy(), table[["position_x", "position_y"]].to_numpy())
    theirs = pd.read_csv(TRACKMATE / f"trackmate_tracks_{kind}_gap_closing_edges.csv")
    number = dict(zip(table["id"], range(len(table)), strict=True))
    expected = {
        (number[a], number[b])
        for a, b in zip(theirs["spot_source_id"], theirs["spot_target_id"], strict=True)
    }
    options = JoinOptions(15.0, max_frame_gap) if max_frame_gap else None
    assert edges(spots, 15.0, options) == expected


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    counts=st.lists(st.integers(0, 20), min_size=1, max_size=12),
    distance=st.floats(2, 15),
    max_frame_gap=st.integers(1, 5),
    split=st.none() | st.floats(2, 10),
    merge=st.none() | st.floats(2, 10),
    alone=st.none() | st.floats(5, 200),
    chunk=st.integers(1, 60),
)
def test_the_edges_are_those_of_laptrack_however_it_is_chunked(
    seed, counts, distance, max_frame_gap, split, merge, alone, chunk
):
    if alone:  # each distance counts relative to its limit, which laptrack cannot
        split, merge = split and distance, merge and distance
    counts = [counts[0] + 1, *counts[1:]]  # laptrack wants a punctum in the first frame
    rng = np.random.default_rng(seed)
    coordinates = [rng.uniform(0, 50, (n, 2)) for n in counts]
    first = np.cumsum(counts) - counts
    reference = LapTrack(
        cutoff=distance**2,
        gap_closing_cutoff=distance**2,
        gap_closing_max_frame_count=max_frame_gap,
        splitting_cutoff=split**2 if split else False,
        merging_cutoff=merge**2 if merge else False,
        segment_start_cost=alone,
        segment_end_cost=alone,
        no_splitting_cost=alone,
        no_merging_cost=alone,
    ).predict(coordinates)
    expected = {(int(first[a] + i), int(first[b] + j)) for (a, i), (b, j) in reference.edges}
    spots = Spots(np.repeat(np.arange(len(counts)), counts), np.concatenate(coordinates))
    options = JoinOptions(distance, max_frame_gap, split, merge, alone)
    assert edges(spots, distance, options, chunk) == expected


def test_a_missing_frame_is_a_gap():
    spots = Spots(np.array([0, 2]), np.zeros((2, 2)))
    assert edges(spots, 5.0) == set()
    assert edges(spots, 5.0, JoinOptions(5.0, 1)) == set()
    assert edges(spots, 5.0, JoinOptions(5.0, 2)) == {(0, 1)}


def test_no_puncta_give_no_edges():
    assert edges(Spots(np.empty(0, np.int64), np.empty((0, 2))), 5.0, JoinOptions(5.0, 2)) == set()


def test_brightness_decides_between_two_that_are_equally_near():
    spots = Spots(np.array([0, 0, 3, 3]), np.array([[0.0, 0], [0, 2], [0, 0.9], [0, 1.1]]))
    brightness = np.array([300.0, 3000, 3000, 300])
    nothing = link_frames(spots, 1.0)
    options = JoinOptions(5.0, 3, alternative_cost=25.0)
    near = join_segments(spots, np.arange(4), nothing, options, brightness)
    alike = join_segments(
        spots, np.arange(4), nothing, JoinOptions(5.0, 3, None, None, 25.0, 4.0), brightness
    )
    assert near.gaps.target.tolist() == [2, 3]
    assert alike.gaps.target.tolist() == [3, 2]


@pytest.mark.parametrize("n_back", [100, 0])
def test_gaps_are_closed_where_that_is_likelier_than_chance(n_back):
    """Ends and starts anywhere, the first of them where their punctum was."""
    rng = np.random.default_rng(5571)
    n = 200
    end = rng.uniform(0, 100, (n, 2))
    back, new = end[:n_back] + rng.normal(0, 0.3, (n_back, 2)), rng.uniform(0, 100, (n, 2))
    spots = Spots(np.repeat([0, 4], [n, n_back + n]), np.concatenate([end, back, new]))
    n_right, n_wrong = [], []
    for beyond_chance in (True, False):
        options = JoinOptions(10.0, 5, alternative_cost=100.0, beyond_chance=beyond_chance)
        nothing, light = link_frames(spots, 1.0), np.ones(len(spots))
        gaps = join_segments(spots, np.arange(len(spots)), nothing, options, light).gaps
        right = (gaps.target - gaps.source == n) & (gaps.source < n_back)
        n_right.append(int(right.sum()))
        n_wrong.append(int((~right).sum()))
    assert n_right[0] >= 0.9 * n_back
    assert n_wrong[0] <= 10
    assert n_wrong[1] > 50

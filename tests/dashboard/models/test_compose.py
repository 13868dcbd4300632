from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.models.colours import MOBILITY_COLOURS, rgb
from dashboard.models.compose import compose
from dashboard.models.display import Display
from dashboard.models.history import History
from dashboard.models.tails import AGES, FADED, LONGEST_GAP, MAX_PIECES, tail_frames
from dashboard.models.tracks import TrackBook

PLAIN = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def watched():
    """History and tracks after some results."""

    def watch(results):
        history, book = History(), TrackBook(100.0, 0.02)
        for result in results:
            history.add(result)
            book.add(result)
        return history, book

    return watch


def test_marks_are_the_puncta_and_the_tracks_in_a_gap(make_result, make_picture, watched):
    history, book = watched(
        [make_result(4, track_ids=[7, -1], x=[1, 2], y=[3, 4], dff=[0.5, np.nan], is_open=[True, False],
                     state=[1, -1], gap_ids=[9], gap_x=6, gap_y=8, gap_dff=0.1)]
    )  # fmt: skip
    history.add_picture(make_picture(3, value=50))
    scene = compose(history, book, 4, Display(), (7,))
    marks = scene.marks
    assert (scene.seq, scene.time_s, scene.picture_seq, scene.is_newest) == (4, 0.08, 3, True)
    assert scene.picture.shape == (2, 8, 8) and scene.selected == (7,)
    assert marks.track_id.tolist() == [7, -1, 9]
    assert (marks.x_px.tolist(), marks.y_px.tolist()) == ([1, 2, 6], [3, 4, 8])
    assert marks.in_gap.tolist() == [False, False, True]
    assert marks.is_open.tolist() == [True, False, False]
    assert marks.state.tolist() == [1, -1, -1]
    np.testing.assert_allclose(marks.dff, [0.5, np.nan, 0.1], rtol=1e-6)
    for column in (marks.photons, marks.probability, marks.x_sd_px, marks.y_sd_px):
        assert np.isfinite(column).tolist() == [True, True, False]


def test_pieces_join_the_sightings_of_each_living_track(make_result, watched):
    history, book = watched(
        [
            make_result(0, track_ids=[2, 1, 3], x=[20, 10, 30], y=[0, 1, 2]),
            make_result(1, track_ids=[1, -1], x=[11, 99], y=[1, 9], gap_ids=[2]),
            make_result(3, track_ids=[2, 1], x=[23, 13], y=[5, 1]),  # frame 2 is missing, track 3 has ended
            make_result(4, track_ids=[2], x=[24], y=[6], gap_ids=[1]),
        ]
    )
    tails = compose(history, book, 4, Display(tail_frames=5), ()).tails
    assert tails.segments.tolist() == [[10, 1, 11, 1], [11, 1, 13, 1], [20, 0, 23, 5], [23, 5, 24, 6]]
    assert tails.frames == 4  # that many are there
    assert (tails.rgba[:, :3] == rgb(MOBILITY_COLOURS["unknown"])).all()
    age = np.array([3, 1, 1, 0])
    assert tails.rgba[:, 3].tolist() == (255 - (255 - FADED) * age / 4).astype(np.uint8).tolist()
    assert compose(history, book, 4, Display(tail_frames=2), ()).tails.segments.tolist() == [[23, 5, 24, 6]]
    assert compose(history, book, 0, Display(), ()).tails.segments.shape == (0, 4)
    assert len(compose(history, book, 4, Display(tails="off"), ()).tails.segments) == 0


def test_a_track_that_was_away_for_too_long_has_a_break(make_result, watched):
    for missed, n in ((LONGEST_GAP, 1), (LONGEST_GAP + 1, 0)):
        history, book = watched([make_result(0, n=1), make_result(missed + 1, n=1)])
        assert len(compose(history, book, missed + 1, Display(tail_frames=50), ()).tails.segments) == n


def test_selected_tails_are_white_and_painted_last(make_result, watched):
    results = [make_result(seq, track_ids=[1, 2, 3], x=[1, 2, 3], y=seq) for seq in range(4)]
    history, book = watched(results)
    tails = compose(history, book, 3, Display(), (2, 77)).tails
    assert tails.segments[:, 0].tolist() == [1, 1, 1, 3, 3, 3, 2, 2, 2]
    assert (tails.rgba[6:] == 255).all()
    assert (tails.rgba[:6, :3] == rgb(MOBILITY_COLOURS["unknown"])).all()


def test_colours_tell_mobility_or_age(make_result, watched):
    """One punctum rests, one runs; a third one is young."""
    rng = np.random.default_rng(1)
    paths = np.cumsum(rng.normal(0, [[0.0], [1.0], [1.0]], (60, 3, 2)), axis=0) + 50
    results = []
    for seq in range(60):
        n = 3 if seq >= 55 else 2
        results.append(make_result(seq, track_ids=range(n), x=paths[seq, :n, 0], y=paths[seq, :n, 1]))
    history, book = watched(results)
    tails = compose(history, book, 59, Display(tail_frames=2), ()).tails
    names = ("immobile", "mobile", "unknown")
    assert tails.rgba[:, :3].tolist() == [list(rgb(MOBILITY_COLOURS[name])) for name in names]
    tails = compose(history, book, 59, Display(tail_frames=2, tails="age"), ()).tails
    old, young = (int(np.log1p(age) / np.log1p(1000) * (len(AGES) - 1)) for age in (59, 4))
    assert tails.rgba[:, :3].tolist() == AGES[[old, old, young]].tolist()


def test_a_crowd_has_shorter_tails_and_says_so(make_result, watched):
    assert tail_frames(30, 200) == 30
    n = 5000
    history, book = watched([make_result(seq, n=n) for seq in range(12)])
    tails = compose(history, book, 11, Display(tail_frames=30), ()).tails
    assert tails.frames == MAX_PIECES // n == 8
    assert len(tails.segments) == 7 * n
    assert tail_frames(30, 10**6) == 2


def test_what_is_gone_is_shown_as_its_oldest_frame_and_nothing_is_an_error(make_result):
    history, book = History(seconds=0.2), TrackBook(100.0, 0.02)
    with pytest.raises(ValueError, match="no result has come yet"):
        compose(history, book, 0, Display(), ())
    for seq in range(50, 100):
        history.add(make_result(seq, n=0))
    scene = compose(history, book, 3, Display(), ())
    assert (scene.seq, scene.is_newest) == (history.oldest, False)
    assert scene.picture is None and scene.picture_seq is None
    assert len(scene.marks) == len(scene.tails.segments) == 0


@PLAIN
@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_looking_back_shows_what_was_shown_then(make_result, watched, seed, length):
    rng = np.random.default_rng(seed)
    results = []
    for seq in np.flatnonzero(rng.random(30) < 0.8).tolist():
        alive = rng.permutation(np.arange(seq // 4, seq // 4 + 6))
        seen = rng.random(6) < 0.7
        x, y = rng.uniform(0, 64, (2, seen.sum()))
        results.append(make_result(seq, track_ids=alive[seen], x=x, y=y, gap_ids=alive[~seen]))
    if not results:
        return
    history, _ = watched(results)
    upto = int(rng.integers(len(results)))
    then, _ = watched(results[: upto + 1])
    book = TrackBook(100.0, 0.02)
    display, seq = Display(tail_frames=length), results[upto].seq
    now, before = (compose(h, book, seq, display, ()) for h in (history, then))
    assert now.is_newest == (upto == len(results) - 1)
    assert now.tails.segments.tobytes() == before.tails.segments.tobytes()
    assert now.tails.rgba.tobytes() == before.tails.rgba.tobytes()
    # And piece by piece what a plain search finds.
    recent = [r for r in results[: upto + 1] if r.seq > seq - length]
    alive = {*recent[-1].tracks.track_id.tolist(), *recent[-1].tracks.gap_track_id.tolist()}
    expected = []
    for track in alive:
        at = [(r, int(i)) for r in recent for i in np.flatnonzero(r.tracks.track_id == track)]
        spots = [(r.localizations.x_px[i], r.localizations.y_px[i]) for r, i in at]
        expected += [(*a, *b) for a, b in pairwise(spots)]
    assert sorted(map(tuple, now.tails.segments.tolist())) == sorted(expected)

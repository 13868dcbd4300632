"""Traces: what is kept, what is shown, and that it stays where it is."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.models import traces
from dashboard.models.activity import HOLD_DRAWS, MIN_FRAMES
from dashboard.models.threshold import OPENS_AT, TOLD_AT, TOLD_Z, threshold_z
from dashboard.models.traces import TraceBook
from model.optics import add_gaussians
from stream.calcium.detector import CalciumDetector
from stream.calcium.transient import Transient
from stream.config import CalciumConfig

INTERVAL_S = 0.02


def filled(make_result, n_frames, dff, ids, seconds=20.0, **more):
    """A book with `dff` (frames, tracks)."""
    book = TraceBook(INTERVAL_S, seconds)
    for seq in range(n_frames):
        book.add(make_result(seq, track_ids=ids, dff=dff[seq], **more))
    return book


def test_the_traces_are_what_came_with_missing_frames_left_out(make_result):
    book = TraceBook(INTERVAL_S, 20)
    for seq in (0, 1, 4, 5, 6, 9):
        dff = [seq / 10, -seq / 10]
        book.add(make_result(seq, track_ids=[7, 3], dff=dff, gap_ids=[5], gap_dff=[seq]))
    view = book.view([3], 3, 20)
    np.testing.assert_allclose(view.time_s, np.array([0, 1, 4, 5, 6, 9]) * INTERVAL_S)
    assert view.track_id.tolist()[0] == 3
    assert sorted(view.track_id.tolist()) == [3, 5, 7]
    assert view.is_selected.tolist() == [True, False, False]
    rows = {track: view.dff[row].tolist() for row, track in enumerate(view.track_id.tolist())}
    assert rows[3] == pytest.approx([0, -0.1, -0.4, -0.5, -0.6, -0.9])
    assert rows[7] == pytest.approx([0, 0.1, 0.4, 0.5, 0.6, 0.9])
    assert rows[5] == [0, 1, 4, 5, 6, 9]
    assert view.now_s == pytest.approx(0.18)
    back = book.view([3], 1, 0.07, at_seq=7)  # frames 4 to 6 lie in the last 70 ms before frame 6
    np.testing.assert_allclose(back.time_s, [0.08, 0.1, 0.12])
    np.testing.assert_allclose(back.dff, [[-0.4, -0.5, -0.6]])
    assert not len(book.view([3], 1, 10, at_seq=-1).time_s)


def test_a_track_is_empty_before_its_birth_and_after_its_death(make_result):
    book = TraceBook(INTERVAL_S, 20)
    for seq in range(10):
        ids = [1] if seq in (0, 1, 8, 9) else [1, 2]
        born = [2] if seq == 2 else []
        book.add(make_result(seq, track_ids=ids, dff=np.full(len(ids), seq), born=born))
    # In the frame of its birth it waits: most that are none are gone in the next one.
    assert np.isnan(book.view([2], 1, 20).dff[0]).tolist() == [True] * 3 + [False] * 5 + [True] * 2
    unknown = book.view([99], 1, 20)
    assert np.isnan(unknown.dff).all() and np.isnan(unknown.threshold_dff).all()


def test_rows_are_recycled_and_bounded_whatever_comes(make_result, monkeypatch):
    monkeypatch.setattr(traces, "MAX_ROWS", 100)
    random = np.random.default_rng(7)
    book = TraceBook(INTERVAL_S, 1)
    for seq in range(600):
        ids = np.arange(seq * 5, seq * 5 + 60)  # 5 tracks die and 5 are born a frame
        book.add(make_result(seq, track_ids=ids, dff=random.normal(0, 0.1, 60), born=ids[-5:]))
    view = book.view([], 40, 1)
    assert len(book._rows) == 100
    assert len(view.track_id) == 40 == len(set(view.track_id.tolist()))
    held = book._rows.find(ids[:-5])
    assert (held >= 0).all()  # the living ones have rows, the dead ones made room
    newest = book.view(ids[:3].tolist(), 3, 1).dff[:, -1]
    assert np.isfinite(newest).all()


def test_more_living_tracks_than_rows_leave_the_least_active_out(make_result, monkeypatch):
    monkeypatch.setattr(traces, "MAX_ROWS", 64)
    random = np.random.default_rng(8)
    book, ids = TraceBook(INTERVAL_S, 2), np.arange(150)
    for seq in range(150):
        is_open = (ids == 140) & (seq >= 30)
        dff = random.normal(0, 0.1, 150) + np.where(is_open, 1.0, 0.0)
        book.add(make_result(seq, track_ids=ids, dff=dff, is_open=is_open))
        view = book.view([120], 10, 2)
    assert view.track_id[0] == 120 and np.isfinite(view.dff[0, -1])
    assert 140 in view.track_id.tolist()
    assert len(book._rows) == 64


def test_a_recycled_row_shows_nothing_of_the_track_before(make_result, monkeypatch):
    monkeypatch.setattr(traces, "MAX_ROWS", 1)
    book = TraceBook(INTERVAL_S, 20)
    for seq in range(20):
        book.add(make_result(seq, track_ids=[1 if seq < 10 else 2], dff=[5.0 if seq < 10 else 0.5]))
    row = book.view([2], 1, 20).dff[0]
    assert np.nanmax(row) == 0.5
    assert np.isnan(row[:10]).all()


@given(st.lists(st.lists(st.integers(0, 400), max_size=70, unique=True), min_size=1, max_size=40))
@settings(max_examples=30, deadline=None)
def test_any_tracks_may_come_and_go(make_result, lives):
    book = TraceBook(INTERVAL_S, 0.5)
    for seq, ids in enumerate(lives):
        book.add(make_result(seq, track_ids=ids, dff=[i + seq / 100 for i in ids]))
        held = book._rows.ids[book._rows.ids >= 0]
        assert len(set(held.tolist())) == len(held)
    for row, track in zip(book.view(lives[-1][:9], 9, 1).dff, lives[-1], strict=False):
        seen = row[np.isfinite(row)]
        assert len(seen) and (np.abs(seen - track) < 1).all()  # its own values and nobody else's


def test_active_tracks_are_shown_and_keep_their_places(make_result, make_event):
    random = np.random.default_rng(5)
    book, n = TraceBook(INTERVAL_S, 20), 50
    shown = []
    for seq in range(900):
        events, is_open = [], np.zeros(n, bool)
        dff = random.normal(0, 0.1, n)
        if 300 <= seq < 320:
            is_open[11] = True
            dff[11] += 1
        if seq == 320:
            events = [make_event(0, track_id=11, onset=300)]
        book.add(make_result(seq, track_ids=range(n), dff=dff, events=events, is_open=is_open))
        if seq % 2 == 0 and seq > 100:
            shown.append((seq, book.view([], 5, 10).track_id.tolist()))
    changes = [(b, set(x) ^ set(y)) for (_, x), (b, y) in pairwise(shown) if x != y]
    assert len(changes) <= 12  # 400 redraws of noise, 5 places
    assert all(len(changed) == 2 for _, changed in changes)
    stays = [ids for seq, ids in shown if seq >= 310]
    places = {ids.index(11) for ids in stays}
    assert len(places) == 1  # it came within a redraw or a few, and has stayed in one place since
    for before, after in pairwise(shown):
        assert sum(a != b for a, b in zip(before[1], after[1], strict=True)) <= 1


def test_a_place_is_held_for_a_while(make_result):
    random = np.random.default_rng(6)
    book = TraceBook(INTERVAL_S, 20)
    loud = 0
    for seq in range(40):
        book.add(make_result(seq, track_ids=range(4), dff=random.normal(0, 0.1, 4)))
    (first,) = book.view([], 1, 10).track_id.tolist()
    loud = (first + 1) % 4
    book.add(make_result(41, track_ids=range(4), dff=np.where(np.arange(4) == loud, 30.0, 0.0)))
    draws = [book.view([], 1, 10).track_id[0] for _ in range(HOLD_DRAWS + 5)]
    assert draws[: HOLD_DRAWS - 1] == [first] * (HOLD_DRAWS - 1)
    assert draws[-1] == loud


def test_looking_back_changes_no_places_and_the_chosen_one_comes_first(make_result):
    random = np.random.default_rng(9)
    book = TraceBook(INTERVAL_S, 20)
    for seq in range(60):
        book.add(make_result(seq, track_ids=range(9), dff=random.normal(0, 0.1, 9)))
    before = book.view([], 4, 10).track_id.tolist()
    for seq in range(60, 90):
        book.add(make_result(seq, track_ids=range(9), dff=np.where(np.arange(9) == 8, 9.0, 0.0)))
        assert book.view([], 4, 10, at_seq=50).track_id.tolist() == before
    other = next(i for i in range(9) if i not in before)
    chosen = book.view([other], 4, 10, at_seq=50)
    assert chosen.track_id.tolist() == [other, *before[:3]]


def test_tentative_and_dropped_tracks_are_not_shown(make_result):
    book = TraceBook(INTERVAL_S, 20)
    for seq in range(MIN_FRAMES - 1):
        book.add(make_result(seq, track_ids=[1, 2], dff=[0.1, 0.2]))
    assert not len(book.view([], 5, 10).track_id)
    book.add(make_result(5, track_ids=[1, 2], dff=[0.1, 0.2]))
    assert book.view([], 5, 10).track_id.tolist() == [1, 2]
    book.add(make_result(6, track_ids=[1], dff=[0.1], dropped=[2]))
    assert book.view([], 5, 10).track_id.tolist() == [1]
    book.add(make_result(7, track_ids=[1], dff=[np.nan]))  # no calcium there
    assert np.isnan(book.view([1], 1, 10).dff[0, -1])


def test_marks_lie_where_the_frames_are(make_result, make_event):
    book = TraceBook(INTERVAL_S, 20)
    for seq in range(100):
        book.add(make_result(seq, track_ids=[4, 5], dff=[0.0, 0.0], time_s=1000 + seq * 0.1))
    # The detector's clock may have gone another way than the camera's.
    events = [make_event(3, track_id=5, onset=50, peak=53, end=60, amplitude=0.7), make_event(4, track_id=9)]
    (mark,) = book.view([5, 4], 2, 100, events=events).marks
    assert (mark.row, mark.event_id, mark.amplitude_dff) == (0, 3, 0.7)
    assert (mark.onset_s, mark.peak_s, mark.end_s) == pytest.approx((1005.0, 1005.3, 1006.0))
    assert book.view([5], 2, 3, events=events).marks == ()  # the last 3 s begin after its end
    assert book.view([5], 2, 100, at_seq=49, events=events).marks == ()


def test_long_traces_are_thinned_without_losing_a_peak(make_result):
    random = np.random.default_rng(10)
    n = 7000
    dff = random.normal(0, 0.1, (n, 1)).astype(np.float32)
    dff[5123], dff[3210] = 4.0, -3.0
    book = filled(make_result, n, dff, [1], seconds=140)
    views = [book.view([1], 1, 140)]
    book.add(make_result(n, track_ids=[1], dff=[0.0]))
    views.append(book.view([1], 1, 140))
    for view in views:
        assert len(view.time_s) <= traces.MAX_POINTS + 16
        assert view.dff.max() == 4.0 and view.dff.min() == -3.0
        assert (np.diff(view.time_s) > 0).all()
        assert abs(view.time_s[view.dff[0].argmax()] - 5123 * INTERVAL_S) < 16 * INTERVAL_S
    same = np.isin(views[0].time_s, views[1].time_s)
    assert same.mean() > 0.98  # what is drawn moves on, but does not change


def test_clocks_may_jump_and_streams_may_begin_anew(make_result):
    book = TraceBook(INTERVAL_S, 20)
    times = [0, 1, 2, 3, math.nan, 1e9, 5, 5, 6]
    for seq, time_s in enumerate(times):
        book.add(make_result(seq, track_ids=[1], dff=[seq], time_s=time_s))
    view = book.view([1], 1, 100)
    assert view.time_s.tolist() == [5, 5, 6] and view.dff[0].tolist() == [6, 7, 8]
    book.add(make_result(0, track_ids=[1], dff=[0.5]))
    assert book.view([1], 1, 100).dff.tolist() == [[0.5]]
    book.clear()
    assert not len(book.view([1], 1, 100).time_s)


def test_the_noise_is_that_below_zero(make_result):
    random = np.random.default_rng(11)
    n = 600
    dff = random.normal(0, 0.08, (n, 40))
    dff += np.where(np.arange(n)[:, None] % 60 < 12, 1.0, 0.0)  # events do not count
    book = filled(make_result, n, dff, range(40))
    threshold = book.view(range(40), 40, 5, on_z=6).threshold_dff
    assert np.median(threshold) == pytest.approx(0.08 * OPENS_AT * 6, rel=0.05)
    assert np.std(threshold) / np.mean(threshold) < 0.15
    assert np.isnan(book.view([1], 1, 5).threshold_dff).all()


def test_the_factors_are_those_of_the_detectors_own_filters():
    leak = 0.8
    shape = leak ** np.arange(200)
    impulse = leak ** np.arange(200)
    leaky = np.convolve(shape, impulse)[:200].max() / np.sqrt((impulse**2).sum())
    assert 1 / leaky == pytest.approx(OPENS_AT)
    heights = Transient(0, 1, 0, -1 / np.log(leak), 1.0, 0).heights(np.arange(200.0))
    assert 1 / np.sqrt((heights**2).sum()) == pytest.approx(TOLD_AT)
    assert threshold_z(10, has_network=False) == pytest.approx(10 * OPENS_AT)
    assert threshold_z(2, has_network=False) == pytest.approx(TOLD_Z * TOLD_AT)
    assert threshold_z(2, has_network=True) == pytest.approx(2 * OPENS_AT)
    assert math.isnan(threshold_z(math.nan, has_network=False))


def told_shares(make_result, on_z, seed):
    """Which simulated transients the real detector tells, of heights around the threshold that is shown.

    Transients of 40 tracks decay to 1/e in 4.5 frames; their heights are 0.4 … 2 times the threshold.
    """
    random = np.random.default_rng(seed)
    size, n_frames, tau = 128, 330, 4.5
    xy = np.stack(np.meshgrid(np.arange(12, size, 20), np.arange(12, size, 20)), -1).reshape(-1, 2) * 1.0
    n = len(xy)
    detector, book = CalciumDetector(CalciumConfig(on_z=on_z)), TraceBook(0.05, 20)
    onset = 100 + random.integers(0, 20, n)[:, None] + np.arange(0, 200, 55)
    factor = random.uniform(0.4, 2.0, onset.shape)
    height = np.zeros(onset.shape)
    events = []
    for seq in range(n_frames):
        age = seq - onset
        if seq == 99:
            threshold = book.view(range(n), n, 5, on_z=on_z).threshold_dff
            height = factor * np.median(threshold)
        now = np.where(age >= 0, height * np.exp(-np.maximum(age, 0) / tau), 0).sum(axis=1)
        rise = np.zeros((size, size), np.float32)
        add_gaussians(rise, xy[:, 0], xy[:, 1], now * 2 * np.pi * 4, np.full(n, 2.0))
        image = random.poisson(60 * (1 + rise)) + random.normal(0, 1.4, rise.shape)
        x, y = (xy + random.normal(0, 0.2, xy.shape)).T
        tracks = make_result(seq, track_ids=range(n), x=x, y=y, confirmed=range(n) if not seq else ())
        calcium = detector.step(
            seq, seq * 0.05, image.astype(np.float32), tracks.localizations, tracks.tracks
        )
        book.add(replace(tracks, calcium=calcium))
        events += calcium.events
    told = np.array(
        [
            [any(e.track_id == k and abs(e.onset_frame - o) <= 4 for e in events) for o in onset[k]]
            for k in range(n)
        ]
    )
    return factor.ravel(), told.ravel()


@pytest.mark.parametrize("on_z", [3.5, 7.0])
def test_the_threshold_is_where_the_real_detector_begins_to_tell(make_result, on_z):
    factor, told = told_shares(make_result, on_z, 12)
    assert told[factor < 0.8].mean() < 0.2
    assert told[factor > 1.5].mean() > 0.8
    grid = np.linspace(0.4, 2, 161)  # the height at which as many are told below as are missed above
    wrong = [np.count_nonzero(told & (factor < g)) + np.count_nonzero(~told & (factor >= g)) for g in grid]
    assert 0.85 < np.median(grid[np.array(wrong) == min(wrong)]) < 1.4

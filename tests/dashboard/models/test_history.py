import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.models import history as history_module
from dashboard.models.history import History, Span, result_bytes
from dashboard.models.tracks import TrackBook
from stream import wire

PLAIN = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def filled(make_result, seqs):
    history = History()
    for seq in seqs:
        history.add(make_result(seq))
    return history


def test_an_empty_history_has_nothing():
    history = History()
    assert (history.newest, history.oldest, history.span) == (None, None, Span(0, 0.0))
    assert history.result(3) is history.picture(3) is None
    assert history.seq_at(1.0) is history.neighbour(3, 1) is None
    assert history.recent(3, 10) == history.events(3, 60.0) == []


def test_a_missing_frame_stands_for_the_last_one_before_it(make_result):
    history = filled(make_result, [5, 6, 9])
    assert [history.result(seq) and history.result(seq).seq for seq in (4, 5, 8, 9, 99)] == [None, 5, 6, 9, 9]
    assert [r.seq for r in history.recent(8, 3)] == [6]  # frames 6, 7 and 8
    assert [r.seq for r in history.recent(9, 5)] == [5, 6, 9]
    assert history.span.frames == 5
    assert history.span.seconds == pytest.approx(0.08)
    moves = ((6, 1), (8, 1), (9, -1), (9, 1), (5, -9))
    assert [history.neighbour(seq, n) for seq, n in moves] == [9, 9, 6, 9, 5]
    assert [history.seq_at(s) for s in (0.0, 0.1, 0.13, 9.0)] == [5, 5, 6, 9]


@PLAIN
@given(st.sets(st.integers(0, 60)), st.integers(-1, 62), st.integers(1, 20))
def test_what_is_found_is_what_a_search_through_all_finds(make_result, make_picture, seqs, seq, n):
    history = filled(make_result, sorted(seqs))
    for kept in sorted(seqs):
        if kept % 3 == 0:
            history.add_picture(make_picture(kept))
    before = [kept for kept in sorted(seqs) if kept <= seq]
    assert [r.seq for r in history.recent(seq, n)] == [kept for kept in before if kept > seq - n]
    found, picture = history.result(seq), history.picture(seq)
    assert (found and found.seq) == (before[-1] if before else None)
    with_picture = [kept for kept in before if kept % 3 == 0]
    assert (picture and picture.seq) == (with_picture[-1] if with_picture else None)


def test_what_goes_back_is_refused_until_it_is_cleared(make_result, make_picture):
    history = filled(make_result, [3, 4])
    history.add_picture(make_picture(4))
    for seq in (4, 2):
        with pytest.raises(ValueError, match=f"frame {seq} came after frame 4"):
            history.add(make_result(seq))
        with pytest.raises(ValueError, match=f"picture {seq} came after picture 4"):
            history.add_picture(make_picture(seq))
    history.clear()
    assert history.newest is None and history.picture(9) is None
    history.add(make_result(0))
    history.add_picture(make_picture(0))
    assert (history.newest, len(history)) == (0, 1)


def test_old_results_go_by_time_and_their_events_with_them(make_result, make_event):
    history = History(seconds=1.0)
    for seq in range(200):  # 20 ms apart
        history.add(make_result(seq, events=[make_event(seq, onset=seq - 5, peak=seq - 4, end=seq)]))
    assert (history.oldest, history.newest) == (149, 199)
    assert [e.event_id for e in history.events(199, 60.0)] == list(range(149, 200))
    assert [e.event_id for e in history.events(180, 0.1)] == list(range(175, 181))


def test_events_are_known_from_the_frame_that_told_of_them(make_result, make_event):
    history = History()
    history.add(make_result(10))
    history.add(make_result(30, events=[make_event(1, onset=12)]))
    assert history.events(29, 60.0) == []
    assert [e.event_id for e in history.events(30, 60.0)] == [1]


def test_a_clock_that_is_set_back_or_leaps_does_not_keep_old_results(make_result):
    for leap in (-3600.0, 3600.0):
        history = History(seconds=1.0)
        for seq in range(100):
            history.add(make_result(seq, time_s=seq * 0.01 + leap * (seq >= 50)))
        assert (history.oldest, history.newest) == (50, 99)


def test_a_clock_that_stands_still_is_bounded_by_number(make_result, monkeypatch):
    monkeypatch.setattr(history_module, "MAX_RESULTS", 50)
    history = History()
    for seq in range(120):
        history.add(make_result(seq, time_s=0.0))
    assert (len(history), history.oldest) == (50, 70)


def test_crowded_results_go_by_their_size(make_result):
    history = History(result_bytes=1e6)
    for seq in range(60):
        history.add(make_result(seq, n=5000))
    assert 1 < len(history) < 6
    assert sum(result_bytes(history.result(seq)) for seq in range(history.oldest, 60)) <= 1e6
    history = History(result_bytes=1.0)
    history.add(make_result(0))
    assert history.newest == 0  # the newest is kept whatever it takes


@pytest.mark.parametrize(("n", "n_gap"), [(0, 0), (200, 20), (5000, 500)])
def test_the_size_of_a_result_is_about_what_it_takes(make_result, n, n_gap):
    stages = dict.fromkeys(("wait", "localize", "track", "calcium", "record"), 1.0)
    result = make_result(5, n=n, gap_ids=range(n_gap), stage_ms=stages)
    packed = [bytes(part) for part in wire.encode_result(result)]
    wire.decode_result(packed)
    tracemalloc.start()
    kept = [wire.decode_result(packed) for _ in range(50)]
    taken = tracemalloc.get_traced_memory()[0] / len(kept)
    tracemalloc.stop()
    assert result_bytes(kept[0]) == pytest.approx(taken, rel=0.15)


def test_all_new_pictures_are_kept_and_old_ones_thinned_over_the_whole_time(make_result, make_picture):
    room = 100
    one = make_picture(0).pixels.nbytes
    history = History(seconds=20.0, picture_bytes=room * one)
    for seq in range(3000):  # a minute; 200 pictures would be enough for the last 4 s only
        history.add(make_result(seq, n=0))
        history.add_picture(make_picture(seq))
    found = [history.picture(seq) for seq in range(history.oldest, 3000)]
    kept = sorted({p.seq for p in found if p is not None})
    assert 0.9 * room <= len(kept) <= room
    assert kept[-50:] == list(range(2950, 3000))
    assert kept[0] <= history.oldest + 20  # 0.4 s: 20 s over 50 pictures
    assert np.diff(kept).max() <= 21
    history.add(make_result(10_000, n=0))  # an hour's silence of pictures
    assert history.picture(10_000) is None


def test_memory_stays_flat_over_100_000_results(make_result, make_event, make_picture):
    history, book = History(seconds=1.0, picture_bytes=20_000), TrackBook(108.0, 0.01)
    plain = make_result(0, n=3)

    def run(seqs):
        for seq in seqs:
            ids = np.array([seq // 7, seq // 7 + 1, 10 * seq + 10**7])
            update = replace(plain.tracks, track_id=ids, born=ids[-1:], confirmed=ids[:1])
            event = (make_event(seq, onset=seq),) if seq % 20 == 0 else ()
            calcium = replace(plain.calcium, events=event)
            result = replace(plain, seq=seq, time_s=seq * 0.01, tracks=update, calcium=calcium)
            history.add(result)
            book.add(result)
            if seq % 10 == 0:
                history.add_picture(make_picture(seq))

    run(range(88_000))
    tracemalloc.start()
    run(range(88_000, 90_000))
    before = tracemalloc.get_traced_memory()[0]
    run(range(90_000, 100_000))
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(history) == 101
    assert len(book.living()) == 3 and len(book.ended()) == 5000
    assert abs(after - before) < 40_000  # one number kept of each result would be 80,000

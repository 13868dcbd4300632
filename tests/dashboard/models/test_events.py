"""Events, raster, histograms and counters: by hand, and bounded."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.models.correlation import Correlation
from dashboard.models.counters import Counters
from dashboard.models.events import EventBook
from dashboard.models.histograms import DURATION, MOST_EVENTS, PHOTONS, Bins, Histograms
from dashboard.models.raster import Raster
from dashboard.models.steps import MOBILITY
from dashboard.models.tracks import TrackTable
from stream.results import CalciumTransient


def transient(number, is_wave=False):
    return CalciumTransient(number, 1, 2, 3, 0.0, 0.1, 5.0, 5.0, 1.0, 9.0, 4.0, is_wave, False)


def test_events_are_found_by_id_and_by_track(make_result, make_event):
    book = EventBook()
    first, second, third = make_event(0, 7), make_event(1, 8), make_event(2, 7, onset=40)
    book.add(make_result(20, 0, events=[first, second], transients=[transient(0), transient(1, True)]))
    book.add(make_result(50, 0, events=[third]))
    assert (book.n_all, book.n_transients, book.n_waves) == (3, 1, 1)
    assert book.event(1) is second and book.event(9) is None
    assert book.of_track(7) == (first, third) and book.of_track(5) == ()
    view = book.view(1)
    assert view.events == (first, second, third) and (view.n_all, view.selected) == (3, 1)
    assert book.view(77).selected is None
    assert book.view(1).events is view.events  # nothing new, nothing made
    book.clear()
    assert book.view(1) == type(view)((), 0, None)


def test_the_newest_are_kept_and_all_are_counted(make_result, make_event):
    book = EventBook(most=3)
    for k in range(10):
        book.add(make_result(k, 0, events=[make_event(100 + k, k % 2)]))
    assert [e.event_id for e in book.all] == [107, 108, 109]
    assert [e.event_id for e in book.of_track(1)] == [107, 109]
    assert book.event(100) is None
    assert book.n_all == 110  # 100 of them ended before anybody looked
    book.add(make_result(11, 0, events=[make_event(109, 1)]))
    assert book.n_all == 110  # told twice


def test_a_minute_is_the_cameras(make_result, make_event):
    book, number = EventBook(), 0
    for seq in range(1000):  # 100 s, an event every second frame of the last 50 s
        events = []
        if seq >= 500 and seq % 2:
            events, number = [make_event(number)], number + 1
        book.add(make_result(seq, 0, time_s=seq * 0.1, events=events))
        if seq == 10:
            assert math.isnan(book.per_minute)  # too early
    assert book.per_minute == pytest.approx(250, abs=1)
    book.add(make_result(1000, 0, time_s=3.0, events=[make_event(number)]))  # the clock was set back
    assert math.isnan(book.per_minute)
    book.add(make_result(1001, 0, time_s=13.0))
    assert book.per_minute == pytest.approx(6)
    book.add(make_result(1002, 0, time_s=5000.0))  # silence
    assert book.per_minute == 0


def test_rows_of_the_raster_are_in_the_order_of_first_events(make_result, make_event):
    raster = Raster()
    plan = [(0, 5, 10), (1, 3, 30), (2, 5, 60), (3, 9, 80), (4, 3, 400)]  # id, track, onset frame
    for number, track, onset in plan:
        raster.add(make_result(onset + 10, 0, events=[make_event(number, track, onset=onset)]))
    view = raster.view(100, 10.0)
    assert view.track_id.tolist() == [5, 3, 9]
    assert view.row.tolist() == [0, 1, 0, 2, 1]
    np.testing.assert_allclose(view.onset_s, np.array([10, 30, 60, 80, 400]) * 0.02)
    np.testing.assert_allclose(view.end_s - view.onset_s, 0.2)
    late = raster.view(8.5, 10.0)  # from 1.5 s on: that of track 9 and the last one of track 3
    assert late.track_id.tolist() == [3, 9] and late.row.tolist() == [1, 0]
    assert raster.view(100, 1.3).track_id.tolist() == [5, 3]  # looking back
    raster.clear()
    assert not len(raster.view(100, 10.0).row)


def test_the_raster_shows_the_tracks_with_the_newest_events_where_there_are_too_many(make_result, make_event):
    raster = Raster(most_events=8, most_rows=2)
    for number, track in enumerate([1, 2, 3, 4, 1, 2]):
        raster.add(make_result(number, 0, events=[make_event(number, track, onset=number * 10)]))
    view = raster.view(100, 10.0)
    assert view.track_id.tolist() == [1, 2]
    assert view.row.tolist() == [0, 1, 0, 1]
    for number in range(6, 20):
        raster.add(make_result(number, 0, events=[make_event(number, 9, onset=number * 10)]))
    assert raster.view(100, 10.0).track_id.tolist() == [9]
    assert list(raster._known) == [9]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 50)), max_size=60))
def test_any_raster_names_the_track_of_every_event(make_result, make_event, plan):
    raster = Raster(most_events=20, most_rows=4)
    for number, (track, onset) in enumerate(plan):
        raster.add(make_result(number, 0, events=[make_event(number, track, onset=onset)]))
    view = raster.view(100, 10.0)
    newest = plan[-20:]
    drawn = sorted(zip(view.track_id[view.row].tolist(), view.onset_s.tolist(), strict=True))
    kept = sorted((t, o * 0.02) for t, o in newest if t in set(view.track_id.tolist()))
    assert drawn == kept
    assert len(view.track_id) == min(4, len({t for t, _ in newest}))


def test_bins_count_what_numpy_counts():
    random = np.random.default_rng(3)
    for bins, values in (
        (PHOTONS, 10 ** random.normal(3, 0.4, 5000)),
        (Bins(0, 5, 50, is_log=False), random.normal(2, 1, 5000)),
    ):
        counts = bins.count(np.append(values, np.nan).astype(np.float32))
        inside, _ = np.histogram(values.astype(np.float32), bins.edges)
        assert np.abs(counts[1:-1] - inside).max() <= 2  # rounding at an edge
        assert counts.sum() == 5000
        width = np.diff(bins.edges)[np.searchsorted(bins.edges, np.median(values)) - 1]
        assert abs(bins.median(counts) - np.median(values)) < 0.2 * width
    outside = PHOTONS.count(np.array([-5.0, 0.0, 1e9, np.inf]))
    assert (outside[0], outside[-1], outside.sum()) == (2, 2, 4)
    assert PHOTONS.median(PHOTONS.count(np.array([1.0]))) == pytest.approx(10)
    assert PHOTONS.median(PHOTONS.count(np.array([1e9]))) == pytest.approx(1e5)
    assert math.isnan(PHOTONS.median(PHOTONS.count(np.array([]))))


@given(st.lists(st.floats(0.02, 50), min_size=1, max_size=50))
def test_the_binned_median_is_within_a_bin(values):
    edges, median = DURATION.edges, DURATION.median(DURATION.count(np.array(values)))
    width = edges[1] / edges[0]
    low, high = np.sort(values)[[(len(values) - 1) // 2, len(values) // 2]]
    assert low / width < median < high * width


def test_histograms_by_hand(make_result, make_event):
    book = Histograms(100.0)
    book.add(
        make_result(
            0, 3, photons=[100, 1000, 1000], sd=[0.1, 0.2, 0.3], events=[make_event(0, amplitude=0.75)]
        )
    )
    diffusion, photons, precision, amplitude, duration = book.view(np.array([0.01, np.nan, 0.03, -0.1]))
    assert [h.name for h in (diffusion, precision)] == ["diffusion coefficient", "localization precision"]
    assert (diffusion.n, diffusion.counts.sum(), diffusion.median) == (3, 2, 0.01)  # one lies below
    assert photons.n == 3 and photons.counts[photons.edges[:-1] <= 500].sum() == 1
    assert precision.median == pytest.approx(20, abs=2)
    assert precision.edges[np.flatnonzero(precision.counts)].tolist() == pytest.approx([10, 20, 30], abs=2)
    assert amplitude.median == 0.75 and duration.median == pytest.approx(0.2)
    for view in (diffusion, photons, precision, amplitude, duration):
        assert len(view.edges) == len(view.counts) + 1 and (np.diff(view.edges) > 0).all()
    ratios = photons.edges[1:] / photons.edges[:-1]
    assert photons.is_log and np.ptp(ratios) < 1e-9 and not precision.is_log
    book.clear()
    assert [h.n for h in book.view(np.array([]))] == [0] * 5
    assert all(math.isnan(h.median) for h in book.view(np.array([])))


def test_puncta_of_the_last_seconds_are_counted(make_result):
    book = Histograms(100.0)
    for seq in range(3000):  # 60 s; after 30 s they are brighter
        book.add(make_result(seq, 10, photons=200 if seq < 1500 else 5000))
    photons = book.view(np.array([]))[1]
    assert 9 * 500 < photons.n <= 10 * 500
    assert photons.median == pytest.approx(5000, rel=0.1)
    book.add(make_result(3000, 10, photons=100, time_s=9e9))  # a pause of years: what was is old
    assert book.view(np.array([]))[1].n == 10
    for seq in range(3001, 20_000):  # the clock stands still
        book.add(make_result(seq, 1, time_s=5.0))
    assert 9_000 <= book.view(np.array([]))[1].n <= 10_000


def test_the_last_events_are_counted(make_result, make_event):
    book = Histograms(100.0)
    for number in range(MOST_EVENTS + 500):
        book.add(make_result(number, 0, events=[make_event(number, amplitude=float(number))]))
    amplitude = book.view(np.array([]))[3]
    assert amplitude.n == MOST_EVENTS
    assert amplitude.median == pytest.approx(500 + (MOST_EVENTS - 1) / 2)


def table(mobility, confirmed):
    n = len(mobility)
    zeros = np.zeros(n, np.int64)
    kinds = np.array([MOBILITY.index(m) for m in mobility], np.int8)
    return TrackTable(np.arange(n), zeros, zeros, zeros, zeros, np.array(confirmed, bool), np.zeros(n), kinds)


def test_counters_by_hand(make_result, make_event):
    counters, events = Counters(), EventBook()
    for seq in range(100):
        result = make_result(seq, 10 if seq < 60 else 30, confirmed=[seq] if seq % 2 else [])
        counters.add(result)
        events.add(result)
    living = table(["mobile", "immobile", "mobile", "unknown", "mobile"], [1, 1, 1, 1, 0])
    shown = {c.name: c.text for c in counters.view(living, events, None)}
    # Of the last 50 frames, 10 have 10 puncta and 40 have 30.
    assert shown == {
        "puncta per frame": "30",
        "tracks now": "4",
        "tracks in all": "50",
        "mobile": "67% of 3",
    }
    events.add(make_result(400, 0, events=[make_event(0)]))
    correlation = Correlation(40, 20, 5.0, 4.0, 2.5, 6.0, True)
    shown = {c.name: c for c in counters.view(living, events, correlation)}
    assert shown["events"].text == "1 (0 on)" and shown["events per minute"].text == "8"  # 1 in 8 s
    assert shown["calcium at puncta"].text == "4.00 × chance (2.50 to 6.00), n = 40"
    assert "5.0 would by chance" in shown["calcium at puncta"].meaning
    assert all(c.meaning for c in shown.values())
    empty = {c.name: c.text for c in Counters().view(table([], []), EventBook(), None)}
    assert empty["puncta per frame"] == empty["mobile"] == "–" and empty["tracks in all"] == "0"


@pytest.mark.parametrize(
    ("first", "missing_before", "text"),
    [(0, 0, "1"), (3, 3, "1"), (200, 0, "1 since 4 s"), (7, 6, "1 since 0 s")],
)
def test_a_late_window_says_since_when_it_counts(make_result, first, missing_before, text):
    counters = Counters()
    counters.add(make_result(first, 5, missing_before=missing_before, confirmed=[3]))
    for seq in range(first + 2, first + 200, 2):  # frames that go missing later were watched
        counters.add(make_result(seq, 5, missing_before=1))
    shown = {c.name: c.text for c in counters.view(table([], []), EventBook(), None)}
    assert shown["tracks in all"] == text

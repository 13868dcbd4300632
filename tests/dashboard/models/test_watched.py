"""The run that is watched: other runs, things out of order, selection, and everything that views ask."""

import msgspec
import numpy as np
import pytest

from acquire.frame import Frame
from dashboard.models.display import Display
from dashboard.models.watched import MOST_SELECTED, Watched
from stream import wire
from stream.watch.news import Link, News

WATCHING = Link("watching", "watching")
DIAL = wire.Dial(0.35, 0.01, 0.99, "probability")


def report(session, run_id="a", number=1, n_out=0):
    health = wire.Health(n_out, n_out, 0, {}, n_out, 1000, 10**12, None, DIAL, DIAL, [])
    return wire.Report(number, run_id, "running", "running", 10**18, "", "", session, health)


@pytest.fixture
def session(make_session):
    return msgspec.structs.replace(make_session(), shape=(2, 32, 48))


def picture(seq, shape=(2, 32, 48)):
    return Frame(seq, seq * 0.02, np.full(shape, seq, np.uint16))


def test_results_that_come_before_the_run_is_known_are_kept(session, make_result):
    watched = Watched()
    early = News(WATCHING, results=(make_result(0, track_ids=[1]),), pictures=(picture(0),))
    assert not watched.take(early, 0.0)
    assert watched.position(0.0) is None
    assert watched.take(News(WATCHING, report(session)), 0.1)
    position = watched.position(0.1)
    scene = watched.scene(position, Display())
    assert (scene.seq, scene.picture_seq, scene.marks.track_id.tolist()) == (0, 0, [1])


def test_another_run_leaves_nothing_of_the_last_one(session, make_result):
    watched = Watched()
    results = tuple(make_result(i, track_ids=[1]) for i in range(5))
    watched.take(News(WATCHING, report(session), results, overrun=3), 0.0)
    watched.select(1)
    watched.playback.freeze(4)
    smaller = msgspec.structs.replace(session, shape=(1, 16, 16), has_calcium=False)
    again = News(WATCHING, report(smaller, "b"), (make_result(0, track_ids=[7]),), (picture(0, (1, 16, 16)),))
    assert watched.take(again, 1.0)
    assert (watched.selected, watched.overrun, watched.playback.state) == ((), 0, "following")
    scene = watched.scene(watched.position(1.0), Display())
    assert (scene.picture.shape, scene.marks.track_id.tolist()) == ((1, 16, 16), [7])
    assert watched.traces(watched.position(1.0), Display()) is None


def test_what_comes_out_of_order_is_left_out_and_said_once(session, make_result):
    watched = Watched()
    watched.take(News(WATCHING, report(session), tuple(make_result(i) for i in range(3))), 0.0)
    for _ in range(100):
        watched.take(News(WATCHING, results=(make_result(1),), pictures=(picture(9, (2, 5, 5)),)), 0.1)
    assert watched.books.history.newest == 2
    assert watched.n_out_of_order == 200
    assert any("older than the one before" in s for s in watched.sentences)
    assert any("another size (2 × 5 × 5)" in s for s in watched.sentences)


def test_selection(session, make_result, make_event):
    watched = Watched()
    event, first = make_event(event_id=3, track_id=9), make_event(event_id=0, track_id=4)
    watched.take(News(WATCHING, report(session), (make_result(0, events=[first, event]),)), 0.0)
    watched.select(1)
    watched.select(2, add=True)
    assert watched.selected == (2, 1)
    watched.select(1, add=True)
    assert watched.selected == (2,)
    assert watched.select_event(99) is None
    assert watched.select_event(3) == event
    assert (watched.selected, watched.selected_event) == ((9,), 3)
    watched.select(8, add=True)
    assert watched.selected_event == 3
    watched.select(9, add=True)  # not any more
    assert (watched.selected, watched.selected_event) == ((8,), None)
    watched.select_event(0)
    watched.select(5)
    assert watched.selected_event is None
    for i in range(50):
        watched.select(i, add=True)
    assert len(watched.selected) == MOST_SELECTED
    watched.clear_selection()
    assert (watched.selected, watched.selected_event) == ((), None)


def test_everything_that_views_ask_is_there_from_the_first_moment_on(session, make_result):
    watched = Watched()
    for _ in range(2):
        assert watched.histograms() is not None
        assert watched.counters() is not None
        assert watched.events().n_all == 0
        badge, readings = watched.health(0.0)
        assert badge.text
        assert len({reading.name for reading in readings}) == len(readings)
        watched.take(News(WATCHING, report(session), (make_result(0, track_ids=[1], dff=[0.1]),)), 0.0)
    position = watched.position(0.0)
    assert len(watched.traces(position, Display()).time_s) == 1
    assert watched.raster(watched.scene(position, Display())) is not None

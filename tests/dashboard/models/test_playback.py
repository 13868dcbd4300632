import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.models.playback import Playback

INTERVAL_S = 0.1


def at(playback, newest=100, oldest=0, now_s=0.0):
    return playback.position(newest, oldest, now_s, INTERVAL_S)


def test_it_follows_until_it_is_told_otherwise():
    playback = Playback()
    assert [at(playback, newest).seq for newest in (3, 5, 90)] == [3, 5, 90]
    assert playback.held is None
    playback.freeze(90)
    assert playback.held == 90
    assert [at(playback, newest).seq for newest in (91, 200)] == [90, 90]
    assert at(playback, 200).text == "frozen, 11.0 s back"
    playback.freeze(200)  # frozen already
    assert at(playback, 200).seq == 90
    playback.follow()
    assert (at(playback, 201).seq, playback.state) == (201, "following")


def test_steps_go_from_what_is_shown_and_stay_inside():
    playback = Playback()
    at(playback, 100)
    playback.step(-3)
    assert at(playback, 104).seq == 97
    playback.step(+50)
    assert at(playback, 104).seq == 104
    playback.step(-1)  # at once, not only after 43 presses
    assert at(playback, 104).seq == 103
    playback.go_to(-5)
    assert at(playback, 104, oldest=4).seq == 4


def test_a_moment_that_falls_out_moves_along_and_says_so():
    playback = Playback()
    playback.go_to(10)
    assert not at(playback, 100, oldest=10).slipped
    found = at(playback, 101, oldest=11)
    assert (found.seq, found.slipped) == (11, True)
    assert found.text.endswith("at the oldest frame that is kept")
    assert at(playback, 101, oldest=11).slipped  # for as long as it is so
    playback.step(1)
    found = at(playback, 101, oldest=11)
    assert (found.seq, found.slipped) == (12, False)


def test_it_plays_at_a_speed_and_then_follows():
    playback = Playback()
    playback.go_to(50)
    at(playback)
    playback.play(2.0)
    assert at(playback, now_s=7.0).seq == 50  # the clock begins here
    assert at(playback, now_s=7.5).seq == 60
    assert at(playback, now_s=7.4).seq == 60  # clocks do not go back, but should one do
    assert at(playback, now_s=8.4).state == "playing"
    assert at(playback, now_s=20.0).state == "following"


def test_slow_motion_from_the_newest_frame_falls_behind():
    playback = Playback()
    at(playback, 100)
    playback.play(0.5)
    shown = [at(playback, 100 + i // 3, now_s=i * INTERVAL_S / 3).seq for i in range(31)]
    assert shown[-1] == 105 and shown == sorted(shown)
    playback.freeze(110)
    assert (at(playback, 110).seq, playback.state) == (105, "frozen")


def test_playing_slower_than_the_history_goes_keeps_to_its_oldest_end():
    playback = Playback()
    playback.go_to(10)
    playback.play(0.1)
    assert at(playback, 100, oldest=0, now_s=0.0).seq == 10
    found = at(playback, 200, oldest=100, now_s=1.0)
    assert (found.seq, found.state, found.slipped) == (100, "playing", True)
    found = at(playback, 210, oldest=100, now_s=3.0)
    assert (found.seq, found.slipped) == (102, False)


def test_nonsense_is_refused():
    playback = Playback()
    for speed in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="speed must be positive"):
            playback.play(speed)
    for newest, oldest, interval_s in ((3, 4, 0.1), (4, 3, 0.0)):
        with pytest.raises(ValueError, match="no position in frames"):
            playback.position(newest, oldest, 0.0, interval_s)


ACTIONS = st.one_of(
    st.tuples(st.just("follow")),
    st.tuples(st.just("freeze")),
    st.tuples(st.just("go_to"), st.integers(-50, 500)),
    st.tuples(st.just("step"), st.integers(-40, 40)),
    st.tuples(st.just("play"), st.floats(0.05, 20)),
    st.tuples(st.just("wait"), st.integers(0, 30), st.integers(0, 30), st.floats(0, 2)),
)


@given(st.lists(ACTIONS, max_size=40))
def test_whatever_is_pressed_the_position_is_one_that_there_is(actions):
    playback, newest, oldest, now_s = Playback(), 10, 0, 0.0
    before = at(playback, newest, oldest, now_s)
    for name, *values in actions:
        if name == "wait":
            newest, now_s = newest + values[0], now_s + values[2]
            oldest = min(oldest + values[1], newest)
        elif name == "freeze":
            playback.freeze(newest)
        else:
            getattr(playback, name)(*values)
        found = at(playback, newest, oldest, now_s)
        assert oldest <= found.seq <= newest
        assert found.state == playback.state
        if found.state == "following":
            assert found.seq == newest
        if name in ("freeze", "go_to", "step"):
            assert found.state == "frozen"
        if name == "freeze":
            assert found.seq == before.seq
        if name == "step":
            assert found.seq == min(max(before.seq + values[0], oldest), newest)
        if name == "go_to":
            assert found.seq == min(max(values[0], oldest), newest)
        if name == "wait" and before.state == "frozen":
            assert (found.seq, found.state) == (max(before.seq, oldest), "frozen")
        if name == "wait" and before.state == "playing":
            assert found.seq >= before.seq
        assert found == at(playback, newest, oldest, now_s)  # asking changes nothing
        before = found

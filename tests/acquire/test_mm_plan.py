"""What is imaged next: when frames are due, and what a change costs."""

import threading
import time

import pytest

from acquire.frame import SourceError
from acquire.live import Action
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.core import stop_cameras
from acquire.micromanager.plan import Plan

pytestmark = pytest.mark.timeout(30)


def plan_of(interval_ms=0.0, exposure_ms=20.0, max_frames=None, expose=lambda ms: ms, **entries):
    config = MicroscopeConfig(interval_ms=interval_ms, **entries)
    return Plan(config, exposure_ms, max_frames, expose)


def acted(plan, action):
    """Answer to an action whose change the imaging thread makes."""
    answers = []

    def ask():
        try:
            answers.append(plan.act(action))
        except SourceError as error:
            answers.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive():
        if plan.is_asked:
            plan.change()
        time.sleep(0.001)
    return answers[0]


def test_the_second_frame_waits_for_its_interval_and_late_ones_are_not_caught_up_with():
    """The first two, and the two behind a delay, came one right after the other."""
    plan, times = plan_of(interval_ms=200), []
    for n in range(4):
        if n == 2:
            time.sleep(0.5)
        assert plan.is_due()
        times.append(time.monotonic())
    assert times[1] - times[0] > 0.1
    assert times[3] - times[2] > 0.1


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        (Action("burst", 5), "frames come as fast as the exposure allows already"),
        (Action("exposure", 20.0), "the exposure is 20 ms"),
        (Action("interval", 10.0), "frames as fast as the exposure allows"),
    ],
)
def test_what_is_so_already_cuts_no_sequence(action, answer):
    plan = plan_of()
    assert plan.act(action) == answer
    assert not plan.is_asked and plan.is_fast and plan.limit is None


def test_bursts_add_up_and_end_with_the_frames_that_are_left():
    plan = plan_of(interval_ms=500, max_frames=30)
    assert not plan.is_fast and plan.limit == 30
    assert acted(plan, Action("burst", 5)) == acted(plan, Action("burst", 5)) == "a burst of 5 frames"
    assert plan.is_fast and plan.limit == 10
    plan.count(10)
    assert not plan.is_fast and plan.limit == 20
    acted(plan, Action("burst", 100))
    assert plan.limit == 20
    plan.count(20)
    assert plan.is_over


def test_channels_never_run_by_themselves():
    channels = {"mode": "channels", "channel_group": "g", "channels": ("a", "b")}
    plan = plan_of(interval_ms=30, **channels)
    assert not plan.is_fast
    assert plan.act(Action("burst", 3)).endswith("already")  # two exposures of 20 ms take longer anyway


def test_refusals_are_told_and_touch_nothing():
    def refuse(exposure_ms):
        raise SourceError("the camera does not take it")

    plan = plan_of(expose=refuse)
    assert str(acted(plan, Action("exposure", 5))) == "the camera does not take it"
    assert plan.exposure_ms == 20
    for action in (Action("burst", 0.4), Action("interval", float("nan")), Action("exposure", 0)):
        with pytest.raises(SourceError, match=f"{action.kind} cannot be"):
            plan.act(action)
    plan.end()
    with pytest.raises(SourceError, match="has ended"):
        plan.act(Action("exposure", 5))


def test_a_request_that_comes_with_the_end_is_answered():
    plan, answers = plan_of(), []

    def ask():
        with pytest.raises(SourceError, match="has ended"):
            plan.act(Action("exposure", 5))
        answers.append("refused")

    asking = threading.Thread(target=ask)
    asking.start()
    while not plan.is_asked:
        time.sleep(0.001)
    plan.end()
    plan.change()
    asking.join(5)
    assert answers == ["refused"]


def test_the_camera_that_is_through_first_is_stopped_first():
    told = []

    def stop(*camera):
        told.append(camera)
        if camera == ("B",):
            raise RuntimeError("this driver is stopped by the Multi Camera only")

    stop_cameras(stop, ["B", "A"])
    assert told == [("B",), ("A",), ()]
    told.clear()
    stop_cameras(stop, ["A"])
    assert told == [()]

"""Warnings come at once, and go only when things have stayed well."""

from dashboard.models.panels import Reading
from dashboard.models.steady import HOLD_S, Steady


def levels(steady, name, at):
    """Level and text shown at each moment of `at`: seconds, level."""
    shown = []
    for now_s, level in at:
        reading = Reading(name, f"{now_s}", level, "" if level == "ok" else f"is {level}")
        (seen,) = steady.steadied([reading], now_s)
        assert seen.text == f"{now_s}"  # numbers are never old
        assert seen.word == ("" if seen.level == "ok" else f"is {seen.level}")
        shown.append(seen.level)
    return shown


def test_at_a_limit_the_level_does_not_flicker():
    back_and_forth = [(k / 2, "caution" if k % 3 == 1 else "ok") for k in range(40)]
    shown = levels(Steady(), "frames out", back_and_forth)
    assert shown[0] == "ok" and set(shown[1:]) == {"caution"}


def test_worse_at_once_better_after_a_while():
    steady = Steady()
    assert levels(steady, "latency", [(0, "caution"), (0.5, "alarm"), (1, "caution")]) == [
        "caution",
        "alarm",
        "alarm",
    ]
    well_again = [(1.5, "ok"), (0.5 + HOLD_S, "ok"), (4, "ok")]
    assert levels(steady, "latency", well_again) == ["alarm", "ok", "ok"]


def test_the_clock_is_well_as_soon_as_a_frame_comes():
    assert levels(Steady(), "clock", [(0, "alarm"), (0.5, "ok")]) == ["alarm", "ok"]


def test_a_clock_that_leapt_back_holds_nothing_for_ever():
    assert levels(Steady(), "queue", [(100, "alarm"), (5, "ok")]) == ["alarm", "ok"]

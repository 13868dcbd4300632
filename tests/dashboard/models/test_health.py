"""The health bar: what is told, how bad it is, in which words."""

import math
from dataclasses import replace

import pytest

from dashboard.models.health import READERS, judge
from dashboard.models.limits import GB, Limits
from dashboard.models.rates import RatesView, Stage
from stream import wire
from stream.watch.news import Link

WATCHING = Link("watching", "the run answers")
GOOD = RatesView(
    frames_in=50.0,
    frames_out=50.0,
    latency_p50_ms=12.0,
    latency_p99_ms=31.0,
    stages=(Stage("engine", 8.0, 20.0), Stage("tracker", 1.0, 2.0)),
    newest_seq=3086,
    newest_time_s=61.73,
    age_s=0.1,
    lost_lately=0,
    lost_share=0.0,
    bytes_per_s=1e5,
    overrun_lately=0,
)
NAMES = [
    "clock", "frames in", "frames out", "latency", "missing", "queue", "engine", "GPU memory", "disk",
    "recording", "this window",
]  # fmt: skip


@pytest.fixture
def look(make_session, make_health):
    """Readings by name, for a camera's run unless something else is said."""

    def readings(rates=GOOD, link=WATCHING, kind="live", delivery="live", stage="running", overrun=0, **more):
        session_fields = {k: more.pop(k) for k in ("interval_s", "saves_raw", "engine", "notes") if k in more}
        session = make_session(kind=kind, delivery=delivery, **session_fields)
        health = make_health(**more)
        report = wire.Report(1, "a", stage, "writing tables", 0, "", "", session, health)
        badge, items = judge(link, report, rates, overrun)
        assert [r.name for r in items] == NAMES
        for item in items:
            assert item.text and item.meaning.strip()
            assert item.level == "ok" or item.word  # never by colour alone
        return {r.name: r for r in items} | {"badge": badge}

    return readings


def levels(seen):
    return {name: item.level for name, item in seen.items() if name != "badge" and item.level != "ok"}


def test_a_run_that_is_well_warns_of_nothing(look):
    seen = look()
    assert levels(seen) == {}
    texts = {name: seen[name].text for name in NAMES}
    assert texts == {
        "clock": "61.73 s, frame 3,086, now",
        "frames in": "50.0/s",
        "frames out": "50.0/s",
        "latency": "12 ms (p99 31 ms)",
        "missing": "none",
        "queue": "2",
        "engine": "none, made by hand",
        "GPU memory": "no GPU in use",
        "disk": "100.0 GB left",
        "recording": "results into runs/made_by_hand; raw images not saved",
        "this window": "shows every result",
    }
    assert "engine 8 ms (20 ms), tracker 1 ms (2 ms)" in seen["latency"].meaning
    assert all(not seen[name].word for name in NAMES)


@pytest.mark.parametrize(
    ("change", "name", "level", "word"),
    [
        ({"frames_out": 47.6}, "frames out", "ok", ""),
        ({"frames_out": 47.4}, "frames out", "caution", "falls behind"),
        ({"frames_out": 39.0}, "frames out", "alarm", "falls behind"),
        ({"frames_out": math.nan}, "frames out", "ok", ""),
        ({"frames_in": 0.0, "frames_out": 0.0}, "frames out", "ok", ""),
        ({"latency_p99_ms": 199.0}, "latency", "ok", ""),  # ten intervals of 20 ms
        ({"latency_p99_ms": 201.0}, "latency", "caution", "slow"),
        ({"latency_p99_ms": 1001.0}, "latency", "alarm", "very slow"),
        ({"age_s": 1.9}, "clock", "ok", ""),
        ({"age_s": 2.1}, "clock", "caution", "no new frame for 2 s"),
        ({"age_s": 400.0}, "clock", "alarm", "no new frame for 7 min"),
    ],
)
def test_limits_of_a_camera(look, change, name, level, word):
    seen = look(rates=replace(GOOD, **change))
    assert (seen[name].level, seen[name].word) == (level, word)
    assert levels(seen) == ({name: level} if level != "ok" else {})


def test_a_recording_at_full_speed_is_no_alarm(look):
    fast = replace(GOOD, frames_in=812.0, frames_out=640.0, latency_p50_ms=2100.0, latency_p99_ms=4000.0)
    seen = look(fast, kind="replay", delivery="lossless", waiting=5000, n_out=5000, recorded=4500)
    assert levels(seen) == {}
    assert seen["frames in"].text == "812.0/s" and "sets no pace" in seen["frames in"].meaning
    assert seen["latency"].text == "2100 ms (p99 4000 ms)" and seen["queue"].text == "5,000"
    # Played at its pace, and frames that are late passed over: then it has to be kept up with.
    assert set(levels(look(fast, kind="replay", delivery="live", waiting=5000))) == {
        "frames out", "latency", "queue",
    }  # fmt: skip
    # A camera whose frames all have to be analysed, too.
    assert "frames out" in levels(look(fast, kind="live", delivery="lossless"))
    # A recording has no last pixel that could be waited for.
    assert seen["latency"].meaning.startswith("From when a frame was sent")
    assert look(kind="live")["latency"].meaning.startswith("From a frame's last pixel")


def test_slow_cameras_are_given_time(look):
    slow = replace(GOOD, frames_in=0.5, frames_out=0.5, latency_p99_ms=4500.0, age_s=5.0)
    assert levels(look(slow, interval_s=2.0, recorded=98)) == {}
    assert levels(look(replace(slow, age_s=7.0), interval_s=2.0, recorded=98)) == {"clock": "caution"}


def test_missing_frames_by_cause(look):
    missing = {"passed over for a newer frame": 30, "lost on the way": 7}
    lately = replace(GOOD, lost_lately=37, lost_share=0.01)
    seen = look(lately, missing=missing)["missing"]
    assert (seen.text, seen.level, seen.word) == (
        "37: passed over for a newer frame …", "caution", "losing frames",
    )  # fmt: skip
    assert "passed over for a newer frame 30, lost on the way 7" in seen.meaning
    assert look(replace(lately, lost_share=0.06), missing=missing)["missing"].level == "alarm"
    before = look(missing=missing)["missing"]
    assert (before.level, before.word) == ("ok", "earlier")
    torn = look(lately, kind="replay", delivery="lossless", missing={"file is truncated": 37})["missing"]
    assert (torn.level, torn.word) == ("caution", "frames missing") and "recording lacks" in torn.meaning


@pytest.mark.parametrize(
    ("free_gb", "rate", "level", "text"),
    [
        (11, 0.0, "ok", "11.0 GB left"),
        (9.9, 0.0, "caution", "9.9 GB left"),
        (1.9, 0.0, "alarm", "1.9 GB left"),
        (11, 11e9 / 700, "ok", "11.0 GB left, 12 min"),
        (11, 11e9 / 500, "caution", "11.0 GB left, 8 min"),
        (11, 11e9 / 100, "alarm", "11.0 GB left, 100 s"),
        (500, math.nan, "ok", "500.0 GB left"),
        (0, 5e6, "alarm", "0.0 GB left, 0 ms"),
    ],
)
def test_room_on_the_disk(look, free_gb, rate, level, text):
    seen = look(replace(GOOD, bytes_per_s=rate), disk_free_bytes=int(free_gb * GB))["disk"]
    assert (seen.level, seen.text) == (level, text)


def test_gpu_queue_recording_and_this_window(look):
    gpu = wire.Gpu("NVIDIA X", int(9.2 * GB), 10 * GB)
    seen = look(gpu=gpu, waiting=60, n_out=1000, recorded=700, overrun=12)
    assert levels(seen) == {"GPU memory": "caution", "queue": "caution", "recording": "caution"}
    assert seen["GPU memory"].text == "9.2 of 10.0 GB" and "NVIDIA X" in seen["GPU memory"].meaning
    assert seen["recording"].word == "6 s late"
    assert (seen["this window"].text, seen["this window"].word) == ("left 12 results out", "not lately")
    now = look(replace(GOOD, overrun_lately=12), overrun=12)["this window"]
    assert (now.level, now.word) == ("caution", "leaves results out")
    assert "know nothing of that" in " ".join(now.meaning.split())
    assert look(saves_raw="D:/raw")["recording"].text.endswith("; raw images into D:/raw")
    for kind in ("replay", "simulation"):
        replayed = look(kind=kind, delivery="lossless")["recording"]
        assert replayed.text == "results into runs/made_by_hand" and "recording itself" in replayed.meaning
    assert look(kind="simulation")["recording"].text.endswith("raw images not saved")  # demo cameras
    assert "assumed 108 nm" in look(notes=["assumed 108 nm"])["engine"].meaning


def test_silence_and_the_end(look, make_session):
    silent = look(link=Link("silent", "no answer for 12 s", 12.0))
    assert (silent["clock"].level, silent["clock"].word) == ("alarm", "no answer for 12 s")
    assert all(silent[name].meaning.startswith("As it was 12 s ago.") for name in NAMES)
    assert silent["badge"].kind == "live" and "no answer for 12 s" in silent["badge"].text
    bad = replace(
        GOOD, bytes_per_s=1e10, frames_out=1.0, latency_p99_ms=1e5, lost_lately=5, lost_share=0.5, age_s=900.0
    )
    over = look(bad, link=Link("over", "the run has ended"), missing={"x": 5}, waiting=9999)
    assert levels(over) == {} and over["clock"].word == "run is over"
    assert over["disk"].text == "100.0 GB left" and "last" in over["recording"].meaning
    finishing = look(replace(bad, bytes_per_s=1e5), stage="finishing", missing={"x": 5}, waiting=9999)
    assert levels(finishing) == {} and finishing["clock"].word == "finishing"
    for seen in (over, finishing):
        assert seen["frames in"].word == seen["frames out"].word == "at the end"
        assert seen["missing"].word.endswith("% of the run")
    half = look(link=Link("over", "the run has ended"), missing={"x": 50}, n_out=50)["missing"]
    assert (half.level, half.word) == ("caution", "50.0% of the run")
    assert finishing["clock"].meaning == "writing tables"


def test_before_anything_is_known():
    nothing = replace(
        GOOD, newest_seq=None, age_s=math.nan, latency_p50_ms=math.nan, frames_in=math.nan,
        frames_out=math.nan, bytes_per_s=math.nan, stages=(), newest_time_s=math.nan,
    )  # fmt: skip
    for link in (Link("searching", "looking for a run"), Link("calling", "calling tcp://here:1")):
        badge, items = judge(link, None, nothing, 0)
        assert badge.kind == "none" and badge.text == f"NO RUN: {link.text}"
        assert [r.name for r in items] == NAMES and len(READERS) == len(NAMES)
        assert {r.level for r in items} == {"ok"}
    report = wire.Report(1, "a", "preparing", "warming up the engine", 0, "", "", None, None)
    badge, items = judge(WATCHING, report, nothing, 0)
    assert badge.kind == "none" and items[0].word == "preparing"


@pytest.mark.parametrize(
    ("kind", "word"), [("live", "LIVE"), ("replay", "REPLAY"), ("simulation", "SIMULATION")]
)
def test_badges_tell_runs_apart(look, kind, word):
    badge = look(kind=kind)["badge"]
    assert badge.kind == kind and badge.text.startswith(word) and "movie" in badge.text


def test_limits_may_be_others(make_session, make_health):
    report = wire.Report(1, "a", "running", "", 0, "", "", make_session(kind="live"), make_health())
    _, items = judge(WATCHING, report, GOOD, 0, Limits(latency_s=(0.001, 0.002), latency_intervals=(0, 0)))
    assert {r.name for r in items if r.level == "alarm"} == {"latency"}

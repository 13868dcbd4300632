"""Rates: what reports and results say of speed, whatever clocks do."""

import math
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dashboard.models.rates import LONG_S, MOST_RESULTS, MOST_STAGES, WINDOW_S, Rates
from stream import wire


@pytest.fixture(scope="session")
def make_report(make_session, make_health):
    numbers = count(1)

    def report(clock_s, n_out=0, n_sent=0, stage="running", session=None, **health):
        return wire.Report(
            number=next(numbers),
            run_id="a",
            stage=stage,
            doing="analysing",
            clock_ns=int(clock_s * 1e9),
            results="",
            pictures="",
            session=session or make_session(),
            health=make_health(n_out=n_out, n_sent=n_sent, **health),
        )

    return report


def test_rates_are_differences_of_reports(make_report):
    rates = Rates()
    assert math.isnan(rates.view(0).frames_in)
    for k in range(40):  # 20 s; for the last 8 the analysis is slower
        s = k / 2
        n_out = 100 * min(s, 12) + 80 * max(s - 12, 0)
        rates.hear(make_report(1e9 + s, n_out=int(n_out), n_sent=int(100 * s)))
        if k == 1:
            assert math.isnan(rates.view(s).frames_in)  # half a second says little
    view = rates.view(20)
    assert view.frames_in == pytest.approx(100) and view.frames_out == pytest.approx(80)


def test_all_reports_may_have_the_same_number(make_report):
    rates = Rates()
    for k in range(11):
        missing = {"lost on the way": k}
        told = make_report(100 + k / 2, 10 * k, 20 * k, missing=missing, disk_free_bytes=10**9 - 1000 * k)
        rates.hear(replace(told, number=0))
    view = rates.view(0)
    assert (view.frames_in, view.frames_out, view.lost_lately) == (40, 20, 10)
    assert view.bytes_per_s == pytest.approx(2000)


def test_after_the_last_frame_rates_stay_those_before_it(make_report):
    rates = Rates()
    for k in range(10):
        rates.hear(make_report(100 + k, 50 * k, 50 * k))
    for k in range(10):  # tables are written, no frame comes
        rates.hear(make_report(110 + k, 450, 450, stage="finishing"))
    assert rates.view(0).frames_in == 50


def test_a_report_counts_once_and_one_without_health_not_at_all(make_report):
    rates, first = Rates(), make_report(10, 100, 100)
    rates.hear(first)
    for _ in range(50):
        rates.hear(first)
    second = make_report(12, 300, 400)
    for _ in range(50):
        rates.hear(second)
    assert rates.view(0).frames_in == 150
    assert len(rates._told) == 2
    nothing = wire.Report(99, "a", "preparing", "", 0, "", "", None, None)
    rates.hear(nothing)
    assert rates.view(0).frames_in == 150


def test_clocks_that_jump_make_a_rate_unknown_and_never_wrong(make_report):
    rates = Rates()

    def told(clock_s, n):
        rates.hear(make_report(clock_s, n, n))
        return rates.view(clock_s).frames_out

    for s in range(10):
        told(s, 10 * s)
    assert told(10, 100) == 10
    assert math.isnan(told(4000, 110))  # leapt, or an hour of silence
    assert told(4002, 130) == 10
    assert math.isnan(told(3, 140))  # set back
    assert told(5, 160) == 10
    assert math.isnan(told(6, 5))  # another run
    assert told(8, 25) == 10


def test_latency_and_stages_are_those_of_the_last_seconds(make_result):
    rates = Rates()
    for seq in range(1000):
        slow = seq < 500
        stages = {"engine": 50.0 if slow else 4.0, "tracker": 1.0}
        result = make_result(seq, 0, latency_ms=90.0 if slow else float(seq % 100), stage_ms=stages)
        rates.add([result], seq * 0.01)
    view = rates.view(9.99)
    assert view.latency_p50_ms == pytest.approx(49.5, abs=1)
    assert view.latency_p99_ms == pytest.approx(98, abs=1)
    assert [(s.name, s.p50_ms, s.p99_ms) for s in view.stages] == [("engine", 4, 4), ("tracker", 1, 1)]
    assert (view.newest_seq, view.newest_time_s) == (999, pytest.approx(19.98))
    assert view.age_s == pytest.approx(0)
    later = rates.view(9.99 + 3600)  # an hour of silence: what was last is still there, and how old it is
    assert later.age_s == pytest.approx(3600)
    assert later.stages == view.stages
    assert (later.latency_p50_ms, later.latency_p99_ms) == (view.latency_p50_ms, view.latency_p99_ms)


def test_percentiles_are_worked_out_a_few_times_a_second(make_result):
    rates = Rates()
    rates.add([make_result(0, 0, latency_ms=10)], 0.0)
    assert rates.view(0.0).latency_p50_ms == 10
    rates.add([make_result(1, 0, latency_ms=30)], 0.1)
    assert rates.view(0.1).latency_p50_ms == 10
    assert rates.view(0.4).latency_p50_ms == 20


def test_any_names_of_stages_are_bounded(make_result):
    rates = Rates()
    for seq in range(50):
        rates.add([make_result(seq, 0, stage_ms={f"stage {seq}": 1.0, "engine": 2.0})], 0.0)
    stages = rates.view(0.0).stages
    assert len(stages) == MOST_STAGES and {s.name for s in stages} >= {"engine", "stage 0"}


def test_what_was_lost_and_written_lately(make_report):
    rates = Rates()
    for k in range(200):  # 100 s
        s = k / 2
        lost = {"passed over": 30, "lost on the way": int(max(s - 80, 0))}
        rates.hear(make_report(s, 50 * k, 50 * k, missing=lost, run_bytes=k * 10**6, disk_free_bytes=10**10))
    view = rates.view(0)
    n_out = 50 * 2 * LONG_S
    assert view.lost_lately == 19 and view.lost_share == pytest.approx(19 / (n_out + 19))
    assert view.bytes_per_s == pytest.approx(2e6)
    # Raw images that go to the same disk count too.
    for k in range(200, 400):
        free = 10**10 - (k - 200) * 10**8
        rates.hear(make_report(k / 2, 50 * k, 50 * k, run_bytes=k * 10**6, disk_free_bytes=free))
    assert rates.view(0).bytes_per_s == pytest.approx(2e8)


def test_results_that_were_left_out_are_known_for_a_while(make_result):
    rates = Rates()
    rates.add([make_result(0, 0)], 0.0, overrun=40)
    rates.add([make_result(1, 0)], 1.0, overrun=2)
    assert rates.view(2.0).overrun_lately == 42
    assert rates.view(WINDOW_S + 0.5).overrun_lately == 2
    assert rates.view(WINDOW_S + 3600).overrun_lately == 0


@given(st.lists(st.tuples(st.floats(-1e12, 1e12), st.integers(0, 10**9), st.integers(0, 10**9)), max_size=30))
def test_no_rate_is_ever_negative_or_infinite(make_report, told):
    rates = Rates()
    for clock_s, n_in, n_out in told:
        rates.hear(make_report(clock_s, n_out, n_in, missing={"x": n_in % 7}, disk_free_bytes=n_out))
        view = rates.view(clock_s)
        for rate in (view.frames_in, view.frames_out, view.bytes_per_s):
            assert math.isnan(rate) or 0 <= rate < math.inf
        assert view.lost_lately >= 0 and 0 <= view.lost_share <= 1


def test_a_burst_is_no_more_than_what_is_kept(make_result):
    rates = Rates()
    rates.add([make_result(seq, 0, latency_ms=seq) for seq in range(3 * MOST_RESULTS)], 5.0)
    view = rates.view(5.0)
    assert view.latency_p50_ms == pytest.approx(2.5 * MOST_RESULTS, rel=0.01)
    assert view.newest_seq == 3 * MOST_RESULTS - 1
    rates.clear()
    empty = rates.view(6.0)
    assert empty.newest_seq is None and empty.stages == () and math.isnan(empty.age_s)
    assert np.isnan([empty.latency_p50_ms, empty.frames_in, empty.bytes_per_s]).all()

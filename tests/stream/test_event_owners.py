"""Whose an event is, and that nobody loses it: duplicates, heirs, blinks and missing frames."""

import numpy as np
import pytest

from model.localizations import Localizations
from model.optics import add_gaussians
from stream.calcium.advance import advance, end_event
from stream.calcium.detector import HEIR_FRAMES, CalciumDetector
from stream.calcium.telling import tell
from stream.calcium.traces import BEFORE, MOMENT, STATE, Traces
from stream.calcium.transient import UNSEEN_FRAMES, fit_transient
from stream.config import CalciumConfig
from stream.results import NO_IDS, TrackUpdate

INTERVAL_S = 0.05
ONSET = 50


def image(rng, dff, x=24.0, y=24.0, size=48):
    """Photons of one frame with a cloud of this height at x, y."""
    photons = np.full((size, size), 60.0, np.float32)
    light = np.array([dff * 60 * 2 * np.pi * 2.0**2])
    add_gaussians(photons, np.array([x]), np.array([y]), light, np.array([2.0]))
    return rng.poisson(photons).astype(np.float32)


def rises(seq, onset=ONSET, amplitude=1.0, tau=6.0):
    return amplitude * np.exp(-(seq - onset) / tau) if seq >= onset else 0.0


def spots(xy):
    x, y = np.asarray(xy, float).reshape(-1, 2).T
    one = np.ones(len(x))
    return Localizations.from_columns(
        x_px=x,
        y_px=y,
        x_sd_px=0.2 * one,
        y_sd_px=0.2 * one,
        photons=500 * one,
        background=one,
        psf_sigma_px=one,
    )


class Scene:
    """A detector fed with tracks by name: where each is seen, and what becomes of it."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.detector = CalciumDetector(CalciumConfig())
        self.living, self.known, self.events, self.is_open = set(), set(), [], {}

    def step(self, seq, dff, tracks, confirmed=(), gap=(), time_s=None):
        """One frame; `tracks` and `gap` are {id: (x, y)} that were found and not found."""
        gone = self.living - set(tracks) - set(gap)
        self.living = set(tracks) | set(gap)
        self.known |= set(confirmed)
        died, dropped = sorted(gone & self.known), sorted(gone - self.known)
        ids = [np.array(sorted(i), np.int64) for i in (gap, confirmed, died, dropped)]
        gap_xy = np.array([gap[i] for i in sorted(gap)], np.float32).reshape(-1, 2).T
        update = TrackUpdate(np.array(list(tracks), np.int64), ids[0], *gap_xy, NO_IDS, *ids[1:])
        found = spots([*tracks.values()]) if tracks else Localizations.empty()
        time_s = seq * INTERVAL_S if time_s is None else time_s
        result = self.detector.step(seq, time_s, image(self.rng, dff), found, update)
        self.events += result.events

    def end(self):
        self.events += self.detector.flush()
        return [(e.track_id, e.onset_frame) for e in self.events]


HERE = 24.0, 24.0


@pytest.mark.parametrize("offset", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_a_tentative_duplicate_that_is_dropped_takes_no_event_away(offset, seed):
    scene, beside = Scene(seed), (24.0 + offset, 24.0)
    for seq in range(100):
        double = {0: beside} if 44 <= seq < 90 else {}
        scene.step(seq, rises(seq), {1: HERE, **double}, confirmed=[1] if seq == 0 else ())
    assert scene.end() == [(1, ONSET)]


def test_a_tentative_duplicate_that_ends_in_the_event_takes_no_event_away():
    scene = Scene()
    for seq in range(100):
        double = {2: (24.5, 24.0)} if 50 <= seq < 53 else {}
        scene.step(seq, rises(seq), {1: HERE, **double}, confirmed=[1] if seq == 0 else ())
    assert scene.end() == [(1, ONSET)]


@pytest.mark.parametrize("when", [60, 95])  # while the event is on, and after it
def test_a_duplicate_that_is_confirmed_tells_nothing_twice(when):
    scene = Scene()
    for seq in range(110):
        double = {0: HERE} if seq >= 44 else {}
        confirmed = {0: [1], when: [0]}.get(seq, ())
        scene.step(seq, rises(seq), {1: HERE, **double}, confirmed=confirmed)
    assert len(scene.end()) == 1


@pytest.mark.parametrize(("unseen_from", "owner"), [(ONSET - 8, 2), (ONSET + 3, 1)])
def test_what_begins_when_a_track_is_not_seen_any_more_is_its_heirs(unseen_from, owner):
    scene = Scene()
    for seq in range(110):
        seen = {1: HERE} if seq < unseen_from else {2: HERE} if seq >= ONSET + 8 else {}
        gap = {1: HERE} if unseen_from <= seq < ONSET + 7 else {}
        scene.step(seq, rises(seq, tau=10.0), seen, confirmed={0: [1], ONSET + 12: [2]}.get(seq, ()), gap=gap)
    ((track, onset),) = scene.end()
    assert track == owner
    assert abs(onset - ONSET) <= 1


@pytest.mark.parametrize("heirs", [{}, {2: (54, 58)}, {2: (54, 58), 3: (58, 64)}])
def test_a_confirmed_tracks_event_stays_its_own_with_tentative_heirs(heirs):
    scene, other = Scene(), (40.0, 40.0)
    for seq in range(110):
        tracks = {0: other}
        tracks |= {1: HERE} if seq < 54 else {}
        tracks |= {i: HERE for i, (first, stop) in heirs.items() if first <= seq < stop}
        scene.step(seq, rises(seq, tau=8.0), tracks, confirmed=[0, 1] if seq == 0 else ())
    assert scene.end() == [(1, ONSET)]


@pytest.mark.parametrize("missing", [HEIR_FRAMES, 40, 10**6])
@pytest.mark.parametrize("anew", [False, True])  # calcium after the missing frames, as at their beginning
def test_an_event_does_not_outlast_many_missing_frames(missing, anew):
    scene, stop = Scene(), ONSET + 3
    for k in range(100):
        seq = k if k < stop else k + missing
        dff = rises(k) if k < stop else rises(k, stop, 0.8) * anew
        scene.step(seq, dff, {1: HERE}, confirmed=[1] if k == 0 else ())
    assert scene.end() == [(1, ONSET)]  # what was there before anybody looked again is none
    assert scene.events[0].end_frame < stop


@pytest.mark.parametrize(("missing", "n_events"), [(0, 1), (HEIR_FRAMES, 2)])
def test_an_heir_after_missing_frames_inherits_nothing(missing, n_events):
    """The heir sees a rise of its own soon after."""
    scene, stop = Scene(), ONSET + 3
    for k in range(120):
        seq = k if k < stop else k + missing
        dff = rises(k, tau=4.0) + (rises(k, stop + 8, 1.0) if missing else 0.0)
        confirmed = {0: [1], stop + 3: [2]}.get(k, ())
        scene.step(seq, dff, {1 if k < stop else 2: HERE}, confirmed=confirmed)
    assert scene.end()[:1] == [(1, ONSET)]
    assert len(scene.events) == n_events
    if missing:
        assert scene.events[0].end_frame < stop
        assert scene.events[1].track_id == 2


def test_calcium_goes_on_being_measured_after_missing_frames():
    scene = Scene()
    for k in range(150):
        seq = k if k < 40 else k + 1000
        scene.step(seq, rises(k, 90), {1: HERE}, confirmed=[1] if k == 0 else ())
    assert scene.end() == [(1, 1090)]


def test_onsets_lie_in_frames_of_the_trace_or_just_before():
    frame = np.array([0, 1, 2, 3, 4, 5, 1_000_000, 1_000_001, 1_000_002, 1_000_003, 1_000_004], float)
    rng = np.random.default_rng(3)
    height = np.where(frame > 5, np.exp(-np.maximum(frame - 999_997, 0) / 5), 0.0)
    height += rng.normal(0, 0.02, len(frame))
    shape = fit_transient(frame, height, np.full(len(frame), 0.02), 0, 1_000_001)  # at once
    assert 1_000_000 - UNSEEN_FRAMES <= shape.onset <= 1_000_001


def test_a_full_course_forgets_a_bottom_that_it_lost():
    """A plateau longer than the course, lowest at its beginning; then the trace rises anew."""
    traces, longest = Traces.begin(20), BEFORE + 20
    traces.follow(np.array([7]))
    level = np.zeros(160)
    level[20:25], level[25:100], level[100:104] = 2.0, np.linspace(1.0, 1.1, 75), 2.2
    for seq, dff in enumerate(level):
        now = np.zeros(1, MOMENT)
        now["seq"], now["time_s"], now["dff"], now["sd"] = seq, seq * INTERVAL_S, dff, 0.1
        no_patch = np.zeros((1, 0, 0), np.float32)
        ended = advance(traces, np.zeros(1, np.intp), now, 1, no_patch, np.zeros(1), (3.5, 1.5))
        state = traces.state[0]
        assert state["bottom"] == np.inf or 0 <= state["bottom_at"] < state["length"]
        assert 0 <= ended[0] <= longest
        if ended[0]:
            end_event(traces.state, traces.course, traces.total, 0, int(ended[0]))


@pytest.mark.parametrize("pause_s", [0.0, 3600.0])
@pytest.mark.parametrize("seed", range(4))
def test_times_of_an_event_fit_each_other(seed, pause_s):
    """On any clock that runs forward."""
    rng = np.random.default_rng(seed)
    frame = np.flatnonzero(rng.random(60) > 0.2)
    step_s = rng.uniform(0.01, 0.2, 60)
    course = np.zeros(len(frame), MOMENT)
    pause = np.where(frame > 16, pause_s, 0.0)
    course["seq"], course["time_s"], course["sd"] = frame, np.cumsum(step_s)[frame] + pause, 0.05
    course["log_odds"] = np.nan
    course["dff"] = np.where(frame >= 12, np.exp(-(frame - 12) / 6), 0) + rng.normal(0, 0.05, len(frame))
    state = np.zeros(1, STATE)[0]
    state["centred"], state["top"], state["opened"] = True, 1.0, np.searchsorted(frame, 12) + 1
    told = tell(course, state, "cytosolic", None)
    event = told.event
    assert course["time_s"][0] <= event.onset_s <= event.peak_s < event.end_s <= course["time_s"][-1]
    n_frames = event.end_frame - event.onset_frame
    assert n_frames * step_s.min() <= event.end_s - event.onset_s <= n_frames * step_s.max() + pause_s
    assert step_s.min() <= event.decay_s / 6 <= step_s.max() * 2
    assert 0 < event.rise_s < event.end_s - event.onset_s

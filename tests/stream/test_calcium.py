from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.localizations import Localizations
from model.optics import add_gaussians
from stream.calcium.detector import HEIR_FRAMES, CalciumDetector
from stream.config import CalciumConfig, TrackerConfig
from stream.results import EVENT_COLUMNS, NO_IDS, TrackUpdate
from stream.tracking.tracker import Tracker

INTERVAL_S = 0.05
SIZE = 96
SPOT_PX = 2.0  # σ of the calcium cloud


def spots(xy):
    n = len(xy)
    x, y = np.asarray(xy, float).reshape(n, 2).T
    one = np.ones(n)
    return Localizations.from_columns(
        x_px=x,
        y_px=y,
        x_sd_px=0.2 * one,
        y_sd_px=0.2 * one,
        photons=500 * one,
        background=one,
        psf_sigma_px=one,
    )


def update(track_id, confirmed=NO_IDS, died=NO_IDS, dropped=NO_IDS, gap=(), at=()):
    at = np.asarray(at, np.float32).reshape(-1, 2)
    gap_x_px, gap_y_px = at.T
    ids = [np.asarray(i, np.int64) for i in (track_id, gap, confirmed, died, dropped)]
    return TrackUpdate(ids[0], ids[1], gap_x_px, gap_y_px, NO_IDS, ids[2], ids[3], ids[4])


class Movie:
    """Calcium channel with transients at puncta; optionally sparks beside them, a wave, bleaching."""

    def __init__(self, seed, n_frames=200, waves=0, n_sparks=0, background=60.0, bleaching=0.4):
        rng = self.rng = np.random.default_rng(seed)
        grid = np.stack(np.meshgrid(np.arange(12, SIZE - 8, 16), np.arange(12, SIZE - 8, 16)), -1)
        self.xy = grid.reshape(-1, 2) + rng.uniform(-2, 2, (grid.size // 2, 2))
        self.n_frames, self.background, self.bleaching = n_frames, background, bleaching
        self.events = []  # (track, onset, amplitude, tau)
        for track in range(len(self.xy)):
            onset = rng.integers(20, 70)
            while onset < n_frames - 40:
                tau, amplitude = rng.uniform(3, 8), rng.uniform(0.5, 1.2)
                self.events.append((track, onset, amplitude, tau))
                onset += int(6 * tau) + rng.integers(20, 100)
        self.sparks = []
        for k in rng.integers(0, len(self.xy), n_sparks):
            angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(3.5, 5)
            place = self.xy[k] + distance * np.array([np.cos(angle), np.sin(angle)])
            self.sparks.append((place, rng.integers(20, n_frames - 20), rng.uniform(1, 2), 5.0))
        self.waves = [(rng.uniform(0, SIZE, 2), rng.integers(20, n_frames // 2)) for _ in range(waves)]

    def image(self, frame):
        """Photons of one frame."""
        rise = np.zeros((SIZE, SIZE), np.float32)
        sources = [(self.xy[i], onset, a, tau) for i, onset, a, tau in self.events] + self.sparks
        for place, onset, amplitude, tau in sources:
            if frame >= onset:
                light = amplitude * np.exp(-(frame - onset) / tau) * 2 * np.pi * SPOT_PX**2
                add_gaussians(rise, *place[:, None].astype(float), np.array([light]), np.array([SPOT_PX]))
        rows, columns = np.mgrid[:SIZE, :SIZE]
        expected = (1 + rise) * (1 + 0.3 * np.sin(columns / 31) * np.cos(rows / 23))
        for place, start in self.waves:
            front = np.hypot(columns - place[0], rows - place[1]) - 2 * (frame - start)
            if frame >= start:
                expected = expected * (1 + np.exp(-((front / 15) ** 2)))
        expected = expected * self.background * (1 - self.bleaching * frame / self.n_frames)
        return (self.rng.poisson(expected) + self.rng.normal(0, 1.4, expected.shape)).astype(np.float32)


def detect(movie, seqs=None, config=None):
    """Events, and updates by frame, at tracks that are known and sampled with 0.2 px of jitter."""
    detector = CalciumDetector(config or CalciumConfig())
    ids, events, updates = np.arange(len(movie.xy)), [], {}
    for k, seq in enumerate(range(movie.n_frames) if seqs is None else seqs):
        found = spots(movie.xy + movie.rng.normal(0, 0.2, movie.xy.shape))
        tracks = update(ids, confirmed=ids if k == 0 else NO_IDS)
        updates[seq] = detector.step(seq, seq * INTERVAL_S, movie.image(seq), found, tracks)
        events += updates[seq].events
    return [*events, *detector.flush()], updates


def event_f1(movie, events, tolerance=3):
    true = {(track, onset) for track, onset, *_ in movie.events}
    hits = set()
    for event in events:
        near = [
            t for t in true - hits if t[0] == event.track_id and abs(t[1] - event.onset_frame) <= tolerance
        ]
        hits.update(near[:1])
    return 2 * len(hits) / (len(true) + len(events))


def test_transients_are_found_where_and_when_they_are():
    movie = Movie(1)
    events, updates = detect(movie)
    assert event_f1(movie, events) > 0.95
    onset_errors, end_errors, amplitude_ratios, decay_ratios, area_ratios = [], [], [], [], []
    for event in events:
        of_track = [e for e in movie.events if e[0] == event.track_id]
        _, onset, amplitude, tau = min(of_track, key=lambda e: abs(e[1] - event.onset_frame))
        if abs(event.onset_frame - onset) > 3:
            continue  # a false one; F1 counts those
        onset_errors.append(event.onset_frame - onset)
        end_errors.append(event.end_frame - onset - np.floor(tau * np.log(10)))
        amplitude_ratios.append(event.amplitude_dff / amplitude)
        decay_ratios.append(event.decay_s / (tau * INTERVAL_S))
        course = np.exp(-np.arange(event.end_frame - onset + 1) / tau)
        area_ratios.append(event.area_dff_s / (amplitude * course.sum() * INTERVAL_S))
        assert event.onset_frame <= event.peak_frame < event.end_frame
        assert event.rise_s == pytest.approx(0.8 * INTERVAL_S)  # it jumps
        assert event.calcium_probability > 0.5
        assert not event.in_wave
        assert event.onset_s == pytest.approx(event.onset_frame * INTERVAL_S)
        assert event.snr > CalciumConfig().on_z
        assert np.hypot(*(movie.xy[event.track_id] - (event.x_px, event.y_px))) < 1
        assert updates[event.peak_frame + 1].is_open[event.track_id]
    assert np.mean(np.abs(onset_errors) <= 1) > 0.95
    assert abs(np.median(end_errors)) <= 1.5
    for ratios in (amplitude_ratios, decay_ratios, area_ratios):
        assert np.median(ratios) == pytest.approx(1.0, abs=0.05)
    assert np.std(amplitude_ratios) < 0.15


def test_waves_bleaching_and_sparks_beside_puncta_are_no_events():
    movie = Movie(2, waves=2, n_sparks=40)
    movie.events.clear()
    assert len(detect(movie)[0]) <= 3  # of 40 sparks, and two waves over 25 puncta


def test_events_are_found_among_waves_and_sparks():
    movie = Movie(6, waves=2, n_sparks=12)
    assert event_f1(movie, detect(movie)[0]) > 0.85


def test_noise_alone_makes_no_events():
    movie = Movie(3, n_frames=400)
    movie.events.clear()
    assert len(detect(movie)[0]) <= 2  # in 10,000 samples


def test_missing_frames_keep_events():
    movie = Movie(4)
    kept = np.flatnonzero(movie.rng.random(movie.n_frames) > 0.15).tolist()
    assert event_f1(movie, detect(movie, kept)[0]) > 0.9


def test_a_rise_that_lasts_becomes_the_baseline():
    movie = Movie(5, n_frames=160, bleaching=0.0)
    movie.events = [(0, 40, 0.8, 1e6)]  # rises and stays
    events, updates = detect(movie, config=CalciumConfig(max_duration_frames=30))
    assert [e for e in events if e.track_id == 0] == []
    assert updates[60].is_open[0]
    late = [updates[s].dff[0] for s in range(120, 160)]
    assert np.mean(late) == pytest.approx(0, abs=0.05)


def quiet_channel(levels, offset=0.0, seed=9):
    """Events and updates at 100 resting tracks in a channel of so many photons a pixel in each frame."""
    rng = np.random.default_rng(seed)
    xy = np.stack(np.meshgrid(np.arange(10, 200, 20), np.arange(10, 200, 20)), -1).reshape(-1, 2)
    detector, ids, events, updates = CalciumDetector(CalciumConfig()), np.arange(len(xy)), [], []
    for seq, level in enumerate(levels):
        image = rng.poisson(level, (200, 200)) + rng.normal(offset if level == 0 else 0.0, 1.4, (200, 200))
        found = spots(xy + rng.normal(0, 0.2, xy.shape))
        tracks = update(ids, confirmed=ids if seq == 0 else NO_IDS)
        updates.append(detector.step(seq, seq * INTERVAL_S, image.astype(np.float32), found, tracks))
        events += updates[-1].events
    return (
        [*events, *detector.flush()],
        np.array([u.dff for u in updates]),
        np.array([u.is_open for u in updates]),
    )


@pytest.mark.parametrize("dark", [[0], [5], [60], [60, 61, 62]])
@pytest.mark.parametrize(("level", "offset"), [(0.0, 0.0), (0.0, 0.3), (3.0, 0.0)])
def test_dark_and_dim_frames_poison_nothing(dark, level, offset):
    levels = np.full(120, 60.0)
    levels[dark] = level
    events, dff, is_open = quiet_channel(levels, offset)
    assert len(events) <= 2  # in 12,000 samples, as without them
    assert not [e for e in events if min(dark) - 3 <= e.onset_frame <= max(dark) + 5]
    assert is_open[max(dark) + 10 :].mean() < 0.005
    late = dff[max(dark) + 10 :].mean(axis=0)
    assert abs(late.mean()) < 0.02
    assert (np.abs(late) < 0.1).all()
    assert np.isnan(dff[dark]).mean() > 0.97 or level > 0


@pytest.mark.parametrize("level", [0.1, 0.3, 0.5, 1.0])
def test_a_channel_too_dim_to_measure_has_no_false_events(level):
    events, dff, _ = quiet_channel(np.full(300, level))
    assert len(events) <= 3  # in 30,000 samples
    assert np.isnan(dff).mean() > 0.98 or level > 0.3
    assert all(e.amplitude_dff < 2.5 for e in events)


def bright(x, y, dff, seed, sigma=SPOT_PX):
    image = np.full((40, 40), 50.0, np.float32)
    light = np.array([dff * 50 * 2 * np.pi * sigma**2])
    add_gaussians(image, np.array([x], float), np.array([y], float), light, np.array([sigma]))
    return np.random.default_rng(seed).poisson(image).astype(np.float32)


def test_gaps_are_measured_too_and_death_ends_an_event():
    detector = CalciumDetector(CalciumConfig())
    found = spots([[20.0, 20.0]])
    for seq in range(30):
        confirmed = [7] if seq == 2 else NO_IDS
        detector.step(seq, seq * INTERVAL_S, bright(20, 20, 0, seq), found, update([7], confirmed))
    for seq in range(30, 33):
        image = bright(20, 20, 1.0, seq)
        in_gap = update([], gap=[7], at=[[20.0, 20.0]])
        result = detector.step(seq, seq * INTERVAL_S, image, Localizations.empty(), in_gap)
    assert result.gap_is_open.tolist() == [True]
    assert result.gap_dff[0] == pytest.approx(1.0, abs=0.2)
    events = []
    for seq in range(33, 33 + HEIR_FRAMES + 1):  # an heir might come
        gone = update([], died=[7] if seq == 33 else NO_IDS)
        events += detector.step(
            seq, seq * INTERVAL_S, bright(20, 20, 0, seq), Localizations.empty(), gone
        ).events
    (event,) = events
    assert (event.track_id, event.onset_frame, event.end_frame) == (7, 30, 32)
    assert event.amplitude_dff == pytest.approx(1.0, abs=0.2)
    assert detector.flush() == ()


def test_a_track_lost_in_an_event_leaves_it_to_the_next_one():
    detector, found = CalciumDetector(CalciumConfig()), spots([[20.0, 20.0]])
    events = []
    for seq in range(80):
        image = bright(20, 20, np.exp(-(seq - 30) / 6) if seq >= 30 else 0.0, seq)
        track = 7 if seq < 33 else 8
        tracks = update(
            [track], confirmed=[track] if seq in (2, 36) else NO_IDS, died=[7] if seq == 33 else NO_IDS
        )
        events += detector.step(seq, seq * INTERVAL_S, image, found, tracks).events
    (event,) = events  # one, though two tracks saw it
    assert (event.track_id, event.onset_frame) == (7, 30)
    assert event.decay_s == pytest.approx(6 * INTERVAL_S, rel=0.2)


def test_what_was_there_before_a_track_began_is_no_event_but_its_onset_is_looked_up():
    for onset, n_events in ((37, 1), (20, 0)):  # 3 frames before the track, and longer ago than is kept
        detector, events = CalciumDetector(CalciumConfig()), []
        for seq in range(100):
            image = bright(20, 20, np.exp(-(seq - onset) / 15) if seq >= onset else 0.0, seq)
            known = seq >= 40
            tracks = update([7] if known else [], confirmed=[7] if seq == 42 else NO_IDS)
            found = spots([[20.0, 20.0]]) if known else Localizations.empty()
            events += detector.step(seq, seq * INTERVAL_S, image, found, tracks).events
        assert len(events) == n_events
        assert all(abs(e.onset_frame - onset) <= 1 for e in events)


def test_a_second_opening_ends_the_first_event():
    detector, found, events = CalciumDetector(CalciumConfig()), spots([[20.0, 20.0]]), []
    for seq in range(100):
        dff = sum(a * np.exp(-(seq - onset) / 8) for onset, a in ((30, 1.0), (42, 0.8)) if seq >= onset)
        tracks = update([7], confirmed=[7] if seq == 2 else NO_IDS)
        events += detector.step(seq, seq * INTERVAL_S, bright(20, 20, dff, seq), found, tracks).events
    assert [e.onset_frame for e in events] == [30, 42]
    assert events[0].end_frame < 42


def test_a_neighbours_event_is_told_once():
    """Two puncta 5 px apart; the cloud of one covers the other."""
    detector, events = CalciumDetector(CalciumConfig()), []
    found = spots([[18.0, 20.0], [23.0, 20.0]])
    for seq in range(80):
        dff = 1.0 * np.exp(-(seq - 30) / 8) if seq >= 30 else 0.0
        tracks = update([7, 8], confirmed=[7, 8] if seq == 2 else NO_IDS)
        image = bright(18, 20, dff, seq, sigma=3.0)
        events += detector.step(seq, seq * INTERVAL_S, image, found, tracks).events
    assert [e.track_id for e in events] == [7]
    assert events[0].amplitude_dff == pytest.approx(1.0, abs=0.15)


def faint(seq):
    """A rise that the trace alone cannot tell from noise for sure."""
    return bright(20, 20, 0.16 * np.exp(-(seq - 30) / 8) if seq >= 30 else 0.0, seq + 17)


@pytest.mark.parametrize(("probability", "n_events"), [(0.98, 1), (0.01, 0), (np.nan, 0)])
def test_the_network_has_a_say(probability, n_events):
    detector, events = CalciumDetector(CalciumConfig()), []
    for seq in range(80):
        found = replace(
            spots([[20.0, 20.0]]),
            calcium_probability=np.array([probability if 30 <= seq < 45 else 0.01], np.float32),
        )
        tracks = update([7], confirmed=[7] if seq == 2 else NO_IDS)
        events += detector.step(seq, seq * INTERVAL_S, faint(seq), found, tracks).events
    assert len(events) == n_events
    assert all(0.5 <= e.calcium_probability <= 1 for e in events)


@pytest.mark.parametrize("during", [(31, True), (60, False)])
def test_an_event_in_a_wave_is_flagged(during):
    frame, flagged = during
    detector, found, events = CalciumDetector(CalciumConfig()), spots([[20.0, 20.0]]), []
    everywhere = SimpleNamespace(
        transients=(), wave_fraction=0.0, in_wave=lambda x, _y: np.full(len(x), at == frame)
    )
    detector._field = SimpleNamespace(step=lambda *_: everywhere)
    for at in range(80):
        image = bright(
            20, 20, min(1.0, (at - 29) / 3) * np.exp(-max(at - 32, 0) / 8) if at >= 30 else 0.0, at
        )
        tracks = update([7], confirmed=[7] if at == 2 else NO_IDS)
        events += detector.step(at, at * INTERVAL_S, image, found, tracks).events
    assert [e.in_wave for e in events] == [flagged]


@pytest.mark.parametrize("fate", ["confirmed", "dropped", "flushed"])
def test_events_of_tentative_tracks_wait(fate):
    detector = CalciumDetector(CalciumConfig())
    found, events = spots([[20.0, 20.0]]), []
    for seq in range(60):
        image = bright(20, 20, 1.0 if 30 <= seq < 40 else 0.0, seq)
        events += detector.step(seq, seq * INTERVAL_S, image, found, update([3])).events
    assert events == []
    if fate == "confirmed":
        (event,) = detector.step(60, 3.0, bright(20, 20, 0, 60), found, update([3], confirmed=[3])).events
        assert event.event_id == 0
        assert abs(event.onset_frame - 30) <= 1
    elif fate == "dropped":
        gone = update([], dropped=[3])
        assert detector.step(60, 3.0, bright(20, 20, 0, 60), Localizations.empty(), gone).events == ()
    assert detector.flush() == ()


def test_flush_closes_what_is_on():
    detector = CalciumDetector(CalciumConfig())
    found = spots([[20.0, 20.0]])
    for seq in range(34):
        image = bright(20, 20, 1.0 if seq >= 30 else 0.0, seq)
        detector.step(seq, seq * INTERVAL_S, image, found, update([0], confirmed=[0] if seq == 0 else NO_IDS))
    (event,) = detector.flush()
    assert (event.onset_frame, event.end_frame) == (30, 33)


@pytest.mark.parametrize("level", [0.0, 1.0, 65535.0])
@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_constant_images_have_no_events(level, dtype):
    detector = CalciumDetector(CalciumConfig())
    rng = np.random.default_rng(8)
    image = np.full((40, 40), level, dtype)
    for seq in range(60):
        found = spots(20 + rng.normal(0, 0.3, (1, 2)))
        result = detector.step(seq, seq * INTERVAL_S, image, found, update([0], confirmed=[0]))
        assert result.events == ()
        assert np.isnan(result.dff[0]) if level == 0 else abs(result.dff[0]) < 1e-5
    assert detector.flush() == ()


def test_frames_out_of_order_are_refused():
    detector = CalciumDetector(CalciumConfig())
    detector.step(5, 0.25, np.ones((9, 9), np.float32), spots([]), update([]))
    with pytest.raises(ValueError, match="frame 5 came to the calcium stage after frame 5"):
        detector.step(5, 0.3, np.ones((9, 9), np.float32), spots([]), update([]))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), level=st.sampled_from([0.0, 0.5, 5.0, 500.0]), skip=st.integers(1, 3))
def test_updates_fit_any_tracks(seed, level, skip):
    """Tracks from the tracker itself, on random puncta and random images, dark ones too."""
    rng = np.random.default_rng(seed)
    tracker = Tracker(TrackerConfig(max_gap_frames=3, confirm_detections=2), 110.0, INTERVAL_S)
    detector = CalciumDetector(CalciumConfig(on_z=2.0, off_z=1.0, max_duration_frames=10))
    confirmed, events = set(), []
    for seq in range(0, 60 * skip, skip):
        found = spots(
            rng.choice([[3.0, 3.0], [15.0, 4.0], [8.0, 12.0], [19.5, 19.5]], rng.integers(0, 4), False)
        )
        tracks = tracker.step(seq, seq * INTERVAL_S, found)
        confirmed |= set(tracks.confirmed.tolist())
        image = (rng.poisson(level, (20, 20)) + rng.normal(0, 1.4, (20, 20))).astype(np.float32)
        result = detector.step(seq, seq * INTERVAL_S, image, found, tracks)
        assert result.dff.shape == result.is_open.shape == tracks.track_id.shape
        assert result.gap_dff.shape == result.gap_is_open.shape == tracks.gap_track_id.shape
        assert result.dff.dtype == result.gap_dff.dtype == np.float32
        events += result.events
    events += detector.flush()
    assert [e.event_id for e in events] == list(range(len(events)))
    for event in events:
        assert event.track_id in confirmed
        assert event.onset_frame <= event.peak_frame
        assert 2 <= event.end_frame - event.onset_frame + 1 <= 10 + skip
        assert np.isfinite([getattr(event, name) for name in EVENT_COLUMNS]).all()

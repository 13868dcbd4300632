import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.localizations import COLUMNS, Localizations
from model.optics import add_gaussians
from stream.calcium.detector import CalciumDetector
from stream.calcium.photometry import SHOT_FACTOR, Spots, measure_spots
from stream.config import CalciumConfig
from stream.gating.filter import DIM_OPEN, N_STATES, OPEN
from stream.gating.idealisation import Gating, event_states
from stream.gating.model import never_opening, prior, transitions
from stream.results import CLOSED, NO_IDS, UNCERTAIN, TrackUpdate
from stream.results import OPEN as IS_OPEN

DARK_SD = 20.0  # of a spot's photons, at 10 photons of background a pixel


def follow(light, seed=0, elapsed=1, around=None):
    """States of spots (N, T) whose mean photons are `light` (N, T)."""
    rng = np.random.default_rng(seed)
    light = np.atleast_2d(np.asarray(light, float))
    photons = light + rng.normal(0, np.sqrt(DARK_SD**2 + SHOT_FACTOR * light))
    gating, ids = Gating(CalciumConfig()), np.arange(len(light))
    states = []
    for t in range(light.shape[1]):
        background = np.full(len(light), 10.0 if around is None else around[t])
        variance = np.full(len(light), DARK_SD**2)
        measured = Spots(photons[:, t], variance, background, background / 100, 1.0)
        states.append(gating.follow(ids, elapsed, measured))
    return np.stack(states, axis=1)


def trace(*stretches):
    """Light from (frames, photons) after each other."""
    return np.concatenate([np.full(frames, float(photons)) for frames, photons in stretches])


def test_an_opening_is_told_within_two_frames():
    light = np.tile(trace((60, 300), (20, 900), (60, 300)), (50, 1))
    states = follow(light)
    assert (states[:, 40:60] == CLOSED).mean() > 0.95  # before, it might have begun open
    assert (states[:, 62:80] == IS_OPEN).mean() > 0.97
    assert (states[:, 82:] == CLOSED).mean() > 0.95
    assert not (states[:, 20:60] == IS_OPEN).any()
    assert (states[:, [60, 80]] == UNCERTAIN).mean() > 0.9  # the first frame of a change could be a blink's


@pytest.mark.parametrize("level", [300, 900])
@pytest.mark.parametrize("dark", [1, 4, 15])
@pytest.mark.parametrize("edge", [0.0, 0.33, 0.67])
def test_a_blink_is_neither_closing_nor_opening(level, dark, edge):
    """Also where its first and last frame show part of the light, so that of an open spot looks closed."""
    blink = [(1, edge * level), (dark, 0), (1, (1 - edge) * level)]
    light = trace((60, 300), (30, 900), (60, 300), (20, level), *blink, (20, level))
    states = follow(np.tile(light, (40, 1)), seed=1)[:, 172 : 172 + dark]
    state, other = (CLOSED, IS_OPEN) if level == 300 else (IS_OPEN, CLOSED)
    assert (states == other).mean() < 0.003
    assert (states[:, 1:] != state).all()
    assert dark == 1 or (states[:, -1] == UNCERTAIN).all()


def test_a_spot_that_never_opens_has_no_opening():
    blinking = np.tile(trace(*[(40, 250), (3, 0)] * 10), (60, 1))
    states = follow(blinking, seed=2)
    assert not (states == IS_OPEN).any()
    assert (states[:, 60:][blinking[:, 60:] > 0] == CLOSED).mean() > 0.9


@pytest.mark.parametrize("share", [1 / 3, 1 / 2, 2 / 3])
def test_part_of_the_light_is_uncertain(share):
    """One of several fluorophores blinks: no closing, and coming back is no opening."""
    light = np.tile(trace(*[(60, 600), (4, share * 600)] * 6), (40, 1))
    states = follow(light, seed=3)
    assert (states == IS_OPEN).mean() < 0.001
    dimmed = (light < 600) & (np.arange(light.shape[1]) > 100)
    assert (states[dimmed] == UNCERTAIN).mean() > 0.85
    assert (states[:, 100:][light[:, 100:] == 600] == CLOSED).mean() > 0.9


def test_a_track_that_begins_open_is_put_right_by_its_first_closing():
    states = follow(np.tile(trace((15, 900), (60, 300), (20, 900), (30, 300)), (40, 1)), seed=4)
    assert (states[:, 25:75] == CLOSED).mean() > 0.85
    assert (states[:, 78:95] == IS_OPEN).mean() > 0.9


def test_a_track_that_begins_dark_takes_its_rest_for_rest():
    states = follow(np.tile(trace((30, 0), (1, 120), (100, 400)), (60, 1)), seed=5)
    assert (states[:, :30] == UNCERTAIN).all()
    assert not (states == IS_OPEN).any()
    assert (states[:, 60:] == CLOSED).mean() > 0.9


def test_no_light_is_uncertain_for_ever():
    states = follow(np.zeros((60, 400)), seed=6)
    assert (states == UNCERTAIN).mean() > 0.99


def test_slow_bleaching_is_followed():
    rest = 500 * np.exp(-np.arange(800) / 600)
    is_open = np.arange(800) % 80 > 60
    states = follow(np.tile(rest * (1 + 1.5 * is_open), (30, 1)), seed=7)
    late = np.arange(800) > 500
    assert (states[:, late & is_open] == CLOSED).mean() < 0.01
    assert (states[:, late & is_open] == IS_OPEN).mean() > 0.8
    assert (states[:, late & ~is_open] == IS_OPEN).mean() < 0.005


def test_a_wave_that_lights_spot_and_surroundings_opens_nothing():
    wave = 1 + 1.5 * np.exp(-0.5 * ((np.arange(400) - 250) / 20) ** 2)
    light = np.tile(300 * wave, (40, 1))
    assert (follow(light, seed=8, around=10 * wave) == IS_OPEN).mean() < 0.001
    assert (follow(light, seed=8) == IS_OPEN).mean() > 0.02  # without surroundings it is an opening


def test_missing_frames_and_missing_light():
    light = np.tile(trace((60, 300), (20, 900)), (20, 1))
    states = follow(light, seed=9, elapsed=3)
    assert (states[:, 63:] == IS_OPEN).mean() > 0.9
    light[:, 70:75] = np.nan
    states = follow(np.nan_to_num(light, nan=-1.0) * np.where(np.isnan(light), np.nan, 1), seed=9)
    assert (states[:, 70:75] == UNCERTAIN).all()
    assert (states[:, 76:] == IS_OPEN).mean() > 0.9


def test_tracks_keep_their_state_when_others_come_and_go():
    light = np.tile(trace((60, 300), (40, 900)), (3, 1))
    rng = np.random.default_rng(10)
    photons = light + rng.normal(0, np.sqrt(DARK_SD**2 + SHOT_FACTOR * light))
    alone, crowd = Gating(CalciumConfig()), Gating(CalciumConfig())
    for t in range(100):
        one = Spots(photons[1:2, t], np.array([400.0]), np.array([10.0]), np.array([0.1]), 1.0)
        others = np.arange(20 + t % 7) + 100 * (t // 10)
        ids = np.sort(np.append(others, 55))
        at = int(np.searchsorted(ids, 55))
        several = np.full(len(ids), 200.0)
        several[at] = photons[1, t]
        many = Spots(several, np.full(len(ids), 400.0), np.full(len(ids), 10.0), np.full(len(ids), 0.1), 1.0)
        assert alone.follow(np.array([55]), 1, one)[0] == crowd.follow(ids, 1, many)[at]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.0, 1e-3, 30.0, 1e6, -50.0]),
    elapsed=st.sampled_from([1, 2, 1000]),
)
def test_any_light_gives_a_state(seed, scale, elapsed):
    """Also nothing, all too much of it, holes, and negative light of a wrong offset."""
    rng = np.random.default_rng(seed)
    gating = Gating(CalciumConfig(max_duration_frames=5))
    for _ in range(40):
        n = int(rng.integers(0, 6))
        photons = scale * rng.exponential(1, n) + rng.normal(0, 5, n)
        photons[rng.random(n) < 0.1] = np.nan
        variance = rng.choice([0.0, 25.0, 1e4], n)
        background = rng.choice([0.0, -1.0, 3.0, np.nan], n)
        ids = np.sort(rng.choice(12, n, replace=False))
        states = gating.follow(ids, elapsed, Spots(photons, variance, background, np.abs(background), 1.0))
        assert states.dtype == np.int8 and states.shape == ids.shape
        assert set(states.tolist()) <= {UNCERTAIN, CLOSED, IS_OPEN}
        assert (states[np.isnan(photons)] == UNCERTAIN).all()


@pytest.mark.parametrize("several", [False, True])
def test_chances_are_chances(several):
    for chances in (transitions(several), never_opening(transitions(several))):
        assert (chances >= 0).all()
        np.testing.assert_allclose(chances.sum(axis=1), 1)
    shut = never_opening(transitions(several))
    assert not shut[:, OPEN].any()
    assert not several or not shut[:, DIM_OPEN].any()
    assert prior().shape[0] == N_STATES + 4
    assert prior().sum() == pytest.approx(1)


def image_of(x, y, light, seed=0, background=10.0):
    image = np.full((60, 60), background, np.float32)
    add_gaussians(image, np.array(x), np.array(y), np.array(light), np.full(len(x), 1.5))
    return np.random.default_rng(seed).poisson(image).astype(np.float32)


def test_spots_are_measured_with_the_predicted_noise():
    x, y = np.array([20.3, 44.8]), np.array([31.6, 12.1])
    measured = [measure_spots(image_of(x, y, [0.0, 300.0], s), x, y, 1.5, (5.5, 8.5)) for s in range(300)]
    photons = np.array([m.photons for m in measured])
    variance = np.mean([m.dark_variance for m in measured], axis=0) + np.array([0, SHOT_FACTOR * 300])
    np.testing.assert_allclose(photons.mean(axis=0), [0, 300], atol=8)  # 2 % of the light lie in the ring
    np.testing.assert_allclose(photons.var(axis=0), variance, rtol=0.2)


def test_a_bright_neighbour_is_parted():
    """At 3.5 px its light is a quarter of a spot's own in a window without the fit."""
    x, y = np.array([25.0, 28.5]), np.array([30.0, 30.0])
    for other in (0.0, 1500.0):
        photons = [
            measure_spots(image_of(x, y, [200.0, other], s), x, y, 1.5, (5.5, 8.5)).photons[0]
            for s in range(200)
        ]
        assert np.mean(photons) == pytest.approx(200, abs=8)


def test_photometry_at_borders_and_of_nothing():
    image = image_of([1.0], [1.0], [0.0])
    x, y = np.array([0.0, -30.0, np.nan, 59.4]), np.array([0.0, 5.0, 5.0, 59.0])
    measured = measure_spots(image, x, y, 1.5, (5.5, 8.5))
    assert np.isfinite(measured.photons).tolist() == [True, False, False, True]
    assert len(measure_spots(image, np.empty(0), np.empty(0), 1.5, (5.5, 8.5)).photons) == 0
    assert not np.isfinite(measure_spots(np.zeros((2, 2), np.float32), x, y, 1.5, (5.5, 8.5)).photons).any()
    dark = measure_spots(np.zeros((60, 60), np.float32), x, y, 1.5, (5.5, 8.5))
    assert dark.excess == 1 and dark.photons[0] == dark.dark_variance[0] == 0
    twins = measure_spots(image, np.array([30.0, 30.0]), np.array([30.0, 30.0]), 1.5, (5.5, 8.5))
    assert np.isfinite(twins.photons).all()


def detect(config, light_of, n_frames, gap_from=10**6):
    """States that the stage gives a track at (30, 30), seen until `gap_from`, under `light_of(t)` photons."""
    detector, states = CalciumDetector(config), []
    x = np.array([30.0], np.float32)
    nobody = np.empty(0, np.float32)
    for t in range(n_frames):
        image = image_of([30.0], [30.0], [light_of(t)], seed=t, background=40.0)
        in_gap = t >= gap_from
        table = np.zeros((0 if in_gap else 1, len(COLUMNS)), np.float32)
        table[:, :2] = 30.0
        tracks = TrackUpdate(
            track_id=NO_IDS if in_gap else np.array([7]),
            gap_track_id=np.array([7]) if in_gap else NO_IDS,
            gap_x_px=x if in_gap else nobody,
            gap_y_px=x if in_gap else nobody,
            **dict.fromkeys(("born", "confirmed", "died", "dropped"), NO_IDS),
        )
        update = detector.step(t, t / 250, image, Localizations.from_table(table), tracks)
        states.append(int((update.gap_state if in_gap else update.state)[0]))
    return np.array(states)


def test_the_stage_tells_states_of_tethered_indicators_in_gaps_too():
    config = CalciumConfig(indicator="tethered")
    states = detect(config, lambda t: 0 if 90 <= t < 96 else 1600 if 60 <= t < 110 else 500, 140, gap_from=75)
    assert set(states[40:60].tolist()) == {CLOSED}
    assert set(states[64:90].tolist()) == {IS_OPEN}
    assert set(states[92:96].tolist()) == {UNCERTAIN}
    assert set(states[98:110].tolist()) == {IS_OPEN}
    assert set(states[113:].tolist()) == {CLOSED}


def test_states_of_cytosolic_indicators_are_events():
    states = detect(CalciumConfig(), lambda t: 3000.0 if 60 <= t < 75 else 0.0, 110)
    assert set(states[20:60].tolist()) == {CLOSED}
    assert set(states[62:74].tolist()) == {IS_OPEN}
    assert set(states[90:].tolist()) == {CLOSED}


def test_without_dff_a_cytosolic_state_is_uncertain():
    states = event_states(np.array([True, False, False]), np.array([1.0, 0.0, np.nan]))
    assert states.tolist() == [IS_OPEN, CLOSED, UNCERTAIN]

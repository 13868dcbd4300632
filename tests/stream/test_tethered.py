"""A tethered indicator's calcium when the lamp, a shutter or single frames play tricks."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.localizations import Localizations
from model.optics import add_gaussians
from stream.calcium.advance import advance
from stream.calcium.detector import CalciumDetector
from stream.calcium.tethered import LOST_FRAMES
from stream.calcium.traces import MOMENT, Traces
from stream.config import CalciumConfig
from stream.results import NO_IDS, TrackUpdate

INTERVAL_S = 0.05
XY = np.array([[30.0, 30.0], [60.0, 60.0], [30.0, 60.0], [70.0, 20.0], [20.0, 80.0]])
LEVEL, REST = 60.0, 3.0  # photons a pixel, and height of the spots over it at rest
ONSETS, OPEN_FRAMES = (100, 200), 15
FRAMES = 300


def image(rng, heights, level=LEVEL):
    light = np.zeros((96, 96), np.float32)
    photons = np.broadcast_to(heights, len(XY)) * 2 * np.pi * 1.5**2
    add_gaussians(light, *XY.T, photons, np.full(len(XY), 1.5))
    return (rng.poisson((1 + light) * level) + rng.normal(0, 1.4, light.shape)).astype(np.float32)


def detect(pictures):
    """Events and ΔF/F0 (frames, tracks) at the known spots."""
    n, ids = len(XY), np.arange(len(XY))
    one, nowhere = np.ones(n), np.empty(0, np.float32)
    found = Localizations.from_columns(
        x_px=XY[:, 0],
        y_px=XY[:, 1],
        x_sd_px=0.2 * one,
        y_sd_px=0.2 * one,
        photons=500 * one,
        background=one,
        psf_sigma_px=one,
    )
    detector, events, dff, is_open = CalciumDetector(CalciumConfig(indicator="tethered")), [], [], []
    for seq, picture in enumerate(pictures):
        confirmed = ids if seq == 0 else NO_IDS
        tracks = TrackUpdate(ids, NO_IDS, nowhere, nowhere, NO_IDS, confirmed, NO_IDS, NO_IDS)
        result = detector.step(seq, seq * INTERVAL_S, picture, found, tracks)
        events += result.events
        dff.append(result.dff)
        is_open.append(result.is_open)
    return SimpleNamespace(events=[*events, *detector.flush()], dff=np.array(dff), is_open=np.array(is_open))


def opening(seq, onsets=ONSETS):
    """Factor of the light of all spots: the first one opens."""
    factor = np.ones(len(XY))
    factor[0] += any(onset <= seq < onset + OPEN_FRAMES for onset in onsets)
    return factor


DARK = (0.0, 0.0)  # heights, level
TRICKS = {
    "none": (range(0), None),
    "lamp late by a frame": (range(1), DARK),
    "lamp late": (range(3), DARK),
    "shutter": (range(150, 170), DARK),
    "flash": (range(1), (9.0, LEVEL)),
    "spots late": (range(3), (0.0, LEVEL)),
}


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bad_frames_cost_those_frames_only(trick, seed):
    rng = np.random.default_rng(seed)
    frames, (heights, level) = TRICKS[trick][0], TRICKS[trick][1] or DARK
    found = detect(
        image(rng, heights, level) if seq in frames else image(rng, REST * opening(seq))
        for seq in range(FRAMES)
    )
    clear = [e for e in found.events if e.amplitude_dff > 0.3]
    assert [(e.track_id, e.onset_frame) for e in clear] == [(0, onset) for onset in ONSETS]
    assert [e.amplitude_dff for e in clear] == pytest.approx([1.0, 1.0], abs=0.1)
    assert len(found.events) <= 3
    good = np.setdiff1d(np.arange(20, FRAMES), frames)
    assert np.isfinite(found.dff[good]).all()
    assert np.nanmax(np.abs(found.dff)) < 2
    if level == 0 and len(frames):
        assert np.isnan(found.dff[frames]).all()


def test_a_step_up_that_lasts_becomes_the_rest():
    rng, onsets = np.random.default_rng(0), (400, 500)
    step = np.array([2.0, 1, 1, 1, 1])
    found = detect(
        image(rng, REST * opening(seq, onsets) * (step if seq >= 100 else 1)) for seq in range(560)
    )
    assert [(e.track_id, e.onset_frame) for e in found.events] == [(0, onset) for onset in onsets]
    assert found.is_open[200:400].mean() < 0.02
    assert found.dff[200:400, 0].mean() == pytest.approx(0, abs=0.03)


def test_a_step_down_that_lasts_becomes_the_rest():
    rng, onsets = np.random.default_rng(1), (250,)
    step = np.array([0.35, 1, 1, 1, 1])  # two of three fluorophores have bleached
    found = detect(
        image(rng, REST * opening(seq, onsets) * (step if seq >= 100 else 1)) for seq in range(320)
    )
    assert [(e.track_id, e.onset_frame) for e in found.events] == [(0, onset) for onset in onsets]
    assert np.isnan(found.dff[100 : 100 + LOST_FRAMES, 0]).all()
    assert found.dff[160:250, 0].mean() == pytest.approx(0, abs=0.03)


def test_a_blink_is_not_taken_for_the_rest():
    rng, off = np.random.default_rng(2), np.array([0.0, 1, 1, 1, 1])
    found = detect(image(rng, REST * (off if 50 <= seq < 150 else 1)) for seq in range(200))
    assert found.events == []
    assert np.isnan(found.dff[50:150, 0]).all()
    assert found.dff[150:, 0].mean() == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("level", [0.0, 1.0, 65535.0])
def test_constant_images_are_not_measured(level):
    found = detect(np.full((96, 96), level, np.float32) for _ in range(20))
    assert np.isnan(found.dff).all()
    assert found.events == []


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.lists(
        st.tuples(st.sampled_from([0.0, 0.3, REST, 20.0]), st.sampled_from([0.0, 0.1, 1.0, LEVEL])),
        min_size=20,
        max_size=60,
    ),
)
def test_whatever_comes_dff_stays_sane(seed, frames):
    rng = np.random.default_rng(seed)
    found = detect(image(rng, heights, level) for heights, level in frames)
    assert np.nanmax(np.abs(found.dff), initial=0) < 1e3
    for event in found.events:
        assert np.isfinite([event.amplitude_dff, event.snr, event.area_dff_s]).all()


@pytest.mark.parametrize("sd", [0.0, np.inf, np.nan])
def test_moments_without_a_proper_noise_are_skipped(sd):
    traces, z = Traces.begin(10), (3.0, 1.0)
    traces.follow(np.array([4]))
    now = np.zeros(1, MOMENT)
    now["dff"], now["sd"] = 1.0, sd
    nothing = np.zeros((1, 0, 0), np.float32)
    assert advance(traces, np.arange(1), now, 1, nothing, np.zeros(1), z).tolist() == [0]
    assert traces.state["length"].tolist() == [0]
    now["sd"] = 0.1
    advance(traces, np.arange(1), now, 1, nothing, np.zeros(1), z)
    assert traces.state["length"].tolist() == [1]

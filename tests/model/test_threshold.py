"""Detection thresholds that are turned while frames come."""

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquire.frame import Frame
from bench.slow_child import SlowEngine
from model.camera import Camera
from model.card import SHIPPED_MODEL
from model.engines.base import Engine, ModelError, Threshold
from model.engines.network import NetworkEngine
from model.engines.wavelet import WaveletEngine
from model.localizations import Localizations
from model.maps import MIN_PROBABILITY
from model.optics import GaussianPsf

SIGMA = 1.3
CAMERA = Camera(offset=100.0, e_per_adu=1.0, read_noise_e=1.6)
SIDE, N_FRAMES = 96, 8


def scene() -> list[Frame]:
    """Puncta of very different light, blinking from frame to frame."""
    rng = np.random.default_rng(5)
    y, x = (c.ravel() + rng.uniform(-1, 1, 36) for c in np.mgrid[8:SIDE:15, 8:SIDE:15])
    light = np.geomspace(40, 2000, 36)[rng.permutation(36)]
    frames = []
    for seq in range(N_FRAMES):
        expected = np.full((SIDE, SIDE), 15.0, np.float32)
        GaussianPsf(SIGMA).add(expected, x, y, light * (rng.uniform(size=36) < 0.8))
        frames.append(Frame(seq, seq / 10, CAMERA.expose(expected, rng)[None].repeat(2, 0)))
    return frames


SCENE = scene()


def wavelet() -> Engine:
    return WaveletEngine(CAMERA, SIGMA)


def network() -> Engine:
    if not SHIPPED_MODEL.exists():
        pytest.skip("no network ships")
    return NetworkEngine(CAMERA, SIGMA, backend="onnxruntime")


def answers(engine: Engine, turns: dict[int, float]) -> dict[int, Localizations]:
    """Of all frames, where before some of them the threshold is turned."""
    found = []
    for frame in SCENE:
        if frame.seq in turns:
            engine.use_threshold(turns[frame.seq])
        found += engine.step(frame)
    return dict(found + engine.flush())


def same(one: Localizations, other: Localizations) -> bool:
    return np.array_equal(one.table(), other.table(), equal_nan=True)


# A threshold that finds weak puncta, and one that finds only strong ones.
engines = pytest.mark.parametrize(
    ("make", "low", "high"), [(wavelet, 0.8, 4.0), (network, 0.02, 0.99)], ids=["wavelet", "network"]
)


@engines
def test_a_higher_threshold_finds_a_part_of_the_puncta(make, low, high):
    many, few = answers(make(), {0: low}), answers(make(), {0: high})
    assert sum(map(len, many.values())) > 1.1 * sum(map(len, few.values())) > 0
    for seq, found in few.items():
        for x, y in zip(found.x_px, found.y_px, strict=True):
            nearest = np.hypot(many[seq].x_px - x, many[seq].y_px - y).min()
            assert nearest < 0.3  # fits know the light of their neighbours, which are others


@engines
@pytest.mark.parametrize("turned_at", [1, 4, N_FRAMES - 1])
def test_it_counts_from_the_first_answer_that_is_owed(make, low, high, turned_at):
    """The answers before are as if nobody had turned it, those from there on as if it had always been so."""
    before, after = answers(make(), {0: low}), answers(make(), {0: high})
    turned = answers(make(), {0: low, turned_at: high})
    first = turned_at - make().window // 2
    for seq in range(N_FRAMES):
        assert same(turned[seq], (before if seq < first else after)[seq]), seq
    assert not same(before[first], after[first])


@engines
def test_it_is_told(make, low, high):
    engine = make()
    engine.use_threshold(high)
    assert engine.threshold.value == high
    assert f"{high:g}" in engine.description
    assert not engine.uses_gpu


@engines
@pytest.mark.parametrize("value", [nan, inf, -inf, 0.0, -1.0, 1e9])
def test_what_cannot_be_is_refused_and_changes_nothing(make, low, high, value):
    engine = make()
    before = engine.threshold
    with pytest.raises(ModelError, match=f"between {before.low:g} and {before.high:g}") as refused:
        engine.use_threshold(value)
    assert f"{value:g}" in str(refused.value)
    assert engine.threshold == before


def test_the_limits_hold_what_is_configured():
    assert WaveletEngine(CAMERA, SIGMA, 0.1).threshold.low == 0.1
    assert WaveletEngine(CAMERA, SIGMA, 25.0).threshold.high == 25.0
    if SHIPPED_MODEL.exists():
        assert NetworkEngine(CAMERA, SIGMA, threshold=0.9999).threshold.high == 0.9999
        limits = NetworkEngine(CAMERA, SIGMA).threshold
        assert limits.low == MIN_PROBABILITY and limits.high < 1


def test_a_slowed_engine_passes_it_on():
    engine = SlowEngine(wavelet(), 0.0)
    engine.use_threshold(3.0)
    assert engine.threshold.value == 3.0 and not engine.uses_gpu


@given(st.floats(0.1, 1), st.floats(1, 10), st.floats())
def test_any_value_is_taken_within_both_limits_and_refused_beyond(low, high, value):
    threshold = Threshold(1.0, low, high, "units")
    if low <= value <= high:
        assert threshold.turned(value) == Threshold(value, low, high, "units")
    else:
        with pytest.raises(ModelError):
            threshold.turned(value)
    assert threshold.turned(low).value == low and threshold.turned(high).value == high

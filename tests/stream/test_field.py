from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.localizations import Localizations
from stream.calcium.detector import CalciumDetector
from stream.config import CalciumConfig
from stream.field.detector import BLOCK_PX, CalciumField
from stream.record.tables import STAGES, rows
from stream.results import CalciumTransient, CalciumUpdate, FrameResult, TrackUpdate
from stream.wire import decode_result, encode_result

INTERVAL_S = 0.05
SIZE = 96
REST = 80.0  # photons a pixel
TAU = 6.0


def movie(
    seed, n_frames=150, sparks=(), waves=(), flicker=0.0, bleaching=0.0, size=SIZE, lamp=None, shift=None
):
    """Frames of the calcium channel in photons.

    `sparks` are (onset, x, y, ΔF/F0, σ), `waves` (start, height, σ of the front, speed in px), entering from
    the left; `lamp` and `shift` (of the sample, px) are functions of the frame.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, : 2 * size].astype(float)
    blobs = sum(
        a * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 18)
        for u, v, a in rng.uniform((0, 0, 0.5), (2 * size, size, 2), (40, 3))
    )
    still = REST * (1 + 0.2 * np.sin(x / 31) * np.cos(y / 23) + blobs)
    y, x = np.mgrid[:size, :size].astype(float)
    for frame in range(n_frames):
        moved = shift(frame) if shift else 0
        rise = np.zeros((size, size))
        for onset, u, v, height, sigma in sparks:
            age = frame - onset
            if age >= 0:
                shape = 0.5 if age == 0 else np.exp(-(age - 1) / TAU)
                rise += height * shape * np.exp(-0.5 * ((x - u) ** 2 + (y - v) ** 2) / sigma**2)
        for start, height, sigma, speed in waves:
            behind = speed * (frame - start) - 3 * sigma - x
            rise += height * np.exp(-0.5 * (behind / sigma) ** 2)
        light = still[:, moved : moved + size] * (1 + rise)
        light = light * np.exp(-frame * bleaching) * max(1 + flicker * rng.normal(), 0.1)
        light = light * (lamp(frame) if lamp else 1.0)
        yield (rng.poisson(light) + rng.normal(0, 1.6, light.shape)).astype(np.float32)


def watch(frames, seqs=None, field=None):
    """Transients, and the update of every frame."""
    field = field or CalciumField(CalciumConfig())
    found, updates = [], []
    for seq, image in zip(seqs or range(10_000), frames, strict=False):
        updates.append(field.step(seq, seq * INTERVAL_S, image))
        found += updates[-1].transients
    return [*found, *field.flush()], updates


def some_sparks(seed, n, n_frames=150):
    """Sparks in the cells of a grid, one each."""
    rng = np.random.default_rng(seed)
    cells = [(i, j) for i in range(4) for j in range(4)]
    rng.shuffle(cells)
    return [
        (
            int(rng.integers(20, n_frames - 40)),
            i * 24 + rng.uniform(7, 17),
            j * 24 + rng.uniform(7, 17),
            rng.uniform(0.4, 1.2),
            rng.uniform(1.5, 3),
        )
        for i, j in cells[:n]
    ]


def test_transients_are_found_where_and_when_they_are():
    sparks = some_sparks(1, 14)
    found, _ = watch(movie(1, sparks=sparks))
    assert len(found) == len(sparks)
    for onset, x, y, height, sigma in sparks:
        t = min(found, key=lambda t: np.hypot(t.x_px - x, t.y_px - y))
        assert np.hypot(t.x_px - x, t.y_px - y) < 1.0
        assert abs(t.onset_frame - onset) <= 1
        assert t.onset_s == pytest.approx(t.onset_frame * INTERVAL_S)
        assert onset <= t.peak_frame <= onset + 3 < t.end_frame
        # The core is a Gaussian of 2 px, binning blurs it by another 0.6 px.
        assert t.amplitude_dff == pytest.approx(height * sigma**2 / (sigma**2 + 4.4), rel=0.4)
        # Half of the peak, in a map that is blurred by 2 px.
        assert t.area_px == pytest.approx(np.pi * 2 * np.log(2) * (sigma**2 + 4.4), rel=0.5)
        assert t.snr > 5
        assert not t.is_wave and not t.in_wave


def test_noise_flicker_and_bleaching_are_nothing():
    found, updates = watch(movie(2, n_frames=400, flicker=0.05, bleaching=0.005))
    assert len(found) <= 1  # in 400 × 9216 pixels
    assert not any(u.wave_fraction for u in updates)


def test_a_lamp_that_is_turned_up_is_nothing():
    found, updates = watch(movie(3, lamp=lambda frame: 1.0 if frame < 60 else 1.5))
    assert not found
    assert not any(u.wave_fraction for u in updates)


def test_transients_are_found_in_flicker():
    sparks = some_sparks(4, 12)
    found, _ = watch(movie(4, sparks=sparks, flicker=0.05, bleaching=0.004))
    hits = [
        any(abs(t.onset_frame - s[0]) <= 2 and np.hypot(t.x_px - s[1], t.y_px - s[2]) < 2 for t in found)
        for s in sparks
    ]
    assert sum(hits) >= 11
    assert len(found) <= 13


def test_a_wave_is_one_wave_flagged_where_it_is():
    found, updates = watch(movie(5, waves=[(40, 0.6, 12, 3)], flicker=0.03))
    waves = [t for t in found if t.is_wave]
    assert len(waves) == 1
    assert waves[0].amplitude_dff == pytest.approx(0.6, abs=0.15)
    assert 40 <= waves[0].onset_frame <= waves[0].peak_frame <= waves[0].end_frame <= 110
    assert sum(not t.in_wave for t in found) <= 1
    x = np.arange(4.0, SIZE, 8)
    for frame, update in enumerate(updates):
        height = 0.6 * np.exp(-0.5 * ((3 * (frame - 40) - 36 - x) / 12) ** 2)
        said = update.in_wave(x, np.full(len(x), SIZE / 2))
        if update.wave_fraction:
            assert said[height > 0.15].all()
        else:
            assert (height > 0.15).sum() <= 3  # it enters or leaves
        assert not said[height < 0.002].any()


def test_a_wave_that_fills_the_field_is_still_a_wave():
    found, updates = watch(movie(6, n_frames=130, waves=[(20, 0.6, 60, 5)], flicker=0.03))
    assert [t.is_wave for t in found if not t.in_wave or t.is_wave] == [True]
    assert max(u.wave_fraction for u in updates) == 1.0
    # The crest passes x = 48 in frame 65.6; at frames 50–80 the wave is 0.27 high or more there.
    assert all(u.in_wave(np.array([48.0]), np.array([48.0]))[0] for u in updates[50:80])


def test_a_spark_in_a_wave_is_found_and_flagged():
    found, _ = watch(movie(7, sparks=[(70, 48, 48, 0.8, 2.5)], waves=[(40, 0.6, 12, 2)]))
    sparks = [t for t in found if not t.is_wave and np.hypot(t.x_px - 48, t.y_px - 48) < 2]
    assert len(sparks) == 1
    assert sparks[0].in_wave
    assert abs(sparks[0].onset_frame - 70) <= 1


def test_calcium_that_rises_again_is_two_transients():
    found, _ = watch(movie(8, sparks=[(40, 48, 48, 0.8, 2.5), (53, 48, 48, 0.8, 2.5)]))
    assert [(t.onset_frame, t.end_frame < 60) for t in found] == [(40, True), (53, False)]


def test_what_lasts_becomes_rest():
    lasting = [(onset, 48, 48, 1.0, 2.5) for onset in range(40, 300, 2)]
    found, _ = watch(movie(9, n_frames=300, sparks=lasting))
    assert all(t.end_frame - t.onset_frame < CalciumConfig().max_duration_frames for t in found)
    assert len(found) <= 3


def test_missing_frames_are_counted():
    sparks = some_sparks(10, 12)
    rng = np.random.default_rng(10)
    seqs = sorted(rng.choice(150, 130, replace=False).tolist())
    images = list(movie(10, sparks=sparks))
    found, _ = watch((images[s] for s in seqs), seqs)
    near = [
        any(abs(t.onset_frame - s[0]) <= 3 and np.hypot(t.x_px - s[1], t.y_px - s[2]) < 2 for t in found)
        for s in sparks
    ]
    assert sum(near) >= 11
    assert len(found) <= 13


def test_dark_frames_say_nothing():
    images = list(movie(11, sparks=[(30, 48, 48, 1.0, 2.5), (90, 30, 30, 1.0, 2.5)]))
    for seq in range(60, 70):
        images[seq] = np.random.default_rng(seq).normal(0, 1.6, (SIZE, SIZE)).astype(np.float32)
    found, _ = watch(images)
    assert [t.onset_frame for t in found] == [30, 90]


@pytest.mark.parametrize("lamp", [0.15, 0.03, 8.0])
def test_a_lamp_that_is_set_anew_is_followed(lamp):
    sparks = [(onset, 48, 48, 1.5, 2.5) for onset in (50, 130, 190)]
    frames = movie(17, n_frames=240, sparks=sparks, lamp=lambda frame: 1.0 if frame < 100 else lamp)
    found, updates = watch(frames)
    at_sparks = [t for t in found if np.hypot(t.x_px - 48, t.y_px - 48) < 3]
    bright = sparks if lamp > 0.1 else sparks[:1]  # with 2.4 photons a pixel they are not to be seen
    assert len(at_sparks) >= len(bright)
    assert all(min(abs(t.onset_frame - s[0]) for t in at_sparks) <= 2 for s in bright)
    assert len(found) <= 4
    assert not any(u.wave_fraction for u in updates)


@pytest.mark.parametrize("factors", [{0: 10.0}, {0: 0.01}, {0: 100.0, 1: 0.05, 5: 30.0}])
def test_odd_frames_at_the_start_do_not_spoil_the_baseline(factors):
    frames = movie(18, sparks=[(60, 48, 48, 1.0, 2.5)], lamp=lambda frame: factors.get(frame, 1.0))
    found, _ = watch(frames)
    assert [t.onset_frame for t in found] == [60]


def test_a_shutter_that_leaks_a_little_ends_what_is_on_and_is_forgotten():
    frames = movie(
        20,
        n_frames=120,
        sparks=[(57, 48, 48, 1.0, 2.5), (75, 20, 70, 1.0, 2.5)],
        lamp=lambda frame: 0.05 if 60 <= frame < 68 else 1.0,
    )
    found, _ = watch(frames)
    assert (found[0].onset_frame, found[0].end_frame) == (57, 59)
    assert [t.onset_frame for t in found if t.onset_frame < 68] == [57]
    assert 75 in [t.onset_frame for t in found]


@pytest.mark.parametrize("light", [0.0, 0.02])
def test_a_wave_ends_when_the_shutter_closes(light):
    closed = 75
    field, found, updates = CalciumField(CalciumConfig()), [], []
    lamp = [1.0] * closed + [light] * 45
    for seq, image in enumerate(movie(21, 120, waves=[(40, 0.6, 12, 3)], lamp=lambda f: lamp[f])):
        updates.append(field.step(seq, seq * INTERVAL_S, image))
        found += [(seq, t) for t in updates[-1].transients if t.is_wave]
    assert updates[closed - 1].wave_fraction > 0.1
    assert not any(u.wave_fraction for u in updates[closed:])
    assert not any(u.in_wave(np.arange(SIZE), np.arange(SIZE)).any() for u in updates[closed:])
    assert [(seq, t.end_frame) for seq, t in found] == [(closed, closed - 1)]


def test_a_wave_that_fills_the_field_goes_on_after_a_blink():
    lamp = {65: 0.0}
    _, updates = watch(movie(6, 130, waves=[(20, 0.6, 60, 5)], lamp=lambda f: lamp.get(f, 1.0)))
    said = [u.in_wave(np.array([48.0]), np.array([48.0]))[0] for u in updates[50:80]]
    assert [f for f, inside in enumerate(said, 50) if not inside] == [65]


@pytest.mark.parametrize("since", [0, 30])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_pixel_that_is_not_finite_stays_one_pixel(since, bad):
    sparks = some_sparks(22, 8)
    images = list(movie(22, sparks=sparks, flicker=0.05))
    clean, _ = watch(images)
    assert len(clean) >= 8
    for image in images[since:]:
        image[50, 50] = bad
    found, updates = watch(images)
    far = [[(t.onset_frame, round(t.x_px)) for t in ts if not near(t, 50, 50, 12)] for ts in (clean, found)]
    assert sorted(far[0]) == sorted(far[1])
    assert len(found) <= len(clean) + 1
    assert not any(u.wave_fraction for u in updates)
    nothing, _ = watch([np.full((32, 32), bad, np.float32)] * 30)
    assert not nothing


def near(transient, x, y, distance):
    return np.hypot(transient.x_px - x, transient.y_px - y) < distance


def test_a_jump_of_the_stage_begins_anew():
    images = movie(12, n_frames=200, sparks=[(150, 48, 48, 1.0, 2.5)], shift=lambda f: 0 if f < 100 else 40)
    found, updates = watch(images)
    assert [t.onset_frame for t in found] == [150]
    assert not any(u.wave_fraction for u in updates)


def test_a_change_of_size_begins_anew():
    field = CalciumField(CalciumConfig())
    small, _ = watch(movie(13, n_frames=60, sparks=[(50, 30, 30, 1.0, 2.5)], size=64), field=field)
    assert [t.onset_frame for t in small] == [50]
    large = list(movie(14, n_frames=60, sparks=[(40, 80, 80, 1.0, 2.5)]))
    found, updates = watch(large, list(range(100, 160)), field)
    assert [(t.transient_id, t.onset_frame) for t in found] == [(1, 140)]
    assert updates[-1].wave.shape == (SIZE // BLOCK_PX, SIZE // BLOCK_PX)


def test_frames_must_come_in_order():
    field = CalciumField(CalciumConfig())
    field.step(3, 0.0, np.ones((32, 32), np.float32))
    with pytest.raises(ValueError, match="frame 3 came to the calcium field after frame 3"):
        field.step(3, 0.1, np.ones((32, 32), np.float32))


@settings(deadline=None, max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([(40, 33), (33, 40), (5, 64), (64, 64)]),
            st.integers(1, 40),
            st.sampled_from([0.0, 0.01, 5.0, 5000.0]),
            st.integers(5, 30),
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 2**32 - 1),
)
def test_any_stream_keeps_the_contract(parts, seed):
    rng = np.random.default_rng(seed)
    field, seq, known = CalciumField(CalciumConfig()), 0, []
    for shape, gap, light, n_frames in parts:
        for _ in range(n_frames):
            image = rng.poisson(light * rng.uniform(0.5, 2, shape)) + rng.normal(0, 1.6, shape)
            update = field.step(seq, seq * INTERVAL_S, image.astype(np.float32))
            known += update.transients
            assert all(t.onset_frame <= t.peak_frame and t.end_frame <= seq for t in known)
            assert 0 <= update.wave_fraction <= 1
            places = np.array([-5.0, 0.0, 20.0, 1e6])
            assert update.in_wave(places, places).shape == (4,)
            seq += 1
        seq += gap
    known += field.flush()
    assert [t.transient_id for t in known] == list(range(len(known)))
    assert all(isinstance(t, CalciumTransient) and t.onset_frame < t.end_frame for t in known)
    assert all(np.isfinite([t.x_px, t.y_px, t.amplitude_dff, t.snr, t.area_px]).all() for t in known)


def test_the_calcium_stage_hands_transients_over_without_any_puncta():
    detector = CalciumDetector(CalciumConfig())
    nothing, found = Localizations.empty(), []
    for seq, image in enumerate(movie(15, sparks=[(40, 48, 48, 1.0, 2.5), (140, 20, 70, 1.0, 2.5)])):
        found += detector.step(seq, seq * INTERVAL_S, image, nothing, TrackUpdate.none()).transients
    assert [t.onset_frame for t in found] == [40]
    assert [t.onset_frame for t in detector.flush_field()] == [140]


WAVE = CalciumTransient(7, 40, 45, 60, 2.0, 3.0, 10.0, 20.0, 0.5, 30.0, 2500.0, True, True)


def test_transients_are_recorded_in_nm_and_square_micrometres():
    frames = rows([], [], [], [WAVE], 100.0, STAGES)
    assert frames["calcium_transients"].to_pylist() == [
        {
            "transient_id": 7,
            "onset_frame": 40,
            "peak_frame": 45,
            "end_frame": 60,
            "onset_s": 2.0,
            "duration_s": 1.0,
            "x_nm": 1000.0,
            "y_nm": 2000.0,
            "amplitude_dff": 0.5,
            "snr": 30.0,
            "area_um2": 25.0,
            "is_wave": 1,
            "in_wave": 1,
        }
    ]


def test_transients_travel():
    calcium = replace(CalciumUpdate.off(0, 0), transients=(WAVE,))
    result = FrameResult(3, 0.15, 0, Localizations.empty(), TrackUpdate.none(), calcium)
    assert decode_result([bytes(part) for part in encode_result(result)]).calcium.transients == (WAVE,)


def test_a_frame_that_is_repeated_for_ever_is_neither_noise_nor_an_event():
    image = np.random.default_rng(1).poisson(20.0, (48, 48)).astype(np.float32)
    field = CalciumField(CalciumConfig())
    updates = [field.step(seq, 0.05 * seq, image) for seq in range(60)]
    assert not any(update.transients or update.wave_fraction for update in updates)

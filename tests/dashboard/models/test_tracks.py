import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.models.colours import MOBILITY_COLOURS
from dashboard.models.tracks import MOBILITY, UNKNOWN, TrackBook

INTERVAL_S = 0.1
UM_PX = 1000.0  # pixels of a micrometre, for sums by hand
IDS = np.array


def walked(make_result, places, ids=(0,), pixel_size_nm=UM_PX, interval_s=INTERVAL_S, times=None):
    """A book after {seq: x of each track (None: in a gap)}."""
    book = TrackBook(pixel_size_nm, interval_s)
    for i, (seq, xs) in enumerate(places.items()):
        seen = [(track, x) for track, x in zip(ids, xs, strict=True) if x is not None]
        gap = [track for track, x in zip(ids, xs, strict=True) if x is None]
        time_s = seq * interval_s if times is None else times[i]
        track_ids, x = zip(*seen, strict=True) if seen else ((), ())
        book.add(make_result(seq, track_ids=track_ids, x=x, y=0.0, gap_ids=gap, time_s=time_s))
    return book


def diffusion(book, track=0):
    return book.diffusion(IDS([track]))[0]


def test_names_are_those_of_the_colours():
    assert tuple(MOBILITY_COLOURS) == MOBILITY


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        # (⟨Δ²⟩ + 2 ⟨ΔΔ'⟩) / 4⟨Δt⟩
        ({0: [0.0], 1: [1.0], 2: [3.0], 3: [2.0]}, (6 / 3 + 2 * 0 / 2) / 0.4),
        ({0: [0.0], 1: [1.0], 2: [0.0]}, (2 / 2 + 2 * -1) / 0.4),  # negative: all of it is error
        ({0: [0.0], 1: [1.0], 2: [None], 3: [3.0]}, (5 / 2 + 2 * 2 / 1) / (4 * 0.15)),  # in a gap
        ({0: [0.0], 1: [1.0], 3: [3.0]}, (5 / 2 + 2 * 2 / 1) / (4 * 0.15)),  # the frame is missing
        # Away for longer than 4 frames: a step less, and none that follow each other across.
        ({0: [0.0], 1: [1.0], 2: [2.0], 7: [9.0], 8: [9.0]}, (2 / 3 + 2 * 1 / 1) / 0.4),
        ({0: [0.0], 1: [1.0]}, np.nan),
    ],
)
def test_the_estimate_by_hand(make_result, places, expected):
    assert diffusion(walked(make_result, places)) == pytest.approx(expected, nan_ok=True)


def test_a_step_across_a_pause_is_left_out(make_result):
    places = {0: [0.0], 1: [1.0], 2: [3.0], 3: [50.0], 4: [50.0]}
    book = walked(make_result, places, times=[0.0, 0.1, 0.2, 5.0, 5.1])
    assert diffusion(book) == pytest.approx(((1 + 4 + 0) / 3 + 2 * 2 / 1) / 0.4)


def test_the_interval_is_that_of_the_frames(make_result):
    places = {seq: [float(x)] for seq, x in enumerate([0, 1, 3, 2])}
    book = walked(make_result, places, interval_s=0.1, times=[0.0, 0.08, 0.16, 0.24])
    assert diffusion(book) == pytest.approx(2 / (4 * 0.08))


@pytest.mark.parametrize(
    ("diffusion_um2_s", "missing"), [(0.03, 0.0), (0.03, 0.3), (0.003, 0.15), (0.0, 0.0)]
)
def test_the_estimate_is_unbiased_on_simulated_tracks(make_result, diffusion_um2_s, missing):
    """Brownian motion, light gathered over the whole frame, 30 nm of localization error, puncta unseen."""
    rng = np.random.default_rng(7)
    n, frames, fine, interval_s, sd_um = 800, 60, 8, 0.05, 0.03
    step = np.sqrt(2 * diffusion_um2_s * interval_s / fine)
    path = np.cumsum(rng.normal(0, step, (frames * fine, 2, n)), axis=0).reshape(frames, fine, 2, n)
    seen_at = path.mean(axis=1) + rng.normal(0, sd_um, (frames, 2, n)) + 20.0
    book = TrackBook(100.0, interval_s)
    for seq in range(frames):
        seen = rng.random(n) >= missing
        x, y = seen_at[seq][:, seen] / 0.1
        ids = np.flatnonzero(seen)
        gap = np.flatnonzero(~seen)
        book.add(make_result(seq, track_ids=ids, x=x, y=y, gap_ids=gap, time_s=seq * interval_s))
    found = book.diffusion(np.arange(n))
    error = found.std(ddof=1) / np.sqrt(n)
    assert abs(found.mean() - diffusion_um2_s) < 3 * error
    # The spread that the paper gives for a track of N steps, for the mean of two axes.
    if missing == 0 and diffusion_um2_s > 0:
        n_steps, ratio = frames - 1, sd_um**2 / (diffusion_um2_s * interval_s) - 2 / 6
        relative = (6 + 4 * ratio + 2 * ratio**2) / n_steps + 4 * (1 + ratio) ** 2 / n_steps**2
        assert found.std(ddof=1) == pytest.approx(diffusion_um2_s * np.sqrt(relative / 2), rel=0.1)


def test_classes_have_the_borders_of_the_tables_and_need_ten_steps(make_result):
    # Steps of one size, to the right and back twice each: their covariance vanishes, D = step² / 4Δt.
    wanted_um2_s = np.array([0.004, 0.0056, 0.0172, 0.0175])
    steps = np.sqrt(wanted_um2_s * 4 * INTERVAL_S)
    pattern = np.array([0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2])
    ids = (3, 4, 8, 9)
    for frames, expected in ((11, [0, 1, 1, 2]), (10, [UNKNOWN] * 4)):
        places = {seq: list(steps * pattern[seq]) for seq in range(frames)}
        book = walked(make_result, places, ids)
        if frames == 11:  # nine pairs: +, −, +, −, … end on +
            assert book.diffusion(IDS(ids)) == pytest.approx(wanted_um2_s * (1 + 2 / 9), rel=1e-3)
            steps = steps / np.sqrt(1 + 2 / 9)
            book = walked(make_result, {seq: list(steps * pattern[seq]) for seq in range(11)}, ids)
        assert book.mobility(IDS([*ids, 77])).tolist() == [*expected, UNKNOWN]


def test_tracks_live_as_long_as_results_name_them(make_result):
    book = TrackBook(100.0, INTERVAL_S)
    book.add(make_result(0, track_ids=[1, -1, 0], born=[0, 1]))
    book.add(make_result(1, track_ids=[5, 1], gap_ids=[0], born=[5], confirmed=[1]))
    living = book.living()
    assert living.track_id.tolist() == [0, 1, 5]
    assert living.sightings.tolist() == [1, 2, 1]
    assert (living.first_seq.tolist(), living.last_seq.tolist()) == ([0, 0, 1], [0, 1, 1])
    assert living.confirmed.tolist() == [False, True, False]
    assert book.age(IDS([5, 1, 9, 0]), 4).tolist() == [3, 4, -1, 4]
    assert book.age(IDS([5]), 0).tolist() == [-1]  # looked back to before its birth
    book.add(make_result(9, track_ids=[6], born=[6], missing_before=7))  # nobody told of any death
    assert book.living().track_id.tolist() == [6]
    assert book.ended().track_id.tolist() == [1]  # the others were never confirmed
    assert book.age(IDS([1]), 9).tolist() == [9]


def test_tracks_met_in_the_middle_count_as_confirmed_from_the_third_sighting(make_result):
    book = TrackBook(100.0, INTERVAL_S)
    confirmed = []
    for seq in range(5, 9):
        book.add(make_result(seq, track_ids=[3, 4], born=[4] if seq == 5 else []))
        confirmed.append(book.living().confirmed.tolist())
    assert confirmed == [[False, False], [False, False], [True, False], [True, False]]


def test_only_the_last_few_thousand_ended_tracks_are_kept(make_result):
    book = TrackBook(100.0, INTERVAL_S)
    for seq in range(8):
        ids = np.arange(1000 * seq, 1000 * seq + 1000)
        book.add(make_result(seq, track_ids=ids, born=ids, confirmed=ids))
    assert book.ended().track_id.tolist() == list(range(2000, 7000))
    assert book.age(IDS([1999, 2000]), 7).tolist() == [-1, 5]


def test_wrong_use_is_refused(make_result):
    for pixel, interval in ((0.0, 0.1), (100.0, 0.0), (float("nan"), 0.1)):
        with pytest.raises(ValueError, match="positive pixel size"):
            TrackBook(pixel, interval)
    book = walked(make_result, {3: [0.0]})
    with pytest.raises(ValueError, match="frame 3 came after frame 3"):
        book.add(make_result(3))


def plain_estimate(seqs, places):
    """The same sums, a loop at a time."""
    square = elapsed = covariance = 0.0
    steps = pairs = 0
    last = None
    for i in range(1, len(seqs)):
        step, lag = places[i] - places[i - 1], seqs[i] - seqs[i - 1]
        if lag > 4:
            last = None
            continue
        square, elapsed, steps = square + step @ step, elapsed + lag * INTERVAL_S, steps + 1
        if last is not None:
            covariance, pairs = covariance + step @ last, pairs + 1
        last = step
    return (square / steps + 2 * covariance / pairs) / (4 * elapsed / steps) if pairs else np.nan


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_whoever_comes_and_goes_the_estimate_is_that_of_a_plain_loop(make_result, seed):
    rng = np.random.default_rng(seed)
    n, frames = 6, 40
    births, deaths = rng.integers(0, 20, n), rng.integers(20, 40, n)
    shuffled = rng.permutation(n) + 10
    book, seen_of = TrackBook(UM_PX, INTERVAL_S), {int(i): ([], []) for i in shuffled}
    for seq in np.flatnonzero(rng.random(frames) < 0.9).tolist():
        alive = shuffled[(births <= seq) & (seq < deaths)]
        seen = rng.random(len(alive)) < 0.7
        x, y = rng.normal(0, 1, (2, seen.sum())).astype(np.float32)
        book.add(
            make_result(
                seq,
                track_ids=alive[seen],
                x=x,
                y=y,
                gap_ids=alive[~seen],
                confirmed=alive,
                time_s=seq * INTERVAL_S,
            )
        )
        for i, track in enumerate(alive[seen].tolist()):
            seen_of[track][0].append(seq)
            seen_of[track][1].append(np.array([x[i], y[i]], np.float64))
    expected = [plain_estimate(*seen_of[track]) for track in range(10, 16)]
    np.testing.assert_allclose(book.diffusion(np.arange(10, 16)), expected, rtol=1e-5, atol=1e-6)

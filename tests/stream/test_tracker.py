import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from model.localizations import Localizations
from stream.config import TrackerConfig
from stream.results import NO_TRACK
from stream.tracking.kalman import Sightings
from stream.tracking.linking import assign
from stream.tracking.tracker import Tracker

PIXEL_NM = 110.0
INTERVAL_S = 0.05
TRACKMATE = Path(__file__).parents[3] / "shared" / "data" / "tracking"


def spots(x, y, sd=0.3, photons=1000.0):
    columns = np.broadcast_arrays(np.asarray(x, float), y, sd, sd, photons, 15.0, 1.3)
    return Localizations.from_columns(
        **dict(
            zip(
                ("x_px", "y_px", "x_sd_px", "y_sd_px", "photons", "background", "psf_sigma_px"),
                columns,
                strict=True,
            )
        )
    )


def simulate(n, n_frames, seed, size=256.0, diffusion=(0.25, 0.026)):
    """Diffusing, blinking, dying puncta with misses and false positives; (localizations, truth) a frame."""
    rng = np.random.default_rng(seed)
    position = rng.uniform(0, size, (n, 2))
    step = np.sqrt(2 * np.where(rng.random(n) < 0.4, *diffusion))
    brightness, sd = rng.normal(np.log(1000), 0.4, n), rng.uniform(0.2, 0.4, n)
    on, identity, n_born = np.ones(n, bool), np.arange(n), n
    frames = []
    for _ in range(n_frames):
        seen = on & (rng.random(n) > 0.1)
        n_false = rng.poisson(0.05 * n)
        found = position[seen] + rng.normal(size=(seen.sum(), 2)) * sd[seen, None]
        found = np.concatenate([found, rng.uniform(0, size, (n_false, 2))])
        photons = np.exp(
            np.concatenate([rng.normal(brightness[seen], 0.15), rng.normal(np.log(500), 0.4, n_false)])
        )
        spread = np.concatenate([sd[seen], rng.uniform(0.2, 0.4, n_false)])
        truth = np.concatenate([identity[seen], np.full(n_false, -1)])
        order = rng.permutation(len(truth))
        frames.append((spots(*found[order].T, spread[order], photons[order]), truth[order]))

        position = np.abs(position + rng.normal(size=(n, 2)) * step[:, None])
        position = size - np.abs(size - position)
        chance = rng.random(n)
        on = np.where(on, chance >= 0.02, chance < 0.3)
        died = rng.random(n) < 1 / 150
        position[died], on[died] = rng.uniform(0, size, (died.sum(), 2)), True
        identity[died] = n_born + np.arange(died.sum())
        n_born += died.sum()
    return frames


def tracker(**options):
    return Tracker(TrackerConfig(**options), PIXEL_NM, INTERVAL_S)


def track(localizations, seqs=None, **options):
    """Updates of a whole movie, the last one from `flush`."""
    linker = tracker(**options)
    seqs = range(len(localizations)) if seqs is None else seqs
    updates = [linker.step(s, s * INTERVAL_S, found) for s, found in zip(seqs, localizations, strict=True)]
    return [*updates, linker.flush()]


def confirmed_labels(updates):
    confirmed = np.concatenate([u.confirmed for u in updates])
    return [np.where(np.isin(u.track_id, confirmed), u.track_id, NO_TRACK) for u in updates[:-1]]


def links(labels, longest=11):
    """Pairs of (frame, row) of successive sightings of one object seen at least three times."""
    sightings = {}
    for frame, ids in enumerate(labels):
        for row, identity in enumerate(ids.tolist()):
            if identity != NO_TRACK:
                sightings.setdefault(identity, []).append((frame, row))
    return {
        (a, b)
        for seen in sightings.values()
        if len(seen) >= 3
        for a, b in itertools.pairwise(seen)
        if b[0] - a[0] <= longest
    }


def link_f1(truth, found):
    true_links, found_links = links(truth), links(found)
    return 2 * len(true_links & found_links) / (len(true_links) + len(found_links))


@pytest.mark.parametrize(("n", "n_frames", "least"), [(50, 150, 0.997), (200, 100, 0.995), (1000, 30, 0.975)])
def test_links_are_right(n, n_frames, least):
    frames = simulate(n, n_frames, seed=n)
    labels = confirmed_labels(track([found for found, _ in frames]))
    assert link_f1([truth for _, truth in frames], labels) > least


def test_fast_puncta_are_followed_without_being_told():
    frames = simulate(200, 100, seed=3, diffusion=(2.0, 0.1))
    labels = confirmed_labels(track([found for found, _ in frames]))
    assert link_f1([truth for _, truth in frames], labels) > 0.975


def test_what_all_puncta_have_in_common_is_learnt():
    frames = simulate(200, 150, seed=4)
    linker = tracker()
    for seq, (found, _) in enumerate(frames):
        linker.step(seq, seq * INTERVAL_S, found)
    learnt = linker.population
    fast, slow = np.argsort(learnt.class_share)[::-1][:2][::-1]
    assert learnt.diffusion_px2_s[fast] * INTERVAL_S == pytest.approx(0.25, rel=0.2)
    assert learnt.diffusion_px2_s[slow] * INTERVAL_S == pytest.approx(0.02, rel=0.5)
    assert learnt.class_share[fast] == pytest.approx(0.4, abs=0.1)
    assert np.sqrt(learnt.photon_variance) == pytest.approx(0.15, rel=0.1)
    # 10 % are missed and 2 % go dark; one that is not seen was missed in five cases of six.
    assert learnt.seen_again[-1, :2] == pytest.approx([0.88, 0.76], abs=0.05)


def test_missing_frames_keep_links():
    frames = simulate(100, 150, seed=5)
    rng = np.random.default_rng(5)
    seqs = np.flatnonzero(rng.random(150) > 0.2)
    kept = [frames[s] for s in seqs]
    labels = confirmed_labels(track([found for found, _ in kept], seqs.tolist()))
    assert link_f1([truth for _, truth in kept], labels) > 0.985


def test_brightness_keeps_crossing_puncta_apart():
    x = np.linspace(-3, 3, 41)
    photons = [400.0, 3000.0]
    movie = [spots([50 + d, 50 - d], [50.0, 50.2], 0.3, photons) for d in x]
    labels = np.array([u.track_id for u in track(movie)[:-1]])
    assert (labels == labels[0]).all()


def test_a_gap_is_bridged_to_its_limit_and_not_beyond():
    here, nothing = spots([20.0], [20.0]), Localizations.empty()
    for n_missing, is_bridged in ((4, True), (5, False)):
        updates = track([here] * 3 + [nothing] * n_missing + [here], max_gap_frames=4)
        assert (updates[-2].track_id[0] == updates[0].track_id[0]) == is_bridged
        assert [u.gap_track_id.tolist() for u in updates[3:7]] == [[0]] * 4
        assert np.concatenate([u.died for u in updates[:-1]]).tolist() == ([] if is_bridged else [0])


def test_gaps_are_counted_in_time_not_in_messages():
    here = spots([20.0], [20.0])
    within = track([here] * 4, [0, 1, 2, 13], max_gap_frames=10)
    beyond = track([here] * 4, [0, 1, 2, 14], max_gap_frames=10)
    assert within[3].track_id[0] == 0
    assert beyond[3].track_id[0] == 1
    assert beyond[3].died.tolist() == [0]


def test_a_longer_wait_widens_the_gate():
    near, far = spots([20.0], [20.0]), spots([27.0], [20.0])
    assert track([near, near, near, far], [0, 1, 2, 3])[3].track_id[0] == 1
    assert track([near, near, near, far], [0, 1, 2, 12])[3].track_id[0] == 0


def test_a_clock_that_stands_still_is_replaced_by_the_nominal_interval():
    linker = tracker(max_gap_frames=2)
    here = spots([20.0], [20.0])
    for seq in range(3):
        linker.step(seq, 0.0, here)
    assert linker.step(6, 0.0, here).died.tolist() == [0]


def test_a_tentative_track_is_dropped_soon_and_a_confirmed_one_dies():
    here, nothing = spots([20.0], [20.0]), Localizations.empty()
    updates = track([here, here, nothing, nothing, nothing])
    assert updates[4].dropped.tolist() == [0]
    assert not any(len(u.confirmed) or len(u.died) for u in updates)
    updates = track([here, here, here])
    assert updates[2].confirmed.tolist() == [0]
    assert updates[-1].died.tolist() == [0]


@pytest.mark.parametrize("seq", [4, 5])
def test_frames_out_of_order_are_refused(seq):
    linker = tracker()
    linker.step(5, 0.25, Localizations.empty())
    with pytest.raises(ValueError, match=f"frame {seq} came to the tracker after frame 5"):
        linker.step(seq, 0.3, Localizations.empty())


def test_positions_must_be_finite():
    with pytest.raises(ValueError, match="frame 0 has localizations whose position"):
        tracker().step(0, 0.0, spots([np.nan], [1.0]))


def test_empty_frames_and_crowds():
    rng = np.random.default_rng(7)
    linker = tracker()
    for seq in range(0, 200):
        assert len(linker.step(seq, seq * INTERVAL_S, Localizations.empty()).track_id) == 0
    crowd = rng.uniform(0, 512, (2, 5000))
    first = linker.step(200, 200 * INTERVAL_S, spots(*crowd)).track_id
    second = linker.step(201, 201 * INTERVAL_S, spots(*crowd)).track_id
    assert (first == second).mean() > 0.99
    heap = linker.step(202, 202 * INTERVAL_S, spots(np.full(500, 30.0), np.full(500, 30.0)))
    assert len(np.unique(heap.track_id)) == 500


def test_unbelievable_uncertainties_are_bounded():
    sd = np.array([0.0, np.nan, np.inf, -1.0])
    variance = Sightings.of(spots(np.arange(4.0), 0.0, sd), 0.04).variance
    assert np.isfinite(variance).all()
    assert (variance > 0).all()


@settings(max_examples=60, deadline=None)
@given(
    frames=st.lists(
        st.tuples(
            st.integers(1, 4),
            st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=6),
        ),
        max_size=25,
    ),
    confirm=st.integers(1, 4),
    gap=st.integers(0, 5),
)
def test_life_cycle(frames, confirm, gap):
    """Puncta on a coarse grid: coincident, crowded, vanishing, with missing frames."""
    movie = [spots([p[0] for p in points], [p[1] for p in points]) for _, points in frames]
    seqs = np.cumsum([skip for skip, _ in frames]).tolist()
    updates = track(movie, seqs, confirm_detections=confirm, max_gap_frames=gap)
    again = track(movie, seqs, confirm_detections=confirm, max_gap_frames=gap)
    living, confirmed, ever = set(), set(), set()
    for update, repeated in zip(updates, again, strict=True):
        for name in (
            "track_id",
            "gap_track_id",
            "gap_x_px",
            "gap_y_px",
            "born",
            "confirmed",
            "died",
            "dropped",
        ):
            np.testing.assert_array_equal(getattr(update, name), getattr(repeated, name))
        ids, gaps = update.track_id.tolist(), update.gap_track_id.tolist()
        born, ended = set(update.born.tolist()), {*update.died.tolist(), *update.dropped.tolist()}
        assert len(set(ids)) == len(ids)
        assert NO_TRACK not in ids
        assert not set(ids) & set(gaps)
        assert not born & ever  # never reused
        assert born <= set(ids)
        assert set(update.died.tolist()) <= confirmed
        assert not set(update.dropped.tolist()) & confirmed
        assert ended <= living
        living = (living | born) - ended
        ever |= born
        assert set(update.confirmed.tolist()) <= living - confirmed
        confirmed |= set(update.confirmed.tolist())
        assert living == {*ids, *gaps}
        assert np.isfinite(update.gap_x_px).all()
    assert not living


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.floats(0.01, 50)),
        min_size=1,
        max_size=10,
        unique_by=lambda pair: pair[:2],
    )
)
def test_assignment_is_optimal(pairs):
    row, spot, gain = (np.array(column) for column in zip(*pairs, strict=True))
    rows, spots_ = assign(row, spot, gain.astype(float))
    worth = {(r, s): g for r, s, g in pairs}
    found = sum(worth[pair] for pair in zip(rows.tolist(), spots_.tolist(), strict=True))

    def best(r, free):
        if r == 4:
            return 0.0
        taken = (worth[r, s] + best(r + 1, free - {s}) for s in free if (r, s) in worth)
        return max(best(r + 1, free), *taken, 0.0)

    assert len(set(rows.tolist())) == len(rows)
    assert len(set(spots_.tolist())) == len(spots_)
    assert found == pytest.approx(best(0, frozenset(range(4))))


@pytest.mark.parametrize("crowding", [0.3, 1.0, 3.0])
def test_assignment_in_parts_is_the_assignment_of_the_whole(crowding):
    rng = np.random.default_rng(12)
    n = 400  # more pairs than a batch
    near = rng.random((n, n)) < crowding / n
    row, spot = np.nonzero(near)
    gain = rng.uniform(0.1, 10, len(row))
    worth = np.zeros((n, n))
    worth[row, spot] = gain
    best_row, best_spot = linear_sum_assignment(worth, maximize=True)
    linked = near[best_row, best_spot]
    rows, spots_ = assign(row, spot, gain)
    np.testing.assert_array_equal(rows, best_row[linked])
    np.testing.assert_array_equal(spots_, best_spot[linked])


@pytest.mark.parametrize("leap_s", [3600.0, -3600.0, 1e9])
def test_a_clock_that_leaps_ends_no_track(leap_s):
    linker, here = tracker(max_gap_frames=3), spots([20.0, 60.0], [20.0, 20.0])
    ids = [linker.step(s, s * INTERVAL_S + leap_s * (s >= 4), here).track_id.tolist() for s in range(8)]
    assert ids == [[0, 1]] * 8


@pytest.mark.parametrize("interval_s", [0.002, 0.36, 1.0])
def test_tracks_follow_an_interval_that_was_assumed_wrongly(interval_s):
    linker, here = tracker(max_gap_frames=3), spots([20.0, 60.0], [20.0, 20.0])
    nothing = Localizations.empty()
    ids = [linker.step(seq, seq * interval_s, here).track_id.tolist() for seq in range(10)]
    assert ids == [[0, 1]] * 10
    gone = [linker.step(seq, seq * interval_s, nothing).died.tolist() for seq in range(10, 16)]
    assert gone == [[], [], [], [0, 1], [], []]


def test_a_pause_of_the_camera_widens_the_gate_and_a_long_one_ends_what_moved():
    near, far = spots([20.0], [20.0]), spots([27.0], [20.0])
    for pause, is_same in ((1, False), (10, True), (1000, False)):
        linker = tracker()
        for seq in range(3):
            linker.step(seq, seq * INTERVAL_S, near)
        update = linker.step(3, (2 + pause) * INTERVAL_S, far)
        assert (update.track_id[0] == 0) == is_same


@pytest.mark.parametrize(("kind", "max_gap"), [("with_gap_closing", 2), ("without_gap_closing", 0)])
def test_recovers_the_edges_of_trackmate(kind, max_gap):
    path = TRACKMATE / f"trackmate_tracks_{kind}_spots.csv"
    if not path.exists():
        pytest.skip("reference data of TrackMate is not beside the checkout")
    with path.open() as file:
        rows = [
            (int(r["frame"]), int(r["id"]), r["position_x"], r["position_y"]) for r in csv.DictReader(file)
        ]
    with (TRACKMATE / f"trackmate_tracks_{kind}_edges.csv").open() as file:
        edges = {(int(r["spot_source_id"]), int(r["spot_target_id"])) for r in csv.DictReader(file)}
    # Steps of up to 7 px on a movie in px and frames; 1000 nm and 1 s make µm²/s out of px² a frame.
    config = TrackerConfig(diffusion_um2_s=(0.5, 5.0), max_gap_frames=max_gap, confirm_detections=2)
    linker, last, found = Tracker(config, 1000.0, 1.0), {}, set()
    for frame in range(max(row[0] for row in rows) + 1):
        here = [row for row in rows if row[0] == frame]
        update = linker.step(
            frame, float(frame), spots([float(r[2]) for r in here], [float(r[3]) for r in here])
        )
        for track_id, row in zip(update.track_id.tolist(), here, strict=True):
            if track_id in last:
                found.add((last[track_id], row[1]))
            last[track_id] = row[1]
    assert len(found & edges) >= 0.97 * len(edges)
    assert len(found - edges) <= 0.03 * len(edges)

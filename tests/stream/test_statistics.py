import numpy as np
import pytest

from stream.motion.diffusion import DIFFUSION_UM2_S
from stream.motion.statistics import MIN_STEPS, TrackStatistics

INTERVAL_S = 0.05


def blurred(rng, steps):
    """Mean positions (frames, tracks, 2) during exposures that fill the interval, of a walk with these steps.

    Between its ends a walk is a Brownian bridge, whose mean lies half way with a twelfth of the variance.
    """
    ends = steps.cumsum(axis=0)
    sd = np.sqrt((steps**2).mean() / 12)
    return ends - steps / 2 + rng.normal(0, sd, steps.shape)


def brownian(rng, n_tracks, n_frames, diffusion_um2_s, sd_nm):
    """Positions in nm (frames, tracks, 2)."""
    steps = rng.normal(0, np.sqrt(2 * diffusion_um2_s * INTERVAL_S) * 1000, (n_frames, n_tracks, 2))
    return blurred(rng, steps) + rng.normal(0, sd_nm, steps.shape)


def in_a_well(rng, n_tracks, n_frames, diffusion_um2_s, radius_nm, sd_nm, substeps=20):
    """Positions in nm of a walk in a harmonic well, spread as much as a disk of this radius."""
    spread = radius_nm / 2
    kept = np.exp(-diffusion_um2_s * 1e6 / spread**2 * INTERVAL_S / substeps)
    x = rng.normal(0, spread, (n_tracks, 2))
    positions = np.zeros((n_frames, n_tracks, 2))
    for k in range(n_frames):
        for _ in range(substeps):
            x = kept * x + rng.normal(0, spread * np.sqrt(1 - kept**2), x.shape)
            positions[k] += x / substeps
    return positions + rng.normal(0, sd_nm, positions.shape)


def statistics_of(positions, sd_nm, seen=None, frames=None, time_s=None, window=1):
    n_frames, n_tracks, _ = positions.shape
    seen = np.ones((n_frames, n_tracks), bool) if seen is None else seen
    frames = np.arange(n_frames) if frames is None else frames
    time_s = frames * INTERVAL_S if time_s is None else time_s
    statistics = TrackStatistics(window)
    for k, frame in enumerate(frames.tolist()):
        ids = np.flatnonzero(seen[k])
        x, y = positions[k, ids].T
        sd = np.full(len(ids), sd_nm, np.float32)
        statistics.add(frame, time_s[k], ids, x, y, sd, sd, np.full(len(ids), 500.0))
    return statistics


def covered(table, diffusion):
    return ((table.diffusion_low_um2_s <= diffusion) & (diffusion <= table.diffusion_high_um2_s)).mean()


@pytest.mark.parametrize("claimed", [0.83, 1.0, 1.2])
@pytest.mark.parametrize(("diffusion", "sd_nm"), [(0.003, 30.0), (0.03, 20.0), (0.3, 10.0)])
def test_diffusion_of_short_tracks_whatever_errors_are_claimed(diffusion, sd_nm, claimed):
    rng = np.random.default_rng(1)
    positions = brownian(rng, 400, 30, diffusion, sd_nm)
    seen = rng.random((30, 400)) > 0.1
    table = statistics_of(positions, sd_nm * claimed, seen).table()
    assert table.diffusion_um2_s.median() == pytest.approx(diffusion, rel=0.1)
    assert 0.92 < covered(table, diffusion) < 0.98
    if diffusion < 0.1:
        assert table.localization_sd_nm.median() == pytest.approx(sd_nm, rel=0.1)
    assert table.mobility_probability.between(1 / 3, 1).all()


def test_gaps_missing_frames_pauses_and_jittered_times_do_not_bias():
    rng = np.random.default_rng(2)
    positions = brownian(rng, 300, 160, 0.029, 25.0)
    kept = np.flatnonzero(rng.random(160) > 0.1)  # frames that arrived
    kept = kept[(kept < 60) | (kept >= 90)]  # and a long pause
    seen = rng.random((len(kept), 300)) > 0.15
    time_s = kept * INTERVAL_S + rng.uniform(-0.02, 0.02, len(kept))
    table = statistics_of(positions[kept], 25.0, seen, kept, time_s).table()
    assert table.diffusion_um2_s.median() == pytest.approx(0.029, rel=0.05)
    assert covered(table, 0.029) > 0.9
    assert (table.n_observed == seen.sum(axis=0)).all()
    assert (table.last_frame == [kept[seen[:, t]].max() for t in range(300)]).all()
    # The camera stood still for the pause and numbered its frames on: only the clock shows it.
    first = np.flatnonzero(kept >= 90)[0]
    frames = np.where(np.arange(len(kept)) < first, kept, kept - 30)
    table = statistics_of(positions[kept], 25.0, seen, frames, time_s).table()
    assert table.diffusion_um2_s.median() == pytest.approx(0.029, rel=0.05)


def test_puncta_at_rest_are_immobile_and_not_confined():
    rng = np.random.default_rng(3)
    table = statistics_of(rng.normal(0, 20, (300, 100, 2)), 17.0).table()
    assert (table.mobility == "immobile").all()
    assert (table.diffusion_low_um2_s < 2 * DIFFUSION_UM2_S[0]).mean() > 0.9
    assert table.diffusion_um2_s.max() < 0.001
    assert table.confinement_nm.isna().all()
    assert table.alpha.isna().all()


def test_uncertainties_that_are_missing_or_absurd_are_not_believed():
    rng = np.random.default_rng(4)
    positions = brownian(rng, 200, 60, 0.03, 25.0)
    assert statistics_of(positions, np.nan).table().diffusion_um2_s.median() == pytest.approx(0.03, rel=0.1)
    absurd = statistics_of(positions, np.inf).table()
    assert np.isfinite(absurd.diffusion_um2_s).all()


def test_alpha_tells_brownian_from_directed_and_confined_motion():
    rng = np.random.default_rng(5)
    free = brownian(rng, 200, 200, 0.1, 20.0)
    directed = free + (np.arange(200) * 200.0)[:, None, None]
    confined = in_a_well(rng, 200, 200, 0.1, 200, 20.0)
    assert statistics_of(free, 20.0).table().alpha.mean() == pytest.approx(1.0, abs=0.05)
    assert statistics_of(directed, 20.0).table().alpha.mean() > 1.5
    assert statistics_of(confined, 20.0).table().alpha.mean() < 0.8


@pytest.mark.parametrize("claimed", [0.83, 1.0, 1.2])
def test_confined_tracks_are_told_from_free_ones_with_their_radius(claimed):
    rng = np.random.default_rng(6)
    free = statistics_of(brownian(rng, 150, 150, 0.03, 20.0), 20.0 * claimed).table()
    confined = statistics_of(in_a_well(rng, 150, 150, 0.03, 200, 20.0), 20.0 * claimed).table()
    assert (free.confinement_probability >= 0.9).mean() < 0.06
    assert (confined.confinement_probability >= 0.9).mean() > 0.9
    assert confined.confinement_nm.median() == pytest.approx(200, rel=0.15)
    assert (confined.confinement_nm.isna() == (confined.confinement_probability < 0.9)).all()


def test_mobility_classes():
    rng = np.random.default_rng(7)
    positions = np.concatenate([brownian(rng, 100, 100, d, 20.0) for d in (0.003, 0.01, 0.03)], axis=1)
    table = statistics_of(positions, 20.0).table()
    for i, name in enumerate(("immobile", "intermediate", "mobile")):
        assert (table.mobility[100 * i : 100 * i + 100] == name).mean() > 0.93
    wrong = table.mobility != np.repeat(["immobile", "intermediate", "mobile"], 100)
    assert wrong.mean() <= 2 * (1 - table.mobility_probability).mean() + 0.01  # as sure as it may be
    short = statistics_of(positions[:MIN_STEPS], 20.0).table()
    assert (short.mobility == "unknown").all()
    assert short[["mobility_probability", "alpha", "confinement_nm"]].isna().all(axis=None)


def test_a_single_sighting_has_no_motion_and_the_table_may_be_empty():
    statistics = TrackStatistics()
    assert len(statistics.table()) == 0
    assert np.isnan(statistics.mobility_shares()["mobile"].share)
    one = np.array([20.0])
    statistics.add(7, 0.35, np.array([12]), np.array([100.0]), np.array([50.0]), one, one, np.array([300.0]))
    row = statistics.table().iloc[0]
    assert (row.track_id, row.first_frame, row.last_frame, row.n_observed) == (12, 7, 7, 1)
    assert row.mean_photons == 300.0
    assert np.isnan(row.diffusion_um2_s)
    assert row.mobility == "unknown"


def test_a_clock_that_stands_still_tells_no_diffusion():
    rng = np.random.default_rng(8)
    table = statistics_of(brownian(rng, 3, 20, 0.03, 20.0), 20.0, time_s=np.zeros(20)).table()
    assert table.diffusion_um2_s.isna().all()
    assert (table.mobility == "unknown").all()


def test_tracks_may_be_added_late_but_only_forwards():
    rng = np.random.default_rng(9)
    positions = brownian(rng, 2, 50, 0.029, 25.0)
    sd, photons = np.array([25.0]), np.array([400.0])
    late = TrackStatistics()
    for track in (1, 0):
        for frame in range(50):
            x, y = positions[frame, [track]].T
            late.add(frame, frame * INTERVAL_S, np.array([track]), x, y, sd, sd, photons)
    at_once = statistics_of(positions, 25.0).table()
    np.testing.assert_allclose(late.table().diffusion_um2_s, at_once.diffusion_um2_s, rtol=1e-4)
    with pytest.raises(ValueError, match="track 1 was added at frame 49 after frame 49"):
        late.add(49, 2.45, np.array([1]), np.zeros(1), np.zeros(1), sd, sd, photons)


def test_asking_in_between_changes_nothing():
    rng = np.random.default_rng(10)
    positions = brownian(rng, 5, 40, 0.02, 20.0)
    asked = TrackStatistics()
    for frame in range(40):
        x, y = positions[frame].T
        sd = np.full(5, 20.0, np.float32)
        asked.add(frame, frame * INTERVAL_S, np.arange(5), x, y, sd, sd, np.full(5, 500.0))
        assert len(asked.table()) == 5
        asked.mobility_shares()
    assert asked.table().equals(statistics_of(positions, 20.0).table())


def test_shares_of_the_classes_are_not_those_of_the_labels():
    rng = np.random.default_rng(11)
    n = {0.003: 400, 0.01: 50, 0.03: 150}
    positions = np.concatenate([brownian(rng, k, 30, d, 30.0) for d, k in n.items()], axis=1)
    statistics = statistics_of(positions, 30.0)
    shares = statistics.mobility_shares()
    assert sum(s.share for s in shares.values()) == pytest.approx(1.0)
    assert shares["immobile"].share == pytest.approx(400 / 600, abs=0.06)
    assert shares["mobile"].share == pytest.approx(150 / 600, abs=0.04)
    for name, k in zip(("immobile", "intermediate", "mobile"), n.values(), strict=True):
        assert shares[name].low <= k / 600 <= shares[name].high
    labels = statistics.table().mobility.value_counts(normalize=True)
    assert labels["intermediate"] > shares["intermediate"].high > 50 / 600  # counting labels is biased
    assert statistics.mobility_shares() == shares


@pytest.mark.parametrize("diffusion", [0.01, 0.03, 0.1])
def test_positions_drawn_towards_the_frames_beside_keep_their_diffusion(diffusion):
    """A walk seen by a network that looks at three frames, and one that says so."""
    rng, sd_nm = np.random.default_rng(3), 10.0
    step2 = 2 * diffusion * INTERVAL_S * 1e6
    a = 0.4 * sd_nm**2 / (sd_nm**2 + step2 / 16)
    walk = brownian(rng, 300, 62, diffusion, sd_nm)
    drawn = walk[1:-1] + a / 2 * (walk[:-2] - 2 * walk[1:-1] + walk[2:])
    told, untold = (statistics_of(drawn, sd_nm, window=n).table().diffusion_um2_s.median() for n in (3, 1))
    assert told == pytest.approx(diffusion, rel=0.25)  # the network's own law, not quite this one
    assert abs(untold - diffusion) > abs(told - diffusion)


@pytest.mark.parametrize("interval_s", [0.05, 0.5, 2.0])
def test_a_punctum_at_rest_is_not_called_confined_however_slow_the_frames(interval_s):
    rng, sd_nm = np.random.default_rng(4), 12.0
    positions = rng.normal(0, sd_nm, (60, 40, 2))
    table = statistics_of(positions, sd_nm, time_s=np.arange(60) * interval_s).table()
    assert table.confinement_nm.notna().mean() <= 0.05

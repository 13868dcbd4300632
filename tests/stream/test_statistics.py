import numpy as np
import pytest

from stream.statistics import MIN_STEPS, TrackStatistics

INTERVAL_S = 0.05
BLUR_STEPS = 20  # sub-steps of an exposure


def brownian(rng, n_tracks, n_frames, diffusion_um2_s, sd_nm):
    """Positions in nm (frames, tracks, 2), averaged over exposures that fill the frame interval."""
    step_sd = np.sqrt(2 * diffusion_um2_s * INTERVAL_S / BLUR_STEPS) * 1000
    path = rng.normal(0, step_sd, (n_frames * BLUR_STEPS, n_tracks, 2)).cumsum(axis=0)
    blurred = path.reshape(n_frames, BLUR_STEPS, n_tracks, 2).mean(axis=1)
    return blurred + rng.normal(0, sd_nm, blurred.shape)


def statistics_of(positions, seen=None, frames=None):
    n_frames, n_tracks, _ = positions.shape
    seen = np.ones((n_frames, n_tracks), bool) if seen is None else seen
    statistics = TrackStatistics()
    for k in range(n_frames):
        frame = k if frames is None else frames[k]
        ids = np.flatnonzero(seen[k])
        x, y = positions[k, ids].T
        statistics.add(frame, frame * INTERVAL_S, ids, x, y, np.full(len(ids), 500.0))
    return statistics.table()


@pytest.mark.parametrize(("diffusion", "sd_nm"), [(0.029, 25.0), (0.003, 25.0), (0.2, 0.0)])
def test_diffusion_and_localization_error_are_unbiased(diffusion, sd_nm):
    rng = np.random.default_rng(1)
    table = statistics_of(brownian(rng, 400, 100, diffusion, sd_nm))
    error = table.diffusion_um2_s.std() / np.sqrt(len(table))
    assert abs(table.diffusion_um2_s.mean() - diffusion) < 3 * error
    assert error < 0.08 * diffusion  # so the line above can fail
    if sd_nm and diffusion < 0.1:
        assert table.localization_sd_nm.median() == pytest.approx(sd_nm, rel=0.1)


def test_gaps_and_missing_frames_do_not_bias():
    rng = np.random.default_rng(2)
    positions = brownian(rng, 400, 150, 0.029, 25.0)
    kept = np.flatnonzero(rng.random(150) > 0.1)  # frames that arrived
    seen = rng.random((150, 400)) > 0.15
    table = statistics_of(positions[kept], seen[kept], kept)
    error = table.diffusion_um2_s.std() / np.sqrt(len(table))
    assert abs(table.diffusion_um2_s.mean() - 0.029) < 3 * error
    assert (table.n_observed == seen[kept].sum(axis=0)).all()
    assert (table.last_frame == [kept[seen[kept, t]].max() for t in range(400)]).all()


def test_alpha_tells_brownian_from_directed_and_confined_motion():
    rng = np.random.default_rng(3)
    free = brownian(rng, 200, 200, 0.1, 20.0)
    directed = free + (np.arange(200) * 200.0)[:, None, None]
    corral_nm = 150.0
    confined = np.abs((free + corral_nm) % (4 * corral_nm) - 2 * corral_nm)  # reflected at the walls
    assert statistics_of(free).alpha.mean() == pytest.approx(1.0, abs=0.06)
    assert statistics_of(directed).alpha.mean() > 1.5
    assert statistics_of(confined).alpha.mean() < 0.8


def test_mobility_classes():
    rng = np.random.default_rng(4)
    fast = statistics_of(brownian(rng, 100, 200, 0.05, 20.0))
    still = statistics_of(brownian(rng, 100, 200, 0.001, 20.0))
    short = statistics_of(brownian(rng, 100, MIN_STEPS, 0.05, 20.0))
    assert (fast.mobility == "mobile").mean() > 0.98
    assert (still.mobility == "immobile").mean() > 0.98
    assert (short.mobility == "unknown").all()
    assert short.alpha.isna().all()


def test_a_single_sighting_has_no_motion_and_the_table_may_be_empty():
    statistics = TrackStatistics()
    assert len(statistics.table()) == 0
    statistics.add(7, 0.35, np.array([12]), np.array([100.0]), np.array([50.0]), np.array([300.0]))
    row = statistics.table().iloc[0]
    assert (row.track_id, row.first_frame, row.last_frame, row.n_observed) == (12, 7, 7, 1)
    assert row.mean_photons == 300.0
    assert np.isnan(row.diffusion_um2_s)
    assert row.mobility == "unknown"


def test_tracks_may_be_added_late_but_only_forwards():
    rng = np.random.default_rng(5)
    positions = brownian(rng, 2, 50, 0.029, 25.0)
    photons = np.array([400.0])
    late = TrackStatistics()
    for track in (1, 0):
        for frame in range(50):
            x, y = positions[frame, [track]].T
            late.add(frame, frame * INTERVAL_S, np.array([track]), x, y, photons)
    at_once = statistics_of(positions)
    np.testing.assert_allclose(late.table().diffusion_um2_s, at_once.diffusion_um2_s)
    with pytest.raises(ValueError, match="track 1 was added at frame 49 after frame 49"):
        late.add(49, 2.45, np.array([1]), np.zeros(1), np.zeros(1), photons)

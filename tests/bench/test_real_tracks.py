"""Tracks of a recording's localizations, in ThunderSTORM's columns."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bench import real_tracks
from bench.outputs import UsageError

REAL = Path("../shared/data/piezo1_real/Endothelial_NonBapta_bin10_crop_locs.csv")
D_UM2_S, INTERVAL_S, SD_NM = 0.04, 0.1, 20.0


def a_table(claimed_nm=SD_NM, n_tracks=30, n_frames=60):
    """Far apart puncta of one diffusion coefficient, in ThunderSTORM's columns."""
    rng = np.random.default_rng(3)
    step_nm = 1000 * np.sqrt(2 * D_UM2_S * INTERVAL_S)
    start = np.stack(np.meshgrid(np.arange(6), np.arange(5)), axis=-1).reshape(-1, 2)[:n_tracks] * 5000.0
    steps = rng.normal(0, step_nm, (n_frames, n_tracks, 2))
    walk = start + steps.cumsum(axis=0)
    # The mean over an exposure that fills the interval: half way between its ends, give or take a twelfth.
    blurred = walk - steps / 2 + rng.normal(0, step_nm / np.sqrt(12), walk.shape)
    found = (blurred + rng.normal(0, SD_NM, walk.shape)).reshape(-1, 2)
    return pd.DataFrame(
        {
            "id": np.arange(len(found)) + 1.0,
            "frame": np.repeat(np.arange(n_frames) + 1.0, n_tracks),
            "x [nm]": found[:, 0],
            "y [nm]": found[:, 1],
            "sigma [nm]": 160.0,
            "intensity [photon]": rng.lognormal(6, 0.15, len(found)),
            "uncertainty [nm]": claimed_nm,
        }
    )


def test_diffusion_and_tracks_of_a_table(tmp_path):
    path, out = tmp_path / "locs.csv", tmp_path / "tracks.json"
    a_table().sample(frac=1.0, random_state=1).to_csv(path, index=False)
    as_claimed, _ = real_tracks.run(path, out, Console(width=250, quiet=True), 108.0, [INTERVAL_S])
    assert as_claimed.n_tracks == 30 and as_claimed.linked == 1.0 and as_claimed.length_median == 60
    assert as_claimed.mobile_um2_s == pytest.approx(D_UM2_S, rel=0.15)
    assert as_claimed.mobile_share > 0.85 and as_claimed.agrees
    assert json.loads(out.read_text())["results"][0]["mobile_um2_s"] == as_claimed.mobile_um2_s


def test_a_wrong_interval_is_a_wrong_diffusion(tmp_path):
    one = real_tracks.track_table(_read(tmp_path, a_table()), 108.0, INTERVAL_S / 4, 1.0)
    assert one.mobile_um2_s == pytest.approx(4 * D_UM2_S, rel=0.2)
    assert not one.agrees


def test_uncertainties_of_an_uncalibrated_gain_are_found_out(tmp_path):
    one = real_tracks.rescaled(_read(tmp_path, a_table(claimed_nm=4 * SD_NM)), 108.0, INTERVAL_S)
    assert one.sd_scale == pytest.approx(0.25, rel=0.35)
    assert one.mobile_um2_s == pytest.approx(D_UM2_S, rel=0.15)


def _read(folder, table):
    path = folder / "locs.csv"
    table.to_csv(path, index=False)
    return real_tracks.read_thunderstorm(path)


def test_frames_are_put_in_order_and_counted_as_numbers(tmp_path):
    read = _read(tmp_path, a_table(n_frames=3).iloc[::-1])
    assert read["frame"].is_monotonic_increasing and read["frame"].dtype == np.int64


def test_what_is_no_table_is_refused(tmp_path):
    path = tmp_path / "locs.csv"
    with pytest.raises(UsageError, match=r"cannot read .*locs\.csv"):
        real_tracks.read_thunderstorm(path)
    a_table().drop(columns="uncertainty [nm]").to_csv(path, index=False)
    with pytest.raises(UsageError, match=r'no ThunderSTORM table: it has no column "uncertainty \[nm\]"'):
        real_tracks.read_thunderstorm(path)
    a_table().iloc[:0].to_csv(path, index=False)
    with pytest.raises(UsageError, match="has no localizations"):
        real_tracks.read_thunderstorm(path)


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is not here")
def test_the_real_recording_moves_as_its_lab_says():
    """Within a factor of 2 of .03 µm²/s, at the 10 frames/s that are told of it second-hand."""
    table = real_tracks.read_thunderstorm(REAL)
    for one in (real_tracks.track_table(table, 108.0, 0.1, 1.0), real_tracks.rescaled(table, 108.0, 0.1)):
        assert one.agrees
        assert 0.5 < one.mobile_share < 0.9
        assert one.linked > 0.85 and one.n_long > 50

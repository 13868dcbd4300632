import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from dashboard.overview import save_overview

FRAMES = np.arange(60)
SCALES = {"pixel_size_nm": 108.0, "interval_s": 0.05, "title": "test"}


@pytest.fixture
def run():
    """A run of three tracks, one with an event."""
    rng = np.random.default_rng(1)
    images = rng.poisson(30, (2, 96, 128)).astype(np.uint16)
    tracks = []
    for track, (x, y) in enumerate([(3000.0, 2000.0), (9000.0, 7000.0), (12000.0, 1000.0)]):
        steps = rng.normal(0, 40, (2, len(FRAMES))).cumsum(axis=1)
        dff = rng.normal(0, 0.05, len(FRAMES)) + (track == 0) * np.exp(-np.maximum(FRAMES - 30, 0) / 5) * (
            FRAMES >= 30
        )
        tracks.append(
            pd.DataFrame(
                {
                    "track_id": track,
                    "frame": FRAMES,
                    "x_nm": x + steps[0],
                    "y_nm": y + steps[1],
                    "calcium_dff": dff,
                }
            )
        )
    trajectories = pd.concat(tracks, ignore_index=True)
    events = pd.DataFrame(
        {
            "track_id": [0],
            "onset_frame": [30],
            "peak_frame": [31],
            "end_frame": [42],
            "x_nm": 3000.0,
            "y_nm": 2000.0,
        }
    )
    return images, trajectories[trajectories["frame"] == 35], trajectories, events


def draw(path, images, puncta, trajectories, events, **options):
    save_overview(path, images[0], images[1], puncta, trajectories, events, **SCALES | options)
    return imread(path)


def test_the_picture_shows_the_run(run, tmp_path):
    images, puncta, trajectories, events = run
    picture = draw(tmp_path / "run.png", *run, truth=puncta)
    height, width = picture.shape[:2]
    assert height > 1000 and width > 1500
    assert picture[..., :3].std() > 0.1
    for name, less in {
        "puncta": (images, puncta[:1], trajectories, events),
        "tracks": (images, puncta, trajectories[trajectories["track_id"] != 1], events),
        "events": (images, puncta, trajectories, events[:0]),
        "image": (images[::-1], puncta, trajectories, events),
    }.items():
        other = draw(tmp_path / f"{name}.png", *less, truth=puncta)
        assert np.abs(other - picture).max() > 0.1, name


def test_the_same_run_gives_the_same_picture(run, tmp_path):
    np.testing.assert_array_equal(draw(tmp_path / "a.png", *run), draw(tmp_path / "b.png", *run))


def test_one_channel_has_no_calcium(run, tmp_path):
    images, puncta, trajectories, events = run
    trajectories = trajectories.assign(calcium_dff=np.nan)
    save_overview(tmp_path / "run.png", images[0], None, puncta, trajectories, events[:0], **SCALES)
    height, width = imread(tmp_path / "run.png").shape[:2]
    assert width > 1.5 * height


def test_runs_without_anything_are_drawn_too(run, tmp_path):
    images, puncta, trajectories, events = run
    dark = trajectories.assign(calcium_dff=np.nan)
    for name, tables in {
        "nothing": (puncta[:0], trajectories[:0], events[:0]),
        "no-tracks": (puncta, trajectories[:0], events[:0]),
        "no-calcium": (puncta, dark, events),
    }.items():
        assert draw(tmp_path / f"{name}.png", images, *tables).std() > 0.01
    flat = np.zeros((2, 32, 32), np.uint16)
    assert draw(tmp_path / "flat.png", flat, puncta[:0], trajectories[:0], events[:0]).size

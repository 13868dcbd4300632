import json

import numpy as np
import pandas as pd
import psutil
import pytest
import tifffile

import train.movie
from train.movie import write_dataset, write_sample
from train.simulate import simulate
from train.simulation_config import SimulationConfig, SimulationError
from train.truth import EVENT_COLUMNS, TRUTH_COLUMNS, load_truth

CONFIG = SimulationConfig(image_size=(48, 64), n_frames=30, num_puncta_mean=15, event_rate_hz=1.0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "set"
    calls = []
    samples = write_dataset(folder, 2, CONFIG, 5, lambda done, total: calls.append((done, total)))
    assert calls == [(i + 1, 60) for i in range(60)]
    assert [s.name for s in samples] == ["sample_00000", "sample_00001"]
    return folder


def test_a_sample_is_four_files_and_a_data_set_has_a_card(dataset):
    assert {p.name for p in dataset.iterdir()} == {"sample_00000", "sample_00001", "card.png"}
    for sample in dataset.glob("sample_*"):
        names = {p.name for p in sample.iterdir()}
        assert names == {"movie.tif", "ground_truth.csv", "calcium_events.csv", "metadata.json"}


def test_the_movie_holds_the_simulated_counts_and_its_scales(dataset):
    with tifffile.TiffFile(dataset / "sample_00001" / "movie.tif") as tif:
        assert not tif.is_bigtiff
        assert tif.series[0].axes == "TCYX"
        pixels = tif.asarray()
        ome = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]
        assert tif.pages[0].tags["XResolution"].value[0] / tif.pages[0].tags["XResolution"].value[
            1
        ] == pytest.approx(1e4 / 0.108)
    assert pixels.shape == (30, 2, 48, 64)
    assert pixels.dtype == np.uint16
    assert (ome["TimeIncrement"], ome["TimeIncrementUnit"]) == (0.05, "s")
    assert (ome["PhysicalSizeX"], ome["PhysicalSizeXUnit"]) == (0.108, "µm")
    assert [c["Name"] for c in ome["Channel"]] == ["PIEZO1", "calcium"]
    seed = np.random.SeedSequence(5).spawn(2)[1]
    for frame in simulate(CONFIG, seed):
        np.testing.assert_array_equal(pixels[frame.index], frame.pixels)


def test_the_tables_hold_the_truth(dataset):
    sample = dataset / "sample_00000"
    truth, events = pd.read_csv(sample / "ground_truth.csv"), pd.read_csv(sample / "calcium_events.csv")
    assert tuple(truth.columns) == tuple(TRUTH_COLUMNS)
    assert tuple(events.columns) == tuple(EVENT_COLUMNS)
    frames = list(simulate(CONFIG, np.random.SeedSequence(5, spawn_key=(0,))))
    assert len(truth) == sum(len(f.truth.track_id) for f in frames)
    for frame in frames:
        rows = truth[truth["frame"] == frame.index]
        assert rows["track_id"].tolist() == frame.truth.track_id.tolist()
        np.testing.assert_allclose(rows["x_nm"], frame.truth.x_px * 108, atol=0.01)
        np.testing.assert_allclose(rows["y_nm"], frame.truth.y_px * 108, atol=0.01)
        np.testing.assert_allclose(rows["photons"], frame.truth.photons, atol=0.01)
        np.testing.assert_allclose(rows["time_s"], frame.index * 0.05)
    assert (truth["psf_sigma_nm"] == 150).all()
    assert (truth["photons"] > 0).all()
    expected = [e for f in frames for e in f.events]
    assert len(expected) > 5
    assert events["event_id"].tolist() == list(range(len(expected)))
    assert events["onset_frame"].tolist() == [e.onset_frame for e in expected]
    assert events["end_frame"].max() <= 29
    np.testing.assert_allclose(events["amplitude_dff"], [e.amplitude_dff for e in expected], atol=1e-4)
    np.testing.assert_allclose(events["duration_s"], (events["end_frame"] - events["onset_frame"]) * 0.05)


def test_metadata_says_what_was_made(dataset):
    metadata = json.loads((dataset / "sample_00001" / "metadata.json").read_text(encoding="utf-8"))
    truth = pd.read_csv(dataset / "sample_00001" / "ground_truth.csv")
    assert metadata["shape"] == [30, 2, 48, 64]
    assert metadata["seed"] == {"entropy": 5, "spawn_key": [1]}
    assert metadata["n_localizations"] == len(truth)
    assert metadata["n_tracks"] == truth["track_id"].nunique()
    assert SimulationConfig.model_validate_json(json.dumps(metadata["config"])) == CONFIG


def test_the_truth_comes_back(dataset):
    folder = dataset / "sample_00000"
    truth = load_truth(folder)
    for table, name in ((truth.puncta, "ground_truth"), (truth.events, "calcium_events")):
        pd.testing.assert_frame_equal(table, pd.read_csv(folder / f"{name}.csv"), check_dtype=False)
    assert (truth.n_frames, truth.interval_s, truth.pixel_size_nm) == (30, 0.05, 108.0)
    assert (truth.camera, truth.image_size) == (CONFIG.camera_model(), (48, 64))
    assert len(truth.puncta) and len(truth.events)


def test_a_movie_without_puncta_has_empty_tables_and_a_card(tmp_path):
    config = SimulationConfig(image_size=(32, 32), n_frames=3, num_puncta_mean=0)
    (sample,) = write_dataset(tmp_path / "set", 1, config, 0)
    truth = load_truth(sample)
    assert len(truth.puncta) == len(truth.events) == 0
    assert truth.puncta.dtypes.astype(str).to_dict() == TRUTH_COLUMNS
    assert (tmp_path / "set" / "card.png").exists()


def test_an_incomplete_sample_is_named(tmp_path):
    with pytest.raises(SimulationError, match=r"metadata\.json is missing"):
        load_truth(tmp_path)
    write_sample(tmp_path, CONFIG, 1)
    (tmp_path / "calcium_events.csv").write_text("event_id\n", encoding="utf-8")
    with pytest.raises(SimulationError, match="lacks the column track_id"):
        load_truth(tmp_path)


def test_samples_do_not_depend_on_how_many_there_are(dataset, tmp_path):
    write_dataset(tmp_path / "one", 1, CONFIG, 5)
    for name in ("ground_truth.csv", "calcium_events.csv", "metadata.json"):
        one = (tmp_path / "one" / "sample_00000" / name).read_bytes()
        assert one == (dataset / "sample_00000" / name).read_bytes()
        assert one != (dataset / "sample_00001" / name).read_bytes()


def test_a_compressed_movie_is_the_same_movie(dataset, tmp_path):
    done = []
    write_dataset(tmp_path / "set", 1, CONFIG, 5, lambda n, _: done.append(n), compress=True)
    assert done[-1] == CONFIG.n_frames
    plain, small = (folder / "sample_00000" / "movie.tif" for folder in (dataset, tmp_path / "set"))
    assert small.stat().st_size < 0.6 * plain.stat().st_size
    np.testing.assert_array_equal(tifffile.imread(small), tifffile.imread(plain))
    with tifffile.TiffFile(small) as tif:
        assert tif.series[0].axes == "TCYX"
        assert {page.compression.name for page in tif.pages} == {"ADOBE_DEFLATE"}


def test_large_movies_become_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(train.movie, "CLASSIC_TIFF_BYTES", 1000)
    write_sample(tmp_path, CONFIG, 1)
    with tifffile.TiffFile(tmp_path / "movie.tif") as tif:
        assert tif.is_bigtiff
        assert tif.asarray().shape == (30, 2, 48, 64)


def test_memory_does_not_grow_with_the_movie(tmp_path):
    def write(n_frames: int) -> int:
        write_sample(tmp_path / str(n_frames), SimulationConfig(image_size=(64, 64), n_frames=n_frames), 1)
        return psutil.Process().memory_info().rss

    write(20)
    # The longer movie has 25 MB more light, as torch keeps it.
    assert write(400) - write(20) < 12e6


def test_what_cannot_be_written_is_refused_in_one_sentence(dataset, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SimulationError, match="not empty"):
        write_dataset(dataset, 1, CONFIG, 1)
    with pytest.raises(SimulationError, match="is a file"):
        write_dataset(tmp_path / "file", 1, CONFIG, 1)
    with pytest.raises(SimulationError, match="cannot write"):
        write_dataset(tmp_path / "file" / "set", 1, CONFIG, 1)
    with pytest.raises(SimulationError, match="num_samples is 0"):
        write_dataset(tmp_path / "new", 0, CONFIG, 1)
    with pytest.raises(SimulationError, match="seed is -1"):
        write_dataset(tmp_path / "new", 1, CONFIG, -1)
    with pytest.raises(SimulationError, match="GB free"):
        write_dataset(tmp_path / "new", 10**9, CONFIG, 1)

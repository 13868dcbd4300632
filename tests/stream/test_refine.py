import hashlib
import json
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import piezo1 as command_line
from acquire.frame import SourceInfo
from model.camera import Camera
from model.localizations import Localizations
from stream.config import ConfigError, RunConfig
from stream.record.provenance import RunStart
from stream.record.recorder import Recorder
from stream.record.run import open_run
from stream.refine import refine as refine_module
from stream.refine.gaps import gap_rows
from stream.refine.joining import JoinOptions
from stream.refine.options import Plan, RefineOptions, plan
from stream.refine.refine import refine
from stream.refine.solve import refine_spots
from stream.refine.spots import Spots
from stream.refine.writing import Labels, write_puncta_and_trajectories
from stream.results import EVENT_COLUMNS, NO_TRACK, CalciumEvent, CalciumUpdate, FrameResult, StreamError
from stream.tracking.tracker import Tracker
from train.track_scores import wholeness

PIXEL_NM = 100.0
INTERVAL_S = 0.05
TABLES = ("puncta", "trajectories", "tracks", "calcium_events", "frames")


def localizations(xy_px: np.ndarray, photons: np.ndarray) -> Localizations:
    """Puncta at these positions, well localized."""
    sd = np.full(len(xy_px), 0.2)
    return Localizations.from_columns(
        x_px=xy_px[:, 0],
        y_px=xy_px[:, 1],
        x_sd_px=sd,
        y_sd_px=sd,
        photons=photons,
        background=np.full(len(xy_px), 15.0),
        psf_sigma_px=np.full(len(xy_px), 1.3),
    )


def record(folder, frames, events=(), csv=True):
    """Track the puncta of these frames online and record the run; ΔF/F0 is the number of the frame."""
    config = RunConfig.model_validate({"output": {"csv": csv}})
    source = SourceInfo("movie", (2, 64, 64), None, INTERVAL_S, PIXEL_NM, 16, "test")
    folder.mkdir(parents=True)
    start = RunStart(config, source, "none", Camera(), PIXEL_NM, INTERVAL_S)
    recorder = Recorder(folder, start)
    tracker = Tracker(config.tracker, PIXEL_NM, INTERVAL_S)
    before = -1
    for seq, found in frames.items():
        update = tracker.step(seq, seq * INTERVAL_S, found)
        n, n_gap = len(found), len(update.gap_track_id)
        calcium = CalciumUpdate.off(n, n_gap)
        calcium.dff[:], calcium.gap_dff[:] = seq, seq
        recorder.append(FrameResult(seq, seq * INTERVAL_S, seq - before - 1, found, update, calcium))
        before = seq
    tracker.flush()
    recorder.finish(events=events)
    return folder


def event(event_id: int, track_id: int, onset: int, peak: int, end: int, snr: float = 6.0) -> CalciumEvent:
    """An event at a track."""
    known = {
        "event_id": event_id,
        "track_id": track_id,
        "snr": snr,
        "onset_frame": onset,
        "peak_frame": peak,
        "end_frame": end,
        "onset_s": onset * INTERVAL_S,
        "end_s": end * INTERVAL_S,
    }
    return CalciumEvent(**{**dict.fromkeys(EVENT_COLUMNS, 0), **known})


def wandering(n, n_frames, seed):
    """Puncta that diffuse and blink for longer than the online tracker waits, and who they are, by frame."""
    rng = np.random.default_rng(seed)
    xy, photons = rng.uniform(4, 60, (n, 2)), np.exp(rng.normal(np.log(1000), 0.4, n))
    lit, frames, truth = np.ones(n, np.bool_), {}, []
    for seq in range(n_frames):
        chance = rng.random(n)
        lit = np.where(lit, chance >= 0.02, chance < 0.05)
        seen = np.flatnonzero(lit & (rng.random(n) > 0.05))
        found = xy[seen] + rng.normal(0, 0.2, (len(seen), 2))
        light = photons[seen] * np.exp(rng.normal(0, 0.1, len(seen)))
        if rng.random() > 0.03:  # else the frame is missing
            frames[seq] = localizations(found, light)
            truth.append(seen)
        xy = xy + rng.normal(0, 0.3, xy.shape)
    return frames, np.concatenate(truth)


def contents(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.is_file()}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Two puncta at rest; the first is dark in frames 20–79, longer than the online tracker waits.

    Frame 50 is missing. Events: one of each half, one at the other punctum.
    """
    here, there = [10.0, 10.0], [40.0, 40.0]
    frames = {}
    for seq in range(100):
        lit = [there] if 20 <= seq < 80 else [here, there]
        if seq != 50:
            frames[seq] = localizations(np.array(lit), np.full(len(lit), 1000.0))
    frames[90] = Localizations.empty()  # both tracks bridge it online
    events = [event(0, 0, 5, 6, 8), event(1, 1, 50, 51, 53), event(2, 2, 85, 86, 88)]
    return record(tmp_path_factory.mktemp("runs") / "broken", frames, events)


def test_a_gap_is_closed_and_everything_follows(broken):
    before = contents(broken)
    assert open_run(broken).tracks()["track_id"].tolist() == [0, 1, 2]
    refined = refine(broken, RefineOptions(max_frame_gap=61), overwrite=True)
    assert contents(broken) == before, "the run itself changed"
    run = open_run(refined.folder)
    tracks = run.tracks().set_index("track_id")
    assert tracks["n_observed"].to_dict() == {0: 39, 1: 98}
    assert tracks["n_events"].to_dict() == {0: 2, 1: 1}
    assert tracks.loc[0, "event_rate_hz"] == pytest.approx(2 / (99 * INTERVAL_S))
    assert run.events()["track_id"].tolist() == [0, 1, 0]
    puncta = run.puncta()
    old = open_run(broken).puncta()
    pd.testing.assert_frame_equal(puncta.drop(columns="track_id"), old.drop(columns="track_id"))
    first = run.trajectories().query("track_id == 0")
    assert first["frame"].tolist() == [f for f in range(100) if f != 50]
    assert first["time_s"].to_numpy() == pytest.approx(first["frame"].to_numpy() * INTERVAL_S)
    hidden = first["frame"].between(20, 79)
    assert (first["observed"] == (~hidden & (first["frame"] != 90))).all()
    assert first["x_nm"].to_numpy() == pytest.approx(1000.0)
    # In the gap that was closed nothing was measured; in the one that was bridged online it was.
    assert first.loc[hidden, "calcium_dff"].isna().all()
    assert (first.loc[~hidden, "calcium_dff"] == first.loc[~hidden, "frame"]).all()
    mapped = pd.read_parquet(refined.folder / "track_map.parquet")
    assert mapped.to_numpy().tolist() == [[0, 0, 20], [1, 1, 98], [2, 0, 19]]
    counts = json.loads((refined.folder / "refine.json").read_text())["counts"]
    assert (counts["gaps_closed"], counts["segments_joined"]) == (1, 2)
    assert (counts["tracks_before"], counts["tracks_after"]) == (3, 2)
    assert run.info["counts"]["tracks"] == 2


def test_a_shorter_limit_joins_nothing_and_gives_the_tables_of_the_run_again(broken):
    refined = refine(broken, RefineOptions(max_frame_gap=60), overwrite=True)
    for name in TABLES:
        expected = pd.read_parquet(broken / f"{name}.parquet")
        pd.testing.assert_frame_equal(pd.read_parquet(refined.folder / f"{name}.parquet"), expected)
        assert (refined.folder / f"{name}.csv").exists()


def test_all_puncta_linked_again_give_the_same(broken):
    refined = refine(broken, RefineOptions(source="puncta", max_frame_gap=61), overwrite=True)
    assert open_run(refined.folder).tracks()["n_observed"].tolist() == [39, 98]


def test_two_parts_of_one_event_count_once(tmp_path):
    frames = {s: localizations(np.array([[10.0, 10.0]]), np.array([1000.0])) for s in range(100)}
    frames |= {s: Localizations.empty() for s in range(20, 80)}
    events = [event(0, 0, 17, 18, 78, snr=5), event(1, 1, 79, 82, 85, snr=9), event(2, 1, 90, 91, 92)]
    refined = refine(record(tmp_path / "run", frames, events), RefineOptions(max_frame_gap=61))
    run = open_run(refined.folder)
    assert run.events()["event_id"].tolist() == [1, 2]
    assert run.tracks()["n_events"].tolist() == [2]
    assert refined.info["counts"]["calcium_events_repeated_dropped"] == 1


def test_split_and_merge_cut_tracks_and_tell_the_lineage(tmp_path):
    """A punctum comes out of another one, and later back into it."""
    frames = {}
    for seq in range(40):
        puncta = [[10.0, 10.0]] + [[11.0 + (seq > 10) * (seq < 29), 10.0]] * (10 <= seq < 30)
        frames[seq] = localizations(np.array(puncta), np.linspace(1000.0, 2000.0, len(puncta)))
    run = record(tmp_path / "run", frames)
    none = refine(run, RefineOptions())
    assert len(pd.read_parquet(none.folder / "lineage.parquet")) == 0
    refined = refine(run, RefineOptions(splitting_distance_nm=120, merging_distance_nm=120), overwrite=True)
    lineage = pd.read_parquet(refined.folder / "lineage.parquet")
    assert refined.info["counts"]["splits"] == refined.info["counts"]["merges"] == 1
    assert sorted(lineage.to_numpy().tolist()) == [
        [0, 1, "split", 10],
        [0, 2, "split", 10],
        [1, 3, "merge", 30],
        [2, 3, "merge", 30],
    ]
    assert open_run(refined.folder).tracks()["n_observed"].tolist() == [10, 20, 20, 10]


def test_a_refined_run_is_kept_unless_told_otherwise(broken):
    refine(broken, overwrite=True)
    before = contents(broken / "refined")
    with pytest.raises(StreamError, match="exists and is kept; give --overwrite"):
        refine(broken)
    assert contents(broken / "refined") == before
    with pytest.raises(StreamError, match="is itself a refined run"):
        refine(broken / "refined")


def test_killed_half_way_leaves_no_half_result(tmp_path, monkeypatch):
    run = record(tmp_path / "run", wandering(3, 30, 1)[0])
    first = refine(run)
    kept, sources = contents(first.folder), contents(run)

    def die(*arguments):
        assert (run / "refining" / "puncta.parquet").exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(refine_module, "write_tracks_of", die)
        with pytest.raises(KeyboardInterrupt):
            refine(run, overwrite=True)
    assert contents(first.folder) == kept
    # A killed process could not even clean up.
    (run / "refining").mkdir()
    (run / "refining" / "puncta.parquet").write_bytes(b"half")
    (run / "refined-replaced").mkdir()
    refine(run, overwrite=True)
    assert {p.name for p in run.iterdir() if p.is_dir()} == {"refined"}
    assert contents(run) == sources


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    run = record(tmp_path / "run", wandering(3, 30, 1)[0])

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(refine_module, "write_tracks_of", full)
    with pytest.raises(StreamError, match=r"No space left on device.*the run is as it was"):
        refine(run)
    assert not (run / "refined").exists()
    assert not (run / "refining").exists()


def test_tracks_become_more_whole(tmp_path):
    frames, emitter = wandering(30, 300, 5561)
    run = open_run(record(tmp_path / "run", frames, csv=False))
    refined = open_run(refine(run.path).folder)
    true_frames = pd.Series(np.full(30, 300))
    before, after = (wholeness(emitter, r.puncta(), true_frames) for r in (run, refined))
    assert after.switches < 0.8 * before.switches
    assert after.completeness > before.completeness
    assert after.purity > before.purity - 0.005


def test_an_empty_run_is_refined(tmp_path):
    frames = {s: Localizations.empty() for s in range(5)}
    for source in ("tracks", "puncta"):
        run = record(tmp_path / source, frames)
        refined = refine(run, RefineOptions(source=source))
        assert [len(pd.read_parquet(refined.folder / f"{name}.parquet")) for name in TABLES] == [0] * 4 + [5]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"linking_distance_nm": 100.0}, "a linking distance is of use only with --from puncta"),
        ({"gap_closing_distance_nm": -1.0}, "gap_closing_distance_nm is -1.0, but must be a positive"),
        ({"splitting_distance_nm": float("nan")}, "splitting_distance_nm is nan"),
        ({"max_frame_gap": 0}, "max_frame_gap is 0, but must be 1 frame or more"),
        ({"brightness_penalty": -1.0}, "brightness_penalty is -1.0"),
    ],
)
def test_options_that_make_no_sense_are_refused(broken, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        refine(broken, RefineOptions(**options), overwrite=True)


def test_distances_follow_from_motion_and_interval(tmp_path):
    """Puncta of .45 px a frame, .2 px localization error: 4 √(.2 + 2 · .04) px of 100 nm."""
    rng = np.random.default_rng(3)
    xy, frames = np.stack(np.meshgrid(range(20, 200, 20), range(20, 200, 20)), -1).reshape(-1, 2), {}
    steps = np.cumsum(rng.normal(0, np.sqrt(0.2), (60, len(xy), 2)), axis=0)
    for seq in range(60):
        frames[seq] = localizations(xy + steps[seq] + rng.normal(0, 0.2, xy.shape), np.full(len(xy), 1000.0))
    run = open_run(record(tmp_path / "run", frames))
    expected = 400 * np.sqrt(0.28)
    # A little more, as the fastest tenth of the tracks counts.
    assert expected <= plan(RefineOptions(), run).join.gap_distance < 1.3 * expected


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    source=st.sampled_from(["tracks", "puncta"]),
    chunk=st.integers(1, 100),
    split=st.none() | st.just(3.0),
)
def test_the_tracks_do_not_depend_on_the_chunks(seed, source, chunk, split):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 12, 30)
    spots = Spots(np.repeat(np.arange(30), counts), rng.uniform(0, 30, (counts.sum(), 2)))
    # Online tracks: any puncta, at most one a frame.
    rank = np.arange(len(spots)) - np.repeat(np.cumsum(counts) - counts, counts)
    old = np.where(rank < 6, rank + 10 * (spots.frame // 9), NO_TRACK)
    photons = rng.uniform(100, 1000, len(spots))
    options = Plan(None if source == "tracks" else 4.0, JoinOptions(4.0, 5, split, split, 16.0, 1.0), 2)
    whole = refine_spots(spots, old, photons, options)
    parts = refine_spots(spots, old, photons, options, chunk)
    np.testing.assert_array_equal(whole.tracks.track_id, parts.tracks.track_id)
    assert whole.tracks.lineage.kind == parts.tracks.lineage.kind
    # A track is seen at most once a frame.
    tracked = whole.tracks.track_id >= 0
    seen = np.stack([whole.tracks.track_id[tracked], spots.frame[tracked]])
    assert np.unique(seen, axis=1).shape == seen.shape


@pytest.mark.parametrize("source", ["tracks", "puncta"])
def test_the_tables_do_not_depend_on_the_blocks(tmp_path, source):
    run = record(tmp_path / "run", wandering(12, 80, 7)[0])
    refined = refine(run, RefineOptions(source=source))
    puncta = pd.read_parquet(refined.folder / "puncta.parquet")
    old = pd.read_parquet(run / "puncta.parquet")["track_id"].to_numpy()
    spots = Spots(puncta["frame"].to_numpy(), puncta[["x_nm", "y_nm"]].to_numpy())
    labels = Labels(spots, old, puncta["track_id"].to_numpy())
    frames = open_run(run).frames()
    gaps = gap_rows(spots, labels.new, old, frames["frame"].to_numpy(), frames["time_s"].to_numpy())
    small = tmp_path / "small"
    small.mkdir()
    write_puncta_and_trajectories(run, small, labels, gaps, False, rows=17)
    for name in ("puncta", "trajectories"):
        expected = pd.read_parquet(refined.folder / f"{name}.parquet")
        pd.testing.assert_frame_equal(pd.read_parquet(small / f"{name}.parquet"), expected)


def test_command(tmp_path, monkeypatch, capsys):
    run = record(tmp_path / "run", wandering(5, 60, 2)[0])

    def piezo1(*arguments):
        monkeypatch.setattr(sys, "argv", ["piezo1", "refine", str(run), *arguments])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        return ended.value.code or 0, "".join(capsys.readouterr())

    code, text = piezo1()
    assert code == 0
    assert "gaps closed" in text
    code, text = piezo1()
    assert code == 1
    assert "give --overwrite" in text
    assert piezo1("--overwrite", "--from", "puncta", "--linking-distance-nm", "200")[0] == 0
    assert piezo1("--overwrite", "--linking-distance-nm", "200")[0] == 2

import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquire.frame import SourceInfo
from model.camera import Camera
from model.localizations import Localizations
from stream.config import RunConfig
from stream.record.provenance import RunStart
from stream.record.recorder import Recorder
from stream.record.run import open_run
from stream.record.tables import EVENTS, PUNCTA, TRACKS, TRAJECTORIES
from stream.results import CalciumEvent, CalciumUpdate, FrameResult, StreamError, TrackUpdate

PIXEL_NM = 110.0
TABLES = ["puncta", "trajectories", "tracks", "calcium_events", "calcium_transients", "frames"]
START = RunStart(
    RunConfig(),
    SourceInfo("movie", (2, 64, 64), None, 0.1, PIXEL_NM, 16, "test"),
    "none",
    Camera(),
    PIXEL_NM,
    0.1,
)


def ids(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def frame_result(seq, track_id, gap_track_id=(), *, born=(), confirmed=(), dropped=(), events=(), missing=0):
    rng = np.random.default_rng(seq)
    n, n_gap = len(track_id), len(gap_track_id)
    gap_xy = rng.uniform(0, 64, (2, n_gap)).astype(np.float32)
    tracks = TrackUpdate(
        ids(*track_id), ids(*gap_track_id), *gap_xy, ids(*born), ids(*confirmed), ids(), ids(*dropped)
    )
    dff = rng.normal(0, 1, n + n_gap).astype(np.float32)
    shut = np.zeros(n + n_gap, np.bool_)
    state = rng.integers(-1, 2, n + n_gap).astype(np.int8)
    calcium = CalciumUpdate(dff[:n], shut[:n], state[:n], dff[n:], shut[n:], state[n:], tuple(events))
    localizations = Localizations.from_table(rng.uniform(0, 64, (n, 9)).astype(np.float32))
    stage_ms = {"engine": 3.0, "tracker": 1.0}
    return FrameResult(seq, seq / 10, missing, localizations, tracks, calcium, stage_ms, 5.0 + seq)


def event(event_id, track_id, frame):
    return CalciumEvent(
        event_id=event_id,
        track_id=track_id,
        onset_frame=frame,
        peak_frame=frame,
        end_frame=frame + 2,
        onset_s=frame / 10,
        peak_s=frame / 10,
        end_s=frame / 10 + 0.2,
        amplitude_dff=0.5,
        rise_s=0.08,
        decay_s=0.1,
        area_dff_s=0.07,
        snr=6,
        calcium_probability=0.9,
        in_wave=False,
        x_px=3,
        y_px=4,
    )


@st.composite
def runs(draw):
    """Results of a run with tracks that are seen, missed, confirmed or not, and events of any of them."""
    n_frames, n_tracks = draw(st.integers(0, 12)), draw(st.integers(0, 5))
    seqs = sorted(draw(st.sets(st.integers(0, 40), min_size=n_frames, max_size=n_frames)))
    confirmed_at = [draw(st.none() | st.sampled_from(seqs)) if seqs else None for _ in range(n_tracks)]
    results, before = [], -1
    for seq in seqs:
        fate = draw(
            st.lists(st.sampled_from(["seen", "gap", "absent"]), min_size=n_tracks, max_size=n_tracks)
        )
        seen = [t for t in range(n_tracks) if fate[t] == "seen"] + [-1] * draw(st.integers(0, 2))
        gap = [t for t in range(n_tracks) if fate[t] == "gap"]
        of = draw(st.lists(st.integers(0, n_tracks), max_size=2))
        events = [event(100 * seq + k, track_id, seq) for k, track_id in enumerate(of)]
        confirmed = [t for t in range(n_tracks) if confirmed_at[t] == seq]
        results.append(
            frame_result(seq, seen, gap, confirmed=confirmed, events=events, missing=seq - before - 1)
        )
        before = seq
    return results


def expected(results):
    """The same tables by plain loops over all that is known at the end."""
    confirmed = {int(t) for r in results for t in r.tracks.confirmed}
    last_seen = {int(t): r.seq for r in results for t in r.tracks.track_id if t in confirmed}
    puncta, trajectories, events = [], [], []
    for r in results:
        table, update = r.localizations.table().astype(np.float64), r.tracks
        for (x, y, x_sd, y_sd, photons, background, sigma, p, calcium_p), t, dff, state in zip(
            table, update.track_id.tolist(), r.calcium.dff, r.calcium.state, strict=True
        ):
            nm = [x * PIXEL_NM, y * PIXEL_NM]
            widths = [x_sd * PIXEL_NM, y_sd * PIXEL_NM, photons, background, sigma * PIXEL_NM]
            track = t if t in last_seen else -1
            puncta.append([r.seq, r.time_s, track, *nm, *widths, p, dff, calcium_p])
            if track >= 0:
                trajectories.append([t, r.seq, r.time_s, *nm, 1, dff, state])
        gaps = (
            update.gap_x_px * PIXEL_NM,
            update.gap_y_px * PIXEL_NM,
            r.calcium.gap_dff,
            r.calcium.gap_state,
        )
        for t, x_nm, y_nm, dff, state in zip(update.gap_track_id.tolist(), *gaps, strict=True):
            if r.seq < last_seen.get(t, -1):
                trajectories.append([t, r.seq, r.time_s, x_nm, y_nm, 0, dff, state])
        for e in r.calcium.events:
            if e.onset_frame <= last_seen.get(e.track_id, -1):
                frames = [e.onset_frame, e.peak_frame, e.end_frame, e.onset_s, e.end_s - e.onset_s]
                nm = [e.x_px * PIXEL_NM, e.y_px * PIXEL_NM]
                course = [e.rise_s, e.decay_s, e.amplitude_dff, e.area_dff_s]
                told = [e.snr, e.calcium_probability, e.in_wave]
                events.append([e.event_id, e.track_id, *frames, *course, *told, *nm])
    return puncta, trajectories, events, last_seen


def assert_table(table, schema, rows):
    assert list(table.columns) == schema.names
    want = pd.DataFrame(rows, columns=schema.names)
    np.testing.assert_allclose(
        table.to_numpy(np.float64), want.to_numpy(np.float64).reshape(table.shape), rtol=1e-6
    )


@settings(max_examples=25, deadline=None)
@given(results=runs(), flush_after=st.sets(st.integers(0, 11)))
def test_the_tables_hold_what_was_recorded(tmp_path_factory, results, flush_after):
    frames_in = results[-1].seq + 4 if results else 0
    folder = tmp_path_factory.mktemp("run")
    recorder = Recorder(folder, START)
    for k, result in enumerate(results):
        recorder.append(result)
        if k in flush_after:
            recorder.flush()
    info = recorder.finish(frames_in=frames_in)
    puncta, trajectories, events, last_seen = expected(results)
    run = open_run(folder)
    assert_table(run.puncta(), PUNCTA, puncta)
    assert_table(run.trajectories(), TRAJECTORIES, trajectories)
    assert_table(run.events(), EVENTS, events)
    tracks = run.tracks()
    assert list(tracks.columns) == TRACKS.names
    assert dict(zip(tracks.track_id, tracks.last_frame, strict=True)) == last_seen
    for track in tracks.itertuples():
        seen = [r for r in results if track.track_id in r.tracks.track_id]
        assert (track.first_frame, track.n_observed) == (seen[0].seq, len(seen))
        lifetime_s = seen[-1].time_s - seen[0].time_s
        assert track.n_events == sum(e[1] == track.track_id for e in events)
        if lifetime_s > 0:
            assert track.event_rate_hz == pytest.approx(track.n_events / lifetime_s)
        else:
            assert np.isnan(track.event_rate_hz)
    counts = info["counts"]
    assert counts["frames_out"] == len(run.frames()) == len(results)
    assert counts["frames_out"] + counts["frames_missing"] == counts["frames_in"] == frames_in
    assert counts["calcium_events"] + counts["calcium_events_dropped"] == sum(
        len(r.calcium.events) for r in results
    )
    for name in TABLES:
        from_csv = pd.read_csv(folder / f"{name}.csv")
        from_parquet = pd.read_parquet(folder / f"{name}.parquet")
        assert list(from_csv.columns) == list(from_parquet.columns)
        pd.testing.assert_frame_equal(from_csv, from_parquet, check_dtype=False, rtol=1e-6)


def test_an_empty_run_has_empty_tables(tmp_path):
    info = Recorder(tmp_path, START).finish("interrupted", frames_in=0)
    assert info["state"] == "interrupted"
    assert info["counts"]["frames_out"] == info["counts"]["puncta"] == 0
    assert info["timings"] == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["run.json", *(f"{table}.{kind}" for table in TABLES for kind in ("csv", "parquet"))]
    )
    run = open_run(tmp_path)
    assert [len(t) for t in (run.puncta(), run.trajectories(), run.tracks(), run.events(), run.frames())] == [
        0
    ] * 5
    assert pq.read_schema(tmp_path / "puncta.parquet").equals(PUNCTA)


def test_a_run_that_never_started_is_readable_beside_its_logs(tmp_path):
    (tmp_path / "analysis.log").write_text("Traceback …")
    (tmp_path / "run.json.new").write_text('{"format": 1, "sta')  # of a process killed while it wrote
    start = RunStart(RunConfig(), START.source, "none: no frame came", Camera(), PIXEL_NM, 0.1)
    info = Recorder(tmp_path, start).finish("failed: the analysis was killed by signal 9", frames_in=0)
    run = open_run(tmp_path)
    assert run.info == json.loads(json.dumps(info))
    assert run.info["state"] == "failed: the analysis was killed by signal 9"
    assert run.info["counts"]["frames_missing"] == 0 and run.info["warnings"] == []
    assert run.puncta().empty and run.frames().empty
    assert (tmp_path / "analysis.log").read_text() == "Traceback …"
    assert not (tmp_path / "run.json.new").exists()


def test_a_folder_that_holds_a_run_is_left_as_it_is(tmp_path):
    recorder = Recorder(tmp_path, START)
    recorder.append(frame_result(0, [1], confirmed=[1]))
    with pytest.raises(StreamError, match="never overwritten; `piezo1 recover"):
        Recorder(tmp_path, START)
    recorder.finish(frames_in=1)
    with pytest.raises(StreamError, match="never overwritten"):
        Recorder(tmp_path, START)
    assert len(open_run(tmp_path).puncta()) == 1


def test_frames_without_puncta_are_frames(tmp_path):
    recorder = Recorder(tmp_path, START)
    for seq in range(3):
        recorder.append(frame_result(seq, []))
    assert recorder.finish()["counts"]["frames_out"] == 3
    assert open_run(tmp_path).frames().n_puncta.tolist() == [0, 0, 0]


def test_finishing_twice_changes_nothing(tmp_path):
    recorder = Recorder(tmp_path, START)
    recorder.append(frame_result(0, [1], confirmed=[1]))
    first = recorder.finish(frames_in=1)
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert recorder.finish("failed: never", frames_in=7) == first
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == content
    with pytest.raises(ValueError, match="after the end of the run"):
        recorder.append(frame_result(1, []))


def test_run_json_tells_counts_timings_and_what_was_dropped(tmp_path):
    recorder = Recorder(tmp_path, START)
    for seq in (0, 1, 4):
        missing = 2 if seq == 4 else 0
        recorder.append(frame_result(seq, [1], confirmed=[1] if seq == 1 else [], missing=missing))
    recorder.finish(
        "interrupted",
        frames_in=6,
        missing={"file is truncated": 3},
        warnings=["so"],
        events=[event(0, 1, 2), event(1, 9, 2), event(2, 1, 5)],
    )
    info = json.loads((tmp_path / "run.json").read_text())
    assert info["counts"] == {
        "frames_in": 6,
        "missing_by_cause": {"file is truncated": 3},
        "frames_out": 3,
        "frames_missing": 3,
        "first_frame": 0,
        "last_frame": 4,
        "puncta": 3,
        "tracks": 1,
        "calcium_events": 1,
        "calcium_events_dropped": 2,
        "calcium_transients": 0,
    }
    assert info["timings"]["latency_ms"] == pytest.approx({"p50": 6.0, "p95": 8.7, "p99": 8.94})
    assert set(info["timings"]["stage_share"]) == {"engine", "tracker", "recorder"}
    assert sum(info["timings"]["stage_share"].values()) == pytest.approx(1)
    so, dropped = info["warnings"]
    assert so == "so"
    assert dropped.startswith("2 calcium events were dropped: their tracks were never confirmed, or were not")
    assert open_run(tmp_path).events().event_id.tolist() == [0]


@pytest.mark.parametrize(
    ("frames_in", "causes", "frames_missing", "warnings"),
    [
        (10, {"file is truncated": 5, "lost on the way": 2}, 7, []),
        (
            10,
            {"file is truncated": 5},
            7,
            ["7 frames are missing, but the causes in missing_by_cause add up to 5"],
        ),
        (
            3,
            {"lost on the way": 2},
            0,
            ["0 frames are missing, but the causes in missing_by_cause add up to 2"],
        ),
        (None, {"lost on the way": 2}, 2, []),  # the source never said how many it has
        (None, None, 2, ["2 frames are missing, but the causes in missing_by_cause add up to 0"]),
    ],
)
def test_every_missing_frame_is_counted_and_has_a_cause(
    tmp_path, frames_in, causes, frames_missing, warnings
):
    recorder = Recorder(tmp_path, START)
    for seq in (0, 1, 4):
        recorder.append(frame_result(seq, [], missing=2 if seq == 4 else 0))
    info = recorder.finish(frames_in=frames_in, missing=causes)
    assert info["counts"]["frames_missing"] == frames_missing
    assert info["warnings"] == warnings


@pytest.mark.parametrize("state", ["finished", "failed: the engine broke"])
@pytest.mark.parametrize("damage", ["deleted", "truncated", "garbled"])
def test_a_journal_that_gives_back_too_little_is_a_failed_run(tmp_path, damage, state):
    recorder = Recorder(tmp_path, START)
    for seq in range(6):
        recorder.append(frame_result(seq, [1] * 50, confirmed=[1] if seq == 0 else []))
        recorder.flush()
    journal = tmp_path / "journal"
    puncta = journal / "puncta.arrow"
    size = puncta.stat().st_size
    if damage == "deleted":
        shutil.rmtree(journal)
    else:
        with puncta.open("r+b") as file:
            file.seek(size * 2 // 3)
            file.truncate() if damage == "truncated" else file.write(bytes(200))
    info = recorder.finish(state, frames_in=6)
    n_left = 0 if damage == "deleted" else 3
    before = "failed: " if state == "finished" else f"{state}; "
    assert info["state"] == (
        f"{before}6 frames were recorded, but only {n_left} could be read back from {journal}, "
        "which was deleted or damaged during the run"
    )
    assert info["counts"]["frames_missing"] == 6 - n_left
    run = open_run(tmp_path)
    assert run.info["state"] == info["state"] and len(run.frames()) == n_left
    assert journal.exists() == (damage != "deleted")  # what is left may still be worth something


def test_results_that_break_the_contract_are_refused(tmp_path):
    recorder = Recorder(tmp_path, START)
    recorder.append(frame_result(3, [1]))
    with pytest.raises(ValueError, match="frame 3 was recorded after frame 3"):
        recorder.append(frame_result(3, []))
    good = frame_result(4, [1, 2], [3])
    short = CalciumUpdate.off(1, 1)
    with pytest.raises(ValueError, match="unequal length"):
        recorder.append(FrameResult(4, 0.4, 0, good.localizations, good.tracks, short))
    with pytest.raises(ValueError, match="unequal length"):
        recorder.append(FrameResult(4, 0.4, 0, good.localizations, good.tracks, CalciumUpdate.off(2, 0)))
    with pytest.raises(ValueError, match="coffee"):
        recorder.append(
            FrameResult(4, 0.4, 0, good.localizations, good.tracks, good.calcium, {"coffee": 1.0})
        )
    assert recorder.finish()["counts"]["frames_out"] == 1


def test_no_csv_where_none_is_wanted(tmp_path):
    config = RunConfig.model_validate({"output": {"csv": False}})
    Recorder(tmp_path, RunStart(config, START.source, "none", Camera(), PIXEL_NM, 0.1)).finish()
    assert not list(tmp_path.glob("*.csv"))


def test_an_unwritable_folder_is_one_sentence(tmp_path):
    with pytest.raises(StreamError, match=r"cannot write .*nowhere"):
        Recorder(tmp_path / "nowhere", START)


def record_until_full(recorder: Recorder) -> tuple[int, StreamError]:
    """Record until the disk is full; gives the frames that were written whole, and the error."""
    written = 0
    with pytest.raises(StreamError) as caught:
        for seq in range(1000):
            recorder.append(frame_result(seq, [1] * 100, confirmed=[1] if seq == 0 else []))
            recorder.flush()
            written = seq + 1
    with pytest.raises(StreamError):  # and from then on
        recorder.append(frame_result(1000, []))
    with pytest.raises(StreamError, match=r"make room, then run `piezo1 recover"):
        recorder.finish()
    return written, caught.value


def test_a_full_disk_stops_the_run_and_keeps_what_was_recorded(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small file system is not permitted here")
    try:
        run = place / "run"
        run.mkdir()
        recorder = Recorder(run, START)
        written, error = record_until_full(recorder)
        assert written > 10
        assert str(run / "journal") in str(error)
        assert "No space left on device (0.0 MB are free there)" in str(error)
        with pytest.raises(StreamError, match="piezo1 recover"):
            open_run(run)
        assert not (run / "folding").exists()
        subprocess.run(["mount", "-o", "remount,size=20m", str(place)], check=True)
        info = recorder.finish()
        assert info["state"] == f"failed: {error}"
        assert info["counts"]["frames_out"] == len(open_run(run).frames()) == written
        assert info["counts"]["puncta"] == 100 * written
    finally:
        subprocess.run(["umount", str(place)], check=True)

"""Thresholds that are turned, and moments that are annotated, in a run that goes on."""

import json
import time
from io import StringIO
from math import inf, nan
from types import SimpleNamespace

import numpy as np
import pandas as pd
import psutil
import pytest
import tifffile
from rich.console import Console

from acquire.frame import Frame, SourceInfo
from dashboard.terminal import report
from model.card import SHIPPED_MODEL
from model.engines.base import ModelError, Threshold
from model.engines.choose import choose_engine
from model.localizations import Localizations
from stream import wire
from stream.analysis import Analysis
from stream.calcium.detector import CalciumDetector
from stream.calcium.registered import RegisteredCalcium
from stream.conditions import resolve_conditions
from stream.config import CalciumConfig
from stream.load import load_config
from stream.pipeline import Supervisor
from stream.prepare import ready_engine
from stream.record import remarks as remarks_module
from stream.record.complete import recover
from stream.record.remarks import Remarks
from stream.record.run import open_run, read_info
from stream.refine.refine import refine
from stream.results import NO_IDS, StreamError, TrackUpdate
from stream.transport.arrival import Arrival
from stream.watch.wishes import MOST_PER_S, SHOWN, RefusedError, Wishes

pytestmark = pytest.mark.timeout(60)

# --- calcium -----------------------------------------------------------------------------------------------

ONE = np.ones(1)
SPOT = Localizations.from_columns(
    x_px=12 * ONE, y_px=12 * ONE, x_sd_px=ONE, y_sd_px=ONE, photons=ONE, background=ONE, psf_sigma_px=ONE
)


def calcium(detector, turns, rises=(60, 100)):
    """Events, and frames with one on, at a punctum whose calcium rises by 0.6 and decays over 5 frames."""
    rng = np.random.default_rng(2)
    rows, columns = np.mgrid[:25, :25]
    cloud = np.exp(-((rows - 12) ** 2 + (columns - 12) ** 2) / 8)
    events, on = [], []
    for seq in range(160):
        if seq in turns:
            detector.use_on_z(turns[seq])
        rise = sum(0.6 * np.exp(-(seq - start) / 5) for start in rises if seq >= start)
        image = rng.poisson(60 * (1 + rise * cloud)).astype(np.float32)
        gaps = np.empty(0, np.float32)
        track = np.zeros(1, np.int64)
        confirmed = track if seq == 0 else NO_IDS
        tracks = TrackUpdate(track, NO_IDS, gaps, gaps, NO_IDS, confirmed, NO_IDS, NO_IDS)
        update = detector.step(seq, seq / 20, image, SPOT, tracks)
        events += update.events
        on += [seq] if update.is_open[0] else []
    return [e.onset_frame for e in (*events, *detector.flush())], on


def test_a_turned_calcium_threshold_keeps_later_events_out_and_lets_the_one_that_is_on_end():
    as_it_was = calcium(CalciumDetector(CalciumConfig()), {})
    assert as_it_was[0] == [60, 100]
    raised = calcium(CalciumDetector(CalciumConfig()), {62: 30.0})
    assert raised[0] == [60]
    assert raised[1] == [seq for seq in as_it_was[1] if seq < 100]  # to the same end
    registered = RegisteredCalcium(CalciumDetector(CalciumConfig()), np.eye(2, 3))
    assert calcium(registered, {62: 30.0}) == raised
    assert calcium(CalciumDetector(CalciumConfig(on_z=30.0)), {80: 3.5})[0] == [100]


def test_the_calcium_threshold_stays_above_where_events_end():
    detector = CalciumDetector(CalciumConfig())
    before = detector.on_z
    assert before.value == 3.5 and before.low > 1.5
    for value in (1.5, 0.0, -3.0, before.high + 1, nan, inf):
        with pytest.raises(ModelError, match=f"between {before.low:g} and {before.high:g}"):
            detector.use_on_z(value)
    assert detector.on_z == before
    detector.use_on_z(before.low)
    detector.use_on_z(before.high)
    assert CalciumDetector(CalciumConfig(on_z=1.52)).on_z.low == 1.52
    assert CalciumDetector(CalciumConfig(on_z=99.0)).on_z.high == 99.0


# --- wishes ------------------------------------------------------------------------------------------------


class FakeAnalysis:
    first_open_seq = 7
    detection = Threshold(0.5, 0.02, 0.99, "probability")
    calcium: Threshold | None = Threshold(3.5, 1.6, 30.0, "noise sd")

    def use_detection(self, value):
        self.detection = self.detection.turned(value)

    def use_calcium(self, value):
        self.calcium = self.calcium.turned(value)


@pytest.fixture
def asked(tmp_path):
    remarks = Remarks(tmp_path, {"state": "running"})
    wishes = Wishes(FakeAnalysis(), remarks)
    for seq in (0, 1, 4):
        wishes.came(seq, 10 + seq / 10)
    yield SimpleNamespace(wishes=wishes, remarks=remarks, folder=tmp_path)
    remarks.close()


def written(folder, ready=lambda info: True, within_s=5.0):
    """`run.json` when it says what is waited for."""
    deadline = time.monotonic() + within_s
    while True:
        if (folder / "run.json").exists():
            info = json.loads((folder / "run.json").read_text())
            if ready(info):
                return info
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_granted_is_written_down_at_once(asked):
    wishes = asked.wishes
    done = wishes.grant(wire.Adjust(1, "detection", 0.8))
    assert (done.seq, done.text) == (7, "detection threshold 0.5 → 0.8 (probability) from frame 7 on")
    wishes.grant(wire.Adjust(2, "calcium", 5.0))
    wishes.grant(wire.Annotate(3, "drug in", 1, 120.5, 80.0))
    wishes.grant(wire.Annotate(4, "ü" * 999, 3))
    assert (wishes.analysis.detection.value, wishes.analysis.calcium.value) == (0.8, 5.0)
    info = written(asked.folder, lambda info: len(info["annotations"]) == 2)
    times = [entry.pop("time") for entry in (*info["adjustments"], *info["annotations"])]
    assert times == sorted(times) and all("+" in time for time in times)
    assert info["state"] == "running"
    assert info["adjustments"] == [
        {"frame": 7, "time_s": 10.4, "which": "detection", "from": 0.5, "to": 0.8},
        {"frame": 7, "time_s": 10.4, "which": "calcium", "from": 3.5, "to": 5.0},
    ]
    assert info["annotations"] == [
        {"frame": 1, "time_s": 10.1, "text": "drug in", "x_nm": 120.5, "y_nm": 80.0},
        {"frame": 3, "time_s": 10.1, "text": "ü" * 999, "x_nm": None, "y_nm": None},  # 3 is missing
    ]
    assert [(e.kind, e.seq) for e in wishes.log] == [
        ("adjustment", 7), ("adjustment", 7), ("annotation", 1), ("annotation", 3)
    ]  # fmt: skip
    assert len(wishes.log[-1].text) < SHOWN + 5


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (
            wire.Adjust(1, "detection", 1.5),
            "a threshold of 1.5 is not possible: it must lie between 0.02 and 0.99",
        ),
        (
            wire.Adjust(1, "detection", nan),
            "a threshold of nan is not possible: it must lie between 0.02 and",
        ),
        (
            wire.Adjust(1, "calcium", inf),
            "a threshold of inf is not possible: it must lie between 1.6 and 30",
        ),
        (wire.Adjust(1, "calcium", -inf), "a threshold of -inf is not possible"),
        (wire.Annotate(1, "x", 5), "frame 5 cannot be annotated yet: the newest is 4"),
        (wire.Annotate(1, "x", 4, nan, 1.0), "nan nm, 1 nm is no place"),
        (wire.Annotate(1, "x", 4, 1.0, -inf), "1 nm, -inf nm is no place"),
        (wire.Annotate(1, "x", 4, 1.0), "a place needs both x_nm and y_nm"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence_and_changes_nothing(asked, request_, sentence):
    with pytest.raises((StreamError, ModelError), match=sentence):
        asked.wishes.grant(request_)
    assert asked.wishes.analysis.detection.value == 0.5 and not asked.wishes.log
    assert asked.remarks.entries() == {"adjustments": [], "annotations": []}


def test_a_stage_that_is_off_has_no_threshold(asked):
    asked.wishes.analysis.calcium = None
    with pytest.raises(RefusedError, match="the calcium stage is off"):
        asked.wishes.grant(wire.Adjust(1, "calcium", 4.0))


def test_a_threshold_that_is_so_already_is_not_recorded(asked):
    assert "is 0.5 already" in asked.wishes.grant(wire.Adjust(1, "detection", 0.5)).text
    assert asked.remarks.entries()["adjustments"] == []


def test_a_flood_is_refused(asked, monkeypatch):
    now = 100.0
    monkeypatch.setattr("stream.watch.wishes.time", SimpleNamespace(monotonic=lambda: now))
    for k in range(MOST_PER_S):
        asked.wishes.grant(wire.Annotate(k, "x", 0))
    for request in (wire.Annotate(1, "x", 0), wire.Adjust(1, "detection", 0.9)):
        with pytest.raises(
            RefusedError, match=f"more than {MOST_PER_S} adjustments and annotations a second"
        ):
            asked.wishes.grant(request)
    assert asked.wishes.analysis.detection.value == 0.5
    now += 1.0
    asked.wishes.grant(wire.Annotate(1, "x", 0))


def test_a_run_holds_so_many_and_no_more(asked, monkeypatch):
    monkeypatch.setattr(remarks_module, "MOST", 3)
    for value in (0.6, 0.7, 0.8):
        asked.wishes.grant(wire.Adjust(1, "detection", value))
    with pytest.raises(StreamError, match="this run holds 3 adjustments and annotations"):
        asked.wishes.grant(wire.Adjust(1, "detection", 0.9))
    assert asked.wishes.analysis.detection.value == 0.8  # what is not recorded is not done


def test_many_remarks_cost_few_writings(asked, monkeypatch):
    writings, write = [], remarks_module.write_info

    def slow(folder, info):
        writings.append(len(info["annotations"]))
        time.sleep(0.02)
        write(folder, info)

    monkeypatch.setattr(remarks_module, "write_info", slow)
    began = time.monotonic()
    for k in range(500):
        asked.remarks.annotated(str(k), 0, None, None, None)
        time.sleep(0.001)
    took_s = time.monotonic() - began
    assert len(writings) <= 2 + took_s / 0.2
    assert len(written(asked.folder, lambda info: len(info["annotations"]) == 500)["annotations"]) == 500


def test_a_disk_that_refuses_is_told_and_nothing_is_forgotten(asked, monkeypatch):
    def full(folder, info):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(remarks_module, "write_info", full)
        asked.remarks.annotated("one", 0, None, None, None)
        deadline = time.monotonic() + 5
        while not asked.remarks.problem:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert "No space left" in asked.remarks.problem
    asked.remarks.annotated("two", 0, None, None, None)
    info = written(asked.folder, lambda info: len(info["annotations"]) == 2)
    assert [entry["text"] for entry in info["annotations"]] == ["one", "two"]


# --- runs --------------------------------------------------------------------------------------------------

COLUMNS = ["frame", "x_nm", "y_nm", "photons", "background"]
TURNED = 3.0


@pytest.fixture(scope="module")
def references(sample, tmp_path_factory):
    """Puncta with the threshold as it is and as it is turned to, all the way."""
    return reference_puncta(sample, tmp_path_factory, "wavelet", "wavelet_threshold", (1.0, TURNED))


def reference_puncta(sample, tmp_path_factory, engine, setting, thresholds):
    def puncta(threshold):
        options = {
            "source.path": sample / "movie.tif",
            "camera.offset": 100.0,
            "engine.name": engine,
            f"engine.{setting}": threshold,
            "output.folder": tmp_path_factory.mktemp("reference"),
        }
        return open_run(Supervisor(load_config(options=options), transport="inproc").run().folder).puncta()

    return [puncta(threshold) for threshold in thresholds]


def assert_turned(puncta, references, frame, n_frames=60):
    """Found with the first threshold up to a frame, from it on with the second."""
    before, after = references
    assert not before[before.frame >= frame].equals(after[after.frame >= frame])
    expected = pd.concat([before[before.frame < frame], after[after.frame >= frame]])
    expected = expected[expected.frame < n_frames]
    assert puncta.frame.max() > frame
    pd.testing.assert_frame_equal(
        puncta[COLUMNS].reset_index(drop=True), expected[COLUMNS].reset_index(drop=True)
    )


def test_a_threshold_turned_in_the_middle_is_seen_in_the_results_and_told(live_run, references):
    run = live_run("ipc")
    run.past(10)
    done = run.say(wire.Adjust, "detection", TURNED)
    assert done.ok and f"detection threshold 1 → {TURNED:g}" in done.text
    refused = run.say(wire.Adjust, "detection", 99.0)
    assert not refused.ok and "99" in refused.text and "0.5" in refused.text
    assert run.say(wire.Annotate, "here it changed", 3, 500.0, 700.0).ok
    health = run.say(wire.Ask).health
    assert health.detection.value == TURNED
    assert [entry.kind for entry in health.log] == ["adjustment", "annotation"]
    outcome = run.end()
    (adjustment,), (annotation,) = outcome.info["adjustments"], outcome.info["annotations"]
    assert (adjustment["which"], adjustment["from"], adjustment["to"]) == ("detection", 1.0, TURNED)
    assert adjustment["frame"] == done.seq and 10 < done.seq < 55
    assert adjustment["time_s"] == pytest.approx((done.seq - 1) * 0.05)
    assert (annotation["text"], annotation["frame"]) == ("here it changed", 3)
    assert annotation["time_s"] == pytest.approx(0.15)
    assert_turned(open_run(outcome.folder).puncta(), references, adjustment["frame"])
    terminal = Console(file=StringIO(), width=200)
    report(terminal, outcome.folder, outcome.info, "")
    assert "1 adjustment, 1 annotation: see run.json" in terminal.file.getvalue()
    refine(outcome.folder)
    again = read_info(outcome.folder / "refined")
    assert again["adjustments"] == outcome.info["adjustments"]
    assert again["annotations"] == outcome.info["annotations"]


@pytest.mark.skipif(not SHIPPED_MODEL.exists(), reason="no network ships")
def test_an_engine_that_looks_ahead_is_turned_from_a_frame_that_it_still_owes(
    live_run, sample, tmp_path_factory
):
    run = live_run("ipc", engine__name="network", engine__threshold=0.3)
    run.past(10)
    newest_seq = run.say(wire.Ask).health.n_out  # one is owed, and more may have come since
    done = run.say(wire.Adjust, "detection", 0.99)
    assert done.seq >= newest_seq
    outcome = run.end()
    (adjustment,) = outcome.info["adjustments"]
    assert adjustment["frame"] == done.seq
    assert adjustment["time_s"] == pytest.approx(done.seq * 0.05)  # the frame that was owed had come
    thresholds = reference_puncta(sample, tmp_path_factory, "network", "threshold", (0.3, 0.99))
    assert_turned(open_run(outcome.folder).puncta(), thresholds, done.seq)


@pytest.mark.parametrize(
    ("engine", "setting", "low", "high"),
    [
        ("wavelet", "wavelet_threshold", 1.0, TURNED),
        pytest.param(
            "network", "threshold", 0.3, 0.99,
            marks=pytest.mark.skipif(not SHIPPED_MODEL.exists(), reason="no network ships"),
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("which", ["detection", "calcium"])
def test_the_frame_that_is_recorded_is_the_first_that_differs_also_where_frames_are_missing(
    sample, which, engine, setting, low, high
):
    """As in live delivery, also where an engine that looks ahead owes a result from before a gap."""
    movie = tifffile.imread(sample / "movie.tif")[:24]
    info = SourceInfo("movie", movie.shape[1:], None, 0.05, 108.0, 16, "a test")
    came = [seq for seq in range(len(movie)) if seq not in (4, 5, 9, 13, 14, 15, 20)]

    def results(threshold, turn_after=None):
        config = load_config(
            options={"source.path": sample / "movie.tif", "camera.offset": 100.0, "engine.name": engine,
                     f"engine.{setting}": threshold}
        )  # fmt: skip
        conditions = resolve_conditions(config, info)
        made = ready_engine(config, info, conditions, choose_engine)
        camera, _ = config.camera.camera(movie[0, 0], 16)
        analysis = Analysis(config, info, conditions, camera, made)
        found, first, before = [], len(movie), -1
        for seq in came:
            arrival = Arrival(Frame(seq, seq * 0.05, movie[seq]), time.time_ns(), seq - before - 1, 0.0)
            found += analysis.step(arrival)
            before = seq
            if seq == turn_after:
                first = analysis.first_open_seq
                turn = analysis.use_detection if which == "detection" else analysis.use_calcium
                turn(high if which == "detection" else 50.0)
        return {result.seq: result for result in (*found, *analysis.flush())}, first

    as_it_was, _ = results(low)
    turned_before = results(high)[0] if which == "detection" else {}
    for turn_after in (3, 8, 23):
        turned, first = results(low, turn_after)
        assert first in (turn_after, turn_after + 1) and list(turned) == came
        for seq in came:
            a, b = turned[seq], as_it_was[seq]
            if seq < first or which == "calcium":
                np.testing.assert_array_equal(a.localizations.x_px, b.localizations.x_px)
                np.testing.assert_array_equal(a.tracks.track_id, b.tracks.track_id)
            else:
                np.testing.assert_array_equal(a.localizations.x_px, turned_before[seq].localizations.x_px)
            if seq < first:
                np.testing.assert_array_equal(a.calcium.is_open, b.calcium.is_open)
                assert a.calcium.events == b.calcium.events


def test_it_is_told_of_a_run_that_was_killed_too(live_run, references, tmp_path):
    run = live_run("ipc")
    run.past(10)
    done = run.say(wire.Adjust, "detection", TURNED)
    run.past(done.seq + 15)
    folder = run.say(wire.Ask).session.folder
    (analysis,) = [c for c in psutil.Process().children() if "analysis" in c.cmdline()]
    analysis.kill()
    assert "was killed" in run.end().problem
    info = recover(type(tmp_path)(folder)).info
    (adjustment,) = info["adjustments"]
    assert adjustment["frame"] == done.seq and adjustment["to"] == TURNED
    n_frames = info["counts"]["frames_out"]
    assert n_frames > done.seq
    assert_turned(open_run(type(tmp_path)(folder)).puncta(), references, done.seq, n_frames)


def test_a_calcium_threshold_is_turned_too(live_run):
    # Without a turn there is an event near frame 49.
    run = live_run()
    assert run.running().health.calcium.value == 3.5
    done = run.say(wire.Adjust, "calcium", 50.0)
    assert done.ok and run.say(wire.Ask).health.calcium.value == 50.0
    outcome = run.end()
    assert outcome.info["adjustments"][0]["which"] == "calcium"
    assert done.seq < 45 and outcome.info["state"] == "finished"
    assert not (open_run(outcome.folder).events().onset_frame >= done.seq).any()

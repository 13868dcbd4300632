"""What goes wrong at a microscope: the tracker's books stay right, its time and memory bounded."""

import pickle
from dataclasses import replace
from threading import Event, Thread

import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from acquire.frame import Frame, SourceInfo
from bench import tracking_endurance as endurance
from bench import tracking_robustness as robustness
from bench.tracking_ledger import Ledger
from bench.tracking_methods import INTERVAL_S, PIXEL_NM
from bench.tracking_scene import TrackingScene, simulate_frames
from model.localizations import Localizations
from stream.calcium.detector import CalciumDetector
from stream.config import CalciumConfig, TrackerConfig
from stream.process import job_endpoints
from stream.results import NO_IDS, StreamError, TrackUpdate
from stream.tracking.tracker import Tracker
from stream.transport.receiver import FrameReceiver
from stream.transport.sender import FrameSender

SPARSE = replace(robustness.SCENE, n_puncta=40, n_frames=robustness.AT + 60)
# Least share of the puncta that keep their track, and the most; where nothing can be kept, 0 is right.
KEPT = {
    "none": (0.97, 1.0),
    "5 frames lost": (0.9, 1.0),
    f"{robustness.LONGEST_GAP} frames lost, as long as a gap may be": (0.6, 1.0),
    f"{2 * robustness.LONGEST_GAP} frames lost": (0.0, 0.0),
    "one image ten times": (0.95, 1.0),
    "the stage jumps by 5 px": (0.0, 1.0),
    "1000 frames without puncta": (0.0, 0.0),
    "5000 localizations more in one frame": (0.9, 1.0),
}


@pytest.fixture(scope="module")
def frames():
    return simulate_frames(SPARSE, 1)[0]


@pytest.mark.parametrize("name", robustness.DISTURBANCES)
def test_disturbances_leave_the_books_right_and_the_tracks_that_can_be_kept(name, frames):
    endured = robustness.endure(name, robustness.DISTURBANCES[name](frames))
    assert endured.problems == []
    least, most = KEPT[name]
    assert least <= endured.kept <= most
    assert endured.mixed < 0.15


def test_a_crowd_in_one_frame_costs_little(frames):
    endured = robustness.endure("crowd", robustness.crowd(frames))
    assert endured.worst_ms < 400  # it takes 10; a dense assignment of 5,000 would take minutes


spots = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 3)), max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), spots), min_size=1, max_size=25))
def test_the_books_are_right_whatever_is_seen(movie):
    """Any localizations, coinciding ones too, at any frames."""
    tracker, ledger, seq = Tracker(TrackerConfig(), PIXEL_NM, INTERVAL_S), Ledger(), 0
    for step, found in movie:
        seq += step
        x, y, brightness = np.array(found, np.float64).reshape(-1, 3).T
        columns = {
            "x_px": x,
            "y_px": y,
            "x_sd_px": 0 * x + 0.3,
            "y_sd_px": 0 * x + 0.3,
            "photons": 300 * brightness,
        }
        spots_here = Localizations.from_columns(**columns, background=0 * x, psf_sigma_px=0 * x + 1.4)
        ledger.add(seq, tracker.step(seq, seq * INTERVAL_S, spots_here), len(found))
    ledger.finish(tracker.flush())
    assert ledger.problems == []
    assert ledger.n_born == ledger.n_ended


def an_update(**changed):
    ids = {"track_id": np.array([0, 1]), "born": np.array([0, 1])}
    return replace(TrackUpdate.none(2), **(ids | changed))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"track_id": np.array([0, 0])}, "seen twice"),
        ({"track_id": np.array([0, -1])}, "2 tracks live, 1 are seen"),
        ({"track_id": np.array([0])}, "2 localizations, but 1 track ids"),
        ({"born": np.array([0, 0])}, "given twice"),
        ({"gap_track_id": np.array([1])}, "seen and in a gap"),
        ({"confirmed": np.array([5])}, "confirmed that does not live"),
        ({"died": np.array([0])}, "died that was not alive and confirmed"),
        ({"dropped": np.array([7])}, "dropped that was not alive and tentative"),
        ({"gap_x_px": np.array([np.nan], np.float32)}, "not finite"),
    ],
)
def test_the_ledger_sees_what_is_wrong(changed, words):
    ledger = Ledger()
    ledger.add(0, an_update(**changed), 2)
    assert any(words in problem for problem in ledger.problems)


def test_the_ledger_sees_what_never_ends_and_what_comes_back():
    ledger = Ledger()
    ledger.add(0, an_update(), 2)
    assert ledger.problems == [] and ledger.n_living == 2
    ledger.add(1, an_update(), 2)
    assert any("given twice" in problem for problem in ledger.problems)
    ledger.finish(TrackUpdate.none())
    assert ledger.problems[-1] == "2 tracks never ended"
    assert len(NO_IDS) == 0


def test_what_is_remembered_does_not_grow_over_3000_frames():
    """All that the tracker and the calcium stage hold, by its size when pickled."""
    scene = TrackingScene(name="", n_puncta=5, side_px=32.0, n_frames=300)
    frames, _ = simulate_frames(scene, 1)
    noise = np.random.default_rng(1).poisson(20.0, (16, 32, 32)).astype(np.float32)
    tracker, stage = Tracker(TrackerConfig(), PIXEL_NM, INTERVAL_S), CalciumDetector(CalciumConfig())
    held = []
    for seq, frame in enumerate(endurance.to_and_fro(frames, 3000)):
        update = tracker.step(seq, seq * INTERVAL_S, frame.found)
        stage.step(seq, seq * INTERVAL_S, noise[seq % 16], frame.found, update)
        if seq % 10 == 9:
            held.append(len(pickle.dumps((tracker, stage))))
    early, late = np.median(held[100:150]), np.median(held[-50:])
    assert late < 1.1 * early, f"{early} bytes after 1,250 frames, {late} after 2,750"


def test_to_and_fro_goes_on_for_ever_without_a_jump():
    frames = list("abcd")
    assert "".join(endurance.to_and_fro(frames, 9)) == "abcdcbabc"


def test_endurance_tells_slope_and_books():
    told = endurance.endurance(600, replace(endurance.SMALL, n_puncta=5, n_frames=100))
    assert told["problems"] == []
    assert np.isfinite(told["slope_bytes"]) and told["ms_per_frame"] > 0


def a_frame(seq):
    return Frame(seq, seq * 0.01, np.zeros((2, 8, 10), np.uint16))


@pytest.mark.parametrize("delivery", ["lossless", "live"])
def test_the_receiver_lets_no_frame_through_twice(delivery, tmp_path):
    """Lossless runs fail in words; live ones count the second as damaged and go on."""
    context = zmq.Context()
    sender = FrameSender(context, job_endpoints("inproc", str(tmp_path)).stream(), delivery)
    receiver = FrameReceiver(context, sender.endpoints, delivery, Event())

    def send():
        stop = Event()
        sender.start(SourceInfo("test", (2, 8, 10), None, 0.01, 100.0, 16, "test"), stop, timeout_s=10)
        for seq in (0, 1, 1, 2):
            sender.send(a_frame(seq), stop)
            stop.wait(0.2 if delivery == "live" else 0.0)
        if delivery == "live":
            sender.finish(3, {}, "end")

    source = Thread(target=send)
    source.start()
    try:
        receiver.start()
        if delivery == "lossless":
            with pytest.raises(StreamError, match="frame 1 came after frame 1"):
                while receiver.receive():
                    pass
        else:
            seqs = []
            while arrival := receiver.receive():
                seqs.append(arrival.frame.seq)
            assert seqs == [0, 1, 2]
            assert (receiver.damaged, receiver.frames_in) == (1, 3)
    finally:
        source.join()
        sender.close()
        receiver.close()
        context.term()

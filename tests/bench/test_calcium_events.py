"""The event benchmark's figures and the rule of thumb beside them; its movies are simulated with torch."""

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

pytest.importorskip("torch", reason="torch is not installed (extra: train)")

from bench import calcium_events
from bench.calcium_event_movies import event_movie
from bench.calcium_events import Judged, judge_movie, score
from bench.calcium_roi import SquareRule
from model.camera import Camera
from model.engines.wavelet import WaveletEngine
from model.localizations import Localizations
from stream.results import NO_IDS, TrackUpdate
from train.simulate import simulate
from train.simulation_config import SimulationConfig

SMALL = SimulationConfig(image_size=(48, 48), n_frames=60, num_puncta_mean=8.0, event_rate_hz=1.0)


def test_movies_and_events_are_those_of_the_simulator() -> None:
    config = SMALL.model_copy(update={"spark_rate_um2_s": 0.05})
    ours = [(p.onset_frame, p.peak_frame) for f in event_movie(config, 3) for p in f.peaks]
    assert ours
    assert all(peak - onset == config.event_rise_frames - 1 for onset, peak in ours)
    assert len(list(event_movie(config, 3))) == len(list(simulate(config, 3)))


def test_the_square_rule_finds_a_bright_event() -> None:
    rule, rng = SquareRule(), np.random.default_rng(1)
    found = Localizations.from_columns(
        x_px=[10.0], y_px=[12.0], x_sd_px=[0.1], y_sd_px=[0.1], photons=[9], background=[1], psf_sigma_px=[1]
    )
    none = np.empty(0, np.float32)
    for seq in range(60):
        image = rng.poisson(200 if 30 <= seq < 35 else 100, (24, 24)).astype(np.float32)
        confirmed = np.array([4]) if seq == 2 else NO_IDS
        rule.step(
            seq,
            image,
            found,
            TrackUpdate(np.array([4]), NO_IDS, none, none, NO_IDS, confirmed, NO_IDS, NO_IDS),
        )
    events = rule.events(100.0)
    assert events[["track_id", "onset_frame"]].to_numpy().tolist() == [[4, 30]]
    assert events["amplitude_dff"][0] == pytest.approx(1.0, abs=0.1)
    assert events[["x_nm", "y_nm"]].to_numpy().tolist() == [[1000.0, 1200.0]]


def test_figures_by_hand() -> None:
    columns = ["onset_frame", "amplitude_dff", "decay_frames"]
    true = pd.DataFrame([[10, 0.5, 4.0], [30, 1.0, 8.0]], columns=columns)
    found = pd.DataFrame(
        [[11, 0.6, 0.25, 0.08], [50, 0.2, 0.1, 0.1], [60, 0.1, 0.1, 0.1]],
        columns=["onset_frame", "amplitude_dff", "decay_s", "rise_s"],
    )
    judged = Judged(true, found, (np.array([0]), np.array([0])), 1, 2.0)
    s = score("c", "m", [judged], SMALL)
    assert (s.n_true, s.n_found, s.n_matched, s.n_false_in_wave) == (2, 3, 1, 1)
    assert (s.precision, s.recall, s.f1) == pytest.approx((1 / 3, 1 / 2, 2 / 5))
    assert s.false_per_track_minute == pytest.approx(1.0)
    assert (s.onset_bias_frames, s.onset_lag_frames) == (1.0, 1.0)
    assert s.amplitude_bias == pytest.approx(0.2)
    assert s.decay_bias == pytest.approx(0.25)  # 0.25 s of 50 ms frames are 5 instead of 4
    assert s.rise_error_frames == pytest.approx(0.0)


def test_end_to_end_with_the_wavelet_engine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a network the stage goes by its own signal, and still beats the rule."""
    camera: Camera = SMALL.camera_model()
    engine = WaveletEngine(camera, SMALL.psf_sigma_px)
    config = SMALL.model_copy(
        update={"n_frames": 120, "dff_min": 0.5, "event_rate_hz": 0.3, "off_probability": 0.0}
    )
    judged = judge_movie(config, 5, engine)
    stage, rule = (score("", m, [judged[m]], config) for m in (calcium_events.STAGE, calcium_events.SQUARE))
    assert stage.n_true > 5
    assert stage.f1 > 0.7
    assert stage.f1 > rule.f1
    assert abs(stage.amplitude_bias) < 0.2
    monkeypatch.setattr(calcium_events, "CONDITIONS", {"small": SMALL})
    scores = calcium_events.run_events(Console(width=220), 1, engine)
    assert [s.method for s in scores] == [calcium_events.STAGE, calcium_events.SQUARE]
    assert "small" in capsys.readouterr().out
    assert scores[1].as_dict()["decay_bias"] is None

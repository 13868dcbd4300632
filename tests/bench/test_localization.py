import json
import sys
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.bars import BARS, Bar, judge
from bench.conditions import CONDITIONS, RECORDED, SceneConfig
from bench.localization import check_conditions, run
from bench.methods import EVERYTHING, Answer, Cut, Method, Setting, tune
from bench.ours import NETWORK, NETWORK_SINGLE, WAVELET, run_engine
from bench.outputs import UsageError
from bench.peers import SMAPPY, Peer, can_import, sound
from bench.report import Result, beaten, ours_in, summary
from bench.scenes import Scene, bounds, simulate_scene
from bench.scoring import N_COLUMNS, Score, match_scene, score
from model.card import SHIPPED_MODEL
from model.engines.base import ModelError, RawFrame, Threshold
from model.localizations import Localizations
from model.optics import Array

CONFIG = SceneConfig(density_um2=0.5, size=48)
SCENE = simulate_scene(CONFIG, 3, 2, seed=1)


def table(
    xy: Array, frame: float = 0.0, strength: float = 0.0, photons: float = np.nan, sd: float = np.nan
) -> Array:
    rows = np.empty((len(xy), N_COLUMNS))
    rows[:, 0], rows[:, 1:3], rows[:, 3], rows[:, 4], rows[:, 5:] = frame, xy, strength, photons, sd
    return rows


def test_the_truth_scores_full_marks_and_mistakes_cost_what_they_should() -> None:
    bound = bounds(SCENE)
    perfect = score(SCENE, bound, [table(t.xy) for t in SCENE.truth])
    assert (perfect.jaccard, perfect.precision, perfect.recall, perfect.rmse_nm) == (1, 1, 1, 0)
    shifted = score(SCENE, bound, [table(t.xy + np.array([0.3, 0.0])) for t in SCENE.truth])
    assert shifted.rmse_nm == pytest.approx(0.3 * 110 / np.sqrt(2), rel=0.02)
    doubled = score(SCENE, bound, [table(np.concatenate([t.xy, t.xy])) for t in SCENE.truth])
    assert doubled.precision == pytest.approx(0.5, abs=0.02)
    nothing = score(SCENE, bound, [table(t.xy[:0]) for t in SCENE.truth])
    assert nothing.recall == 0
    assert nothing.n_truth == perfect.n_truth


def test_honest_uncertainties_have_a_z_score_of_one_and_photon_bias_is_found() -> None:
    scene = simulate_scene(replace(CONFIG, isolated=True, density_um2=0.1, size=200), 2, 2, seed=2)
    rng = np.random.default_rng(1)
    found = [
        np.column_stack(
            [
                table(t.xy + rng.normal(0, 0.2, t.xy.shape), sd=0.1)[:, :4],
                1.1 * t.photons,
                *[np.full(len(t.xy), 0.2)] * 2,
            ]
        )
        for t in scene.truth
    ]
    result = score(scene, bounds(scene), found)
    assert result.z_isolated == pytest.approx(1.0, abs=0.15)
    assert result.z_all == pytest.approx(1.0, abs=0.15)
    assert result.photon_bias == pytest.approx(0.1)
    claimed, true = np.array(result.calibration).T
    assert claimed == pytest.approx(np.full(len(claimed), 22.0))
    assert true.mean() == pytest.approx(22.0, rel=0.2)


class LateEngine:
    """Answers a frame late, with one punctum at x = the number of frames seen since it was new."""

    description = "late"
    threshold = Threshold(0.5, 0.1, 0.9, "probability")

    def use_threshold(self, value: float) -> None:
        self.threshold = self.threshold.turned(value)

    def __init__(self) -> None:
        self._owed: deque[tuple[int, Localizations]] = deque()
        self._seen = 0

    def step(self, frame: RawFrame) -> list[tuple[int, Localizations]]:
        self._seen += 1
        found = {
            name: [1.0] for name in ("y_px", "x_sd_px", "y_sd_px", "photons", "background", "psf_sigma_px")
        }
        self._owed.append((frame.seq, Localizations.from_columns(x_px=[self._seen], **found)))
        return [self._owed.popleft()] if len(self._owed) > 1 else []

    def flush(self) -> list[tuple[int, Localizations]]:
        owed, self._owed, self._seen = list(self._owed), deque(), 0
        return owed


def test_an_engine_with_memory_answers_every_frame_and_movies_do_not_mix() -> None:
    whole = run_engine(LateEngine(), SCENE).by_frame(6)
    assert [frame[:, 1].tolist() for frame in whole] == [[1], [2], [1], [2], [1], [2]]
    single = run_engine(LateEngine(), SCENE, single=True).by_frame(6)
    assert [frame[:, 1].tolist() for frame in single] == [[1]] * 6


class ForgetfulEngine(LateEngine):
    def flush(self) -> list[tuple[int, Localizations]]:
        super().flush()
        return []


def test_an_engine_that_leaves_a_frame_out_is_found_out() -> None:
    with pytest.raises(ModelError, match="did not answer each of 6 frames once"):
        run_engine(ForgetfulEngine(), SCENE)


def noisy_truth(scene: Scene, setting: Setting, cut: Cut) -> Answer:
    """The truth at strengths above 10, `setting` false answers at strengths below, in a corner."""
    rng = np.random.default_rng(3)
    parts = []
    for k, truth in enumerate(scene.truth):
        false = rng.uniform(7, 40, (int(setting[0]), 2))
        parts += [table(truth.xy, k, 10 + rng.random()), table(false, k, rng.random())]
    rows = np.concatenate(parts)
    return Answer(rows[rows[:, 3] >= cut.strength], 0.0)


def test_tuning_finds_the_cut_and_the_setting() -> None:
    method = Method("noisy truth", ("false answers",), ((50.0,), (30.0,)), noisy_truth)
    setting, cut = tune(method, SCENE)
    assert match_scene(SCENE, method.locate(SCENE, setting, cut).by_frame(6)).jaccard > 0.98
    assert method.describe(setting, cut).startswith(f"false answers {setting[0]:g}, cut 10.")
    fixed = replace(method, is_tuned=False)
    assert tune(fixed, SCENE) == ((50.0,), EVERYTHING)


def a_score(jaccard: float, rmse_nm: float = 10.0) -> Score:
    nan = float("nan")
    return Score(100, 0, 1.0, jaccard, jaccard, rmse_nm, nan, 1.0, 1.0, nan, 1.0, nan, [])


def test_bars_are_judged_by_their_worst_condition() -> None:
    scores = {("a", NETWORK): a_score(0.9), ("b", NETWORK): a_score(0.8), ("a", WAVELET): a_score(0.85)}
    verdict = judge(Bar("", "jaccard", ("a", "b", "c"), at_least=0.85), scores)
    assert (verdict.condition, verdict.value, verdict.is_met, verdict.n_measured) == ("b", 0.8, False, 2)
    assert judge(Bar("", "jaccard", ("a",), at_least=0.9), scores).is_met
    difference = judge(Bar("", "jaccard", ("a", "b"), at_least=0.0, against_method=WAVELET), scores)
    assert difference.value == pytest.approx(0.05)
    fall = judge(Bar("", "jaccard", ("b",), at_least=-0.05, against_condition="a"), scores)
    assert not fall.is_met
    unknown = judge(Bar("", "z_isolated", ("a", "c"), at_most=1.1), scores)
    assert (unknown.value, unknown.is_met) == (None, None)


def test_every_bar_names_conditions_that_exist() -> None:
    for bar in BARS:
        assert set(bar.conditions) <= {*CONDITIONS, *RECORDED}
        assert bar.figure in Score.__slots__


def test_a_peer_that_is_as_good_is_said() -> None:
    results = [
        Result("a", NETWORK, "", a_score(0.9, 10.0), 1.0),
        Result("a", "trackpy, tuned", "", a_score(0.9, 12.0), 1.0),
        Result("a", "wavelet, tuned", "", a_score(0.8, 9.0), 1.0),
        Result("a", WAVELET, "", a_score(0.99, 1.0), 1.0),
    ]
    assert ours_in(results) == [NETWORK]
    assert beaten(results, NETWORK) == [
        "a: Jaccard 0.900, trackpy, tuned 0.900",
        "a: RMSE 10.0 nm at recall 0.90, wavelet, tuned 9.0 nm at recall 0.80",
    ]
    assert ours_in(results[1:]) == [WAVELET]
    assert beaten(results[1:], WAVELET) == []


def test_three_frames_and_one_are_held_against_the_peers_each_by_itself() -> None:
    results = [
        Result(condition, method, "", a_score(*figures), 1.0)
        for condition, one in (("a", (0.95, 9.0)), ("b", (0.8, 12.0)))
        for method, figures in (
            (NETWORK, (0.95, 8.0)),
            (NETWORK_SINGLE, one),
            ("trackpy, tuned", (0.9, 10.0)),
        )
    ]
    lines = summary(results)
    assert f"{NETWORK} (three frames): above every peer in Jaccard and RMSE in 2 of 2 conditions" in lines
    assert f"{NETWORK_SINGLE}: above every peer in Jaccard and RMSE in 1 of 2 conditions" in lines
    assert "  not in b: Jaccard 0.800, trackpy, tuned 0.900" in lines


def test_fits_that_ran_away_are_dropped_and_others_are_not() -> None:
    good = [0, 10.0, 11.0, 5.0, 900.0, 0.1, 0.1, 10.0, 10.0]
    walked_to_the_edge = [0, 12.4, 10.0, 5.0, 900.0, 0.1, 0.1, 10.0, 10.0]
    ran_away = [0, 12.6, 10.0, 5.0, 900.0, 0.1, 0.1, 10.0, 10.0]
    claims = [[*good[:5], sd, 0.1, *good[7:]] for sd in (0.0, np.nan, 1.5)]
    lost = [*good[:4], np.nan, *good[5:]]
    table = np.array([good, walked_to_the_edge, ran_away, *claims, lost])
    np.testing.assert_array_equal(sound(table, 5.0), table[:2, :N_COLUMNS])
    assert len(sound(table, 7.0)) == 3
    assert sound(np.empty((0, N_COLUMNS + 2)), 5.0).shape == (0, N_COLUMNS)


def test_a_python_without_the_peer_is_said() -> None:
    assert not can_import(Path(sys.executable), SMAPPY)
    assert not can_import(Path("/no/such/python"), SMAPPY)
    with (
        Peer(Path(sys.executable), SMAPPY) as peer,
        pytest.raises(RuntimeError, match=r"SMAPpy worker failed: [\s\S]*No module named 'smappy'"),
    ):
        peer.locate(SCENE, (1.0, 5.0), EVERYTHING)


def test_a_condition_that_does_not_exist_is_a_sentence_with_those_that_do() -> None:
    check_conditions(["isolated", "medium_108nm"])
    with pytest.raises(UsageError, match=r"contains 'nonsense'; there are: .*hot pixels; medium_108nm"):
        check_conditions(["isolated", "nonsense"])


@pytest.mark.skipif(not SHIPPED_MODEL.exists(), reason=f"no network is shipped as {SHIPPED_MODEL.name}")
def test_the_benchmark_runs_and_writes_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "sCMOS 0.5/µm² 3000 photons"
    monkeypatch.setitem(CONDITIONS, name, replace(CONDITIONS[name], size=48))
    out, figure = tmp_path / "localization.json", tmp_path / "localization.svg"
    results = run(out, figure, movies=2, frames=1, conditions=[name], recordings=tmp_path)
    written = json.loads(out.read_text())
    assert [r["method"] for r in written["results"]] == [r.method for r in results]
    assert {WAVELET, "wavelet, tuned", "trackpy, tuned"} <= {r.method for r in results}
    assert results[0].score.recall > 0.8
    assert written["speed"][WAVELET] > 0
    network = next(r.score for r in results if r.method == NETWORK)
    bar = next(b for b in written["bars"] if (b["promise"], b["condition"]) == ("Jaccard ≥ 0.98", name))
    assert (bar["value"], bar["met"]) == (network.jaccard, network.jaccard >= 0.98)
    assert {b["met"] for b in written["bars"] if b["value"] is None} == {None}
    assert {NETWORK, NETWORK_SINGLE} == set(written["not_above_every_peer"])
    assert "</svg>" in figure.read_text()
    said = capsys.readouterr().out
    assert f"{NETWORK_SINGLE}: above every peer" in said
    assert "Picasso is left out" in said and "SMAPpy is left out" in said
    assert "above every peer" in said


def test_a_model_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.onnx"):
        run(model=tmp_path / "nothing.onnx", conditions=["isolated"], movies=1, frames=1)

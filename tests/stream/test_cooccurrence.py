"""Co-occurrence of puncta and calcium: counts by hand, honest p-values, associations that are found."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import kstest

from stream.cooccurrence import null as cooccurrence_null
from stream.cooccurrence.association import BIN_EDGES_NM, CoOccurrence, cooccurrence
from stream.cooccurrence.null import PARTS, TILE_NM, Field, Shifts
from stream.cooccurrence.run import COOCCURRENCE_JSON, cooccurrence_of_run
from stream.record.run import FORMAT, RUN_JSON
from stream.results import StreamError

SIDE_NM = 12_000.0
N_FRAMES = 80
FIELD = Field((0.0, SIDE_NM), (0.0, SIDE_NM), np.arange(N_FRAMES))

Points = NDArray[np.float64]
Random = np.random.Generator


def puncta_table(*rows: tuple[int, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["frame", "x_nm", "y_nm"]).astype({"frame": "int64"})


def transient_table(*rows: tuple[int, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["peak_frame", "x_nm", "y_nm"]).astype({"peak_frame": "int64"})


def judge(puncta: pd.DataFrame, transients: pd.DataFrame, **options: Any) -> CoOccurrence:
    return cooccurrence(puncta, transients, FIELD, **({"n_shifts": 19} | options))


def test_counts_and_distances_by_hand() -> None:
    puncta = puncta_table((3, 1000.0, 1000.0), (3, 5000.0, 5000.0), (4, 1000.0, 1000.0))
    transients = transient_table(
        (3, 1150.0, 1200.0),  # 250 nm: just at it
        (4, 1000.0, 1251.0),  # 251 nm: just not
        (4, 5000.0, 5000.0),  # a punctum was there a frame ago
        (9, 1000.0, 1000.0),  # a frame without any
        (3, 5000.0, 5050.0),
    )
    result = judge(puncta, transients)
    assert (result.n_transients, result.n_at_puncta) == (5, 2)
    counts = np.zeros(len(BIN_EDGES_NM), int)
    counts[0], counts[2], counts[-1] = 1, 2, 2
    assert result.distance_counts.tolist() == counts.tolist()
    assert judge(puncta, transients, radius_nm=251).n_at_puncta == 3


def test_every_shift_keeps_tile_part_and_what_lies_together() -> None:
    random = np.random.default_rng(5571)
    xy = random.uniform(0, SIDE_NM, (200, 2))
    frame = random.integers(0, N_FRAMES, 200)
    shifts = Shifts(xy, frame, FIELD)
    tile = (xy // TILE_NM) @ [1, 10]
    for _ in range(20):
        moved, same = shifts.in_space(random)
        np.testing.assert_array_equal(same, frame)
        np.testing.assert_array_equal((moved // TILE_NM) @ [1, 10], tile)
        still, shifted = shifts.in_time(random)
        np.testing.assert_array_equal(still, xy)
        part = N_FRAMES // PARTS
        np.testing.assert_array_equal(shifted // part, frame // part)
        for one in np.unique(tile):  # a tile's places and times all move by the same, around its borders
            here = tile == one
            step = np.unique(((moved - xy)[here] % TILE_NM).round(6) % TILE_NM, axis=0)
            assert len(step) == 1
            assert len(np.unique((shifted - frame)[here] % part)) == 1


def test_shifts_reach_all_of_a_tile_and_of_a_part() -> None:
    random = np.random.default_rng(5572)
    shifts = Shifts(np.array([[100.0, 11_900.0]]), np.array([79]), FIELD)
    moved = np.concatenate([shifts.in_space(random)[0] for _ in range(2000)])
    frames = np.concatenate([shifts.in_time(random)[1] for _ in range(2000)])
    assert kstest(moved[:, 0] / TILE_NM, "uniform").pvalue > 0.01
    assert kstest((moved[:, 1] - 9000) / TILE_NM, "uniform").pvalue > 0.01
    assert np.unique(frames).tolist() == list(range(60, 80))


@pytest.mark.parametrize("recorded", [[5], [3, 4, 9], list(range(0, 100, 7))])
def test_nothing_is_shifted_into_a_missing_frame(recorded: list[int]) -> None:
    field = Field((0.0, 1000.0), (0.0, 5000.0), np.array(recorded))
    shifts = Shifts(np.full((len(recorded), 2), 500.0), np.array(recorded), field)
    random = np.random.default_rng(5573)
    for _ in range(20):
        assert np.isin(shifts.in_time(random)[1], recorded).all()
    with pytest.raises(ValueError, match="peaks in frame 2, which is not among"):
        cooccurrence(puncta_table(), transient_table((2, 0.0, 0.0)), field)


def uniform(random: Random, n: int) -> Points:
    return random.uniform(0, SIDE_NM, (n, 2))


def gradient(random: Random, n: int) -> Points:
    """None at the left, most at the right."""
    return np.column_stack([SIDE_NM * np.sqrt(random.random(n)), random.uniform(0, SIDE_NM, n)])


def cell(random: Random, n: int) -> Points:
    """A round cell that fades towards its outline."""
    xy = random.normal(SIDE_NM / 2, 4000, (4 * n, 2))
    return xy[((xy > 0) & (xy < SIDE_NM)).all(axis=1)][:n]


def make_puncta(random: Random, places: Points, mean_life: float = 30) -> pd.DataFrame:
    """Puncta that come, diffuse (40 % fast) and go."""
    n = len(places)
    begin = random.integers(-int(mean_life), N_FRAMES, n)
    end = begin + random.exponential(mean_life, n)
    step = np.where(random.random(n) < 0.4, 54.0, 17.0)  # .029 and .003 µm²/s at 50 ms
    path = places[:, None] + (random.normal(size=(n, N_FRAMES, 2)) * step[:, None, None]).cumsum(axis=1)
    path = SIDE_NM - np.abs(np.abs(path) % (2 * SIDE_NM) - SIDE_NM)  # reflected at the borders
    frames = np.arange(N_FRAMES)
    which, frame = np.nonzero((begin[:, None] <= frames) & (frames < end[:, None]))
    xy = path[which, frame]
    return pd.DataFrame({"frame": frame, "x_nm": xy[:, 0], "y_nm": xy[:, 1]})


def make_transients(random: Random, sites: Points, a_site: float, burst: bool = False) -> pd.DataFrame:
    """Sites with several transients each, some 100 nm around; in bursts, or at any time."""
    site = np.repeat(np.arange(len(sites)), random.geometric(1 / a_site, len(sites)))
    xy = sites[site] + random.normal(0, 100, (len(site), 2))
    frame = random.integers(0, N_FRAMES, len(site))
    if burst:
        frame = frame[site] + random.exponential(5, len(site)).astype(np.int64)
    keep = ((xy > 0) & (xy < SIDE_NM)).all(axis=1) & (frame < N_FRAMES)
    return pd.DataFrame({"peak_frame": frame, "x_nm": xy[:, 0], "y_nm": xy[:, 1]})[keep]


INDEPENDENT = {
    "uniform": (uniform, uniform, 1, False),
    "bursts of sites": (uniform, uniform, 4, True),
    "gradient of puncta": (gradient, uniform, 4, False),
    "gradient of both": (gradient, gradient, 4, False),
    "both in a cell": (cell, cell, 4, False),
}


def p_values(name: str, n: int, seed: int) -> dict[str, list[tuple[float, float]]]:
    """Of runs in which calcium knows nothing of puncta: p as it is, and with ties broken at random.

    Counts tie, which makes p too large; between its bounds any value is as good.
    """
    puncta_at, calcium_at, a_site, burst = INDEPENDENT[name]
    drawn: dict[str, list[tuple[float, float]]] = {"space": [], "time": []}
    for run in range(n):
        random = np.random.default_rng([seed, run])
        puncta = make_puncta(random, puncta_at(random, 300))
        transients = make_transients(random, calcium_at(random, 100 // a_site), a_site, burst)
        result = judge(puncta, transients, seed=run)
        for null, test in (("space", result.space), ("time", result.time)):
            low = 1 - test.p_less
            drawn[null].append((test.p_more, low + random.random() * (test.p_more - low)))
    return drawn


@pytest.mark.parametrize("name", INDEPENDENT)
def test_p_values_are_uniform_where_calcium_knows_nothing_of_puncta(name: str) -> None:
    for drawn in p_values(name, 100, 5574).values():
        p, without_ties = np.array(drawn).T
        assert kstest(without_ties, "uniform").pvalue > 0.005
        assert (p <= 0.05).sum() <= 12  # of 100, where 5 are expected


def test_without_tiles_a_gradient_would_look_like_an_association(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooccurrence_null, "TILE_NM", SIDE_NM)
    p, without_ties = np.array(p_values("gradient of both", 100, 5575)["space"]).T
    assert kstest(without_ties, "uniform").pvalue < 0.005
    assert p.mean() < 0.45


def injected(random: Random, share: float, a_site: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Puncta, and transients a share of which happens at a punctum (within 50 nm)."""
    puncta = make_puncta(random, uniform(random, 300))
    transients = make_transients(random, uniform(random, 120 // a_site), a_site)
    frame, xy = transients["peak_frame"].to_numpy(), transients[["x_nm", "y_nm"]].to_numpy(copy=True)
    puncta_frame, puncta_xy = puncta["frame"].to_numpy(), puncta[["x_nm", "y_nm"]].to_numpy()
    for row in np.flatnonzero(random.random(len(frame)) < share):
        at = random.choice(puncta_xy[puncta_frame == frame[row]]) + random.normal(0, 50, 2)
        xy[row] = np.clip(at, 0, SIDE_NM)
    return puncta, pd.DataFrame({"peak_frame": frame, "x_nm": xy[:, 0], "y_nm": xy[:, 1]})


def test_an_association_is_found_with_its_size_in_space_and_time() -> None:
    random = np.random.default_rng(5576)
    puncta, transients = injected(random, 0.3)
    result = judge(puncta, transients, n_shifts=199)
    # By chance a transient has a punctum within the radius with the probability of any place.
    by_chance = 1 - math.exp(-len(puncta) / N_FRAMES * math.pi * 250**2 / SIDE_NM**2)
    expected = (0.3 + 0.7 * by_chance) / by_chance
    assert result.space.p_more == result.time.p_more == 1 / 200
    assert result.space.p_two_sided == 2 / 200
    assert result.space.rate_ratio == pytest.approx(expected, rel=0.25)
    assert result.space.rate_ratio_low < expected < result.space.rate_ratio_high
    assert result.space.rate_ratio_low > 1.5
    # Resting puncta are there at other times, too, so less of it is in the time.
    assert 1.2 < result.time.rate_ratio < result.space.rate_ratio
    # Near distances are above the envelope, and every transient is in some bin.
    assert (result.distance_counts[:1] > result.space.distance_high[:1]).all()
    for counts in (result.distance_counts, result.space.distance_mean, result.time.distance_mean):
        assert counts.sum() == pytest.approx(len(transients))


def test_avoidance_has_the_other_sign() -> None:
    random = np.random.default_rng(5577)
    puncta = make_puncta(random, uniform(random, 900))
    transients = make_transients(random, uniform(random, 400), 1)
    of_frame = {frame: here[["x_nm", "y_nm"]].to_numpy() for frame, here in puncta.groupby("frame")}
    keep = [
        np.hypot(*(of_frame[frame] - [x, y]).T).min() > 250
        for frame, x, y in transients.itertuples(index=False)
    ]
    result = judge(puncta, transients[keep], n_shifts=99)
    assert result.n_at_puncta == 0 and result.space.rate_ratio == result.space.rate_ratio_low == 0
    assert result.space.rate_ratio_high < 0.5
    assert result.space.p_less == 0.01 and result.space.p_more == 1
    assert result.space.p_two_sided == 0.02


def test_resting_puncta_beside_busy_sites_are_in_space_but_not_in_time() -> None:
    random = np.random.default_rng(5578)
    places = uniform(random, 30)
    frame = np.repeat(np.arange(N_FRAMES), 30)
    resting = pd.DataFrame(np.tile(places, (N_FRAMES, 1)), columns=["x_nm", "y_nm"]).assign(frame=frame)
    transients = make_transients(random, places, 4)
    result = judge(resting, transients, n_shifts=99)
    assert result.space.p_more == 0.01 and result.space.rate_ratio > 10
    assert result.time.rate_ratio == 1
    assert np.isnan(result.time.rate_ratio_high)
    assert "cannot be told, as every shift gives the same" in result.summary()[2]
    assert result.time.p_more == result.time.p_less == result.time.p_two_sided == 1


def test_the_interval_of_the_ratio_holds_it() -> None:
    """Over many runs, with sites; the ratio that is true is that of the sums."""
    results = [judge(*injected(np.random.default_rng([5579, i]), 0.1, 4), n_shifts=39) for i in range(50)]
    truth = sum(r.n_at_puncta for r in results) / sum(r.space.expected for r in results)
    held = [r.space.rate_ratio_low <= truth <= r.space.rate_ratio_high for r in results]
    assert truth > 1.5
    assert np.mean(held) >= 0.85


def test_the_seed_decides() -> None:
    random = np.random.default_rng(5580)
    puncta, transients = injected(random, 0.2)
    assert judge(puncta, transients).as_dict() == judge(puncta, transients).as_dict()
    assert judge(puncta, transients, seed=1).as_dict() != judge(puncta, transients).as_dict()


@pytest.mark.parametrize(
    ("puncta", "transients"),
    [
        (puncta_table(), transient_table()),
        (puncta_table(), transient_table((1, 5.0, 5.0))),
        (puncta_table((1, 5.0, 5.0)), transient_table()),
    ],
)
def test_nothing_to_compare(puncta: pd.DataFrame, transients: pd.DataFrame) -> None:
    result = judge(puncta, transients)
    assert result.n_at_puncta == 0
    assert math.isnan(result.space.rate_ratio)
    assert result.space.p_more == result.time.p_two_sided == 1
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["space"]["rate_ratio"] is None
    assert len(result.summary()) == 3


@pytest.mark.parametrize("wrong", [{"radius_nm": 0}, {"radius_nm": 2001.0}, {"n_shifts": 0}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        judge(puncta_table(), transient_table(), **wrong)


place = st.floats(-200, SIDE_NM + 200)
rows = st.lists(st.tuples(st.integers(0, N_FRAMES - 1), place, place), max_size=12)


@settings(max_examples=30, deadline=None)
@given(rows, rows)
def test_every_figure_stays_within_its_bounds(
    puncta: list[tuple[int, float, float]], transients: list[tuple[int, float, float]]
) -> None:
    result = judge(puncta_table(*puncta), transient_table(*transients), n_shifts=9)
    assert 0 <= result.n_at_puncta <= result.n_transients == result.distance_counts.sum()
    for test in (result.space, result.time):
        assert 0.1 <= test.p_more <= 1 and 0.1 <= test.p_less <= 1 and 0.1 <= test.p_two_sided <= 1
        assert (test.distance_low <= test.distance_high).all()
        if test.expected and not np.isnan(test.rate_ratio_low):
            assert test.rate_ratio_low <= test.rate_ratio <= test.rate_ratio_high


def write_run(folder: Path, puncta: pd.DataFrame, transients: pd.DataFrame) -> None:
    """The parts of a run folder that are read."""
    info = {
        "format": FORMAT,
        "state": "finished",
        "results": "tables",
        "source": {"shape": [2, 100, 120]},
        "pixel_size_nm": 100.0,
        "configuration": {"calcium": {"enabled": True}},
    }
    (folder / RUN_JSON).write_text(json.dumps(info), encoding="utf-8")
    puncta.to_parquet(folder / "trajectories.parquet")
    transients.to_parquet(folder / "calcium_transients.parquet")
    pd.DataFrame({"frame": np.arange(N_FRAMES)}).to_parquet(folder / "frames.parquet")


def test_a_run_gets_its_file_and_waves_are_left_out(tmp_path: Path) -> None:
    random = np.random.default_rng(5581)
    puncta, transients = injected(random, 0.5)
    transients = transients[transients["y_nm"] < 9950]
    waves = transients[:20].assign(is_wave=True)
    write_run(tmp_path, puncta, pd.concat([transients.assign(is_wave=False), waves]))
    result = cooccurrence_of_run(tmp_path, n_shifts=49)
    field = Field((-50.0, 11_950.0), (-50.0, 9_950.0), np.arange(N_FRAMES))
    assert result.as_dict() == cooccurrence(puncta, transients, field, n_shifts=49).as_dict()
    stored = json.loads((tmp_path / COOCCURRENCE_JSON).read_text(encoding="utf-8"))
    assert stored == result.as_dict()
    assert stored["space"]["p_more"] == 1 / 50


def test_a_run_that_lacks_something_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match="is not a run folder"):
        cooccurrence_of_run(tmp_path)
    write_run(tmp_path, puncta_table(), transient_table((99, 1.0, 1.0)).assign(is_wave=False))
    with pytest.raises(StreamError, match="frame 99, which is not among the recorded"):
        cooccurrence_of_run(tmp_path)
    (tmp_path / "calcium_transients.parquet").unlink()
    with pytest.raises(StreamError, match="no calcium_transients: it was recorded without"):
        cooccurrence_of_run(tmp_path)

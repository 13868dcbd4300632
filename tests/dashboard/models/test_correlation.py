"""The live correlation of puncta and calcium: by hand, honest intervals, bounded."""

import math

import numpy as np
import pytest

from dashboard.models.correlation import (
    ENOUGH_TRANSIENTS,
    KEPT_FRAMES,
    MOST_AT_ONCE,
    MOST_TRANSIENTS,
    N_SHIFTS,
    LiveCorrelation,
)
from stream.cooccurrence.null import TILE_NM, Field, Shifts
from stream.results import CalciumTransient

SIDE = 128
PIXEL_NM = 108.0
N_FRAMES = 60


def transient(number, frame, x, y, is_wave=False):
    return CalciumTransient(
        number, frame - 1, frame, frame + 3, 0.0, 0.1, float(x), float(y), 1.0, 9.0, 4.0, is_wave, False
    )


def test_transients_are_held_against_the_puncta_of_their_peaks(make_result):
    live = LiveCorrelation(SIDE, SIDE, PIXEL_NM)
    live.add(make_result(3, track_ids=[1, 2], x=[20, 60], y=[20, 60], gap_ids=[3], gap_x=[90], gap_y=[90]))
    live.add(make_result(4, track_ids=[1, -1], x=[20, 70], y=[20, 70]))
    radius = 250 / PIXEL_NM
    ended = [
        transient(0, 3, 20 + radius * 0.99, 20),  # at it
        transient(1, 3, 20 + radius * 1.01, 20),  # not
        transient(2, 4, 60, 60),  # a punctum was there a frame ago
        transient(3, 3, 90, 91),  # at one in a gap
        transient(4, 4, 70, 70),  # what is there belongs to no track
        transient(5, 3, 20, 20, is_wave=True),
        transient(6, 2, 20, 20),  # its frame was not seen
    ]
    live.add(make_result(9, 0, transients=ended))
    seen = live.view()
    assert (seen.n, seen.n_at_puncta) == (5, 2)
    assert not seen.is_enough and seen.text == "too few to tell (n = 5)"
    assert live.view() is seen  # nothing new, nothing worked out
    live.clear()
    assert live.view().n == 0 and math.isnan(live.view().ratio)


def test_shifts_are_those_of_the_finished_runs_test(make_result):
    """A tile's transients move together, within the tile, everywhere in it, and other tiles otherwise."""
    live = LiveCorrelation(SIDE, SIDE, PIXEL_NM)
    tiles = round(SIDE * PIXEL_NM / TILE_NM)
    side = SIDE / tiles
    # Everything in the tile is a punctum's surroundings: every shift hits. Elsewhere there is none.
    at = np.arange(-0.5, side, 2.0)
    x, y = (g.ravel() for g in np.meshgrid(at, at))
    live.add(make_result(1, track_ids=np.arange(len(x)), x=x, y=y))
    live.add(make_result(2, 0, transients=[transient(0, 1, 5, 5), transient(1, 1, 3.5 * side, 3.5 * side)]))
    first, second = live._judged
    assert first.at_punctum and first.shifted.all()
    assert not second.at_punctum and not second.shifted.any()
    # The share of shifts that hit is the share of the tile that lies within 250 nm of a punctum.
    live.clear()
    live.add(make_result(1, track_ids=[0], x=[10], y=[10]))
    for k in range(40):
        live.add(
            make_result(2 + k, 0, transients=[transient(k, 1, (k % tiles + 0.5) * side, k // tiles * side)])
        )
    hit = np.array([j.shifted.mean() for j in live._judged])
    share = math.pi * (250 / PIXEL_NM) ** 2 / side**2
    assert hit[0] == pytest.approx(share, abs=4 * math.sqrt(share / N_SHIFTS))
    assert (hit[1:tiles] == 0).all()
    # Shifts reach all of the tile alike: whatever corner the punctum is in, as many land there.
    near, far = 0.15 * side, 0.85 * side
    for corner in ((near, near), (near, far), (far, near), (far, far)):
        live.clear()
        live.add(make_result(1, track_ids=[0], x=corner[:1], y=corner[1:]))
        live.add(make_result(2, 0, transients=[transient(0, 1, 12, 12)]))
        assert live._judged[0].shifted.mean() == pytest.approx(share, abs=0.02)
    # The same tile is shifted in the same way each time, another place in it lands as far apart as before.
    xy = np.array([[1000.0, 2000.0], [1100.0, 2100.0]])
    low, high = -PIXEL_NM / 2, (SIDE - 0.5) * PIXEL_NM
    offline = Shifts(xy, np.zeros(2, np.int64), Field((low, high), (low, high), np.zeros(1, np.int64)))
    moved, _ = offline.in_space(np.random.default_rng(0))
    assert offline._side[0] / PIXEL_NM == pytest.approx(live._side[0])
    assert np.ptp((moved - xy) % offline._side, axis=0) == pytest.approx([0, 0])


def simulated(make_result, seed, share, a_site=1):
    """A run of puncta and transients that know nothing of each other, but for a share put on puncta."""
    random = np.random.default_rng(seed)
    live = LiveCorrelation(SIDE, SIDE, PIXEL_NM, seed=seed)
    start = random.uniform(0, SIDE, (120, 2))
    rests = random.random(120) < 0.6
    step = np.where(rests[:, None], 0.05, 0.6)
    sites = random.uniform(0, SIDE, (150 // a_site, 2))
    xy, before, number = start, start, 0
    for seq in range(N_FRAMES):
        xy = (xy + random.normal(0, 1, xy.shape) * step) % SIDE
        ended = []
        if seq:
            for _ in range(3):
                x, y = sites[random.integers(len(sites))]
                if random.random() < share:
                    x, y = before[random.integers(len(before))]
                ended.append(transient(number, seq - 1, x, y))
                number += 1
        before = xy
        live.add(make_result(seq, track_ids=np.arange(120), x=xy[:, 0], y=xy[:, 1], transients=ended))
    return live.view()


@pytest.mark.parametrize("a_site", [1, 5])
def test_the_interval_of_independent_data_holds_one(make_result, a_site):
    runs = [simulated(make_result, [41, a_site, k], 0.0, a_site) for k in range(60)]
    assert all(run.is_enough for run in runs)
    held = np.mean([run.low <= 1 <= run.high for run in runs])
    assert held >= 0.88  # 95 % of 60 runs, less two and a half standard deviations
    pooled = sum(run.n_at_puncta for run in runs) / sum(run.expected for run in runs)
    assert pooled == pytest.approx(1, abs=0.1)


def test_an_association_is_found(make_result):
    runs = [simulated(make_result, [42, k], 0.3) for k in range(10)]
    assert all(run.low > 1 for run in runs)
    by_chance = 1 - math.exp(-120 * math.pi * (250 / PIXEL_NM) ** 2 / SIDE**2)
    expected = (0.3 + 0.7 * by_chance) / by_chance
    assert np.median([run.ratio for run in runs]) == pytest.approx(expected, rel=0.2)
    assert "× chance" in runs[0].text and f"n = {runs[0].n}" in runs[0].text


def test_it_stays_small_and_forgets(make_result):
    live = LiveCorrelation(SIDE, SIDE, PIXEL_NM, window_s=10.0)
    number = 0
    for seq in range(2000):
        ended = [transient(number + k, seq - 1, 30 + k, 30) for k in range(2)] if seq else []
        number += 2
        live.add(make_result(seq, 50, transients=ended, time_s=seq * 0.01))
    assert live.view().n == MOST_TRANSIENTS and len(live._puncta) == KEPT_FRAMES
    assert live._n_puncta == 50 * KEPT_FRAMES
    many = [transient(number + k, 1999, 30, 30) for k in range(10 * MOST_AT_ONCE)]
    before = live.view()
    assert before.expected == np.mean(np.sum([j.shifted for j in live._judged], axis=0)) > 0
    live.add(make_result(2000, 50, transients=many, time_s=20.0))
    assert live.view() is not before
    live.add(make_result(2001, 50, time_s=1e6))  # an hour's silence
    assert live.view().n == 0
    few = [transient(k, 2001, 30, 30) for k in range(ENOUGH_TRANSIENTS // 2)]
    live.add(make_result(2002, 50, transients=few, time_s=1e6))
    assert live.view().n == ENOUGH_TRANSIENTS // 2 and not live.view().is_enough
    live.add(make_result(2003, 50, time_s=5.0))  # the clock was set back
    assert live.view().n == 0

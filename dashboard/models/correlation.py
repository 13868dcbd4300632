"""Whether calcium rises at puncta more often than by chance, while a run goes on.

It asks the question of `stream.cooccurrence` in space, with its null (decision 14): transients that were
found anywhere without looking at puncta, held against the puncta of the frame of their peak; and the same
after every tile of 3 µm was shifted by a random vector of its own that wraps at its borders. Here each
transient is judged once, when it ends, and a tile's shifts are the same each time, so that a window of
minutes costs no more than adding up. It says nothing about the time, nor about what causes what; the finished
run is tested more thoroughly (`piezo1 cooccurrence`).
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.cooccurrence.association import RADIUS_NM, count_interval
from stream.cooccurrence.null import TILE_NM
from stream.results import NO_TRACK, CalciumTransient, FrameResult

Array = NDArray[np.float64]
Hits = NDArray[np.bool_]

WINDOW_S = 300.0  # transients of the last minutes are counted, …
MOST_TRANSIENTS = 300  # … the newest ones
N_SHIFTS = 199
MOST_AT_ONCE = 10  # transients judged in a frame, 0.05 ms each; more than that are a wave's pieces
# Puncta are kept for so many frames, as a transient is told after its end (the longest is 80 frames where
# nothing else is set), and for so many puncta in all, 16 MB.
KEPT_FRAMES, KEPT_PUNCTA = 512, 1_000_000
# Below, chance is not known: so many transients, and so many of them at puncta over all shifts (it is then
# known to a seventh).
ENOUGH_TRANSIENTS, ENOUGH_BY_CHANCE = 20, 50


@dataclass(frozen=True, slots=True)
class Correlation:
    """How often transients had a punctum within 250 nm, and how often by chance.

    Attributes
    ----------
    n, n_at_puncta
        Transients, and those at puncta in the frame of their peak.
    expected
        The latter after a shift, mean.
    ratio, low, high
        Observed over expected and its 95 % interval, see `stream.cooccurrence.association.NullTest`; NaN
        where nothing is expected.
    is_enough
        Whether anything can be told.
    """

    n: int
    n_at_puncta: int
    expected: float
    ratio: float
    low: float
    high: float
    is_enough: bool

    @property
    def text(self) -> str:
        """For people."""
        if not self.is_enough:
            return f"too few to tell (n = {self.n})"
        return f"{self.ratio:.2f} × chance ({self.low:.2f} to {self.high:.2f}), n = {self.n}"


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    time_s: float
    at_punctum: bool
    shifted: Hits  # whether it was at a punctum after each shift, (N_SHIFTS,)


class LiveCorrelation:
    """Counts transients at puncta, and after shifts.

    Puncta are those of all tracks, bridged gaps included; waves are left out.

    Parameters
    ----------
    height, width
        Of the image, pixels.
    pixel_size_nm
        In the sample.
    window_s
        On the camera's clock.
    seed
        Of the shifts.
    """

    def __init__(
        self, height: int, width: int, pixel_size_nm: float, window_s: float = WINDOW_S, seed: int = 0
    ) -> None:
        self._nm, self._window_s, self._seed = pixel_size_nm, window_s, seed
        size = np.array([width, height], np.float64)
        self._tiles = np.maximum(np.round(size * pixel_size_nm / TILE_NM), 1).astype(np.int64)
        self._side = size / self._tiles  # pixels
        self._radius = RADIUS_NM / pixel_size_nm
        self.clear()

    def clear(self) -> None:
        """Forget everything: another run."""
        self._puncta: dict[int, Array] = {}  # by frame, oldest first
        self._n_puncta = 0
        self._judged: deque[_Judged] = deque()
        self._by_chance: NDArray[np.int64] = np.zeros(N_SHIFTS, np.int64)  # at puncta after each shift
        self._known: Correlation | None = None

    def add(self, result: FrameResult) -> None:
        """Take in a frame's puncta, and the transients that ended."""
        self._remember(result)
        while self._judged and not 0 <= result.time_s - self._judged[0].time_s <= self._window_s:
            self._drop_oldest()
        new = [t for t in result.calcium.transients if not t.is_wave and t.peak_frame in self._puncta]
        for transient in new[:MOST_AT_ONCE]:
            self._judged.append(self._judge(transient, result.time_s))
            self._by_chance += self._judged[-1].shifted
            self._known = None
            if len(self._judged) > MOST_TRANSIENTS:
                self._drop_oldest()

    def view(self) -> Correlation:
        """What is known now; worked out when something has changed."""
        if self._known is None:
            self._known = self._count()
        return self._known

    def _drop_oldest(self) -> None:
        self._by_chance -= self._judged.popleft().shifted
        self._known = None

    def _remember(self, result: FrameResult) -> None:
        here, tracks = result.localizations, result.tracks
        linked = tracks.track_id != NO_TRACK
        xy = np.empty((np.count_nonzero(linked) + len(tracks.gap_track_id), 2))
        xy[:, 0] = np.concatenate([here.x_px[linked], tracks.gap_x_px])
        xy[:, 1] = np.concatenate([here.y_px[linked], tracks.gap_y_px])
        self._n_puncta += len(xy) - len(self._puncta.pop(result.seq, ()))
        self._puncta[result.seq] = xy
        while len(self._puncta) > KEPT_FRAMES or (self._n_puncta > KEPT_PUNCTA and len(self._puncta) > 1):
            self._n_puncta -= len(self._puncta.pop(next(iter(self._puncta))))

    def _judge(self, transient: CalciumTransient, now_s: float) -> _Judged:
        """Hold a transient against the puncta of its peak, where it was and after each shift of its tile."""
        place = np.array([transient.x_px, transient.y_px]) + 0.5  # from the outer corner of the first pixel
        tile = np.clip(place // self._side, 0, self._tiles - 1)
        corner = tile * self._side
        number = int(tile[0] * self._tiles[1] + tile[1])
        shift = np.random.default_rng([self._seed, number]).random((N_SHIFTS, 2)) * self._side
        places = np.concatenate([place[None], corner + (place - corner + shift) % self._side])
        puncta = self._puncta[transient.peak_frame] + 0.5
        near = np.abs(puncta - (corner + self._side / 2)) <= self._side / 2 + self._radius
        # One that is drawn beyond the border of the image may be farther out than its tile.
        near |= np.abs(puncta - place) <= self._radius
        puncta = puncta[near.all(axis=1)]
        apart = places[:, None] - puncta
        hits = ((apart * apart).sum(axis=2) <= self._radius**2).any(axis=1)
        return _Judged(now_s, bool(hits[0]), hits[1:])

    def _count(self) -> Correlation:
        n, observed = len(self._judged), sum(j.at_punctum for j in self._judged)
        by_chance = self._by_chance
        expected = float(by_chance.mean())
        if not expected:
            return Correlation(n, observed, 0.0, math.nan, math.nan, math.nan, False)
        low, high = count_interval(observed, by_chance)
        is_enough = (
            n >= ENOUGH_TRANSIENTS and int(by_chance.sum()) >= ENOUGH_BY_CHANCE and math.isfinite(high)
        )
        return Correlation(
            n, observed, expected, observed / expected, low / expected, high / expected, is_enough
        )

"""Numbers that sum up a run at a glance."""

import math
from collections import deque

import numpy as np

from dashboard.models.correlation import Correlation
from dashboard.models.events import EventBook
from dashboard.models.panels import Counter
from dashboard.models.steps import MOBILITY, UNKNOWN
from dashboard.models.tracks import TrackTable
from stream.motion.mobility import MOBILE_ABOVE_UM2_S
from stream.results import FrameResult

SECOND_S = 1.0
MOST_FRAMES = 1_000  # of that second
NOT_KNOWN = "–"
SEEN_HERE = "since this window watches the run; where that was not its beginning, since which time."


class Counters:
    """Counts puncta and tracks, and puts all counters into words."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything: another run."""
        self._puncta: deque[tuple[float, int]] = deque(maxlen=MOST_FRAMES)
        self._n_tracks = 0
        self._since_s: float | None = None  # where results were missed before the first one

    def add(self, result: FrameResult) -> None:
        """Take in a result."""
        if not self._puncta and result.seq > result.missing_before:
            self._since_s = result.time_s
        self._n_tracks += len(result.tracks.confirmed)
        self._puncta.append((result.time_s, len(result.localizations)))
        while not 0 <= result.time_s - self._puncta[0][0] < SECOND_S and len(self._puncta) > 1:
            self._puncta.popleft()

    def view(
        self, living: TrackTable, events: EventBook, correlation: Correlation | None
    ) -> tuple[Counter, ...]:
        """What to draw; `correlation` is None where calcium is not looked for."""
        confirmed = living.confirmed
        n_living = int(np.count_nonzero(confirmed))
        kinds = living.mobility[confirmed]
        n_known = int(np.count_nonzero(kinds != UNKNOWN))
        n_mobile = int(np.count_nonzero(kinds == MOBILITY.index("mobile")))
        puncta = float(np.median([n for _, n in self._puncta])) if self._puncta else math.nan
        # Those that were confirmed before anybody looked are counted while they live.
        n_tracks = max(self._n_tracks, n_living)
        since = "" if self._since_s is None else f" since {self._since_s:.0f} s"
        counters = [
            Counter(
                "puncta per frame", _number(puncta), "Puncta found in a frame, median of the last second."
            ),
            Counter(
                "tracks now",
                str(n_living),
                "Confirmed tracks that live in the newest frame, those in a gap too.",
            ),
            Counter("tracks in all", f"{n_tracks:,}{since}", f"Tracks confirmed {SEEN_HERE}"),
            Counter(
                "mobile",
                f"{n_mobile / n_known:.0%} of {n_known}" if n_known else NOT_KNOWN,
                f"Share of mobile ones (D above {MOBILE_ABOVE_UM2_S:.3f} µm²/s) among the living tracks "
                "whose class is known. The run's tables correct for misjudged tracks; this does not.",
            ),
        ]
        if correlation is None:
            return tuple(counters)
        return (
            *counters,
            Counter(
                "events",
                f"{events.n_all:,} ({int(np.count_nonzero(events.under_way.confirmed)):,} on)",
                "Calcium events told at tracks in this run so far, and how many are on in the newest frame. "
                "Its tables also have those that were on, or just over, at its end, and leave out those of "
                "tracks that were none.",
            ),
            Counter(
                "events per minute",
                _number(events.per_minute),
                "Calcium events told in the last minute on the camera's clock; in the first minute, as many "
                "as there would be at the pace so far.",
            ),
            Counter(
                "waves",
                f"{events.n_waves:,}{since}",
                f"Calcium waves that passed {SEEN_HERE}",
            ),
            Counter(
                "calcium at puncta",
                correlation.text,
                f"{correlation.n_at_puncta} of the last {correlation.n} transients found anywhere (5 minutes "
                f"at most) had a punctum within 250 nm at their peak; {correlation.expected:.1f} would by "
                "chance, after random shifts within tiles of 3 µm. In brackets the 95 % interval of the "
                "ratio. Without an association it holds 1.",
            ),
        )


def _number(value: float) -> str:
    return NOT_KNOWN if math.isnan(value) else f"{value:,.0f}"

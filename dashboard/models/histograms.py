"""Live histograms of what is measured at puncta, tracks and events."""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from dashboard.models.panels import Array, HistogramView
from stream.results import FrameResult

Counts = NDArray[np.int64]

PUNCTA_S = 10.0  # puncta of the last so many seconds are counted, …
BLOCK_S = 1.0  # … which leave the window a second at a time, …
BLOCK_FRAMES = 1_000  # … or so many frames at a time, where the camera's clock stands still
MOST_EVENTS = 1_000  # the last ones are counted


class Bins:
    """Equidistant bins, in the logarithm or not; values outside are counted below and above.

    Parameters
    ----------
    low, high
        First and last edge.
    n
        Number of bins.
    is_log
        Whether they are equidistant in the logarithm.
    """

    def __init__(self, low: float, high: float, n: int, *, is_log: bool) -> None:
        self.is_log, self.n = is_log, n
        self._low = math.log10(low) if is_log else low
        self._scale = n / ((math.log10(high) if is_log else high) - self._low)
        places = self._low + np.arange(n + 1) / self._scale
        self.edges: Array = 10.0**places if is_log else places

    def count(self, values: NDArray[np.floating]) -> Counts:
        """Values below, in each bin, and above, (n + 2,); what is no number is left out."""
        values = values[~np.isnan(values)]
        if self.is_log:
            values = np.log10(np.maximum(values.astype(np.float64), 1e-300))
        place = np.clip((values - self._low) * self._scale, -1, self.n)
        counts: Counts = np.bincount(np.floor(place).astype(np.int64) + 1, minlength=self.n + 2)
        return counts

    def median(self, counts: Counts) -> float:
        """Median of counted values, interpolated within its bin: exact to a part of a bin's width.

        The border where it lies outside, NaN without values.
        """
        total = int(counts.sum())
        if not total:
            return math.nan
        below = np.cumsum(counts)
        at = int(np.searchsorted(below, total / 2))
        before = int(below[at - 1]) if at else 0
        share = (total / 2 - before) / int(counts[at])
        place = self._low + float(np.clip(at - 1 + share, 0, self.n)) / self._scale
        return 10.0**place if self.is_log else place


DIFFUSION = Bins(1e-5, 10.0, 48, is_log=True)  # µm²/s: tracks at rest to free molecules in a membrane
PHOTONS = Bins(10.0, 1e5, 48, is_log=True)
PRECISION = Bins(0.0, 100.0, 50, is_log=False)  # nm; puncta are matched within 250 nm
AMPLITUDE = Bins(0.0, 3.0, 60, is_log=False)  # ΔF/F0
DURATION = Bins(0.01, 100.0, 48, is_log=True)  # s; flickers last some frames at 10 to 500 frames/s


class Histograms:
    """Diffusion, photons and precision of puncta, amplitude and duration of events, as they are lately.

    Photons and precision are those of the puncta of the last `PUNCTA_S` seconds, amplitude and duration those
    of the last `MOST_EVENTS` events, diffusion that of the tracks that are given.

    Parameters
    ----------
    pixel_size_nm
        In the sample.
    """

    def __init__(self, pixel_size_nm: float) -> None:
        self._pixel_size_nm = pixel_size_nm
        self.clear()

    def clear(self) -> None:
        """Forget everything: another run."""
        self._blocks: deque[tuple[Counts, Counts]] = deque(maxlen=round(PUNCTA_S / BLOCK_S))
        self._began_s = math.nan
        self._frames = 0
        self._events: Array = np.full((2, MOST_EVENTS), np.nan)  # amplitudes and durations
        self._n_events = 0

    def add(self, result: FrameResult) -> None:
        """Take in the puncta and the events of a result."""
        here, now_s = result.localizations, result.time_s
        age_s = now_s - self._began_s
        if not self._blocks or not 0 <= age_s < BLOCK_S or self._frames >= BLOCK_FRAMES:
            if age_s >= PUNCTA_S or age_s < 0:  # a pause, or the clock was set: what was is old
                self._blocks.clear()
            self._blocks.append((np.zeros(PHOTONS.n + 2, np.int64), np.zeros(PRECISION.n + 2, np.int64)))
            self._began_s, self._frames = now_s, 0
        self._frames += 1
        photons, precision = self._blocks[-1]
        photons += PHOTONS.count(here.photons)
        precision += PRECISION.count((here.x_sd_px + here.y_sd_px) * (self._pixel_size_nm / 2))
        for event in result.calcium.events:
            at = self._n_events % MOST_EVENTS
            self._events[:, at] = event.amplitude_dff, event.end_s - event.onset_s
            self._n_events += 1

    def view(self, diffusion_um2_s: NDArray[np.floating]) -> tuple[HistogramView, ...]:
        """What to draw; `diffusion_um2_s` (n,) are tracks' coefficients, NaN where one is not known.

        Medians of diffusion and of events are exact, those of puncta are exact to a part of a bin's width.
        """
        photons = np.sum([b[0] for b in self._blocks] or [np.zeros(PHOTONS.n + 2, np.int64)], axis=0)
        precision = np.sum([b[1] for b in self._blocks] or [np.zeros(PRECISION.n + 2, np.int64)], axis=0)
        return (
            _of_values("diffusion coefficient", "µm²/s", DIFFUSION, np.asarray(diffusion_um2_s)),
            _view("photons", "photons", PHOTONS, photons, PHOTONS.median(photons)),
            _view("localization precision", "nm", PRECISION, precision, PRECISION.median(precision)),
            _of_values("event amplitude", "ΔF/F0", AMPLITUDE, self._events[0]),
            _of_values("event duration", "s", DURATION, self._events[1]),
        )


def _of_values(name: str, unit: str, bins: Bins, values: NDArray[np.floating]) -> HistogramView:
    values = values[~np.isnan(values)]
    return _view(name, unit, bins, bins.count(values), float(np.median(values)) if len(values) else math.nan)


def _view(name: str, unit: str, bins: Bins, counts: Counts, median: float) -> HistogramView:
    return HistogramView(name, unit, bins.edges, counts[1:-1], bins.is_log, int(counts.sum()), median)

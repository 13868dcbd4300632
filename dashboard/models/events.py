"""Calcium events as they end, and how many there were."""

import math
from collections import deque

from dashboard.models.panels import EventView
from stream.results import NO_EVENTS, CalciumEvent, EventsUnderWay, FrameResult

MOST = 5_000  # events kept
MINUTE_S = 60.0
SHORTEST_S = 5.0  # a rate of less time than this says nothing yet
MOST_TIMES = 100_000  # of the last minute: a thousand events a second


class EventBook:
    """Keeps the newest events; the oldest make room.

    Parameters
    ----------
    most
        Events kept.

    Attributes
    ----------
    n_all
        Events of the run so far. They are numbered from 0, so those are counted too that ended before anybody
        looked.
    n_transients, n_waves
        Rises anywhere in the field since somebody looks, waves and all others.
    under_way
        Events that are on in the newest frame.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self.clear()

    def clear(self) -> None:
        """Forget everything: another run."""
        self._events: dict[int, CalciumEvent] = {}  # by id, oldest first
        self._by_track: dict[int, deque[int]] = {}
        self._times: deque[float] = deque(maxlen=MOST_TIMES)  # of the frames that told them
        self._all: tuple[CalciumEvent, ...] | None = ()
        self._frames: tuple[int, ...] | None = ()
        self._began_s = self._now_s = math.nan
        self.n_all = self.n_transients = self.n_waves = 0
        self.under_way: EventsUnderWay = NO_EVENTS

    def add(self, result: FrameResult) -> None:
        """Take in a result; an event that is known already is not counted again."""
        now_s, calcium = result.time_s, result.calcium
        if math.isfinite(now_s):
            if not now_s >= self._now_s:  # the first frame, or the camera's clock was set back
                self._began_s = now_s
                self._times.clear()
            self._now_s = now_s
        while self._times and self._times[0] < self._now_s - MINUTE_S:
            self._times.popleft()
        self.under_way = calcium.under_way
        n_waves = sum(t.is_wave for t in calcium.transients)
        self.n_waves += n_waves
        self.n_transients += len(calcium.transients) - n_waves
        for event in calcium.events:
            self._keep(event)

    def _keep(self, event: CalciumEvent) -> None:
        if event.event_id in self._events:
            return
        self._events[event.event_id] = event
        self._by_track.setdefault(event.track_id, deque()).append(event.event_id)
        self._times.append(self._now_s)
        self.n_all = max(self.n_all + 1, event.event_id + 1)
        self._all = self._frames = None
        if len(self._events) > self._most:
            oldest = self._events.pop(next(iter(self._events)))
            of_track = self._by_track[oldest.track_id]
            of_track.remove(oldest.event_id)  # the first: they came in this order
            if not of_track:
                del self._by_track[oldest.track_id]

    def event(self, event_id: int) -> CalciumEvent | None:
        """An event by its id; None where it is not known any more."""
        return self._events.get(event_id)

    def of_track(self, track_id: int) -> tuple[CalciumEvent, ...]:
        """The events of a track, oldest first."""
        return tuple(self._events[i] for i in self._by_track.get(track_id, ()))

    @property
    def all(self) -> tuple[CalciumEvent, ...]:
        """The events kept, oldest first; the same object until another one comes."""
        if self._all is None:
            self._all = tuple(self._events.values())
        return self._all

    @property
    def frames(self) -> tuple[int, ...]:
        """Where the events kept peaked; the same object until another one comes."""
        if self._frames is None:
            self._frames = tuple(event.peak_frame for event in self.all)
        return self._frames

    @property
    def per_minute(self) -> float:
        """Events told in the last minute on the camera's clock; of less time, extrapolated from it.

        NaN in the first seconds.
        """
        watched_s = min(self._now_s - self._began_s, MINUTE_S)
        if not watched_s >= SHORTEST_S:
            return math.nan
        return len(self._times) * MINUTE_S / watched_s

    def view(self, selected: int | None) -> EventView:
        """What to draw, with the event `selected` by the user."""
        return EventView(self.all, self.n_all, selected if selected in self._events else None)

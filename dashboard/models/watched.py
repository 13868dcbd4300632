"""The run that is watched, and what the user looks at in it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from acquire.frame import Frame
from dashboard.models.books import HISTORY_S, Books
from dashboard.models.compose import compose
from dashboard.models.display import Display
from dashboard.models.health import judge
from dashboard.models.panels import (
    Badge,
    Counter,
    EventView,
    HistogramView,
    RasterView,
    Reading,
    TraceView,
)
from dashboard.models.playback import Playback, Position
from dashboard.models.rates import Rates
from dashboard.models.scene import Scene
from dashboard.models.sound import sound
from dashboard.models.steady import Steady
from stream import wire
from stream.motion.statistics import MIN_STEPS
from stream.results import CalciumEvent, FrameResult
from stream.watch.news import Link, News

MOST_SELECTED = 20
MOST_EARLY = 500  # results that come before anything is known of their run
MOST_EARLY_PICTURES = 8
MOST_SENTENCES = 50
# The events that are drawn over traces: the newest, more than a window of traces can show.
MARKED_EVENTS = 1000


class Watched:
    """Takes news in, and says what the views draw.

    Attributes
    ----------
    link, report
        How things stand, and the run's newest report.
    books
        What is kept of the run, None before it is known.
    playback
        Which moment is shown.
    selected, selected_event
        Ids of tracks, the last one first, and of an event.
    overrun
        Results of this run that this window left out.
    sentences
        What could not be read, newest last.
    """

    def __init__(self) -> None:
        self.link = Link("searching", "looking for a run")
        self.report: wire.Report | None = None
        self.sentences: deque[str] = deque(maxlen=MOST_SENTENCES)
        self.rates = Rates()
        self._steady = Steady()
        self.playback = Playback()
        self._forget()

    def _forget(self) -> None:
        """Another run: nothing of the last one is left."""
        self.books: Books | None = None
        self.selected: tuple[int, ...] = ()
        self.selected_event: int | None = None
        self.overrun = 0
        self.n_out_of_order = 0
        self.rates.clear()
        self._steady.clear()
        self.playback.follow()
        self._early: deque[FrameResult] = deque(maxlen=MOST_EARLY)
        self._early_pictures: deque[Frame] = deque(maxlen=MOST_EARLY_PICTURES)

    @property
    def session(self) -> wire.Session | None:
        """Of the run, None before it is known."""
        return self.books.session if self.books else None

    def take(self, news: News, now_s: float) -> bool:
        """Take news in; `now_s` is of a clock that only goes forward.

        Returns
        -------
        bool
            Whether the run that is watched has just become known, so that views begin anew.
        """
        self.link = news.link
        self.sentences.extend(news.refused)
        report = news.report
        if report is not None:
            if self.report is not None and report.run_id != self.report.run_id:
                self._forget()
            self.report = report
            self.rates.hear(report)
        self.overrun += news.overrun
        results = self._sound(news.results)
        self.rates.add(results, now_s, news.overrun)
        self._early.extend(results)
        self._early_pictures.extend(news.pictures)
        session = report.session if report is not None else None
        is_new = self.books is None and session is not None
        if is_new and session is not None:
            self.books = Books(session)
        if self.books is not None:
            self._keep(self.books)
        return is_new

    def _sound(self, results: Sequence[FrameResult]) -> list[FrameResult]:
        """Results as far as they can be."""
        kept = []
        for result in results:
            possible, problem = sound(result)
            if possible is not None:
                kept.append(possible)
            if problem:
                self._refuse(problem)
        return kept

    def _keep(self, books: Books) -> None:
        """Put what has come into the books."""
        history = books.history
        while self._early:
            result = self._early.popleft()
            if history.newest is not None and result.seq <= history.newest:
                self._refuse("a result came that is older than the one before it; it was left out")
                continue
            books.add(result)
        while self._early_pictures:
            picture = self._early_pictures.popleft()
            if picture.pixels.shape != books.session.shape:
                size = " × ".join(str(n) for n in picture.pixels.shape)
                self._refuse(f"a picture of another size ({size}) came; it was left out")
                continue
            try:
                history.add_picture(picture)
            except ValueError:
                self._refuse("a picture came that is older than the one before it; it was left out")

    def _refuse(self, sentence: str) -> None:
        self.n_out_of_order += 1
        if not self.sentences or self.sentences[-1] != sentence:
            self.sentences.append(sentence)

    def select(self, track_id: int, add: bool = False) -> None:
        """Select a track, beside those that are selected already or instead of them; again: not any more."""
        others = tuple(i for i in self.selected if i != track_id)
        if add:
            self.selected = others if track_id in self.selected else (track_id, *others)[:MOST_SELECTED]
        else:
            self.selected = (track_id,)
        if self.selected_event is not None and self.books is not None:
            event = self.books.events.event(self.selected_event)
            if event is None or event.track_id not in self.selected:
                self.selected_event = None

    def select_event(self, event_id: int) -> CalciumEvent | None:
        """Select an event and its track; None where the event is not kept any more."""
        event = self.books.events.event(event_id) if self.books else None
        if event is not None:
            self.selected_event = event_id
            self.select(event.track_id)
        return event

    def clear_selection(self) -> None:
        """Nothing is selected."""
        self.selected, self.selected_event = (), None

    def position(self, now_s: float) -> Position | None:
        """The moment that is shown, None before the first result."""
        if self.books is None:
            return None
        newest, oldest = self.books.history.newest, self.books.history.oldest
        if newest is None or oldest is None:
            return None
        return self.playback.position(newest, oldest, now_s, self.books.session.interval_s)

    @property
    def newest_s(self) -> float | None:
        """Time of the newest frame on the camera's clock, None before the first."""
        history = self.books.history if self.books is not None else None
        newest = history.result(history.newest or 0) if history is not None else None
        return newest.time_s if newest is not None else None

    def scene(self, position: Position, display: Display) -> Scene | None:
        """What the images draw."""
        if self.books is None:
            return None
        return compose(self.books.history, self.books.tracks, position.seq, display, self.selected)

    def traces(self, position: Position, display: Display) -> TraceView | None:
        """What the trace panel draws; None where calcium is not looked for."""
        books = self.books
        if books is None or not books.session.has_calcium:
            return None
        health = self.report.health if self.report else None
        on_z = health.calcium.value if health is not None and health.calcium is not None else float("nan")
        shown = books.history.result(position.seq)
        is_past = position.state != "following" and shown is not None
        # What came before and after a past moment is of interest.
        last = books.history.seq_at(shown.time_s + display.trace_s / 2) if is_past and shown else None
        view = books.traces.view(
            self.selected,
            display.n_traces,
            display.trace_s,
            at_seq=last,
            on_z=on_z,
            events=books.events.all[-MARKED_EVENTS:],
            has_network=_has_network(books),
        )
        return replace(view, now_s=shown.time_s) if is_past and shown else view

    def events(self) -> EventView:
        """What the event list shows."""
        if self.books is None:
            return EventView((), 0, None)
        return self.books.events.view(self.selected_event)

    def raster(self, scene: Scene) -> RasterView | None:
        """What the raster draws: the newest events, with the moment that is shown."""
        if self.books is None or self.newest_s is None:
            return None
        return replace(self.books.raster.view(HISTORY_S, self.newest_s), now_s=scene.time_s)

    def histograms(self) -> tuple[HistogramView, ...]:
        """What the histograms draw."""
        if self.books is None:
            return ()
        tracks = self.books.tracks
        living = tracks.living()
        is_known = living.confirmed & (living.steps >= MIN_STEPS)  # before, D scatters a lot
        return self.books.histograms.view(living.diffusion_um2_s[is_known])

    def counters(self) -> tuple[Counter, ...]:
        """Numbers at a glance."""
        if self.books is None:
            return ()
        correlation = self.books.correlation
        return self.books.counters.view(
            self.books.tracks.living(),
            self.books.events,
            correlation.view() if correlation is not None else None,
        )

    def health(self, now_s: float) -> tuple[Badge, tuple[Reading, ...]]:
        """What the health bar shows."""
        badge, readings = judge(self.link, self.report, self.rates.view(now_s), self.overrun)
        if self.link.state == "watching" and self.report is not None and self.report.stage == "running":
            return badge, self._steady.steadied(readings, now_s)
        self._steady.clear()
        return badge, readings


def _has_network(books: Books) -> bool:
    """Whether a network gives calcium probabilities, which judge events too."""
    result = books.history.result(books.history.newest or 0)
    return result is not None and bool(np.isfinite(result.localizations.calcium_probability).any())

"""The dashboard at work: a timer takes the news and redraws the newest state."""

import math
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer

from dashboard.controllers.actions import bind_actions
from dashboard.controllers.client import Client
from dashboard.controllers.looking import Looking
from dashboard.controllers.memory import Memory
from dashboard.controllers.saving import Saving
from dashboard.controllers.wishing import Wishing
from dashboard.models.books import HISTORY_S
from dashboard.models.display import Contrast, Display
from dashboard.models.panels import TraceView
from dashboard.models.playback import Position
from dashboard.models.region import EVENTS_S, measure, rows
from dashboard.models.scene import Scene
from dashboard.models.watched import Watched
from dashboard.views.theme import use_theme
from dashboard.views.window import DashboardWindow
from stream.watch.news import News

REDRAW_MS = 33  # eyes see no more, and every redraw costs
SLOW_S = 0.3  # panels that are read rather than watched
HEALTH_S = 0.5
SHORTEST_SPAN_S = 2.0  # of the traces' time axis


class Dashboard(QObject):
    """Joins the client, the models and the window.

    Parameters
    ----------
    client
        Brings news and takes wishes; whoever made it closes it.
    window, memory
        What is painted, and what is kept until the next start.
    clock
        Seconds on a clock that only goes forward; tests bring their own.

    Attributes
    ----------
    window, watched, display
        What is painted, what is known, and how it is shown.
    scene
        What the images show, None before the first result.
    n_redraws
        How often the images were given a scene to draw.
    """

    def __init__(
        self,
        client: Client,
        window: DashboardWindow,
        memory: Memory,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(window)
        self._client, self.window, self._memory, self._clock = client, window, memory, clock
        self.watched = Watched()
        self.display = memory.display()
        self.scene: Scene | None = None
        self.n_redraws = 0
        self._position: Position | None = None
        self._is_stale = self._is_behind = False  # what moves, and the panels that are read
        self._slow_at_s = self._health_at_s = -math.inf
        self._region: NDArray[np.float64] | None = None
        self.looking = Looking(self.watched, window, self.redraw)
        self.wishing = Wishing(client, self.watched, window)
        self.saving = Saving(self.watched, window)
        window.controls.display_changed.connect(self.use_display)
        window.controls.snapshot_wanted.connect(self.snapshot)
        window.controls.export_wanted.connect(self.saving.table)
        window.controls.freeze_wanted.connect(self.looking.freeze_or_follow)
        window.controls.region_wanted.connect(self._show_region)
        window.contrast.contrast_changed.connect(self._use_contrast)
        window.images.region_changed.connect(self._region_moved)
        window.images.tell_more(self._more_of)
        window.images.hovered.connect(self.window.hint)
        window.closing.connect(self.stop)
        bind_actions(window, self)
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self.tick)
        self.use_display(self.display)

    def start(self) -> None:
        """Show the window where it was last, and begin to redraw."""
        is_restored = self._memory.restore(self.window)
        self.window.show()
        if not is_restored:
            self.window.arrange()
        self._timer.start()

    def stop(self) -> None:
        """Stop redrawing, and keep settings and layout for the next time."""
        self._timer.stop()
        self._memory.keep(self.window, self.display)

    def tick(self) -> None:
        """Take the news, and redraw what has changed; a mistake in one part holds no other part up."""
        now_s = self._clock()
        news = self._client.take()
        self._try(lambda: self._take(news, now_s))
        self._try(lambda: self._draw(now_s, has_news=bool(news.results or news.pictures)))
        if now_s >= self._health_at_s:
            self._health_at_s = now_s + HEALTH_S
            self._try(lambda: self._draw_health(now_s))

    def redraw(self) -> None:
        """Draw with the next tick, whether there are news or not."""
        self._is_stale = True
        self._slow_at_s = -math.inf

    def use_display(self, display: Display) -> None:
        """Show things another way."""
        if display.theme != self.display.theme or not self.n_redraws:
            use_theme(self.window, display.theme)
        self.display = display
        self.window.controls.set_display(display)
        self.window.images.apply(display)
        self.window.contrast.apply(display)
        self.redraw()

    def snapshot(self) -> None:
        """Save what is shown."""
        self.saving.snapshot(self.scene, self.display)

    def say_error(self, error: BaseException) -> None:
        """Tell of a mistake in the dashboard itself; the run takes no notice of it."""
        what = str(error) or type(error).__name__
        self.window.say(f"the dashboard made a mistake, the run goes on: {what}")

    def _try(self, do: Callable[[], object]) -> None:
        """Do a part of a tick; what goes wrong there is told as all mistakes are."""
        try:
            do()
        except Exception as error:
            sys.excepthook(type(error), error, error.__traceback__)

    def _take(self, news: News, now_s: float) -> None:
        if self.watched.take(news, now_s):
            self._begin()
        self.wishing.hear(news.answers)
        self._tell_refused()

    def _begin(self) -> None:
        """Another run is known: the views forget the last one."""
        session = self.watched.session
        assert session is not None
        self.scene, self._position, self._region = None, None, None
        self.window.setWindowTitle(f"{session.name} – PIEZO1 Calcium Tracker")
        self.window.images.begin(session)
        self.window.contrast.begin(session.shape[0])
        self.window.controls.set_region_rows([])
        self.wishing.forget()
        self.window.say("; ".join(session.notes))
        self.redraw()

    def _draw(self, now_s: float, *, has_news: bool) -> None:
        position = self.watched.position(now_s)
        if position is None:
            return
        moved = self._position is None or position.seq != self._position.seq
        self._position = position
        # What is held does not change, whatever comes.
        if moved or self._is_stale or (has_news and position.state == "following"):
            self._is_stale = False
            self._draw_moment(position)
            if position.state != "following":
                self._draw_playbar(position)
            has_news = True
        self._is_behind |= has_news
        if self._is_behind and now_s >= self._slow_at_s:
            self._is_behind, self._slow_at_s = False, now_s + SLOW_S
            self._draw_slowly(position)

    def _draw_moment(self, position: Position) -> None:
        """Images and traces."""
        self.scene = self.watched.scene(position, self.display)
        assert self.scene is not None  # there is a position in it
        self.window.images.show_scene(self.scene, self.watched.newest_s)
        self._draw_traces(position)
        self.n_redraws += 1

    def _draw_traces(self, position: Position) -> None:
        traces = self.watched.traces(position, self.display)
        if traces is not None:
            self.window.traces.present(traces, _span_s(traces, self.display.trace_s))

    def _draw_playbar(self, position: Position) -> None:
        books = self.watched.books
        assert books is not None
        history, is_following = books.history, position.state == "following"
        self.window.playbar.present(
            history.oldest or 0,
            history.newest or 0,
            position.seq,
            is_following,
            position.text,
            books.session.interval_s,
            books.events.frames,
            is_playing=position.state == "playing",
        )
        self.window.controls.set_position(position.text, is_following)

    def _draw_slowly(self, position: Position) -> None:
        """The panels that are read; and around a moment that is held, what has come since."""
        window, watched, scene = self.window, self.watched, self.scene
        assert scene is not None  # as of `_draw_moment`
        self._draw_playbar(position)
        if position.state == "frozen":
            window.images.show_scene(scene, watched.newest_s)
            self._draw_traces(position)
        window.events.present(watched.events())
        raster = watched.raster(scene)
        if raster is not None:
            window.raster.present(raster, self._raster_span_s())
        window.histograms.present(watched.histograms())
        window.counters.present(watched.counters())
        if scene.picture is not None and window.contrast.isVisible():
            window.contrast.show_picture(scene.picture, window.images.contrast)
        self._measure_region(scene)

    def _raster_span_s(self) -> float:
        """Length of the raster's time axis: all that is kept, so that the first seconds are seen well too."""
        books = self.watched.books
        assert books is not None  # there is a raster of them
        return min(HISTORY_S, max(books.history.span.seconds, SHORTEST_SPAN_S))

    def _draw_health(self, now_s: float) -> None:
        window, report = self.window, self.watched.report
        badge, readings = self.watched.health(now_s)
        window.health.present(badge, readings)
        health = report.health if report is not None else None
        window.controls.set_dial("detection", health.detection if health else None)
        window.controls.set_dial("calcium", health.calcium if health else None)

    def _tell_refused(self) -> None:
        """Write what could not be read, once."""
        sentences = self.watched.sentences
        if sentences:
            self.window.say("; ".join(dict.fromkeys(sentences)))
            sentences.clear()

    def _use_contrast(self, channel: int, contrast: Contrast) -> None:
        both = list(self.display.contrast)
        both[channel] = contrast
        self.use_display(self.display.model_copy(update={"contrast": tuple(both)}))

    def _show_region(self, on: bool) -> None:
        self.window.images.region = on

    def _region_moved(self, vertices: NDArray[np.float64] | None) -> None:
        self._region = vertices
        self.window.controls.set_region(vertices is not None)
        self.redraw()

    def _measure_region(self, scene: Scene) -> None:
        books, session = self.watched.books, self.watched.session
        if self._region is None or books is None or session is None:
            self.window.controls.set_region_rows([])
            return
        events = books.history.events(scene.seq, EVENTS_S)
        statistics = measure(self._region, scene, session, events, books.history.span.seconds)
        self.window.controls.set_region_rows(rows(statistics))

    def _more_of(self, track_id: int) -> str:
        """What is known of a track besides its punctum."""
        books = self.watched.books
        if books is None:
            return ""
        diffusion = float(books.tracks.diffusion(np.array([track_id]))[0])
        n_events = len(books.events.of_track(track_id))
        known = f"D {diffusion:.4f} µm²/s" if math.isfinite(diffusion) else "D not known yet"
        return f"{known}, {n_events} {'event' if n_events == 1 else 'events'}"


def _span_s(traces: TraceView, wanted_s: float) -> float:
    """Length of the time axis: no longer than what there is, so that the first seconds are seen well."""
    there_s = float(traces.time_s[-1] - traces.time_s[0]) if len(traces.time_s) else 0.0
    return min(wanted_s, max(there_s, SHORTEST_SPAN_S))

"""Drawing the newest state: images and traces at once, and what is read a few times a second."""

import math

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject

from dashboard.models.books import HISTORY_S
from dashboard.models.display import Display
from dashboard.models.panels import TraceView
from dashboard.models.playback import Position
from dashboard.models.region import EVENTS_S, measure, rows
from dashboard.models.scene import Scene
from dashboard.models.watched import Watched
from dashboard.views.window import DashboardWindow

SLOW_S = 0.3  # panels that are read rather than watched
SHORTEST_SPAN_S = 2.0  # of the traces' time axis


class Drawing(QObject):
    """Gives the views what they paint, as seldom as can be.

    Attributes
    ----------
    scene
        What the images show, None before the first result.
    n_redraws
        How often the images were given a scene to draw.
    """

    def __init__(self, watched: Watched, window: DashboardWindow) -> None:
        super().__init__(window)
        self._watched, self._window = watched, window
        self.n_redraws = 0
        self.forget()
        window.controls.region_wanted.connect(self._show_region)
        window.images.region_changed.connect(self._region_moved)

    def forget(self) -> None:
        """Another run: nothing of the last one is shown any more."""
        self.scene: Scene | None = None
        self._position: Position | None = None
        self._region: NDArray[np.float64] | None = None
        self._is_behind = False  # the panels that are read
        self._window.controls.set_region_rows([])
        self.redraw()

    @property
    def is_up_to_date(self) -> bool:
        """Whether everything that has come is drawn."""
        return not self._is_stale and not self._is_behind

    def redraw(self) -> None:
        """Draw with the next tick, whether there are news or not."""
        self._is_stale = True
        self._slow_at_s = -math.inf

    def draw(self, now_s: float, display: Display, *, has_news: bool) -> None:
        """Draw what has changed.

        Parameters
        ----------
        now_s
            On a clock that only goes forward.
        display
            How it is to be shown.
        has_news
            Whether results or pictures have come since the last time.
        """
        position = self._watched.position(now_s)
        if position is None:
            return
        moved = self._position is None or position.seq != self._position.seq
        self._position = position
        # What is held does not change, whatever comes.
        if moved or self._is_stale or (has_news and position.state == "following"):
            self._is_stale = False
            self._draw_moment(position, display)
            if position.state != "following":
                self._draw_playbar(position)
            has_news = True
        self._is_behind |= has_news
        if self._is_behind and now_s >= self._slow_at_s:
            self._is_behind, self._slow_at_s = False, now_s + SLOW_S
            self._draw_slowly(position, display)

    def _draw_moment(self, position: Position, display: Display) -> None:
        """Images and traces."""
        self.scene = self._watched.scene(position, display)
        assert self.scene is not None  # there is a position in it
        self._window.images.show_scene(self.scene, self._watched.newest_s)
        self._draw_traces(position, display)
        self.n_redraws += 1

    def _draw_traces(self, position: Position, display: Display) -> None:
        traces = self._watched.traces(position, display)
        if traces is not None:
            self._window.traces.present(traces, _span_s(traces, display.trace_s))

    def _draw_playbar(self, position: Position) -> None:
        books = self._watched.books
        assert books is not None
        history, is_following = books.history, position.state == "following"
        self._window.playbar.present(
            history.oldest or 0,
            history.newest or 0,
            position.seq,
            is_following,
            position.text,
            books.session.interval_s,
            books.events.frames,
            is_playing=position.state == "playing",
        )
        self._window.controls.set_position(position.text, is_following)

    def _draw_slowly(self, position: Position, display: Display) -> None:
        """The panels that are read; and around a moment that is held, what has come since."""
        window, watched, scene = self._window, self._watched, self.scene
        assert scene is not None  # as of `_draw_moment`
        self._draw_playbar(position)
        if position.state == "frozen":
            window.images.show_scene(scene, watched.newest_s)
            self._draw_traces(position, display)
        window.events.present(watched.events())
        raster = watched.raster(scene)
        if raster is not None:
            window.raster.present(raster, self._raster_span_s())
        window.histograms.present(watched.histograms())
        window.counters.present(watched.counters())
        if scene.picture is not None and window.contrast.isVisible():
            window.contrast.show_picture(scene.picture, window.images.contrast)
        window.controls.set_region_rows(self._region_rows(scene))

    def _raster_span_s(self) -> float:
        """Length of the raster's time axis: all that is kept, so that the first seconds are seen well too."""
        books = self._watched.books
        assert books is not None  # there is a raster of them
        return min(HISTORY_S, max(books.history.span.seconds, SHORTEST_SPAN_S))

    def draw_health(self, now_s: float) -> None:
        """The health bar, and the thresholds in force; without a run they cannot be turned."""
        window, report = self._window, self._watched.report
        badge, readings = self._watched.health(now_s)
        window.health.present(badge, readings)
        is_going = report is not None and self._watched.link.state != "over"
        health = report.health if report is not None and is_going else None
        window.controls.set_dial("detection", health.detection if health else None)
        window.controls.set_dial("calcium", health.calcium if health else None)

    def _show_region(self, on: bool) -> None:
        self._window.images.region = on

    def _region_moved(self, vertices: NDArray[np.float64] | None) -> None:
        self._region = vertices
        self._window.controls.set_region(vertices is not None)
        self.redraw()

    def _region_rows(self, scene: Scene) -> list[tuple[str, str]]:
        """Names and values of what lies in the region; none without one."""
        books = self._watched.books
        if self._region is None or books is None:
            return []
        events = books.history.events(scene.seq, EVENTS_S)
        return rows(measure(self._region, scene, books.session, events, books.history.span.seconds))


def _span_s(traces: TraceView, wanted_s: float) -> float:
    """Length of the time axis: no longer than what there is, so that the first seconds are seen well."""
    there_s = float(traces.time_s[-1] - traces.time_s[0]) if len(traces.time_s) else 0.0
    return min(wanted_s, max(there_s, SHORTEST_SPAN_S))

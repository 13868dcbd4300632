"""The dashboard at work: a timer takes the news and redraws the newest state."""

import math
import sys
import time
from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QObject, QTimer

from dashboard.controllers.actions import bind_actions
from dashboard.controllers.client import Client
from dashboard.controllers.drawing import Drawing
from dashboard.controllers.looking import Looking
from dashboard.controllers.memory import Memory
from dashboard.controllers.saving import Saving
from dashboard.controllers.wishing import Wishing
from dashboard.models.display import Contrast, Display
from dashboard.models.scene import Scene
from dashboard.models.watched import Watched
from dashboard.views.theme import use_theme
from dashboard.views.window import DashboardWindow
from stream.watch.news import News

REDRAW_MS = 33  # eyes see no more, and every redraw costs
HEALTH_S = 0.5


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
        self._health_at_s = -math.inf
        self._drawing = Drawing(self.watched, window)
        self.looking = Looking(self.watched, window, self.redraw)
        self.wishing = Wishing(client, self.watched, window)
        self.saving = Saving(self.watched, window)
        window.controls.display_changed.connect(self.use_display)
        window.controls.snapshot_wanted.connect(self.snapshot)
        window.controls.export_wanted.connect(self.saving.table)
        window.controls.freeze_wanted.connect(self.looking.freeze_or_follow)
        window.contrast.contrast_changed.connect(self._use_contrast)
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
            self.window.size_panels()
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
        has_news = bool(news.results or news.pictures)
        self._try(lambda: self._drawing.draw(now_s, self.display, has_news=has_news))
        if now_s >= self._health_at_s:
            self._health_at_s = now_s + HEALTH_S
            self._try(lambda: self._drawing.draw_health(now_s))

    @property
    def scene(self) -> Scene | None:
        """What the images show, None before the first result."""
        return self._drawing.scene

    @property
    def n_redraws(self) -> int:
        """How often the images were given a scene to draw."""
        return self._drawing.n_redraws

    @property
    def is_up_to_date(self) -> bool:
        """Whether everything that has come is drawn."""
        return self._drawing.is_up_to_date

    def redraw(self) -> None:
        """Draw with the next tick, whether there are news or not."""
        self._drawing.redraw()

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
        self._drawing.forget()
        self.window.setWindowTitle(f"{session.name} – PIEZO1 Calcium Tracker")
        self.window.images.begin(session)
        self.window.contrast.begin(session.shape[0])
        self.wishing.forget()
        self.window.say("; ".join(session.notes))
        self.redraw()

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

    def _more_of(self, track_id: int) -> str:
        """What is known of a track besides its punctum."""
        books = self.watched.books
        if books is None:
            return ""
        diffusion = float(books.tracks.diffusion(np.array([track_id]))[0])
        n_events = len(books.events.of_track(track_id))
        known = f"D {diffusion:.4f} µm²/s" if math.isfinite(diffusion) else "D not known yet"
        return f"{known}, {n_events} {'event' if n_events == 1 else 'events'}"

"""Where the user looks: which moment, which tracks, which part of the image."""

from collections.abc import Callable

from PySide6.QtCore import QObject

from dashboard.models.watched import Watched
from dashboard.views.window import DashboardWindow


class Looking(QObject):
    """Turns clicks and keys into moments and selections.

    Parameters
    ----------
    watched, window
        What is looked at, and where.
    redraw
        Called after every change.
    """

    def __init__(self, watched: Watched, window: DashboardWindow, redraw: Callable[[], None]) -> None:
        super().__init__(window)
        self._watched, self._window, self._redraw = watched, window, redraw
        window.images.track_clicked.connect(self.select)
        window.images.place_clicked.connect(lambda *_: self.clear())
        window.traces.track_clicked.connect(self.select)
        window.raster.track_clicked.connect(self.select)
        window.traces.time_clicked.connect(self.go_to_time)
        window.raster.time_clicked.connect(self.go_to_time)
        window.events.event_clicked.connect(self.show_event)
        window.events.event_double_clicked.connect(self.jump_to_event)
        window.playbar.position_wanted.connect(self.go_to)
        window.playbar.follow_wanted.connect(self.follow)
        window.playbar.play_wanted.connect(self.play)
        window.playbar.hold_wanted.connect(self.hold)

    def select(self, track_id: int, add: bool = False) -> None:
        """Select a track."""
        self._watched.select(track_id, add)
        self._redraw()

    def clear(self) -> None:
        """Select nothing."""
        self._watched.clear_selection()
        self._redraw()

    def show_event(self, event_id: int) -> None:
        """Select an event with its track, and centre the images there."""
        event = self._watched.select_event(event_id)
        if event is not None:
            self._window.images.centre_on(event.x_px, event.y_px)
            self._redraw()

    def jump_to_event(self, event_id: int) -> None:
        """Show an event at its peak, or say that it is too long ago."""
        self.show_event(event_id)
        books = self._watched.books
        event = books.events.event(event_id) if books is not None else None
        if books is None or event is None:
            return
        oldest = books.history.oldest
        if oldest is None or event.peak_frame < oldest:
            self._window.say(
                f"event {event_id} peaked at {event.peak_s:.2f} s, which is not kept here any more; the run "
                "has it"
            )
            return
        self.go_to(event.peak_frame)

    def go_to(self, seq: int) -> None:
        """Show a frame, and hold it."""
        self._watched.playback.go_to(seq)
        self._redraw()

    def go_to_time(self, time_s: float) -> None:
        """Show the frame of a time on the camera's clock."""
        books = self._watched.books
        seq = books.history.seq_at(time_s) if books is not None else None
        if seq is not None:
            self.go_to(seq)

    def step(self, n: int) -> None:
        """Show the frame `n` later, or earlier; missing ones do not count."""
        books, at = self._watched.books, self._at
        seq = books.history.neighbour(at, n) if books is not None and at is not None else None
        if seq is not None:
            self.go_to(seq)

    def step_s(self, seconds: float) -> None:
        """Show a frame so much later, or earlier."""
        books, at = self._watched.books, self._at
        result = books.history.result(at) if books is not None and at is not None else None
        if result is not None:
            self.go_to_time(result.time_s + seconds)

    @property
    def _at(self) -> int | None:
        """Frame that is shown, or will be with the next redraw: keys may come faster than those."""
        if self._watched.playback.held is not None:
            return self._watched.playback.held
        scene = self._window.images.scene
        return scene.seq if scene is not None else None

    def follow(self) -> None:
        """Show the newest frame from now on."""
        self._watched.playback.follow()
        self._redraw()

    def play(self, speed: float) -> None:
        """Play from here; at the newest frame it is followed anyway."""
        if self._watched.playback.state != "following":
            self._watched.playback.play(speed)
            self._redraw()

    def hold(self) -> None:
        """Hold the moment that is shown."""
        scene = self._window.images.scene
        if scene is not None:
            self.go_to(scene.seq)

    def freeze_or_follow(self) -> None:
        """Hold the moment that is shown, or let go of it."""
        if self._watched.playback.state == "following":
            self.hold()
        else:
            self.follow()

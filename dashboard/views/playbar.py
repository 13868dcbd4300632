"""Which moment is shown: a slider over the last seconds, play, and follow."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QWidget

from dashboard.models.colours import Theme
from dashboard.views.dress import set_text
from dashboard.views.guarded import guarded
from dashboard.views.history_slider import HistorySlider
from dashboard.views.inputs import Choice, button

SPEEDS = (0.25, 0.5, 1.0, 2.0)
PLAY, PAUSE = "Play", "Pause"
FOLLOW, FOLLOWING = "Follow", "Following"


class Caption(QWidget):
    """A line of text; a label that changes 30 times a second would lay out the window as often."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def write(self, text: str) -> None:
        """Show another text."""
        if text != self.text:
            self.text = text
            self.update()

    @guarded
    def paintEvent(self, event: QPaintEvent) -> None:
        """As much of the text as there is room for."""
        with QPainter(self) as painter:
            text = self.fontMetrics().elidedText(self.text, Qt.TextElideMode.ElideRight, self.width())
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, text)


class Playbar(QWidget):
    """Slider and buttons; only what the user does is told.

    Signals
    -------
    position_wanted(frame)
        Show this frame, and hold it.
    follow_wanted()
        Show the newest frame from now on.
    play_wanted(speed)
        Play from here, so many times as fast as it was.
    hold_wanted()
        Hold what is shown.
    """

    position_wanted = Signal(int)
    follow_wanted = Signal()
    play_wanted = Signal(float)
    hold_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Time")
        self.slider = HistorySlider()
        self.play = button(PLAY, "play on from this moment, or hold it")
        self.speed = Choice("speed of playing", {repr(speed): f"{speed:g}×" for speed in SPEEDS})
        self.speed.setCurrentIndex(SPEEDS.index(1.0))
        self.speed.setToolTip("speed of playing")
        self.follow = button(FOLLOW, "show the newest frame again (Home)")
        self._is_following = self._is_playing = False
        self.caption = Caption()
        grid = QGridLayout(self)
        grid.setContentsMargins(4, 2, 4, 2)
        grid.setVerticalSpacing(2)
        # The slider in a line of its own: beside two wide docks there is little room.
        grid.addWidget(self.slider, 0, 0, 1, 4)
        for column, widget in enumerate((self.play, self.speed, self.caption, self.follow)):
            grid.addWidget(widget, 1, column)
        grid.setColumnStretch(2, 1)
        self._keep_widths()
        self.slider.moved.connect(self.position_wanted)
        self.follow.clicked.connect(lambda: self.follow_wanted.emit())
        self.play.clicked.connect(self._play_or_hold)
        self.speed.activated.connect(self._speed_chosen)
        self.setEnabled(False)  # until there are frames

    def present(
        self,
        oldest: int,
        newest: int,
        seq: int,
        is_following: bool,
        text: str,
        interval_s: float,
        event_frames: Sequence[int],
        is_playing: bool = False,
    ) -> None:
        """Show which moment is shown.

        Parameters
        ----------
        oldest, newest, seq
            Frames that are kept, and the one that is shown.
        is_following, is_playing
            Whether the newest frame is shown as it comes, or past frames one after the other.
        text
            The same in a sentence.
        interval_s
            From frame to frame.
        event_frames
            Frames of calcium events; the same object as before means the same frames.
        """
        self._is_following, self._is_playing = is_following, is_playing
        if not self.isEnabled():
            self.setEnabled(True)
        set_text(self.play, PAUSE if is_following or is_playing else PLAY)
        set_text(self.follow, FOLLOWING if is_following else FOLLOW)
        self.slider.show_frames(oldest, newest, seq, interval_s, event_frames)
        self.caption.write(f"frame {self.slider.value():,} · {text}")

    def apply_theme(self, theme: Theme) -> None:
        """Colours of the slider, and widths by the font in force."""
        self.slider.theme = theme
        self.slider.updateGeometry()
        self.slider.update()
        self._keep_widths()

    @property
    def chosen_speed(self) -> float:
        """Times as fast as it was."""
        return SPEEDS[self.speed.currentIndex()]

    def _keep_widths(self) -> None:
        """Buttons don't change their widths with their words."""
        for made, words in ((self.play, (PLAY, PAUSE)), (self.follow, (FOLLOW, FOLLOWING))):
            letters = QFontMetrics(made.font())
            widest = max(letters.horizontalAdvance(word) for word in words)
            made.setFixedWidth(widest + round(1.6 * letters.height()))

    def _play_or_hold(self) -> None:
        if self._is_following or self._is_playing:
            self.hold_wanted.emit()
        else:
            self.play_wanted.emit(self.chosen_speed)

    def _speed_chosen(self) -> None:
        """Another speed counts at once while it plays."""
        if self._is_playing:
            self.play_wanted.emit(self.chosen_speed)

"""Which moment is shown: the newest one, one that the user holds on to, or one after the other from there."""

from dataclasses import dataclass
from typing import Literal

State = Literal["following", "frozen", "playing"]


@dataclass(frozen=True, slots=True)
class Position:
    """The moment that is shown.

    Attributes
    ----------
    seq
        The frame, between the oldest and the newest that there are.
    state
        following: always the newest; frozen; playing: moves on from a past moment.
    slipped
        Whether the frame that was held is no longer kept, so that the oldest one takes its place.
    text
        In a sentence.
    """

    seq: int
    state: State
    slipped: bool
    text: str


class Playback:
    """Follows a run, holds on to a moment, or plays from there; knows nothing of what is shown.

    Call `position` for each redraw: it knows what there is to show and how time goes on.
    """

    def __init__(self) -> None:
        self._at = 0.0  # the frame, with a fraction while it plays
        self.follow()

    @property
    def state(self) -> State:
        """What it is doing."""
        return self._state

    @property
    def held(self) -> int | None:
        """The frame that is held, None while frames go on."""
        return int(self._at) if self._state == "frozen" else None

    def follow(self) -> None:
        """Show the newest frame from now on."""
        self._state: State = "following"
        self._speed = 1.0
        self._then_s: float | None = None
        self._slipped = False

    def freeze(self, newest: int) -> None:
        """Hold what is shown now: `newest` if it was followed, else the present position."""
        self._hold(newest if self._state == "following" else int(self._at))

    def go_to(self, seq: int) -> None:
        """Show a frame and hold it."""
        self._hold(seq)

    def step(self, n: int) -> None:
        """Show the frame `n` later, or earlier where it is negative, and hold it."""
        self._hold(int(self._at) + n)

    def play(self, speed: float) -> None:
        """Move on from the present position, `speed` times as fast as it was.

        Where the newest frame is overtaken, it is followed from then on.

        Raises
        ------
        ValueError
            If the speed is not positive.
        """
        if not speed > 0:
            raise ValueError(f"a speed must be positive, got {speed}")
        self._state, self._speed, self._then_s, self._slipped = "playing", speed, None, False

    def position(self, newest: int, oldest: int, now_s: float, interval_s: float) -> Position:
        """The moment to show.

        Parameters
        ----------
        newest, oldest
            Frames that can be shown.
        now_s
            Time on a clock that only goes forward.
        interval_s
            From frame to frame.

        Raises
        ------
        ValueError
            If the newest frame is older than the oldest, or the interval is not positive.
        """
        if newest < oldest or not interval_s > 0:
            raise ValueError(f"no position in frames {oldest} to {newest} at intervals of {interval_s} s")
        if self._state == "playing":
            if self._then_s is not None:
                self._at += self._speed * max(now_s - self._then_s, 0.0) / interval_s
            self._then_s = now_s
            if self._at >= newest + 1:  # a frame that is not there yet
                self.follow()
        if self._state == "following":
            self._at = float(newest)
            return Position(newest, "following", False, "newest frame")
        if self._at < oldest:
            self._at, self._slipped = float(oldest), True
        elif int(self._at) > oldest:
            self._slipped = False
        seq = min(int(self._at), newest)
        if self._state == "frozen":
            self._at = float(seq)
        what = "frozen" if self._state == "frozen" else f"playing at {self._speed:g}×"
        text = f"{what}, {(newest - seq) * interval_s:.1f} s back"
        if self._slipped:
            text += ", at the oldest frame that is kept"
        return Position(seq, self._state, self._slipped, text)

    def _hold(self, seq: int) -> None:
        self._state, self._at, self._slipped = "frozen", float(seq), False

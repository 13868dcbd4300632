"""Wishes on their way: from the user's thread to the run, until they are answered."""

import time
from collections import deque

from stream import wire
from stream.watch.collect import Collector
from stream.watch.line import Line

ANSWERED_WITHIN_S = 10.0  # the analysis takes wishes between frames, and frames may be seconds apart
MAX_PENDING = 100

WishRequest = wire.Adjust | wire.Annotate | wire.EndRun


class Pending:
    """Sees to it that every wish is answered once, if not by the run then here.

    `put` may be called from any thread, all else belongs to the client's.
    """

    def __init__(self, news: Collector) -> None:
        self._news = news
        self._new: deque[WishRequest] = deque()
        self._until_s: dict[int, float] = {}  # by number

    def put(self, wish: WishRequest) -> None:
        """Take a wish, to be sent soon."""
        self._new.append(wish)

    def send(self, line: Line | None) -> None:
        """Send what is new; None where there is no run."""
        while self._new:
            wish = self._new.popleft()
            if line is None:
                self._refuse(wish.number, "there is no run now")
            elif len(self._until_s) >= MAX_PENDING:
                self._refuse(wish.number, f"{MAX_PENDING} wishes have not been answered yet")
            elif not line.say(wish):
                self._refuse(wish.number, "the run cannot be reached now")
            else:
                self._until_s[wish.number] = time.monotonic() + ANSWERED_WITHIN_S

    def answered(self, answer: wire.Answer) -> None:
        """The run has answered; an answer to nothing is ignored."""
        if self._until_s.pop(answer.number, None) is not None:
            self._news.answer(answer)

    def give_up(self) -> None:
        """Answer what the run has not answered in time."""
        now = time.monotonic()
        late = [number for number, until_s in self._until_s.items() if now > until_s]
        for number in late:
            del self._until_s[number]
            why = f"no answer within {ANSWERED_WITHIN_S:.0f} s: the run's log will show whether it was done"
            self._refuse(number, why)

    def refuse_all(self, why: str) -> None:
        """Answer all that is open: its run is no more."""
        for number in self._until_s:
            self._refuse(number, why)
        self._until_s.clear()

    def _refuse(self, number: int, why: str) -> None:
        self._news.answer(wire.Answer(number, False, why, 0))

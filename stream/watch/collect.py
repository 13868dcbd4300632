"""What has come from a run and was not taken yet; between the client's thread and whoever watches."""

from collections import deque
from threading import Lock

from msgspec.structs import replace

from acquire.frame import Frame
from stream import wire
from stream.results import FrameResult
from stream.watch.news import Link, News

# A window that is dragged or covered takes nothing for seconds: 20 s at 100 frames/s. Pictures of 2 × 512²
# pixels have 1 MiB, and only the newest is shown.
MAX_RESULTS, MAX_PICTURES = 2000, 8
MAX_TRIGGERS, MAX_ANSWERS = 1000, 200
MAX_REFUSED = 50  # different sentences


class Collector:
    """Keeps news within bounds until they are taken; older ones make room and are counted."""

    def __init__(self, link: Link) -> None:
        self._lock = Lock()
        self._link = link
        self._report: wire.Report | None = None
        self._results: deque[FrameResult] = deque(maxlen=MAX_RESULTS)
        self._pictures: deque[Frame] = deque(maxlen=MAX_PICTURES)
        self._triggers: deque[wire.Trigger | wire.Acted] = deque(maxlen=MAX_TRIGGERS)
        self._answers: deque[wire.Answer] = deque(maxlen=MAX_ANSWERS)
        self._overrun = 0
        self._next_seq: int | None = None
        self._refused: list[str] = []
        self._told: set[str] = set()

    def take(self) -> News:
        """Everything since the last time."""
        with self._lock:
            news = News(
                self._link,
                self._report,
                tuple(self._results),
                tuple(self._pictures),
                tuple(self._triggers),
                tuple(self._answers),
                self._overrun,
                tuple(self._refused),
            )
            for kept in (self._results, self._pictures, self._triggers, self._answers, self._refused):
                kept.clear()
            self._overrun = 0
        return news

    @property
    def link(self) -> Link:
        """How things stand."""
        return self._link

    @link.setter
    def link(self, link: Link) -> None:
        self._link = link

    @property
    def run_id(self) -> str | None:
        """Of the run that the news are of."""
        return self._report.run_id if self._report else None

    def report(self, report: wire.Report) -> None:
        """Take a report; one of another run begins anew."""
        with self._lock:
            if report.run_id != self.run_id:
                for kept in (self._results, self._pictures, self._triggers):
                    kept.clear()
                self._overrun, self._next_seq = 0, None
            self._report = report

    def last_health(self, health: wire.Health) -> None:
        """The run is over: take what it said last for its newest report, which may be half a second old."""
        with self._lock:
            if self._report is not None and self._report.session is not None:
                self._report = replace(self._report, stage="finishing", doing="", health=health)

    def result(self, result: FrameResult) -> None:
        """Take a result; those that are missing on the way here count as left out, lost frames do not."""
        with self._lock:
            if self._next_seq is not None:
                self._overrun += max(0, result.seq - self._next_seq - result.missing_before)
            self._next_seq = result.seq + 1
            self._overrun += len(self._results) == MAX_RESULTS
            self._results.append(result)

    def picture(self, frame: Frame) -> None:
        """Take a picture."""
        with self._lock:
            self._pictures.append(frame)

    def trigger(self, trigger: wire.Trigger | wire.Acted) -> None:
        """Take a trigger, or what came of one."""
        with self._lock:
            self._triggers.append(trigger)

    def answer(self, answer: wire.Answer) -> None:
        """Take an answer to a wish."""
        with self._lock:
            self._answers.append(answer)

    def refused(self, text: str) -> None:
        """Take a sentence; the same one is told once, and only so many different ones."""
        with self._lock:
            if text not in self._told and len(self._told) < MAX_REFUSED:
                self._told.add(text)
                self._refused.append(text)

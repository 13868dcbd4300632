"""The last moments of a run: results and pictures that can be looked back at."""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

from acquire.frame import Frame
from stream.results import CalciumEvent, FrameResult

MAX_RESULTS = 30_000  # a minute at 500 frames/s, more than which no camera here gives
# What a result takes as decoded from the wire, measured with tracemalloc: its objects and the heads of its
# arrays, and then by row.
RESULT_BYTES, PUNCTUM_BYTES, GAP_BYTES, EVENT_BYTES = 4700, 51, 23, 900


@dataclass(frozen=True, slots=True)
class Span:
    """How far back one can look: frames, missing ones counted too, and seconds from the first to the last."""

    frames: int
    seconds: float


class History:
    """The newest results and pictures, bounded in time, number and memory.

    Pictures need the most room. Half of it is for the newest ones, all of them; the other half is for older
    ones, so far apart that they reach back over `seconds`.

    Parameters
    ----------
    seconds
        Results and pictures that are older than this on the camera's clock are let go.
    picture_bytes, result_bytes
        Most memory for pictures, and (estimated) for results.
    """

    def __init__(
        self, seconds: float = 60.0, picture_bytes: float = 400e6, result_bytes: float = 300e6
    ) -> None:
        self._seconds = seconds
        self._picture_bytes = picture_bytes
        self._result_bytes = result_bytes
        self.clear()

    def clear(self) -> None:
        """Forget everything, as another run begins."""
        self._results: deque[FrameResult] = deque()
        self._bytes = 0
        self._events: deque[tuple[int, CalciumEvent]] = deque()  # with the frame that told of each
        self._near: deque[Frame] = deque()
        self._far: deque[Frame] = deque()
        self._near_bytes = self._far_bytes = 0

    def __len__(self) -> int:
        return len(self._results)

    @property
    def newest(self) -> int | None:
        """The newest frame, None before the first."""
        return self._results[-1].seq if self._results else None

    @property
    def oldest(self) -> int | None:
        """The oldest frame that is kept."""
        return self._results[0].seq if self._results else None

    @property
    def span(self) -> Span:
        """How far back one can look."""
        if not self._results:
            return Span(0, 0.0)
        first, last = self._results[0], self._results[-1]
        return Span(last.seq - first.seq + 1, last.time_s - first.time_s)

    def add(self, result: FrameResult) -> None:
        """Keep a result; what is too old or too much is let go.

        Raises
        ------
        ValueError
            If its `seq` is not greater than the last one: another run, for which `clear` should be called.
        """
        results = self._results
        if results and result.seq <= results[-1].seq:
            raise ValueError(f"frame {result.seq} came after frame {results[-1].seq}: clear the history")
        results.append(result)
        self._bytes += result_bytes(result)
        self._events.extend((result.seq, event) for event in result.calcium.events)
        while len(results) > 1 and (
            self._is_old(results[0].time_s, result.time_s)
            or self._bytes > self._result_bytes
            or len(results) > MAX_RESULTS
        ):
            self._bytes -= result_bytes(results.popleft())
        while self._events and self._events[0][0] < results[0].seq:
            self._events.popleft()
        self._drop_old_pictures(result.time_s)

    def add_picture(self, frame: Frame) -> None:
        """Keep a picture; older ones are thinned out.

        Raises
        ------
        ValueError
            If its `seq` is not greater than that of the last picture.
        """
        near = self._near
        if near and frame.seq <= near[-1].seq:
            raise ValueError(f"picture {frame.seq} came after picture {near[-1].seq}: clear the history")
        near.append(frame)
        self._near_bytes += frame.pixels.nbytes
        while len(near) > 1 and self._near_bytes > self._picture_bytes / 2:
            old = near.popleft()
            self._near_bytes -= old.pixels.nbytes
            self._keep_far(old)
        self._drop_old_pictures(frame.time_s)

    def result(self, seq: int) -> FrameResult | None:
        """The result of that frame, or the newest kept one before it; None where there is none."""
        index = bisect_right(self._results, seq, key=_seq_of)
        return self._results[index - 1] if index else None

    def recent(self, seq: int, n: int) -> list[FrameResult]:
        """Results of the last `n` frames up to `seq`, oldest first; missing frames count."""
        results = self._results
        stop = bisect_right(results, seq, key=_seq_of)
        start = bisect_right(results, seq - n, hi=stop, key=_seq_of)
        return [results[i] for i in range(start, stop)]

    def picture(self, seq: int) -> Frame | None:
        """The newest picture at or before `seq`, None where it is gone or there was none."""
        for pictures in (self._near, self._far):
            index = bisect_right(pictures, seq, key=_seq_of)
            if index:
                return pictures[index - 1]
        return None

    def events(self, seq: int, seconds: float) -> list[CalciumEvent]:
        """Events that ended in the last `seconds` before frame `seq`, as known then, oldest first."""
        result = self.result(seq)
        if result is None:
            return []
        since_s = result.time_s - seconds
        return [event for told, event in self._events if told <= seq and event.end_s >= since_s]

    def seq_at(self, time_s: float) -> int | None:
        """The newest frame at or before a time on the camera's clock, the oldest where that is gone."""
        if not self._results:
            return None
        return self._results[max(bisect_right(self._results, time_s, key=_time_of) - 1, 0)].seq

    def neighbour(self, seq: int, n: int) -> int | None:
        """The frame that is `n` kept frames later (or earlier, where negative), at most the first or last."""
        if not self._results:
            return None
        at = bisect_right(self._results, seq, key=_seq_of) - 1
        return self._results[min(max(at + n, 0), len(self._results) - 1)].seq

    def _is_old(self, then_s: float, now_s: float) -> bool:
        # A clock that was set back makes old things look as if they were still to come.
        return abs(now_s - then_s) > self._seconds

    def _keep_far(self, frame: Frame) -> None:
        far, room = self._far, self._picture_bytes / 2
        apart_s = self._seconds * frame.pixels.nbytes / room if room else 0.0
        if far and abs(frame.time_s - far[-1].time_s) < apart_s:
            return
        far.append(frame)
        self._far_bytes += frame.pixels.nbytes
        while far and self._far_bytes > room:
            self._far_bytes -= far.popleft().pixels.nbytes

    def _drop_old_pictures(self, now_s: float) -> None:
        while self._far and self._is_old(self._far[0].time_s, now_s):
            self._far_bytes -= self._far.popleft().pixels.nbytes
        while self._near and self._is_old(self._near[0].time_s, now_s):
            self._near_bytes -= self._near.popleft().pixels.nbytes


def result_bytes(result: FrameResult) -> int:
    """About how much memory a result takes."""
    return (
        RESULT_BYTES
        + PUNCTUM_BYTES * len(result.localizations)
        + GAP_BYTES * len(result.tracks.gap_track_id)
        + EVENT_BYTES * len(result.calcium.events)
    )


def _time_of(result: FrameResult) -> float:
    return result.time_s


def _seq_of(kept: FrameResult | Frame) -> int:
    return kept.seq

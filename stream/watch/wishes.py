"""Does what dashboards' users want of the analysis: turns thresholds, records annotations."""

import math
import time
from collections import deque
from dataclasses import dataclass, field

from stream import wire
from stream.analysis import Analysis
from stream.record.remarks import Remarks
from stream.results import StreamError
from stream.wire.desk import LONGEST_LOG

# A person does not do more in a second; what is written to `run.json` must stay readable.
MOST_PER_S = 20
# Times of so many frames are kept: 100 s at 200 frames/s, longer than dashboards remember frames.
KNOWN_TIMES = 20_000
SHOWN = 200  # characters of an annotation in `Health.log`; `run.json` has all of them


class RefusedError(StreamError):
    """A wish is not granted; the message says why."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What came of a wish, and the first frame that it may concern."""

    text: str
    seq: int


@dataclass(slots=True)
class Wishes:
    """Grants wishes between frames, and keeps the log of what was granted.

    Parameters
    ----------
    analysis
        Whose thresholds are turned.
    remarks
        Where that, and what people say, is recorded.

    Attributes
    ----------
    log
        The newest adjustments and annotations.
    """

    analysis: Analysis
    remarks: Remarks
    log: deque[wire.Entry] = field(default_factory=lambda: deque(maxlen=LONGEST_LOG))
    _recent_s: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_PER_S))
    _times: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=KNOWN_TIMES))

    def came(self, seq: int, time_s: float) -> None:
        """Take note of a frame."""
        self._times.append((seq, time_s))

    def grant(self, request: wire.Adjust | wire.Annotate) -> Granted:
        """Do it.

        Raises
        ------
        RefusedError, StreamError, ModelError
            If it is not done, and why.
        """
        return self._adjust(request) if isinstance(request, wire.Adjust) else self._annotate(request)

    def _adjust(self, request: wire.Adjust) -> Granted:
        analysis, which, seq = self.analysis, request.which, self.analysis.first_open_seq
        before = analysis.detection if which == "detection" else analysis.calcium
        if before is None:
            raise RefusedError("the calcium stage is off: there is no threshold to turn")
        after = before.turned(request.value)
        if after == before:
            return Granted(f"the {which} threshold is {before.value:g} already", seq)
        self._check_flood()
        now_s = self._times[-1][1] if self._times else None
        entry = self.remarks.adjusted(which, before.value, after.value, seq, now_s)
        if which == "detection":
            analysis.use_detection(after.value)
        else:
            analysis.use_calcium(after.value)
        done = f"{which} threshold {before.value:g} → {after.value:g} ({after.unit})"
        self.log.append(wire.Entry("adjustment", entry["time"], seq, done))
        return Granted(f"{done} from frame {seq} on", seq)

    def _annotate(self, request: wire.Annotate) -> Granted:
        seq, x, y = request.seq, request.x_nm, request.y_nm
        newest = self._times[-1][0] if self._times else -1
        if seq > newest:
            raise RefusedError(f"frame {seq} cannot be annotated yet: the newest is {newest}")
        if (x is None) != (y is None):
            raise RefusedError("a place needs both x_nm and y_nm")
        if x is not None and y is not None and not (math.isfinite(x) and math.isfinite(y)):
            raise RefusedError(f"{x:g} nm, {y:g} nm is no place")
        self._check_flood()
        entry = self.remarks.annotated(request.text, seq, self._time_of(seq), x, y)
        shown = request.text if len(request.text) <= SHOWN else request.text[:SHOWN] + " …"
        self.log.append(wire.Entry("annotation", entry["time"], seq, shown))
        return Granted(f"frame {seq} is annotated", seq)

    def _time_of(self, seq: int) -> float | None:
        """Time of a frame, of the one before where it is missing; None where that is forgotten."""
        return next((time_s for known, time_s in reversed(self._times) if known <= seq), None)

    def _check_flood(self) -> None:
        now_s = time.monotonic()
        if len(self._recent_s) == MOST_PER_S and now_s - self._recent_s[0] < 1.0:
            raise RefusedError(f"more than {MOST_PER_S} adjustments and annotations a second are not taken")
        self._recent_s.append(now_s)

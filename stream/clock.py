"""Time as the stages of the analysis count it, whatever the recording's clock does."""

from collections import deque
from statistics import median

RECENT = 31  # frames whose median distance is the interval
# A wait of more intervals than this (and than the longest gap) since the last frame is none. Either the
# clock was set, and every track lives on; or the camera paused for so long that mobile puncta are elsewhere,
# and a narrow gate links only what stayed in place. Shorter pauses widen the gates, and missing frames show
# in `seq`.
LONGEST_PAUSE = 10.0


class Clock:
    """Follows frames' times; where they stand still, go back or leap, the interval counts.

    Parameters
    ----------
    interval_s
        Nominal frame interval, s, until the frames themselves tell theirs.
    longest_gap
        Frames that a gap may last.
    """

    def __init__(self, interval_s: float, longest_gap: int) -> None:
        self._nominal_s = interval_s
        self._longest = max(LONGEST_PAUSE, longest_gap + 1.0)
        self._paces: deque[float] = deque(maxlen=RECENT)
        self._seq: int | None = None
        self._told_s = 0.0
        self.now_s = 0.0  # on the recording's clock, as long as that keeps its pace

    @property
    def interval_s(self) -> float:
        """Seconds from frame to frame: the median of the last ones."""
        return median(self._paces) if self._paces else self._nominal_s

    def advance(self, seq: int, time_s: float) -> float:
        """Move on to a frame; gives the seconds since the one before, 0 for the first.

        Raises
        ------
        ValueError
            If `seq` is not greater than the last one.
        """
        if self._seq is None:
            self._seq, self._told_s, self.now_s = seq, time_s, time_s
            return 0.0
        if seq <= self._seq:
            raise ValueError(f"frame {seq} came to the tracker after frame {self._seq}; seq must increase")
        n_frames = seq - self._seq
        elapsed_s = time_s - self._told_s
        if 0 < elapsed_s <= self._longest * n_frames * max(self.interval_s, self._nominal_s):
            self._paces.append(elapsed_s / n_frames)
        else:
            elapsed_s = n_frames * self.interval_s
        self._seq, self._told_s = seq, time_s
        self.now_s += elapsed_s
        return elapsed_s

"""The offset between two computers' wall clocks, by ping and pong.

As in NTP (Mills, IEEE Trans. Commun. 39:1482, 1991): the other clock was read between ping and pong, so
taking it for read halfway is wrong by half the round trip at most, however unequal the two ways are. The
shortest round trip tells most.
"""

import time
from collections.abc import Callable
from typing import Any

from stream import wire

FIRST_PINGS = 16
AGAIN_AFTER_NS = 10_000_000_000
# Ordinary quartz is good for ±50 ppm, and there are two of them.
DRIFT = 1e-4


def clock_resolution_ns() -> int:
    """Step of `time.time_ns` on this system: next to nothing on Linux, up to 16 ms on Windows."""
    return max(1, round(time.get_clock_info("time").resolution * 1e9))


class ClockOffset:
    """The wall clock of this computer minus the source's; 0 until it was measured.

    Parameters
    ----------
    wall_ns, steady_ns
        The wall clock that is compared, and one that never jumps, which times the round trips; ns.

    Attributes
    ----------
    offset_ns
        What to add to a time of the source to have it on this computer's clock.
    uncertainty_ns
        The offset is right to so much (a bound, no standard deviation).
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns, self._steady_ns = wall_ns, steady_ns
        self._number = 0
        self._sent = (0, 0)  # wall and steady clock at the ping
        self._measured_ns: int | None = None  # steady clock at the present estimate
        self._first_ns: int | None = None
        self._n = 0
        self.offset_ns = 0
        self.uncertainty_ns = 0

    def is_due(self) -> bool:
        """Whether the last ping is so long ago that clocks may have drifted."""
        return self._steady_ns() - self._sent[1] > AGAIN_AFTER_NS

    def ping(self) -> wire.Ping:
        """A question to send at once."""
        self._number += 1
        self._sent = (self._wall_ns(), self._steady_ns())
        return wire.Ping(self._number)

    def pong(self, pong: wire.Pong) -> None:
        """Take an answer that has just come; one that tells less than what is known changes nothing."""
        if pong.number != self._number:
            return  # an answer to an older question, whose time is forgotten
        now_ns = self._steady_ns()
        round_trip_ns = now_ns - self._sent[1]
        offset_ns = self._sent[0] + round_trip_ns // 2 - pong.clock_ns
        bound_ns = round_trip_ns // 2 + clock_resolution_ns() + pong.resolution_ns
        self._n += 1
        if self._measured_ns is not None:
            known_ns = self.uncertainty_ns + round(DRIFT * (now_ns - self._measured_ns))
            # Two that exclude each other: a clock was set meanwhile.
            was_set = abs(offset_ns - self.offset_ns) > bound_ns + known_ns
            if bound_ns > known_ns and not was_set:
                return
        self._measured_ns = now_ns
        self.offset_ns, self.uncertainty_ns = offset_ns, bound_ns
        if self._n <= FIRST_PINGS:
            self._first_ns = offset_ns

    def summary(self) -> dict[str, Any]:
        """For `run.json`: the offset at the end, its bound and how far it moved in the run; ms."""
        if self._first_ns is None:
            return {"offset_ms": None}
        return {
            "offset_ms": self.offset_ns / 1e6,
            "uncertainty_ms": self.uncertainty_ns / 1e6,
            "moved_ms": (self.offset_ns - self._first_ns) / 1e6,
        }

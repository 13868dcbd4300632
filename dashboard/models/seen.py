"""What the health bar is made of, and how its numbers are written."""

import math
from dataclasses import dataclass

from dashboard.models.limits import Limits
from dashboard.models.panels import Level
from dashboard.models.rates import RatesView
from stream import wire
from stream.watch.news import Link

NOT_KNOWN = "–"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the readings are made of."""

    link: Link
    report: wire.Report | None
    rates: RatesView
    overrun: int
    limits: Limits

    @property
    def session(self) -> wire.Session | None:
        """Of the run, None before it is known."""
        return self.report.session if self.report else None

    @property
    def health(self) -> wire.Health | None:
        """Of the run, None before it is known."""
        return self.report.health if self.report else None

    @property
    def is_running(self) -> bool:
        """Whether frames should be coming."""
        return self.link.state != "over" and self.report is not None and self.report.stage == "running"

    @property
    def has_ended(self) -> bool:
        """Whether the last frame of the run has come."""
        return self.report is not None and (self.link.state == "over" or self.report.stage == "finishing")

    @property
    def must_keep_up(self) -> bool:
        """Whether frames that are not taken in time are lost, or hold a camera up."""
        session = self.session
        return session is not None and (session.kind == "live" or session.delivery == "live")

    @property
    def is_file(self) -> bool:
        """Whether frames come from a recording, as far as can be known."""
        return self.session is not None and (self.session.kind == "replay" or not self.must_keep_up)


def level_of(value: float, caution: float, alarm: float) -> Level:
    """Caution and alarm above their limits."""
    return "alarm" if value > alarm else "caution" if value > caution else "ok"


def per_second(rate: float) -> str:
    """Frames a second."""
    return NOT_KNOWN if math.isnan(rate) else f"{rate:.1f}/s"


def milliseconds(ms: float) -> str:
    """Short times; long ones in seconds."""
    return f"{ms:.0f} ms" if ms < 10_000 else f"{ms / 1e3:.0f} s"


def duration(seconds: float) -> str:
    """In the unit that people would use."""
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"

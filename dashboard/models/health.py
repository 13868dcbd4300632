"""How a run is, item by item: in numbers, in a word where something is wrong, and what to do about it."""

from collections.abc import Callable
from dataclasses import replace

from dashboard.models.flow_health import clock, frames_in, frames_out, latency, missing, queue
from dashboard.models.limits import Limits
from dashboard.models.panels import Badge, Reading
from dashboard.models.place_health import disk, engine, gpu_memory, recording, this_window
from dashboard.models.rates import RatesView
from dashboard.models.seen import Seen, duration
from stream import wire
from stream.watch.news import Link

BADGES = {
    "live": "LIVE: a microscope is imaging",
    "replay": "REPLAY: a recording is analysed",
    "simulation": "SIMULATION: these frames are no experiment",
}
READERS: tuple[Callable[[Seen], Reading], ...] = (
    clock,
    frames_in,
    frames_out,
    latency,
    missing,
    queue,
    engine,
    gpu_memory,
    disk,
    recording,
    this_window,
)


def judge(
    link: Link,
    report: wire.Report | None,
    rates: RatesView,
    overrun: int,
    limits: Limits | None = None,
) -> tuple[Badge, tuple[Reading, ...]]:
    """What the health bar shows.

    Parameters
    ----------
    link
        How this window stands with the run.
    report
        The run's newest, None before the first.
    rates
        How fast it goes now.
    overrun
        Results that this window has left out of this run so far.
    limits
        From when on to warn; None: as usual.

    Returns
    -------
    badge, readings
        Readings are those of `READERS`, always all and in this order.
    """
    seen = Seen(link, report, rates, overrun, limits or Limits())
    readings = tuple(read(seen) for read in READERS)
    if link.state == "silent":
        old = f"As it was {duration(link.silent_s)} ago. "
        readings = tuple(replace(reading, meaning=old + reading.meaning) for reading in readings)
    return _badge(seen), readings


def _badge(seen: Seen) -> Badge:
    session = seen.session
    if session is None or seen.link.state in ("searching", "calling"):
        return Badge("none", f"NO RUN: {seen.link.text}")
    what = f"{BADGES[session.kind]} ({session.name})"
    if seen.link.state in ("silent", "over"):
        what = f"{what}. {seen.link.text}"
    return Badge(session.kind, what)

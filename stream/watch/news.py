"""What a client hands to whoever watches a run."""

from dataclasses import dataclass
from typing import Literal

from acquire.frame import Frame
from stream import wire
from stream.results import FrameResult

LinkState = Literal["searching", "calling", "watching", "silent", "over"]


@dataclass(frozen=True, slots=True)
class Link:
    """How a client stands with the run that it watches.

    Attributes
    ----------
    state
        searching: no run on this computer yet; calling: an address is called and nobody has answered yet;
        watching: the run answers; silent: it has not answered for `silent_s`; over: it has ended.
    text
        In a sentence; where a run is over, how it ended as far as that is known.
    silent_s
        Seconds since the last answer, 0 while it answers in time.
    """

    state: LinkState
    text: str
    silent_s: float = 0.0


@dataclass(frozen=True, slots=True)
class News:
    """What has come since the last time, oldest first.

    Attributes
    ----------
    link
        How things stand now.
    report
        The run's newest report, None before the first. A `run_id` unlike the last one's is another run:
        results and pictures in the same news are of that one.
    results, pictures
        Of one run. A picture is a `Frame` with raw counts; there are fewer of them than results.
    triggers
        Of the run's rules.
    answers
        To the wishes of this client.
    overrun
        Results that were left out since the last time, because whoever watches took none for too long.
    refused
        Sentences about messages that could not be read, and about addresses that did not let us in.
    """

    link: Link
    report: wire.Report | None = None
    results: tuple[FrameResult, ...] = ()
    pictures: tuple[Frame, ...] = ()
    triggers: tuple[wire.Trigger | wire.Acted, ...] = ()
    answers: tuple[wire.Answer, ...] = ()
    overrun: int = 0
    refused: tuple[str, ...] = ()

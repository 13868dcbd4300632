"""The analysis' side of rules: fires them, sends triggers to the source, hears what came of them."""

import time
from dataclasses import dataclass, field

from stream import wire
from stream.conditions import Conditions
from stream.config import RunConfig
from stream.results import FrameResult
from stream.rules.watch import Watch
from stream.transport.keys import Keys
from stream.transport.results import ResultPublisher
from stream.transport.sockets import Context
from stream.transport.triggers import TriggerLine

LAST_ANSWERS_S = 3.0  # how long the end of a run waits for them; the source itself gives up a second before
POLL_MS = 50
NO_ROOM = "not sent: the source does not read its triggers"
NO_LINE = "the source takes no triggers"
GONE, SILENT = "the source was gone", "the source did not answer"


@dataclass(slots=True)
class News:
    """Triggers that fired, and answers that came, since the last time."""

    fired: list[wire.Trigger] = field(default_factory=list)
    answers: list[wire.Acted] = field(default_factory=list)


class Triggering:
    """Fires rules and follows their triggers; never waits, but at the end. Without rules it does nothing.

    Parameters
    ----------
    config
        The run, with its rules.
    context, endpoint
        Where the source takes triggers; an empty endpoint: it takes none.
    publisher
        Tells subscribers too.
    keys
        For a source on another computer.
    """

    def __init__(
        self,
        config: RunConfig,
        context: Context,
        endpoint: str,
        publisher: ResultPublisher,
        keys: Keys | None = None,
    ) -> None:
        self._config = config
        self._publisher = publisher
        self._watch: Watch | None = None
        self._line: TriggerLine | None = None
        self._open: set[int] = set()  # triggers without an answer
        self._news = News()
        if config.rules and endpoint:
            self._line = TriggerLine(context, endpoint, listens=False, keys=keys)
            self._line.say(wire.TriggersBegin())

    def begin(self, conditions: Conditions) -> None:
        """Begin to watch results of this pixel size and interval."""
        if self._config.rules:
            self._watch = Watch(self._config, conditions.pixel_size_nm, conditions.interval_s)

    @property
    def rested(self) -> dict[str, int]:
        """How often each rule did not fire because it rested."""
        return self._watch.rested if self._watch is not None else {}

    def step(self, result: FrameResult, newest_seq: int) -> News:
        """Look at a result (see `Watch.step`), send what fires, and give the news."""
        if self._watch is not None:
            for trigger in self._watch.step(result, newest_seq):
                self._send(trigger)
        return self.news()

    def news(self) -> News:
        """What has happened since the last call; call it in pauses too."""
        while self._open and self._hear(0) is not None:
            pass
        news, self._news = self._news, News()
        return news

    def finish(self) -> News:
        """No more results come: wait for the last answers, briefly; every trigger has one then."""
        if self._line is not None:
            self._line.say(wire.TriggersEnd())
            why = self._await_answers(self._line)
            for trigger_id in sorted(self._open):
                self._take(wire.Acted(trigger_id, False, why))
        return self.news()

    def close(self) -> None:
        """Close the line; a source that is waiting is told that nothing more comes."""
        if self._line is not None:
            self._line.say(wire.TriggersEnd())
            self._line.close()

    def _send(self, trigger: wire.Trigger) -> None:
        self._news.fired.append(trigger)
        self._open.add(trigger.trigger_id)
        why_not = NO_LINE if self._line is None else "" if self._line.say(trigger) else NO_ROOM
        self._publisher.publish_trigger(trigger)
        if why_not:
            self._take(wire.Acted(trigger.trigger_id, False, why_not))

    def _await_answers(self, line: TriggerLine) -> str:
        """Wait for those that are still to come; gives why there are none for the rest."""
        give_up_at = time.monotonic() + LAST_ANSWERS_S
        while self._open and time.monotonic() < give_up_at:
            message = self._hear(POLL_MS)
            if isinstance(message, wire.TriggersEnd):
                break
            if message is None and line.gone():
                return GONE
        return SILENT

    def _hear(self, timeout_ms: int) -> wire.TriggerMessage | None:
        """Take one message in; None when there was none."""
        message = self._line.hear(timeout_ms) if self._line is not None else None
        if isinstance(message, wire.Acted):
            self._take(message)
        return message

    def _take(self, acted: wire.Acted) -> None:
        if acted.trigger_id in self._open:
            self._open.discard(acted.trigger_id)
            self._news.answers.append(acted)
            self._publisher.publish_trigger(acted)

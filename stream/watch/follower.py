"""Follows one run after the other, in the client's thread: whom to call, what has come, how things stand."""

import json
import time
from contextlib import suppress
from pathlib import Path

import zmq

from stream import wire
from stream.transport.bell import Bell
from stream.transport.sockets import Context
from stream.watch.collect import Collector
from stream.watch.line import Line
from stream.watch.news import Link
from stream.watch.pending import Pending
from stream.watch.search import Search, Target

ASKED_EVERY_S = 0.5
SILENT_S = 2.0  # four questions without an answer
REFUSED_S = 5.0  # after which it is tried again: the key may have been copied there meanwhile
WAIT_MS = 200  # for anything to come; below the time between two questions
RUN_JSON = "run.json"
SEARCHING = "no run on this computer: waiting for one to begin"


class Follower:
    """Calls a run's desk, hears it, and puts what comes into a collector.

    Parameters
    ----------
    context, bell
        Of the sockets; the bell ends a wait.
    search
        Names the desk to call.
    news, wishes
        Where things go to and come from.
    pictures
        Whether pictures shall come too.
    """

    def __init__(
        self,
        context: Context,
        bell: Bell,
        search: Search,
        news: Collector,
        wishes: Pending,
        *,
        pictures: bool,
    ) -> None:
        self._context, self._bell = context, bell
        self._search, self._news, self._wishes = search, news, wishes
        self._with_pictures = pictures
        self._target: Target | None = None
        self._line: Line | None = None
        self._why = ""  # it does not let us in
        self._has_heard = False  # this line's desk
        self._is_over = False  # the run that was heard last, whose desk may be another's next
        self._asked_s = self._heard_s = self._looked_s = -1e9

    def step(self) -> bool:
        """Look after everything once. Gives whether anything had come; if not, it waits a little for that."""
        now = time.monotonic()
        if now - self._looked_s >= ASKED_EVERY_S:
            self._looked_s = now
            self._look()
        line = self._line
        if line is not None and now - self._asked_s >= ASKED_EVERY_S:
            self._asked_s = now
            line.say(wire.Ask(0))
        self._wishes.send(None if self._is_over else line)
        came = line is not None and self._read(line)
        if not came:
            self._wait()
        if self._target is None:
            self.close()
        self._wishes.give_up()
        self._judge()
        return came

    def close(self) -> None:
        """Close the sockets."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _look(self) -> None:
        """Find a desk to call where none has answered, and note when the one that did has died."""
        target = self._target
        if target is not None and not self._is_over:
            if target.announcement is None:  # it may have been called before it was announced
                self._target = target = self._search.announced(target.endpoint, target.keys) or target
            if self._is_silent() and target.has_died:
                self._end(_how_it_ended(target) if self._has_heard else "it is not there any more")
                target = self._target
        if target is None or self._is_over or not self._has_heard:
            found = self._search.target()
            if found is not None and found != target:
                self._call(found)
                target = found
        if target is not None and self._line is not None and self._is_silent(REFUSED_S):
            why = self._line.refusal()
            if why:  # ZeroMQ does not call again by itself then
                self._call(target)
                self._why = why

    def _call(self, target: Target) -> None:
        self.close()
        self._why = ""
        self._target = target
        self._line = Line(self._context, target.endpoint, target.keys, pictures=self._with_pictures)
        self._has_heard = self._is_over = False
        self._heard_s = time.monotonic()
        self._asked_s = -1e9

    def _wait(self) -> None:
        poller = zmq.Poller()
        for socket in [self._bell.socket, *(self._line.sockets(self._news.run_id) if self._line else ())]:
            poller.register(socket, zmq.POLLIN)
        poller.poll(WAIT_MS)
        self._bell.hush()

    def _read(self, line: Line) -> bool:
        """Take what has come; False where that is nothing."""
        came = False
        for reply in line.replies(self._news.refused):
            self._hear(line, reply)
            came = True
        for subscription in (line.results, line.pictures):
            if subscription is not None:
                for parts in subscription.messages(self._news.run_id, self._news.refused):
                    self._take(parts)
                    came = True
        return came

    def _hear(self, line: Line, reply: wire.Reply) -> None:
        match reply:
            case wire.Report():
                if self._is_over and reply.run_id == self._news.run_id:
                    return  # that run has said its last word
                self._heard_s, self._has_heard, self._is_over = time.monotonic(), True, False
                if reply.run_id != self._news.run_id:
                    self._wishes.refuse_all("the run that it was meant for is over")
                self._news.report(reply)
                line.subscribe(reply)
            case wire.Answer(number=0):
                self._news.refused(f"the run at {line.endpoint} did not understand: {reply.text}")
            case wire.Answer():
                self._wishes.answered(reply)

    def _take(self, parts: list[memoryview]) -> None:
        """Take a message of the run."""
        try:
            topic = bytes(parts[0][:16])  # longer than any
            if topic == wire.RESULT_TOPIC:
                self._news.result(wire.decode_result(parts))
            elif topic == wire.FRAME_TOPIC:
                self._news.picture(wire.decode_frame(parts)[0])
            elif topic == wire.OVER_TOPIC:
                over = wire.decode_over(parts)
                if over.health is not None:
                    self._news.last_health(over.health)
                self._end(over.problem or over.state)
            else:
                message = wire.decode_trigger(parts)
                if isinstance(message, wire.Trigger | wire.Acted):
                    self._news.trigger(message)
        except wire.WireError as error:
            self._news.refused(f"a message of the run was not understood: {error}")

    def _judge(self) -> None:
        """Say how things stand; of a run that is over, `_end` has said it."""
        target, line = self._target, self._line
        if self._is_over or target is None or line is None:
            return
        if not self._has_heard:
            why = self._why = line.refusal() or self._why
            if why:
                self._news.refused(f"no way to {target.name}: {why}")
            text = f"calling {target.name}"
            self._news.link = Link("calling", f"{text}: {why}" if why else text)
        elif self._is_silent():
            silent_s = time.monotonic() - self._heard_s
            self._news.link = Link("silent", f"{target.name} has not answered for {silent_s:.0f} s", silent_s)
        else:
            self._news.link = Link("watching", f"watching {target.name}")

    def _is_silent(self, after_s: float = SILENT_S) -> bool:
        return time.monotonic() - self._heard_s > after_s

    def _end(self, how: str) -> None:
        """The run is over; its desk is left, unless the next one may come to the same address."""
        target = self._target
        if self._is_over or target is None:
            return
        self._is_over = True
        self._news.link = Link("over", f"{target.name} is over: {how}" if how else f"{target.name} is over")
        self._wishes.refuse_all("the run is over")
        if not self._search.over(target):
            self._target = None


def _how_it_ended(target: Target) -> str:
    """Of a run on this computer that said nothing, as its folder tells."""
    if target.announcement is not None:
        path = Path(target.announcement.folder) / RUN_JSON
        if not path.exists():
            return "it ended before its first frame"
        with suppress(OSError, ValueError, KeyError, TypeError):
            text = path.read_text(encoding="utf-8")
            state = json.loads(text)["state"]
            if state != "running":
                return str(state)
    return "it ended without a word"

"""The source's side of rules: receives triggers at once, acts on them, and says what came of it."""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event, Thread
from types import TracebackType
from typing import Self

from acquire.frame import Source
from acquire.live import Action, LiveSource
from stream import wire
from stream.config_live import RuleConfig
from stream.rules.functions import Function, as_dict, load_functions
from stream.rules.worker import WAITING, Done, Worker
from stream.transport.gate import Gate
from stream.transport.sockets import POLL_MS, Context
from stream.transport.triggers import TriggerLine

BUSY_POLL_MS = 5  # while something is being done; how soon its outcome is told, which no latency rests on
PATIENCE_S = 5.0  # a function or microscope that has not come back for so long is told of
LAST_S = 2.0  # at the end of a run, what is under way may take so long
FAREWELL_S = 2.0  # how long a source at its end waits for the analysis to have no more triggers
NOT_LIVE = "a recording cannot be acted on"


@dataclass(frozen=True, slots=True)
class _Pending:
    """Who acts on a trigger, and when the frames that it is about had arrived (time_ns)."""

    worker: Worker
    arrived_ns: int | None
    newest_arrived_ns: int | None


class TriggerServer:
    """Acts on triggers in threads of its own, beside the source and its publisher.

    Use it as a context manager around the sending of frames, or `close` it. While it is open, `endpoint`
    is where the analysis finds it.

    Parameters
    ----------
    context, endpoint
        Where it listens.
    rules
        What is to be done, by the names of the rules: the source does only what its own configuration says.
    source
        A `LiveSource` is acted on; beside any other, frames can only be marked and functions be called.
    gate
        For an analysis on another computer.

    Raises
    ------
    ConfigError
        If a rule's function cannot be imported.
    StreamError
        If the endpoint cannot be bound.
    """

    def __init__(
        self,
        context: Context,
        endpoint: str,
        rules: Sequence[RuleConfig],
        source: Source,
        gate: Gate | None = None,
    ) -> None:
        self._source = source if isinstance(source, LiveSource) else None
        self._rules = {rule.title: rule for rule in rules}
        functions = load_functions(rules)
        self._line = TriggerLine(context, endpoint, listens=True, gate=gate)
        self.endpoint = self._line.endpoint
        self._done: SimpleQueue[Done] = SimpleQueue()
        self._functions = {
            title: Worker(str(self._rules[title].value), partial(_call, function), self._done)
            for title, function in functions.items()
        }
        # A stop must not wait for an exposure that the camera is still setting.
        self._stopper, self._actor = (Worker("the microscope", self._act, self._done) for _ in range(2))
        self._pending: dict[int, _Pending] = {}
        self._is_greeted = False
        self._closing = Event()
        self._thread = Thread(target=self._serve, name="triggers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait, briefly, until the analysis has no more triggers and everything is answered.

        Call it when the frames are through; also twice. A function that never comes back is left behind.
        """
        self._closing.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self) -> None:
        try:
            self._until_over()
        finally:
            self._line.close()

    def _until_over(self) -> None:
        """Until the analysis says that it has no more, is gone, or is waited for in vain at the end."""
        give_up_at = math.inf
        while not self._line.gone() and time.monotonic() < give_up_at:
            if self._closing.is_set():
                farewell_s = FAREWELL_S if self._is_greeted else 0.0
                give_up_at = min(give_up_at, time.monotonic() + farewell_s)
            message = self._line.hear(BUSY_POLL_MS if self._pending else POLL_MS)
            match message:
                case wire.Trigger():
                    self._take(message)
                case wire.TriggersBegin():
                    self._is_greeted = True
                case wire.TriggersEnd():
                    break
            self._tell_what_is_done()
            self._tell_what_hangs()
        last = time.monotonic() + LAST_S
        while self._pending and not self._line.gone() and time.monotonic() < last:
            time.sleep(BUSY_POLL_MS / 1e3)
            self._tell_what_is_done()
        for trigger_id, pending in list(self._pending.items()):
            self._answer(trigger_id, False, f"{pending.worker.name} had not come back when the run ended")
        self._line.say(wire.TriggersEnd())

    def _take(self, trigger: wire.Trigger) -> None:
        """Act on a trigger, or have it acted on."""
        arrived_ns, newest_ns = self._arrived_ns(trigger.seq), self._arrived_ns(trigger.newest_seq)
        rule = self._rules.get(trigger.rule)
        if rule is None:
            why = "the source's own configuration has no rule of this name"
            self._line.say(wire.Acted(trigger.trigger_id, False, why))
        elif rule.do == "mark":
            at_ns = time.time_ns()
            self._line.say(_acted(trigger.trigger_id, "marked", at_ns, arrived_ns, newest_ns))
        elif rule.do != "call" and self._source is None:
            self._line.say(wire.Acted(trigger.trigger_id, False, NOT_LIVE))
        else:
            worker = self._functions.get(rule.title) or (self._stopper if rule.do == "stop" else self._actor)
            self._pending[trigger.trigger_id] = _Pending(worker, arrived_ns, newest_ns)
            hangs_at = worker.busy_with(PATIENCE_S)
            if hangs_at is not None:
                self._pass_over(trigger.trigger_id, worker, hangs_at)
            elif not worker.put(trigger):
                why = f"passed over: {WAITING} triggers were waiting for {worker.name} already"
                self._answer(trigger.trigger_id, False, why)

    def _arrived_ns(self, seq: int) -> int | None:
        return None if self._source is None else self._source.arrived_ns(seq)

    def _act(self, trigger: wire.Trigger) -> str:
        """Do to the microscope what the trigger's rule says; runs in a worker."""
        rule = self._rules[trigger.rule]
        assert self._source is not None
        assert rule.do in ("stop", "exposure", "interval", "burst")
        return self._source.act(Action(rule.do, rule.value if isinstance(rule.value, float) else None))

    def _tell_what_is_done(self) -> None:
        with suppress(Empty):
            while True:
                done = self._done.get_nowait()
                self._answer(done.trigger_id, done.ok, done.outcome, done.at_ns)

    def _tell_what_hangs(self) -> None:
        for worker in {pending.worker for pending in self._pending.values()}:
            hangs_at = worker.busy_with(PATIENCE_S)
            if hangs_at is None:
                continue
            worker.forget_waiting()
            for trigger_id in [i for i, pending in self._pending.items() if pending.worker is worker]:
                if trigger_id == hangs_at.trigger_id:
                    self._answer(trigger_id, False, f"{worker.name} has not come back for {PATIENCE_S:.0f} s")
                else:
                    self._pass_over(trigger_id, worker, hangs_at)

    def _pass_over(self, trigger_id: int, worker: Worker, hangs_at: wire.Trigger) -> None:
        why = f"passed over: {worker.name} has not come back from the trigger of frame {hangs_at.seq}"
        self._answer(trigger_id, False, why)

    def _answer(self, trigger_id: int, ok: bool, outcome: str, at_ns: int = 0) -> None:
        """Say what came of a trigger that was acted on; one that was given up stays so."""
        pending = self._pending.pop(trigger_id, None)
        if pending is None:
            return
        if ok:
            acted = _acted(trigger_id, outcome, at_ns, pending.arrived_ns, pending.newest_arrived_ns)
        else:
            acted = wire.Acted(trigger_id, False, outcome)
        self._line.say(acted)


def _acted(
    trigger_id: int, outcome: str, at_ns: int, arrived_ns: int | None, newest_arrived_ns: int | None
) -> wire.Acted:
    """Something that was done `at_ns`."""
    latencies_ms = (
        None if began is None else (at_ns - began) / 1e6 for began in (arrived_ns, newest_arrived_ns)
    )
    return wire.Acted(trigger_id, True, outcome, *latencies_ms)


def _call(function: Function, trigger: wire.Trigger) -> str:
    """Call a user's function; a text that it gives is the outcome."""
    given = function(as_dict(trigger))
    return given if isinstance(given, str) else "called"

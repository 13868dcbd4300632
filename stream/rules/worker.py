"""A thread that does what triggers ask for, one after the other, and may fail or hang without harm."""

import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue, SimpleQueue
from threading import Thread

from acquire.frame import SourceError
from stream import wire

# Triggers that may wait for the ones before them. All tracks of a field are confirmed in one frame at the
# beginning, some hundred; more would be done when nobody wants it any more.
WAITING = 512
LONGEST_OUTCOME = 1000  # characters


@dataclass(frozen=True, slots=True)
class Done:
    """A worker came back: whether it did what the trigger asked for, the outcome, and when (time_ns)."""

    trigger_id: int
    ok: bool
    outcome: str
    at_ns: int


class Worker:
    """Does one thing for each trigger in a daemon thread of its own.

    Parameters
    ----------
    name
        What does it, for people.
    do
        Does it and gives a sentence on what was done.
    done
        Where it puts what came of it.
    """

    def __init__(self, name: str, do: Callable[[wire.Trigger], str], done: "SimpleQueue[Done]") -> None:
        self.name = name
        self._do = do
        self._done = done
        self._waiting: Queue[wire.Trigger] = Queue(WAITING)
        self._busy: tuple[wire.Trigger, float] | None = None
        # A daemon: what never comes back must not keep the program from ending.
        Thread(target=self._run, name=f"rule: {name}", daemon=True).start()

    def put(self, trigger: wire.Trigger) -> bool:
        """Ask for it; False when too much is waiting."""
        try:
            self._waiting.put_nowait(trigger)
        except Full:
            return False
        return True

    def forget_waiting(self) -> None:
        """Give up what waits; what is being done goes on."""
        with suppress(Empty):
            while True:
                self._waiting.get_nowait()

    def busy_with(self, longer_than_s: float) -> wire.Trigger | None:
        """The trigger that it has been busy with for longer than this, if there is one."""
        busy = self._busy
        return busy[0] if busy is not None and time.monotonic() - busy[1] > longer_than_s else None

    def _run(self) -> None:
        while True:
            trigger = self._waiting.get()
            self._busy = trigger, time.monotonic()
            ok, outcome = self._attempt(trigger)
            self._busy = None
            self._done.put(Done(trigger.trigger_id, ok, outcome, time.time_ns()))

    def _attempt(self, trigger: wire.Trigger) -> tuple[bool, str]:
        try:
            return True, clean(self._do(trigger))
        except SourceError as error:
            return False, clean(str(error))
        except BaseException as error:  # a user's function may call sys.exit()
            traceback.print_exc()
            return False, clean(f"{self.name} failed: {type(error).__name__}: {_text(error)}")


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a user's exception may have a __str__ that fails
        return "(it cannot be printed)"


def clean(text: str) -> str:
    """One line that every file and socket takes."""
    line = " ".join(text.split()) or "done"
    return line[:LONGEST_OUTCOME].encode("utf-8", "replace").decode()

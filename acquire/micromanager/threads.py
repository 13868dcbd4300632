"""pycromanager's threads, mended: they end with this program, also when a driver or a Micro-Manager hangs."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from types import ModuleType, SimpleNamespace
from typing import Any


def end_with_program(*modules: ModuleType) -> None:
    """Let the threads that these modules start be daemons, by the names that the modules use."""

    def thread(*arguments: Any, **named: Any) -> threading.Thread:
        return threading.Thread(*arguments, **named, daemon=True)

    for module in modules:
        vars(module)["threading"] = SimpleNamespace(Thread=thread, Event=threading.Event)


class Executor:
    """A `ThreadPoolExecutor` of one thread, for which the program does not wait at its end.

    Parameters
    ----------
    max_workers
        One; more are not made.
    thread_name_prefix
        Name of the thread.
    """

    def __init__(self, max_workers: int, thread_name_prefix: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=thread_name_prefix, daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[], Any]) -> "Future[Any]":
        """Have it called behind all others; gives its result to wait for."""
        future: Future[Any] = Future()
        self._calls.put((future, call))
        return future

    def shutdown(self) -> None:
        """Wait until all is called."""
        self._calls.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (submitted := self._calls.get()) is not None:
            future, call = submitted
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            del submitted, future, call  # what they hold is let go, also while this waits

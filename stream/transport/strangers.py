"""Tells of strangers that were refused by a source's sockets."""

from collections.abc import Callable, Sequence

from stream.transport.gate import Gate
from stream.transport.watch import Watch

MAX_NOTES = 20  # strangers may come with ever new keys


class Strangers:
    """Collects what the gate and the watches on its sockets say of callers that were refused.

    Parameters
    ----------
    gate
        None where source and analysis share a computer: then nothing is told.
    watches
        On the sockets that listen.
    """

    def __init__(self, gate: Gate | None, watches: Sequence[Watch]) -> None:
        self._gate = gate
        self._watches = watches
        self._told: set[str] = set()

    def tell(self, note: Callable[[str], None]) -> None:
        """Tell of those since the last call, the same only once."""
        if self._gate is None:
            return
        strangers = self._gate.refused()
        whys = {why for watch in self._watches if (why := watch.refused())}
        for text in strangers or [f"a connection was refused: {why}" for why in whys]:
            if text not in self._told and len(self._told) < MAX_NOTES:
                self._told.add(text)
                note(text)

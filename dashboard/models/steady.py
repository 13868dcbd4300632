"""Warnings that do not flicker: what is wrong is told at once, that it is well when it has stayed so."""

from collections.abc import Sequence
from dataclasses import replace

from dashboard.models.panels import Level, Reading

HOLD_S = 3.0  # a share of frames near its limit crosses it every second or so
AT_ONCE = ("clock",)  # says how long nothing has come: over as soon as something comes
RANK: dict[Level, int] = {"ok": 0, "caution": 1, "alarm": 2}


class Steady:
    """Holds the level of each reading for a while after it got better; numbers are always those of now."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything: another run, or its end."""
        self._held: dict[str, tuple[Reading, float]] = {}  # by name: the reading, and when it was last so bad

    def steadied(self, readings: Sequence[Reading], now_s: float) -> tuple[Reading, ...]:
        """The readings at the moment `now_s`; level, word and meaning are held where they just got better."""
        return tuple(self._steadied(reading, now_s) for reading in readings)

    def _steadied(self, reading: Reading, now_s: float) -> Reading:
        if reading.name in AT_ONCE:
            return reading
        held, since_s = self._held.get(reading.name, (reading, now_s))
        if RANK[reading.level] >= RANK[held.level] or not 0 <= now_s - since_s < HOLD_S:
            self._held[reading.name] = reading, now_s
            return reading
        return replace(reading, level=held.level, word=held.word, meaning=held.meaning)

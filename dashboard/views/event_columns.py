"""Columns of the event list."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from stream.results import CalciumEvent

Value = float | int | str | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the event list.

    Attributes
    ----------
    name, meaning
        Its header, and a sentence that explains it.
    value
        Number of an event, by which the list is sorted.
    digits
        Decimals shown; None: a yes or no.
    sample
        A text about as wide as any that is shown.
    """

    name: str
    meaning: str
    value: Callable[[CalciumEvent], float]
    digits: int | None
    sample: str

    def shown(self, event: CalciumEvent) -> Value:
        """What is shown, as a number where it is one; None where it is not known."""
        value = self.value(event)
        if self.digits is None:
            return "yes" if value else "no"
        if not math.isfinite(value):
            return None
        return round(value, self.digits) if self.digits else int(value)

    def text(self, event: CalciumEvent) -> str:
        """What is shown, as text."""
        value = self.shown(event)
        if isinstance(value, float):
            return f"{value:.{self.digits}f}"
        return "–" if value is None else str(value)


COLUMNS = (
    Column("event", "number of the event in this run; ▸: selected", lambda e: e.event_id, 0, "▸ 00000"),
    Column("track", "number of the PIEZO1 track that it belongs to", lambda e: e.track_id, 0, "000000"),
    Column("onset (s)", "first frame above rest, on the camera's clock", lambda e: e.onset_s, 2, "0000.00"),
    Column("duration (s)", "from onset to end", lambda e: e.end_s - e.onset_s, 2, "000.00"),
    Column("ΔF/F0", "at the peak, in the middle of the cloud", lambda e: e.amplitude_dff, 3, "00.000"),
    Column("SNR", "amplitude in standard deviations of its noise", lambda e: e.snr, 1, "000.0"),
    Column("probability", "that the event is real", lambda e: e.calcium_probability, 2, "0.00"),
    Column("in wave", "whether a calcium wave passed there then", lambda e: e.in_wave, None, "yes"),
)
ONSET = 2
# By these columns the newest event comes last.
IN_TIME = (0, ONSET)

"""Triggers on the wire: what a rule saw, and what the source did about it.

The same messages go between analysis and source, and from the analysis to whoever listens to results.
"""

from collections.abc import Sequence
from math import isfinite

import msgspec

from stream.wire.envelope import (
    MAX_HEADER_BYTES,
    VERSION,
    Buffer,
    Count,
    Message,
    Text,
    WireError,
    check_version,
    decode,
    encoder,
    sealed,
    unsealed,
)

TRIGGER_TOPIC = b"trigger"


class Trigger(Message, frozen=True):
    """A rule fired.

    What is to be done about it, the source looks up by the rule's name in its own configuration.

    Attributes
    ----------
    trigger_id
        Counted from 0 in each run.
    rule
        Name of the rule.
    seq, time_s
        Frame that the trigger is about, and its time.
    newest_seq
        Newest frame that had to arrive before it was known: engines may look ahead.
    what
        What happened, in the words of the rule's grammar.
    track_id
        Track that it happened at, −1 where it is about none.
    x_nm, y_nm
        Where, in the sample; None where it is about no place.
    measured
        The fields that conditions can ask, by name.
    """

    trigger_id: Count
    rule: Text
    seq: Count
    newest_seq: Count
    time_s: float
    what: Text
    track_id: int
    x_nm: float | None
    y_nm: float | None
    measured: dict[Text, float]
    version: int = VERSION


class Acted(Message, frozen=True):
    """What came of a trigger.

    Attributes
    ----------
    ok
        Whether it was done.
    outcome
        What was done, or why not, in a sentence.
    latency_ms, newest_latency_ms
        From the last pixel of the frames `seq` and `newest_seq` to the action being done, on the clock of the
        source; None for recordings, for what was not done, and where the frame is too long ago.
    """

    trigger_id: Count
    ok: bool
    outcome: Text
    latency_ms: float | None = None
    newest_latency_ms: float | None = None


class TriggersBegin(Message, frozen=True):
    """Analysis to source: triggers may come."""

    version: int = VERSION


class TriggersEnd(Message, frozen=True):
    """Analysis to source: no more triggers come. Source to analysis: nor answers."""


TriggerMessage = Trigger | Acted | TriggersBegin | TriggersEnd

_decoder = msgspec.msgpack.Decoder(TriggerMessage)


def encode_trigger(message: TriggerMessage) -> list[Buffer]:
    """Parts of a message about triggers."""
    return sealed([TRIGGER_TOPIC, encoder.encode(message)])


def decode_trigger(parts: Sequence[Buffer]) -> TriggerMessage:
    """Message about triggers from received parts.

    Raises
    ------
    WireError
        If the parts are no such message of this version.
    """
    topic, packed = unsealed(parts, 2)
    if topic != TRIGGER_TOPIC:
        raise WireError("the topic is not that of a trigger")
    message: TriggerMessage = decode(_decoder, packed, MAX_HEADER_BYTES)
    if isinstance(message, Trigger | TriggersBegin):
        check_version(message.version)
    if isinstance(message, Trigger) and not isfinite(message.time_s):
        raise WireError("the trigger's time is not a finite number")
    return message

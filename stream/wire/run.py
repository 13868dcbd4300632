"""Which run a socket belongs to, and how the run ended; for whoever listens to results and pictures.

One address may be that of one run after another, and a subscriber is connected to the next one by itself.
So every connection begins with a greeting that names the run.
"""

from collections.abc import Sequence

import msgspec

from stream.wire.desk import Health
from stream.wire.envelope import (
    MAX_HEADER_BYTES,
    VERSION,
    Buffer,
    Message,
    Text,
    WireError,
    check_version,
    decode,
    encoder,
    sealed,
    unsealed,
)

GREETING_TOPIC = b"greeting"
OVER_TOPIC = b"over"
CHECKSUM_BYTES = 8


class Greeting(Message, frozen=True):
    """First message of every connection: what comes on it is of this run, see `Report.run_id`."""

    run_id: Text
    version: int = VERSION


class RunOver(Message, frozen=True):
    """Last message of a run.

    Attributes
    ----------
    state
        As in `run.json`: finished, interrupted, or failed and why; empty where nothing was recorded.
    folder
        Run folder.
    problem
        What went wrong, empty if nothing did.
    health
        How it was at the very end, missing frames as in `run.json`; None where that was not told.
    """

    state: Text
    folder: Text
    problem: Text
    version: int = VERSION
    health: Health | None = None


_greetings = msgspec.msgpack.Decoder(Greeting)
_ends = msgspec.msgpack.Decoder(RunOver)


def encode_greeting(run_id: str) -> bytes:
    """A greeting as one part: ZeroMQ greets with no more."""
    return b"".join(sealed([GREETING_TOPIC, encoder.encode(Greeting(run_id))]))


def decode_greeting(parts: Sequence[Buffer]) -> str:
    """The `run_id` of a greeting.

    Raises
    ------
    WireError
        If the parts are no greeting of this version.
    """
    if len(parts) != 1:
        raise WireError(f"a greeting has 1 part, this one has {len(parts)}")
    whole, begin = memoryview(parts[0]), len(GREETING_TOPIC)
    end = max(begin, len(whole) - CHECKSUM_BYTES)
    topic, packed = unsealed([whole[:begin], whole[begin:end], whole[end:]], 2)
    if topic != GREETING_TOPIC:
        raise WireError("the topic is not that of a greeting")
    message: Greeting = decode(_greetings, packed, MAX_HEADER_BYTES)
    check_version(message.version)
    return message.run_id


def encode_over(over: RunOver) -> list[Buffer]:
    """Parts of the last message."""
    return sealed([OVER_TOPIC, encoder.encode(over)])


def decode_over(parts: Sequence[Buffer]) -> RunOver:
    """The last message from received parts.

    Raises
    ------
    WireError
        If the parts are no such message of this version.
    """
    topic, packed = unsealed(parts, 2)
    if topic != OVER_TOPIC:
        raise WireError("the topic is not that of a run's end")
    message: RunOver = decode(_ends, packed, MAX_HEADER_BYTES)
    check_version(message.version)
    return message

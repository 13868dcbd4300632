"""Control messages on the wire: hello, start, prepared, going, ping, pong, stop, end, received, failed."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from acquire.frame import SourceInfo
from stream.wire.envelope import (
    MAX_HEADER_BYTES,
    VERSION,
    BitDepth,
    Buffer,
    Channels,
    Count,
    Message,
    Side,
    Text,
    WireError,
    decode,
    encoder,
    sealed,
    unsealed,
)


class Hello(Message, frozen=True):
    """Analysis to source: here I am."""

    version: int


class Start(Message, frozen=True):
    """Source to analysis: what is about to come, and how it is delivered."""

    version: int
    delivery: Literal["lossless", "live"]
    name: Text
    shape: tuple[Channels, Side, Side]
    n_frames: Count | None
    interval_s: float | None
    pixel_size_nm: float | None
    bit_depth: BitDepth
    description: Text

    @classmethod
    def of(cls, info: SourceInfo, delivery: Literal["lossless", "live"]) -> "Start":
        """Announce a source."""
        return cls(VERSION, delivery, *(getattr(info, name) for name in SourceInfo.__slots__))

    def info(self) -> SourceInfo:
        """The announced source."""
        return SourceInfo(*(getattr(self, name) for name in SourceInfo.__slots__))


class Prepared(Message, frozen=True):
    """Analysis to source: ready for frames of the announced shape, the camera may start."""


class Ping(Message, frozen=True):
    """Analysis to source: what does your clock say? `number` comes back in the answer."""

    number: Count


class Pong(Message, frozen=True):
    """Source to analysis: the source's wall clock (`time.time_ns`) when the ping was there, and its step."""

    number: Count
    clock_ns: int
    resolution_ns: Count


class Going(Message, frozen=True):
    """Source to analysis: how far it is, a few times a second; `n_sent` and `losses` as in `End`, so far."""

    n_sent: Count
    losses: dict[Text, Count]


class Stop(Message, frozen=True):
    """Analysis to source: the user wants an end; send what you have, and the end."""


class End(Message, frozen=True):
    """Source to analysis: nothing more comes.

    `n_frames` counts every frame of the source, `n_sent` those handed to the socket, `losses` those the
    source lost itself, by cause. `problem` is empty unless the source failed. `longest_wait_ms` is the
    longest that handing over one frame took, `cpu_ms` the CPU time of reading and of sending a frame,
    `figures` what a live source measured of itself.
    """

    n_frames: Count
    n_sent: Count
    losses: dict[Text, Count]
    reason: Text
    problem: Text
    longest_wait_ms: float
    cpu_ms: dict[Text, float]
    figures: dict[Text, float]


class Received(Message, frozen=True):
    """Analysis to source: everything up to the end has arrived, the source may go."""


class Failed(Message, frozen=True):
    """The run failed on this side: stop. Its form is the same in all versions."""

    problem: Text


Control = Hello | Start | Prepared | Going | Ping | Pong | Stop | End | Received | Failed

_decoder = msgspec.msgpack.Decoder(Control)


def encode_control(message: Control) -> list[Buffer]:
    """Parts of a control message."""
    return sealed([encoder.encode(message)])


def decode_control(parts: Sequence[Buffer]) -> Control:
    """Control message from received parts.

    Raises
    ------
    WireError
        If the parts are not a control message of this version.
    """
    (packed,) = unsealed(parts, 1)
    message: Control = decode(_decoder, packed, MAX_HEADER_BYTES)
    match message:
        case Hello():
            _check_sides(analysis=message.version, source=VERSION)
        case Start():
            _check_sides(analysis=VERSION, source=message.version)
    return message


def _check_sides(*, analysis: int, source: int) -> None:
    """Refuse a peer of another version, and say which side is the older one."""
    if analysis != source:
        older = "analysis" if analysis < source else "source"
        raise WireError(
            f"the source speaks version {source} of the wire format and the analysis {analysis}: "
            f"update this program where the {older} runs"
        )

"""Control messages on the wire: hello, start, prepared, end, received, failed."""

from collections.abc import Sequence

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
    check_version,
    decode,
    encoder,
    sealed,
    unsealed,
)


class Hello(Message, frozen=True):
    """Analysis to source: here I am."""

    version: int


class Start(Message, frozen=True):
    """Source to analysis: what is about to come."""

    version: int
    name: Text
    shape: tuple[Channels, Side, Side]
    n_frames: Count | None
    interval_s: float | None
    pixel_size_nm: float | None
    bit_depth: BitDepth
    description: Text

    @classmethod
    def of(cls, info: SourceInfo) -> "Start":
        """Announce a source."""
        return cls(VERSION, *(getattr(info, name) for name in SourceInfo.__slots__))

    def info(self) -> SourceInfo:
        """The announced source."""
        return SourceInfo(*(getattr(self, name) for name in SourceInfo.__slots__))


class Prepared(Message, frozen=True):
    """Analysis to source: ready for frames of the announced shape, the camera may start."""


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
    """Analysis to source: the run failed, stop."""

    problem: Text


Control = Hello | Start | Prepared | End | Received | Failed

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
    if isinstance(message, Hello | Start):
        check_version(message.version)
    return message

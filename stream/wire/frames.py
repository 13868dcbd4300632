"""Frames on the wire."""

from collections.abc import Sequence
from math import isfinite, prod

import msgspec
import numpy as np

from acquire.frame import Frame, MetadataValue
from stream.wire.envelope import (
    MAX_HEADER_BYTES,
    VERSION,
    Buffer,
    Channels,
    Count,
    Message,
    Side,
    WireError,
    check_version,
    decode,
    encoder,
    sealed,
    unsealed,
)

FRAME_TOPIC = b"frame"


class FrameHeader(Message, frozen=True):
    """Header of a frame; `sent_ns` is the sender's wall clock when it was handed over."""

    version: int
    seq: Count
    time_s: float
    sent_ns: int
    shape: tuple[Channels, Side, Side]
    metadata: dict[str, MetadataValue]
    arrived_ns: int | None


_decoder = msgspec.msgpack.Decoder(FrameHeader)


def encode_frame(frame: Frame, sent_ns: int) -> list[Buffer]:
    """Parts of a frame's message; the third is the frame's own memory.

    Raises
    ------
    WireError
        If the frame's metadata is too large to travel.
    """
    channels, height, width = frame.pixels.shape
    header = FrameHeader(
        version=VERSION,
        seq=frame.seq,
        time_s=frame.time_s,
        sent_ns=sent_ns,
        shape=(channels, height, width),
        metadata=dict(frame.metadata),
        arrived_ns=frame.arrived_ns,
    )
    pixels = np.ascontiguousarray(frame.pixels, dtype="<u2")
    packed = encoder.encode(header)
    if len(packed) > MAX_HEADER_BYTES:
        raise WireError(
            f"the metadata of frame {frame.seq} has {len(packed)} bytes, "
            f"more than the {MAX_HEADER_BYTES} allowed"
        )
    return sealed([FRAME_TOPIC, packed, pixels.data.cast("B")])


def decode_frame(parts: Sequence[Buffer]) -> tuple[Frame, int]:
    """Frame and its `sent_ns` from received parts; pixels are a read-only view of the third part.

    Raises
    ------
    WireError
        If the parts are not a frame of this version.
    """
    topic, packed, buffer = unsealed(parts, 3)
    if topic != FRAME_TOPIC:
        raise WireError("the topic is not that of a frame")
    header = decode(_decoder, packed, MAX_HEADER_BYTES)
    check_version(header.version)
    if not isfinite(header.time_s):
        raise WireError("the frame's time is not a finite number")
    expected = 2 * prod(header.shape)
    if buffer.nbytes != expected:
        raise WireError(f"a frame of shape {header.shape} has {expected} bytes, this one has {buffer.nbytes}")
    pixels = np.frombuffer(buffer, dtype="<u2").reshape(header.shape)
    frame = Frame(header.seq, header.time_s, pixels, header.metadata, header.arrived_ns)
    return frame, header.sent_ns

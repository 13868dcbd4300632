"""The wire format: frames, results and control messages as bytes, validated on the way in.

Frames travel as topic, msgpack header and pixel buffer, so that pixels are never copied; results as
topic and one msgpack part; control messages as one msgpack part. A last part holds the XXH3 checksum of
all before it: a damaged message is refused even where its bytes still make sense. Nothing is ever
unpickled, and every size is checked against its limit before memory is taken.
"""

from collections.abc import Sequence
from math import isfinite, prod
from typing import Annotated, Any

import msgspec
import numpy as np
import xxhash
from msgspec import Meta, Struct
from numpy.typing import NDArray

from acquire.frame import Frame, MetadataValue, SourceInfo
from model.localizations import COLUMNS, Localizations
from stream.results import CalciumEvent, CalciumUpdate, FrameResult, StreamError, TrackUpdate

VERSION = 1
FRAME_TOPIC = b"frame"
RESULT_TOPIC = b"result"
MAX_HEADER_BYTES = 1024 * 1024
MAX_TEXT = 4096
MAX_SIDE = 16384
MAX_MESSAGE_BYTES = 2 * 2 * MAX_SIDE**2 + MAX_HEADER_BYTES

Buffer = bytes | memoryview
Count = Annotated[int, Meta(ge=0)]
Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]


class WireError(StreamError):
    """Bytes that are not a valid message; the message says which rule they break."""


class _Message(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """Base of everything that travels; the tag is the class name."""


class FrameHeader(_Message, frozen=True):
    """Header of a frame; `sent_ns` is the sender's wall clock, the origin of latency."""

    version: int
    seq: Count
    time_s: float
    sent_ns: int
    shape: tuple[Annotated[int, Meta(ge=1, le=2)], Side, Side]
    metadata: dict[str, MetadataValue]


class ResultMessage(_Message, frozen=True):
    """A `FrameResult`; arrays are little-endian bytes, lengths follow from `localizations`."""

    version: int
    seq: Count
    time_s: float
    missing_before: Count
    localizations: bytes
    track_id: bytes
    gap_track_id: bytes
    gap_xy: bytes
    born: list[int]
    confirmed: list[int]
    died: list[int]
    dropped: list[int]
    dff: bytes
    is_open: bytes
    gap_dff: bytes
    gap_is_open: bytes
    events: list[CalciumEvent]
    stage_ms: dict[str, float]
    latency_ms: float


class Hello(_Message, frozen=True):
    """Analysis to source: ready to receive."""

    version: int


class Start(_Message, frozen=True):
    """Source to analysis: what is about to come."""

    version: int
    name: Text
    shape: tuple[Annotated[int, Meta(ge=1, le=2)], Side, Side]
    n_frames: Count | None
    interval_s: float | None
    pixel_size_nm: float | None
    bit_depth: Annotated[int, Meta(ge=1, le=16)]
    description: Text

    @classmethod
    def of(cls, info: SourceInfo) -> "Start":
        """Announce a source."""
        return cls(VERSION, *(getattr(info, name) for name in SourceInfo.__slots__))

    def info(self) -> SourceInfo:
        """The announced source."""
        return SourceInfo(*(getattr(self, name) for name in SourceInfo.__slots__))


class End(_Message, frozen=True):
    """Source to analysis: nothing more comes.

    `n_frames` counts every frame of the source, `n_sent` those handed to the socket, `losses` those the
    source lost itself, by cause. `problem` is empty unless the source failed. `longest_wait_ms` is the
    longest that handing over one frame took, `cpu_ms` the CPU time of reading and of sending a frame.
    """

    n_frames: Count
    n_sent: Count
    losses: dict[Text, Count]
    reason: Text
    problem: Text
    longest_wait_ms: float
    cpu_ms: dict[Text, float]


class Received(_Message, frozen=True):
    """Analysis to source: everything up to the end has arrived, the source may go."""


class Failed(_Message, frozen=True):
    """Analysis to source: the run failed, stop."""

    problem: Text


Control = Hello | Start | End | Received | Failed

_encoder = msgspec.msgpack.Encoder()
_frame_decoder = msgspec.msgpack.Decoder(FrameHeader)
_result_decoder = msgspec.msgpack.Decoder(ResultMessage)
_control_decoder = msgspec.msgpack.Decoder(Control)


def encode_frame(frame: Frame, sent_ns: int) -> list[Buffer]:
    """Parts of a frame's message; the third is the frame's own memory.

    Raises
    ------
    WireError
        If the frame's metadata is too large to travel.
    """
    channels, height, width = frame.pixels.shape
    header = FrameHeader(
        VERSION, frame.seq, frame.time_s, sent_ns, (channels, height, width), dict(frame.metadata)
    )
    pixels = np.ascontiguousarray(frame.pixels, dtype="<u2")
    packed = _encoder.encode(header)
    if len(packed) > MAX_HEADER_BYTES:
        raise WireError(
            f"the metadata of frame {frame.seq} has {len(packed)} bytes, "
            f"more than the {MAX_HEADER_BYTES} allowed"
        )
    return _sealed([FRAME_TOPIC, packed, pixels.data.cast("B")])


def decode_frame(parts: Sequence[Buffer]) -> tuple[Frame, int]:
    """Frame and its `sent_ns` from received parts; pixels are a read-only view of the third part.

    Raises
    ------
    WireError
        If the parts are not a frame of this version.
    """
    topic, packed, buffer = _unsealed(parts, 3)
    if topic != FRAME_TOPIC:
        raise WireError("the topic is not that of a frame")
    header = _decode(_frame_decoder, packed, MAX_HEADER_BYTES)
    _check_version(header.version)
    if not isfinite(header.time_s):
        raise WireError("the frame's time is not a finite number")
    expected = 2 * prod(header.shape)
    if buffer.nbytes != expected:
        raise WireError(f"a frame of shape {header.shape} has {expected} bytes, this one has {buffer.nbytes}")
    pixels = np.frombuffer(buffer, dtype="<u2").reshape(header.shape)
    return Frame(header.seq, header.time_s, pixels, header.metadata), header.sent_ns


def encode_result(result: FrameResult) -> list[Buffer]:
    """Parts of a result's message."""
    tracks, calcium = result.tracks, result.calcium
    message = ResultMessage(
        version=VERSION,
        seq=result.seq,
        time_s=result.time_s,
        missing_before=result.missing_before,
        localizations=_pack(result.localizations.table(), "<f4"),
        track_id=_pack(tracks.track_id, "<i8"),
        gap_track_id=_pack(tracks.gap_track_id, "<i8"),
        gap_xy=_pack(np.stack([tracks.gap_x_px, tracks.gap_y_px], axis=1), "<f4"),
        born=tracks.born.tolist(),
        confirmed=tracks.confirmed.tolist(),
        died=tracks.died.tolist(),
        dropped=tracks.dropped.tolist(),
        dff=_pack(calcium.dff, "<f4"),
        is_open=_pack(calcium.is_open, "u1"),
        gap_dff=_pack(calcium.gap_dff, "<f4"),
        gap_is_open=_pack(calcium.gap_is_open, "u1"),
        events=list(calcium.events),
        stage_ms=dict(result.stage_ms),
        latency_ms=result.latency_ms,
    )
    return _sealed([RESULT_TOPIC, _encoder.encode(message)])


def decode_result(parts: Sequence[Buffer]) -> FrameResult:
    """Result from received parts.

    Raises
    ------
    WireError
        If the parts are not a result of this version, or its columns disagree in length.
    """
    topic, packed = _unsealed(parts, 2)
    if topic != RESULT_TOPIC:
        raise WireError("the topic is not that of a result")
    m = _decode(_result_decoder, packed, MAX_MESSAGE_BYTES)
    _check_version(m.version)
    table = _unpack(m.localizations, "<f4", len(COLUMNS))
    track_id, gap_track_id = _unpack(m.track_id, "<i8"), _unpack(m.gap_track_id, "<i8")
    gap_xy = _unpack(m.gap_xy, "<f4", 2)
    dff, is_open = _unpack(m.dff, "<f4"), _unpack(m.is_open, "u1") != 0
    gap_dff, gap_is_open = _unpack(m.gap_dff, "<f4"), _unpack(m.gap_is_open, "u1") != 0
    if not len(table) == len(track_id) == len(dff) == len(is_open):
        raise WireError("the columns of the localizations differ in length")
    if not len(gap_track_id) == len(gap_xy) == len(gap_dff) == len(gap_is_open):
        raise WireError("the columns of the tracks in a gap differ in length")
    try:
        changes = [np.asarray(ids, np.int64) for ids in (m.born, m.confirmed, m.died, m.dropped)]
    except OverflowError as error:
        raise WireError("a track id is larger than 64 bits") from error
    return FrameResult(
        seq=m.seq,
        time_s=m.time_s,
        missing_before=m.missing_before,
        localizations=Localizations.from_table(table),
        tracks=TrackUpdate(track_id, gap_track_id, gap_xy[:, 0].copy(), gap_xy[:, 1].copy(), *changes),
        calcium=CalciumUpdate(dff, is_open, gap_dff, gap_is_open, tuple(m.events)),
        stage_ms=m.stage_ms,
        latency_ms=m.latency_ms,
    )


def encode_control(message: Control) -> list[Buffer]:
    """Parts of a control message."""
    return _sealed([_encoder.encode(message)])


def decode_control(parts: Sequence[Buffer]) -> Control:
    """Control message from received parts.

    Raises
    ------
    WireError
        If the parts are not a control message of this version.
    """
    (packed,) = _unsealed(parts, 1)
    message: Control = _decode(_control_decoder, packed, MAX_HEADER_BYTES)
    if isinstance(message, Hello | Start):
        _check_version(message.version)
    return message


def _checksum(parts: Sequence[Buffer]) -> bytes:
    checksum = xxhash.xxh3_64()
    for part in parts:
        checksum.update(part)
    return checksum.digest()


def _sealed(parts: list[Buffer]) -> list[Buffer]:
    return [*parts, _checksum(parts)]


def _unsealed(parts: Sequence[Buffer], n: int) -> list[memoryview]:
    """Parts before the checksum, after checking their number and the checksum."""
    if len(parts) != n + 1:
        raise WireError(f"the message should have {n + 1} parts, it has {len(parts)}")
    if sum(len(part) for part in parts) > MAX_MESSAGE_BYTES:
        raise WireError(f"the message is larger than the {MAX_MESSAGE_BYTES} bytes allowed")
    if _checksum(parts[:n]) != bytes(parts[n]):
        raise WireError("the checksum does not fit: the message was damaged on its way")
    return [memoryview(part) for part in parts[:n]]


def _decode(decoder: "msgspec.msgpack.Decoder[Any]", packed: memoryview, limit: int) -> Any:
    if packed.nbytes > limit:
        raise WireError(f"the message has {packed.nbytes} bytes, more than the {limit} allowed")
    try:
        return decoder.decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"the message is malformed: {error}") from error


def _check_version(version: int) -> None:
    if version != VERSION:
        raise WireError(
            f"the message has version {version}, this program speaks {VERSION}: update the older side"
        )


def _pack(array: NDArray[Any], dtype: str) -> bytes:
    return np.ascontiguousarray(array).astype(dtype, copy=False).tobytes()


def _unpack(packed: bytes, dtype: str, columns: int = 0) -> NDArray[Any]:
    try:
        flat = np.frombuffer(packed, dtype=dtype)
        return flat.reshape(-1, columns) if columns else flat
    except ValueError as error:
        raise WireError(f"an array of {len(packed)} bytes does not hold whole rows of {dtype}") from error

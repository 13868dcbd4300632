"""Results on the wire."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from model.localizations import COLUMNS, Localizations
from stream.results import (
    CalciumEvent,
    CalciumTransient,
    CalciumUpdate,
    EventsUnderWay,
    FrameResult,
    TrackUpdate,
)
from stream.wire.envelope import (
    MAX_MESSAGE_BYTES,
    VERSION,
    Buffer,
    Count,
    Message,
    WireError,
    check_version,
    decode,
    encoder,
    sealed,
    unsealed,
)

RESULT_TOPIC = b"result"
UNDER_WAY_IDS = ("track_id", "opened_frame")
UNDER_WAY_FLAGS = ("confirmed", "in_wave")
UNDER_WAY_VALUES = ("x_px", "y_px", "dff", "snr", "calcium_probability")


class ResultMessage(Message, frozen=True):
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
    state: bytes
    gap_dff: bytes
    gap_is_open: bytes
    gap_state: bytes
    events: list[CalciumEvent]
    transients: list[CalciumTransient]
    under_way_ids: bytes
    under_way_flags: bytes
    under_way_values: bytes
    wave_share: float
    stage_ms: dict[str, float]
    latency_ms: float


_decoder = msgspec.msgpack.Decoder(ResultMessage)


def encode_result(result: FrameResult) -> list[Buffer]:
    """Parts of a result's message."""
    tracks, calcium, on = result.tracks, result.calcium, result.calcium.under_way
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
        state=_pack(calcium.state, "i1"),
        gap_dff=_pack(calcium.gap_dff, "<f4"),
        gap_is_open=_pack(calcium.gap_is_open, "u1"),
        gap_state=_pack(calcium.gap_state, "i1"),
        events=list(calcium.events),
        transients=list(calcium.transients),
        under_way_ids=_stack(on, UNDER_WAY_IDS, "<i8"),
        under_way_flags=_stack(on, UNDER_WAY_FLAGS, "u1"),
        under_way_values=_stack(on, UNDER_WAY_VALUES, "<f4"),
        wave_share=calcium.wave_share,
        stage_ms=dict(result.stage_ms),
        latency_ms=result.latency_ms,
    )
    return sealed([RESULT_TOPIC, encoder.encode(message)])


def decode_result(parts: Sequence[Buffer]) -> FrameResult:
    """Result from received parts.

    Raises
    ------
    WireError
        If the parts are not a result of this version, or its columns disagree in length.
    """
    topic, packed = unsealed(parts, 2)
    if topic != RESULT_TOPIC:
        raise WireError("the topic is not that of a result")
    m = decode(_decoder, packed, MAX_MESSAGE_BYTES)
    check_version(m.version)
    table = _unpack(m.localizations, "<f4", len(COLUMNS))
    track_id, gap_track_id = _unpack(m.track_id, "<i8"), _unpack(m.gap_track_id, "<i8")
    gap_xy = _unpack(m.gap_xy, "<f4", 2)
    dff, is_open = _unpack(m.dff, "<f4"), _unpack(m.is_open, "u1") != 0
    gap_dff, gap_is_open = _unpack(m.gap_dff, "<f4"), _unpack(m.gap_is_open, "u1") != 0
    state, gap_state = _unpack(m.state, "i1"), _unpack(m.gap_state, "i1")
    if not len(table) == len(track_id) == len(dff) == len(is_open) == len(state):
        raise WireError("the columns of the localizations differ in length")
    if not len(gap_track_id) == len(gap_xy) == len(gap_dff) == len(gap_is_open) == len(gap_state):
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
        calcium=CalciumUpdate(
            dff,
            is_open,
            state,
            gap_dff,
            gap_is_open,
            gap_state,
            tuple(m.events),
            tuple(m.transients),
            _under_way(m),
            m.wave_share,
        ),
        stage_ms=m.stage_ms,
        latency_ms=m.latency_ms,
    )


def _under_way(m: ResultMessage) -> EventsUnderWay:
    ids = _unpack(m.under_way_ids, "<i8", len(UNDER_WAY_IDS))
    flags = _unpack(m.under_way_flags, "u1", len(UNDER_WAY_FLAGS)) != 0
    values = _unpack(m.under_way_values, "<f4", len(UNDER_WAY_VALUES))
    if not len(ids) == len(flags) == len(values):
        raise WireError("the columns of the events under way differ in length")
    named = zip(
        (*UNDER_WAY_IDS, *UNDER_WAY_FLAGS, *UNDER_WAY_VALUES), (*ids.T, *flags.T, *values.T), strict=True
    )
    return EventsUnderWay(**{name: column.copy() for name, column in named})


def _stack(on: EventsUnderWay, names: Sequence[str], dtype: str) -> bytes:
    return _pack(np.stack([getattr(on, name) for name in names], axis=1), dtype)


def _pack(array: NDArray[Any], dtype: str) -> bytes:
    return np.ascontiguousarray(array).astype(dtype, copy=False).tobytes()


def _unpack(packed: bytes, dtype: str, columns: int = 0) -> NDArray[Any]:
    try:
        flat = np.frombuffer(packed, dtype=dtype)
        return flat.reshape(-1, columns) if columns else flat
    except ValueError as error:
        raise WireError(f"an array of {len(packed)} bytes does not hold whole rows of {dtype}") from error

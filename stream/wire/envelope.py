"""What all messages share: limits, checksum, version and validated decoding."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import msgspec
import xxhash
from msgspec import Meta, Struct

from stream.results import StreamError

VERSION = 6
MAX_HEADER_BYTES = 1024 * 1024
MAX_TEXT = 4096
MAX_SIDE = 16384
MAX_MESSAGE_BYTES = 2 * 2 * MAX_SIDE**2 + MAX_HEADER_BYTES

Buffer = bytes | memoryview
# NumPy counts as far as that.
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Finite = Annotated[float, Meta(ge=-1e300, le=1e300)]  # NaN is refused too
Channels = Annotated[int, Meta(ge=1, le=2)]
Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]
BitDepth = Annotated[int, Meta(ge=1, le=16)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]


class WireError(StreamError):
    """Bytes that are not a valid message; the message says which rule they break."""


class Message(Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """Base of everything that travels; the tag is the class name."""


encoder = msgspec.msgpack.Encoder()


def _checksum(parts: Sequence[Buffer]) -> bytes:
    checksum = xxhash.xxh3_64()
    for part in parts:
        checksum.update(part)
    return checksum.digest()


def sealed(parts: list[Buffer]) -> list[Buffer]:
    """Parts of a message with the checksum behind them."""
    return [*parts, _checksum(parts)]


def unsealed(parts: Sequence[Buffer], n: int) -> list[memoryview]:
    """Parts before the checksum, after checking their number and the checksum."""
    if len(parts) != n + 1:
        raise WireError(f"the message should have {n + 1} parts, it has {len(parts)}")
    if sum(len(part) for part in parts) > MAX_MESSAGE_BYTES:
        raise WireError(f"the message is larger than the {MAX_MESSAGE_BYTES} bytes allowed")
    if _checksum(parts[:n]) != bytes(parts[n]):
        raise WireError("the checksum does not fit: the message was damaged on its way")
    return [memoryview(part) for part in parts[:n]]


def decode(decoder: "msgspec.msgpack.Decoder[Any]", packed: memoryview, limit: int) -> Any:
    """Decode and validate; raises WireError for whatever is wrong."""
    if packed.nbytes > limit:
        raise WireError(f"the message has {packed.nbytes} bytes, more than the {limit} allowed")
    try:
        return decoder.decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        _check_version_of(packed)
        raise WireError(f"the message is malformed: {error}") from error


def _check_version_of(packed: memoryview) -> None:
    """Of a malformed message: another version may have other fields, and should be named as the cause."""
    if packed.nbytes > MAX_HEADER_BYTES:
        return
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields = msgspec.msgpack.decode(packed)
        if isinstance(fields, dict) and isinstance(fields.get("version"), int):
            check_version(fields["version"])


def check_version(version: int) -> None:
    """Refuse a message of another version."""
    if version != VERSION:
        raise WireError(
            f"the message has version {version}, this program speaks {VERSION}: update the older side"
        )

"""Dashboards and the analysis on the wire: how things are, and what the user wants.

A dashboard asks with a number of its own, and the answer repeats it. One that opens late learns everything
from one report, so nothing has to be remembered for it.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stream.wire.envelope import (
    MAX_HEADER_BYTES,
    VERSION,
    BitDepth,
    Buffer,
    Channels,
    Count,
    Finite,
    Message,
    Side,
    Text,
    check_version,
    decode,
    encoder,
    sealed,
    unsealed,
)

Kind = Literal["live", "replay", "simulation"]
Stage = Literal["waiting", "preparing", "running", "finishing"]
Which = Literal["detection", "calcium"]
Row = tuple[Finite, Finite, Finite]
Level = Annotated[float, Meta(ge=-1e9, le=1e9)]  # thresholds are probabilities and standard deviations
Scale = Annotated[float, Meta(ge=1e-6, le=1e6)]  # nm of a pixel, s of a frame: wider than any microscope's
LONGEST_LOG = 200
MAX_ANNOTATION = 1000
Annotation = Annotated[str, Meta(min_length=1, max_length=MAX_ANNOTATION)]


class Ask(Message, frozen=True):
    """Dashboard to analysis: how are things? Answered with a `Report`."""

    number: Count
    version: int = VERSION


class Adjust(Message, frozen=True):
    """Dashboard to analysis: take this threshold from now on. Answered with an `Answer`."""

    number: Count
    which: Which
    value: float
    version: int = VERSION


class Annotate(Message, frozen=True):
    """Dashboard to analysis: record a remark about a frame, and a place in the sample where there is one."""

    number: Count
    text: Annotation
    seq: Count
    x_nm: float | None = None
    y_nm: float | None = None
    version: int = VERSION


class EndRun(Message, frozen=True):
    """Dashboard to analysis: end the run as Ctrl-C does, also while it is being prepared."""

    number: Count
    version: int = VERSION


Request = Ask | Adjust | Annotate | EndRun


class Dial(Message, frozen=True):
    """A threshold that can be turned: its value, its limits (both allowed), and what it counts in."""

    value: Level
    low: Level
    high: Level
    unit: Text

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"a threshold cannot be turned from {self.low:g} up to {self.high:g}")


class Gpu(Message, frozen=True):
    """Memory of a GPU."""

    name: Text
    used_bytes: Count
    total_bytes: Count


class Entry(Message, frozen=True):
    """An adjustment or annotation as recorded in `run.json`; `seq` is the first frame that it may concern."""

    kind: Literal["adjustment", "annotation"]
    time: Text
    seq: Count
    text: Text


class Session(Message, frozen=True):
    """What stays the same while a run goes on.

    Attributes
    ----------
    name, description
        Of the source.
    kind
        Whether a microscope, a recording or simulated frames are analysed.
    folder, host
        Run folder, and the computer that it is on.
    shape
        (C, H, W) of every frame.
    n_frames
        Of the source, None where it runs until it is stopped.
    transform
        Rows of the registration: the pixel (x, y) of channel 1 lies at `transform @ (x, y, 1)` in channel 2;
        None: in the same place.
    engine
        `Engine.description`.
    saves_raw
        Where the raw images go, empty where they are not saved.
    notes
        What was assumed, a sentence each.
    """

    name: Text
    description: Text
    kind: Kind
    folder: Text
    host: Text
    shape: tuple[Channels, Side, Side]
    n_frames: Count | None
    interval_s: Scale
    pixel_size_nm: Scale
    bit_depth: BitDepth
    delivery: Literal["lossless", "live"]
    has_calcium: bool
    transform: tuple[Row, Row] | None
    engine: Text
    saves_raw: Text
    notes: list[Text]


class Health(Message, frozen=True):
    """How a run goes on.

    Attributes
    ----------
    n_out, n_sent
        Frames with a result, and frames that the source handed over, as far as it said.
    waiting
        Frames that were sent and have not been taken up by the analysis yet.
    missing
        Missing frames by cause, in words; those of the source as it said last.
    recorded
        Frames that are on disk.
    run_bytes, disk_free_bytes
        Size of the journal, and room left where the run folder is.
    gpu
        None where the run uses none.
    detection, calcium
        Thresholds in force; calcium None where the stage is off.
    log
        The newest adjustments and annotations, `LONGEST_LOG` at most.
    """

    n_out: Count
    n_sent: Count
    waiting: Count
    missing: dict[Text, Count]
    recorded: Count
    run_bytes: Count
    disk_free_bytes: Count
    gpu: Gpu | None
    detection: Dial
    calcium: Dial | None
    log: list[Entry]


class Report(Message, frozen=True):
    """Answer to `Ask`.

    Attributes
    ----------
    run_id
        Different for each run, also where two follow each other at one address.
    stage, doing
        What the analysis is doing, as a word and in a sentence.
    clock_ns
        Wall clock of the analysis (`time.time_ns`).
    results, pictures
        Endpoints of the run; with tcp only their ports count, as the host is the one that was called.
    session, health
        None until the engine is ready for the source's frames.
    """

    number: Count
    run_id: Text
    stage: Stage
    doing: Text
    clock_ns: int
    results: Text
    pictures: Text
    session: Session | None
    health: Health | None
    version: int = VERSION


class Answer(Message, frozen=True):
    """What came of a wish: whether it was done, in a sentence, and the first frame that it may concern.

    `seq` is 0 where that is no frame: of a wish that was not taken, and of the run's end.
    """

    number: Count
    ok: bool
    text: Text
    seq: Count
    version: int = VERSION


Reply = Report | Answer

_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply)


def encode_desk(message: Request | Reply) -> list[Buffer]:
    """Parts of a request or a reply."""
    return sealed([encoder.encode(message)])


def decode_request(parts: Sequence[Buffer]) -> Request:
    """Request from received parts.

    Raises
    ------
    WireError
        If the parts are no request of this version.
    """
    (packed,) = unsealed(parts, 1)
    message: Request = decode(_requests, packed, MAX_HEADER_BYTES)
    check_version(message.version)
    return message


def decode_reply(parts: Sequence[Buffer]) -> Reply:
    """Reply from received parts.

    Raises
    ------
    WireError
        If the parts are no reply of this version.
    """
    (packed,) = unsealed(parts, 1)
    message: Reply = decode(_replies, packed, MAX_HEADER_BYTES)
    check_version(message.version)
    return message

"""The wire format: frames, results and control messages as bytes, validated on the way in.

Frames travel as topic, msgpack header and pixel buffer, so that pixels are never copied; results and
triggers as topic and one msgpack part; control messages as one msgpack part. A last part holds the XXH3
checksum of all before it: a damaged message is refused even where its bytes still make sense. Nothing is
ever unpickled, and every size is checked against its limit before memory is taken.
"""

from stream.wire.control import (
    Control,
    End,
    Failed,
    Hello,
    Ping,
    Pong,
    Prepared,
    Received,
    Start,
    Stop,
    decode_control,
    encode_control,
)
from stream.wire.desk import (
    Adjust,
    Annotate,
    Answer,
    Ask,
    Dial,
    EndRun,
    Entry,
    Gpu,
    Health,
    Reply,
    Report,
    Request,
    Session,
    decode_reply,
    decode_request,
    encode_desk,
)
from stream.wire.envelope import MAX_HEADER_BYTES, MAX_MESSAGE_BYTES, MAX_TEXT, VERSION, WireError
from stream.wire.frames import FRAME_TOPIC, decode_frame, encode_frame
from stream.wire.results import RESULT_TOPIC, decode_result, encode_result
from stream.wire.triggers import (
    TRIGGER_TOPIC,
    Acted,
    Trigger,
    TriggerMessage,
    TriggersBegin,
    TriggersEnd,
    decode_trigger,
    encode_trigger,
)

__all__ = [
    "FRAME_TOPIC",
    "MAX_HEADER_BYTES",
    "MAX_MESSAGE_BYTES",
    "MAX_TEXT",
    "RESULT_TOPIC",
    "TRIGGER_TOPIC",
    "VERSION",
    "Acted",
    "Adjust",
    "Annotate",
    "Answer",
    "Ask",
    "Control",
    "Dial",
    "End",
    "EndRun",
    "Entry",
    "Failed",
    "Gpu",
    "Health",
    "Hello",
    "Ping",
    "Pong",
    "Prepared",
    "Received",
    "Reply",
    "Report",
    "Request",
    "Session",
    "Start",
    "Stop",
    "Trigger",
    "TriggerMessage",
    "TriggersBegin",
    "TriggersEnd",
    "WireError",
    "decode_control",
    "decode_frame",
    "decode_reply",
    "decode_request",
    "decode_result",
    "decode_trigger",
    "encode_control",
    "encode_desk",
    "encode_frame",
    "encode_result",
    "encode_trigger",
]

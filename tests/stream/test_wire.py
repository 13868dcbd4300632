import msgspec
import numpy as np
import pytest
import xxhash
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from acquire.frame import Frame, SourceInfo
from model.localizations import COLUMNS, Localizations
from stream import wire
from stream.results import CalciumEvent, CalciumUpdate, FrameResult, TrackUpdate


def frame(height=3, width=5, channels=2, seq=7) -> Frame:
    pixels = np.arange(channels * height * width, dtype=np.uint16).reshape(channels, height, width) * 257
    return Frame(seq, 0.35, pixels, {"ImageNumber": 7, "Camera": "left", "ok": True, "x": 1.5})


def result(n=4, gaps=2) -> FrameResult:
    rng = np.random.default_rng(n)
    return FrameResult(
        seq=12,
        time_s=0.6,
        missing_before=3,
        localizations=Localizations.from_table(rng.normal(size=(n, len(COLUMNS)))),
        tracks=TrackUpdate(
            rng.integers(-1, 9, n),
            rng.integers(0, 9, gaps),
            rng.normal(size=gaps).astype(np.float32),
            rng.normal(size=gaps).astype(np.float32),
            np.array([4]),
            np.array([], np.int64),
            np.array([2, 3]),
            np.array([1]),
        ),
        calcium=CalciumUpdate(
            rng.normal(size=n).astype(np.float32),
            rng.random(n) > 0.5,
            rng.integers(-1, 2, n).astype(np.int8),
            rng.normal(size=gaps).astype(np.float32),
            rng.random(gaps) > 0.5,
            rng.integers(-1, 2, gaps).astype(np.int8),
            (CalciumEvent(1, 4, 2, 3, 5, 0.1, 0.15, 0.25, 0.8, 0.04, 0.3, 0.2, 9.0, 0.9, True, 3.5, 4.5),),
        ),
        stage_ms={"engine": 4.2},
        latency_ms=6.0,
    )


def raw(parts) -> list[bytes]:
    return [bytes(part) for part in parts]


def sealed(*parts: bytes) -> list[bytes]:
    """Parts with a checksum that fits, to get at the checks behind it."""
    return [*parts, xxhash.xxh3_64(b"".join(parts)).digest()]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 2), st.integers(0, 2**40))
@settings(max_examples=50, deadline=None)
def test_a_frame_comes_back_as_it_was(height, width, channels, seq):
    sent = frame(height, width, channels, seq)
    received, sent_ns = wire.decode_frame(raw(wire.encode_frame(sent, 123)))
    assert (received.seq, received.time_s, sent_ns) == (sent.seq, sent.time_s, 123)
    assert received.metadata == sent.metadata
    np.testing.assert_array_equal(received.pixels, sent.pixels)


def test_pixels_travel_without_copies():
    sent = frame()
    assert np.shares_memory(np.asarray(wire.encode_frame(sent, 0)[2]), sent.pixels)


@pytest.mark.parametrize(("n", "gaps"), [(0, 0), (1, 0), (0, 3), (5, 2)])
def test_a_result_comes_back_as_it_was(n, gaps):
    sent = result(n, gaps)
    received = wire.decode_result(raw(wire.encode_result(sent)))
    np.testing.assert_array_equal(received.localizations.table(), sent.localizations.table())
    for part, names in (
        ("tracks", TrackUpdate.__slots__),
        ("calcium", ("dff", "is_open", "state", "gap_dff", "gap_is_open", "gap_state")),
    ):
        for name in names:
            np.testing.assert_array_equal(
                getattr(getattr(received, part), name), getattr(getattr(sent, part), name), err_msg=name
            )
    assert received.calcium.events == sent.calcium.events
    assert (received.seq, received.missing_before, received.stage_ms) == (12, 3, {"engine": 4.2})


@pytest.mark.parametrize(
    "message",
    [
        wire.Hello(wire.VERSION),
        wire.Start.of(SourceInfo("m", (2, 4, 6), 10, 0.05, None, 16, "TIFF"), "live"),
        wire.End(10, 8, {"file is truncated": 2}, "end", "", 1.5, {"read": 0.2}, {"skewed_pairs": 2.0}),
        wire.Prepared(),
        wire.Going(8, {"file is truncated": 2}),
        wire.Ping(3),
        wire.Pong(3, 1_700_000_000_000_000_000, 100),
        wire.Stop(),
        wire.Received(),
        wire.Failed("disk full"),
    ],
)
def test_control_messages_come_back_as_they_were(message):
    assert wire.decode_control(wire.encode_control(message)) == message


TEXTS, COUNTS = st.text(max_size=30), st.integers(0, 2**60)
FLOATS = st.floats(allow_nan=False)
FINITE, SCALES, LEVELS = st.floats(-1e300, 1e300), st.floats(1e-6, 1e6), st.floats(-1e9, 1e9)
LIMITS = st.tuples(LEVELS, LEVELS).map(sorted)
DIALS = st.builds(lambda value, limits, unit: wire.Dial(value, *limits, unit), LEVELS, LIMITS, TEXTS)
SESSIONS = st.builds(
    wire.Session,
    TEXTS,
    TEXTS,
    st.sampled_from(["live", "replay", "simulation"]),
    TEXTS,
    TEXTS,
    st.tuples(st.integers(1, 2), st.integers(1, 16384), st.integers(1, 16384)),
    st.none() | COUNTS,
    SCALES,
    SCALES,
    st.integers(1, 16),
    st.sampled_from(["lossless", "live"]),
    st.booleans(),
    st.none() | st.tuples(*[st.tuples(FINITE, FINITE, FINITE)] * 2),
    TEXTS,
    TEXTS,
    st.lists(TEXTS, max_size=3),
)
ENTRIES = st.builds(wire.Entry, st.sampled_from(["adjustment", "annotation"]), TEXTS, COUNTS, TEXTS)
HEALTH = st.builds(
    wire.Health,
    *[COUNTS] * 3,
    st.dictionaries(TEXTS, COUNTS, max_size=3),
    *[COUNTS] * 3,
    st.none() | st.builds(wire.Gpu, TEXTS, COUNTS, COUNTS),
    DIALS,
    st.none() | DIALS,
    st.lists(ENTRIES, max_size=3),
)
STAGES = st.sampled_from(["waiting", "preparing", "running", "finishing"])
REPORTS = st.builds(
    wire.Report,
    COUNTS,
    TEXTS,
    STAGES,
    TEXTS,
    st.integers(-(2**62), 2**62),
    TEXTS,
    TEXTS,
    st.none() | SESSIONS,
    st.none() | HEALTH,
)
PLACES = st.none() | FLOATS
REQUESTS = (
    st.builds(wire.Ask, COUNTS)
    | st.builds(wire.Adjust, COUNTS, st.sampled_from(["detection", "calcium"]), FLOATS)
    | st.builds(wire.Annotate, COUNTS, st.text(min_size=1, max_size=30), COUNTS, PLACES, PLACES)
    | st.builds(wire.EndRun, COUNTS)
)
REPLIES = REPORTS | st.builds(wire.Answer, COUNTS, st.booleans(), TEXTS, COUNTS)


@given(REQUESTS)
def test_requests_of_dashboards_come_back_as_they_were(request):
    assert wire.decode_request(raw(wire.encode_desk(request))) == request


@given(REPLIES)
def test_replies_to_dashboards_come_back_as_they_were(reply):
    assert wire.decode_reply(raw(wire.encode_desk(reply))) == reply


@given(TEXTS, TEXTS, TEXTS)
def test_the_first_and_the_last_word_of_a_run_come_back_as_they_were(run_id, state, problem):
    over = wire.RunOver(state, "runs/x", problem)
    assert wire.decode_greeting([wire.encode_greeting(run_id)]) == run_id
    assert wire.decode_over(raw(wire.encode_over(over))) == over


@pytest.mark.parametrize("text", ["", "x" * 1001])
def test_a_remark_has_bounds(text):
    with pytest.raises(wire.WireError, match="malformed"):
        wire.decode_request(wire.encode_desk(wire.Annotate(1, text, 0)))


@pytest.mark.parametrize("version", [wire.VERSION - 1, wire.VERSION + 1])
def test_another_version_is_named_even_where_its_messages_have_other_fields(version):
    sentence = f"has version {version}, this program speaks {wire.VERSION}"
    with pytest.raises(wire.WireError, match=sentence):
        wire.decode_request(wire.encode_desk(wire.Ask(1, version)))
    foreign = {"type": "Report", "number": 1, "mood": "good", "version": version}
    with pytest.raises(wire.WireError, match=sentence):
        wire.decode_reply(sealed(msgspec.msgpack.encode(foreign)))
    with pytest.raises(wire.WireError, match=sentence):
        wire.decode_over(raw(wire.encode_over(wire.RunOver("finished", "", "", version))))


def test_a_newer_version_is_refused_by_name():
    newer = wire.VERSION + 1
    with pytest.raises(wire.WireError, match="update this program where the source runs"):
        wire.decode_control(wire.encode_control(wire.Hello(newer)))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"shape": (2, 3, 6)}, "has 72 bytes, this one has 60"),
        ({"shape": (3, 2, 5)}, "malformed"),
        ({"shape": (1, 0, 5)}, "malformed"),
        ({"shape": (2, 16384, 16385)}, "malformed"),
        ({"seq": -1}, "malformed"),
        ({"time_s": float("nan")}, "not a finite number"),
        ({"version": 9}, "version 9"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(change, complaint):
    topic, header, pixels, _ = raw(wire.encode_frame(frame(), 0))
    fields = {**msgspec.msgpack.decode(header), **change}
    with pytest.raises(wire.WireError, match=complaint):
        wire.decode_frame(sealed(topic, msgspec.msgpack.encode(fields), pixels))


def test_a_huge_header_is_refused_before_it_is_decoded():
    topic, _, pixels, _ = raw(wire.encode_frame(frame(), 0))
    with pytest.raises(wire.WireError, match="more than the 1048576 allowed"):
        wire.decode_frame(sealed(topic, b"\x00" * 1_100_000, pixels))


@st.composite
def damage(draw: st.DrawFn, valid: list[bytes]) -> list[bytes]:
    """A valid message with bytes changed, cut or added, or parts dropped or repeated."""
    parts = [bytearray(part) for part in valid]
    for _ in range(draw(st.integers(1, 4))):
        if not parts:
            break
        part = parts[draw(st.integers(0, len(parts) - 1))]
        position = draw(st.integers(0, max(0, len(part) - 1)))
        match draw(st.sampled_from(["flip", "cut", "insert", "drop", "repeat"])):
            case "flip" if part:
                part[position] ^= draw(st.integers(1, 255))
            case "cut":
                del part[position:]
            case "insert":
                part[position:position] = draw(st.binary(max_size=20))
            case "drop":
                parts.remove(part)
            case _:
                parts.append(part)
    return [bytes(part) for part in parts]


FRAME, RESULT = raw(wire.encode_frame(frame(), 0)), raw(wire.encode_result(result()))
END = wire.End(10, 8, {"a": 1}, "end", "", 1.5, {"read": 0.2}, {"skewed_pairs": 2.0})
CONTROL = raw(wire.encode_control(END))
REQUEST = raw(wire.encode_desk(wire.Annotate(3, "a bleb", 12, 1.5, 2.5)))
HEALTHY = wire.Health(5, 6, 1, {"lost on the way": 0}, 5, 9, 9, None, wire.Dial(0.5, 0, 1, ""), None, [])
REPLY = raw(wire.encode_desk(wire.Report(3, "r", "running", "analysing", 1, "", "", None, HEALTHY)))
OVER, GREETING = raw(wire.encode_over(wire.RunOver("finished", "x", ""))), [wire.encode_greeting("r")]
DECODERS = [
    (wire.decode_frame, FRAME),
    (wire.decode_result, RESULT),
    (wire.decode_control, CONTROL),
    (wire.decode_request, REQUEST),
    (wire.decode_reply, REPLY),
    (wire.decode_over, OVER),
    (wire.decode_greeting, GREETING),
]


@pytest.mark.parametrize(("decode", "valid"), DECODERS)
@given(data=st.data())
@settings(max_examples=500, deadline=1000)
def test_damaged_messages_are_never_accepted(decode, valid, data):
    parts = data.draw(damage(valid))
    assume(parts != valid)
    with pytest.raises(wire.WireError):
        decode(parts)


@pytest.mark.parametrize(("decode", "valid"), DECODERS)
@given(parts=st.lists(st.binary(max_size=300), max_size=5))
@settings(max_examples=200, deadline=1000)
def test_noise_is_never_accepted(decode, valid, parts):
    with pytest.raises(wire.WireError):
        decode(parts)


@pytest.mark.parametrize(("decode", "valid"), DECODERS)
@given(data=st.data())
@settings(max_examples=500, deadline=1000)
def test_damage_behind_a_fitting_checksum_never_crashes_the_decoder(decode, valid, data):
    """A peer that computes checksums of nonsense: refused, or whole."""
    parts = data.draw(damage(valid[:-1]))
    try:
        decoded = decode(sealed(*parts))
    except wire.WireError:
        return
    if isinstance(decoded, FrameResult):
        assert len(decoded.tracks.track_id) == len(decoded.localizations) == len(decoded.calcium.dff)
    elif decode is wire.decode_frame:
        assert decoded[0].pixels.nbytes == len(parts[2])


@given(st.integers(0, 59))
def test_a_truncated_pixel_buffer_is_never_accepted(length):
    topic, header, pixels, _ = raw(wire.encode_frame(frame(), 0))
    with pytest.raises(wire.WireError, match="has 60 bytes"):
        wire.decode_frame(sealed(topic, header, pixels[:length]))


@given(st.integers(1, 10_000))
def test_deep_nesting_neither_crashes_nor_hangs(depth):
    packed = b"\x91" * depth + b"\xc0"
    with pytest.raises(wire.WireError):
        wire.decode_control(sealed(packed))
    with pytest.raises(wire.WireError):
        wire.decode_result(sealed(wire.RESULT_TOPIC, packed))

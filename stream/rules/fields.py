"""What rules can wait for, and what can be asked of it: the one table behind grammar, errors and README."""

from collections.abc import Mapping
from dataclasses import dataclass

CONFIRMED = "at a confirmed track"
OUTSIDE, INSIDE = "outside a wave", "in a wave"

_PLACE = {"x_nm": "position in the sample, nm", "y_nm": "position in the sample, nm"}
_AGE = {"track_age_s": "time since the track's first detection, s"}


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that can happen.

    Attributes
    ----------
    fires
        When a rule about it fires.
    places
        What may follow its name, besides conditions.
    fields
        What conditions can ask, and what that is.
    """

    fires: str
    places: tuple[str, ...]
    fields: Mapping[str, str]


EVENT, EVENT_ENDED = "calcium event", "calcium event ended"
TRANSIENT_ENDED = "calcium transient ended"
WAVE, WAVE_ENDED = "wave", "wave ended"
TRACK, FRAME = "track confirmed", "frame"

_EXTENT = {
    "amplitude_dff": "ΔF/F0 at the peak",
    "duration_s": "from onset to end, s",
    "snr": "height in noise standard deviations",
    "area_um2": "area above half of the peak (of a wave: its greatest), µm²",
    **_PLACE,
}

SUBJECTS: dict[str, Subject] = {
    EVENT: Subject(
        "in the first frame of an event in which all conditions hold, while it is on; once an event",
        (CONFIRMED, OUTSIDE, INSIDE),
        {
            "snr": "the matched filter's present value, noise standard deviations",
            "dff": "ΔF/F0 in this frame",
            "calcium_probability": "the network's in this frame; no condition on it holds without one",
            **_AGE,
            **_PLACE,
        },
    ),
    EVENT_ENDED: Subject(
        "when the event is over and known; once an event, of confirmed tracks only",
        (CONFIRMED, OUTSIDE, INSIDE),
        {
            "amplitude_dff": "ΔF/F0 at the peak, in the middle of the cloud",
            "duration_s": "from onset to end, s",
            "rise_s": "from 10 to 90 % of the rise, s",
            "decay_s": "time constant of the decay, s",
            "area_dff_s": "ΔF/F0 summed over the event, s",
            "snr": "amplitude in noise standard deviations over all its frames",
            "calcium_probability": "probability that the event is real",
            **_PLACE,
        },
    ),
    TRANSIENT_ENDED: Subject(
        "when a spark, a puff or any other spot of calcium, with or without a punctum, is over",
        (OUTSIDE, INSIDE),
        _EXTENT,
    ),
    WAVE: Subject(
        "when a wave begins and all conditions hold; again after a frame in which they did not",
        (),
        {"wave_share": "share of the field that is in a wave, 0 to 1"},
    ),
    WAVE_ENDED: Subject("when a wave is over", (), _EXTENT),
    TRACK: Subject(
        "when a track is confirmed (tracker.confirm_detections); once a track",
        (),
        {"photons": "of its punctum in this frame", **_AGE, **_PLACE},
    ),
    FRAME: Subject(
        "when all conditions hold for the whole frame; again after a frame in which they did not",
        (),
        {
            "puncta": "localizations in the frame",
            "tracks": "confirmed tracks that live",
            "open_tracks": "events that are on at confirmed tracks",
            "wave_share": "share of the field that is in a wave, 0 to 1",
            "missing": "frames lost right before this one",
            "latency_ms": "from the frame's arrival to its result, ms",
        },
    ),
}


def markdown() -> str:
    """The table for README: subject, when it fires, what may follow, fields."""
    lines = ["| when | fires | may follow | fields |", "|---|---|---|---|"]
    for name, subject in SUBJECTS.items():
        fields = "; ".join(f"`{field}` {meaning}" for field, meaning in subject.fields.items())
        places = ", ".join(f"`{place}`" for place in subject.places)
        lines.append(f"| `{name}` | {subject.fires} | {places} | {fields} |")
    return "\n".join(lines) + "\n"

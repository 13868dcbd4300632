"""Numbers and units as metadata give them."""

import math

_LENGTHS_NM = {
    **dict.fromkeys(("µm", "um", "micron", "microns", "micrometer", "micrometre"), 1e3),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1.0),
    **dict.fromkeys(("inch", "inches"), 25.4e6),
    "mm": 1e6,
    "cm": 1e7,
    "m": 1e9,
    "å": 0.1,
    "pm": 1e-3,
}
_TIMES_S = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("µs", "us", "usec", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    "h": 3600.0,
    "ns": 1e-9,
}
_MAX_PIXEL_NM = 50_000.0  # larger ones are print resolutions, e.g. 353 µm for 72 dots per inch


def positive(value: object) -> float | None:
    """Read a number (or its text) that must be finite and positive; None where it is not."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number < math.inf else None


def nanometres(size: float | None, unit: str) -> float | None:
    """Convert a pixel size to nm; None where the unit is no length or the size is a mere default.

    Exactly 1 µm is what Micro-Manager and others write for an uncalibrated objective.
    """
    scale = _LENGTHS_NM.get(_plain(unit))
    if size is None or scale is None or (scale == 1000 and size == 1) or size * scale > _MAX_PIXEL_NM:
        return None
    return size * scale


def seconds(time: float | None, unit: str) -> float | None:
    """Convert a time to seconds; None where the unit is no time."""
    scale = _TIMES_S.get(_plain(unit))
    return None if time is None or scale is None else time * scale


def _plain(unit: str) -> str:
    """One spelling of the micro sign: Unicode has two, and ImageJ writes an escape."""
    return unit.strip().replace("\\u00B5", "µ").replace("μ", "µ").lower()

"""What of a result is taken in: what could have been measured.

Results come from another program, perhaps on another computer, and whatever can be decoded is summed up and
drawn here. One number that is none, or is far beyond all that there is, would spoil sums for minutes, send a
view to where nothing is, or end a painter halfway. So each result is looked at once, before anything else.
"""

import math
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.localizations import COLUMNS, Localizations
from stream.results import NO_TRACK, CalciumEvent, CalciumTransient, CalciumUpdate, FrameResult, TrackUpdate

FARTHEST_PX = 1e5  # images have 16,384 pixels at most
LARGEST = 1e9  # of whatever is measured (photons, ΔF/F0, ms); its square is still a float32
LONGEST_S = 1e12  # clocks that count from 1970, or from year 0, are far below
LARGEST_INT = 2**31 - 1  # as far as Qt's sliders and signals count; 24 days at 1000 frames/s
LEFT_OUT = "results came with numbers that cannot be, these were left out"
NEEDED = ("onset_s", "peak_s", "end_s", "x_px", "y_px")  # of what is told: when and where it was
Told = TypeVar("Told", CalciumEvent, CalciumTransient)
Mask = NDArray[np.bool_]
Values = NDArray[np.float32]


def sound(result: FrameResult) -> tuple[FrameResult | None, str]:
    """The result as far as it can be, None where nothing is left; and a sentence where that is not all of it.

    Puncta without a place and events without a time are left out; any other number that cannot be counts as
    not known (NaN).
    """
    if not abs(result.time_s) < LONGEST_S or result.seq > LARGEST_INT:
        return None, "a result came whose frame or time cannot be, it was left out"
    found, tracks, calcium = result.localizations, result.tracks, result.calcium
    here = _is_somewhere(found.x_px, found.y_px, tracks.track_id)
    gap = _is_somewhere(tracks.gap_x_px, tracks.gap_y_px, tracks.gap_track_id)
    measured = [*(getattr(found, name) for name in COLUMNS), calcium.dff, calcium.gap_dff]
    events, transients = _possible(calcium.events), _possible(calcium.transients)
    times = {stage: ms for stage, ms in result.stage_ms.items() if abs(ms) < LARGEST}
    if (
        here.all()
        and gap.all()
        and not any((np.abs(column) > LARGEST).any() for column in measured)
        and (events, transients) == (calcium.events, calcium.transients)  # the same objects, where sound
        and len(times) == len(result.stage_ms)
        and abs(result.latency_ms) < LARGEST
    ):
        return result, ""
    return (
        replace(
            result,
            localizations=Localizations(**{n: _numbers(getattr(found, n)[here]) for n in COLUMNS}),
            tracks=_tracks(tracks, here, gap),
            calcium=replace(_calcium(calcium, here, gap), events=events, transients=transients),
            stage_ms=times,
            latency_ms=result.latency_ms if abs(result.latency_ms) < LARGEST else math.nan,
        ),
        LEFT_OUT,
    )


def _is_somewhere(x: Values, y: Values, track_id: NDArray[np.int64]) -> Mask:
    is_near: Mask = (np.abs(x) < FARTHEST_PX) & (np.abs(y) < FARTHEST_PX)
    return is_near & (track_id >= NO_TRACK) & (track_id <= LARGEST_INT)


def _numbers(column: Values) -> Values:
    """What is too large is not known."""
    return np.where(np.abs(column) > LARGEST, np.float32(np.nan), column)


def _tracks(tracks: TrackUpdate, here: Mask, gap: Mask) -> TrackUpdate:
    return replace(
        tracks,
        track_id=tracks.track_id[here],
        gap_track_id=tracks.gap_track_id[gap],
        gap_x_px=tracks.gap_x_px[gap],
        gap_y_px=tracks.gap_y_px[gap],
    )


def _calcium(calcium: CalciumUpdate, here: Mask, gap: Mask) -> CalciumUpdate:
    return replace(
        calcium,
        dff=_numbers(calcium.dff[here]),
        is_open=calcium.is_open[here],
        state=calcium.state[here],
        gap_dff=_numbers(calcium.gap_dff[gap]),
        gap_is_open=calcium.gap_is_open[gap],
        gap_state=calcium.gap_state[gap],
    )


def _possible(told: Iterable[Told]) -> tuple[Told, ...]:
    return tuple(_known(one) for one in told if _is_possible(one))


def _is_possible(one: Told) -> bool:
    """Whether it says which it is, when and where it was, in numbers that there are."""
    known = _known(one)
    return all(
        0 <= value <= LARGEST_INT if type(value) is int else math.isfinite(value)
        for value in (getattr(known, f.name) for f in fields(known) if f.type is int or f.name in NEEDED)
    )


def _known(one: Told) -> Told:
    """The same with what is too large as not known."""
    wrong: dict[str, Any] = {}
    for field in fields(one):
        value = getattr(one, field.name)
        if type(value) is float and abs(value) > _limit(field.name):
            wrong[field.name] = math.nan
    return replace(one, **wrong) if wrong else one


def _limit(name: str) -> float:
    if name in ("x_px", "y_px"):
        return FARTHEST_PX
    return LONGEST_S if name.endswith("_s") else LARGEST

"""How well open and closed were told, frame by frame, and whether blinks were taken for changes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.optics import Array
from stream.results import CLOSED, OPEN, UNCERTAIN

Calls = NDArray[np.int8]

NOT_THERE = -2  # a spot and frame without any measurement
LIT = 0.999  # a share of the exposure that counts as all of it
BRIDGED_FRAMES = 2  # longer uncertain stretches cut a dwell time short
BLINK_MEMORY_FRAMES = 5  # a blink is judged where the state was told within so many frames before


@dataclass(frozen=True, slots=True)
class GatingScore:
    """Figures over spots and frames; frames with a blink count in the blinks' figures only.

    Attributes
    ----------
    uncertain
        Share of the frames without a blink whose state is not told.
    sensitivity, specificity
        Of what is told: share of open (at least half of the exposure) told open, of closed told closed.
    blinks_open, blinks_closed
        Blinks during which the channel did not move, and before which it was told rightly.
    read_as_closing, read_as_opening
        Those of them in which it was told to change.
    uncertain_in_blinks
        Share of the frames with a blink whose state is not told.
    dwell
        Mean open dwell time over that of the truth by the same rule.
    """

    uncertain: float
    sensitivity: float
    specificity: float
    blinks_open: int
    read_as_closing: int
    blinks_closed: int
    read_as_opening: int
    uncertain_in_blinks: float
    dwell: float

    @property
    def balanced(self) -> float:
        """Mean of sensitivity and specificity."""
        return (self.sensitivity + self.specificity) / 2


def score_gating(calls: Calls, open_share: Array, lit_share: Array) -> GatingScore:
    """Judge calls (N, T) with the truth (N, T) as in `bench.gating_traces.Traces`."""
    there = calls != NOT_THERE
    blinks, is_open = lit_share < LIT, open_share >= 0.5
    judged = there & ~blinks
    told = judged & (calls != UNCERTAIN)
    truth = np.where(blinks | ~there, UNCERTAIN, is_open).astype(np.int8)
    closing = _misread(calls, blinks & there, open_share == 1, OPEN, CLOSED)
    opening = _misread(calls, blinks & there, open_share == 0, CLOSED, OPEN)
    return GatingScore(
        uncertain=_mean(calls[judged] == UNCERTAIN),
        sensitivity=_mean(calls[told & is_open] == OPEN),
        specificity=_mean(calls[told & ~is_open] == CLOSED),
        blinks_open=closing[0],
        read_as_closing=closing[1],
        blinks_closed=opening[0],
        read_as_opening=opening[1],
        uncertain_in_blinks=_mean(calls[there & blinks] == UNCERTAIN),
        dwell=mean_open_dwell(calls) / mean_open_dwell(truth),
    )


def mean_open_dwell(calls: Calls) -> float:
    """Mean dwell time in open, frames: time in it over the closings seen (maximum likelihood with censoring).

    Short uncertain stretches count for the state before them, as a change is told a frame late at both ends.
    """
    time, closings = 0, 0
    for row in calls.tolist():
        state, unknown = UNCERTAIN, 0
        for call in row:
            if call < 0:
                unknown += 1
                if unknown > BRIDGED_FRAMES:
                    state = UNCERTAIN
                time += state == OPEN
                continue
            closings += state == OPEN and call == CLOSED
            time += call == OPEN
            state, unknown = call, 0
    return time / closings if closings else float("nan")


def _misread(
    calls: Calls, blinks: NDArray[np.bool_], steady: NDArray[np.bool_], state: int, other: int
) -> tuple[int, int]:
    """Blinks in which a channel stays in `state`, told before, and how many of them are called `other`."""
    n, wrong = 0, 0
    for row in range(len(calls)):
        edges = np.diff(blinks[row].astype(np.int8), prepend=0, append=0)
        for first, last in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
            before = calls[row, max(0, first - BLINK_MEMORY_FRAMES) : first]
            before = before[before >= 0]
            if len(before) and before[-1] == state and steady[row, first:last].all():
                n += 1
                wrong += bool((calls[row, first:last] == other).any())
    return n, wrong


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if values.size else float("nan")

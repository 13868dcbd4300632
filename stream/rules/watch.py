"""Watches the results for what the rules wait for, and fires their triggers."""

import math
from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from stream import wire
from stream.calcium.detector import HEIR_FRAMES
from stream.clock import Clock
from stream.config import RunConfig
from stream.config_live import RuleConfig
from stream.results import FrameResult
from stream.rules.candidates import Candidates, Observer
from stream.rules.fields import EVENT, FRAME, TRACK, WAVE
from stream.rules.fired import FiredEvents
from stream.rules.grammar import OPERATORS, parse

EDGES = (FRAME, WAVE)  # a state of the whole frame: a rule fires when it begins


class Watch:
    """The rules of one run: `step` for every result, in order.

    Parameters
    ----------
    config
        Its rules; its tracker and calcium stage tell for how long things can be on.
    pixel_size_nm, interval_s
        The run's scales.
    """

    def __init__(self, config: RunConfig, pixel_size_nm: float, interval_s: float) -> None:
        longest = config.calcium.max_duration_frames + HEIR_FRAMES
        self._rules = [_Watched(rule, longest, pixel_size_nm) for rule in config.rules]
        self._observer = Observer(pixel_size_nm)
        self._clock = Clock(interval_s, config.tracker.max_gap_frames)
        self._ids = count()

    @property
    def rested(self) -> dict[str, int]:
        """By rule, what it would have fired on while it rested, or after its last time."""
        return {rule.config.title: rule.rested for rule in self._rules}

    def step(self, result: FrameResult, newest_seq: int) -> list[wire.Trigger]:
        """Look at one result; `newest_seq` is the newest frame that had to arrive before it was ready."""
        self._clock.advance(result.seq, result.time_s)
        self._observer.take(result, self._clock.now_s)
        seen: dict[str, Candidates] = {}
        triggers = []
        for rule in self._rules:
            subject = rule.when.subject
            if subject not in seen:
                seen[subject] = self._observer.see(subject)
            for row in rule.step(seen[subject], result, self._clock.now_s):
                triggers.append(self._trigger(rule, seen[subject], row, result, newest_seq))
        return triggers

    def _trigger(
        self, rule: "_Watched", candidates: Candidates, row: int, result: FrameResult, newest_seq: int
    ) -> wire.Trigger:
        measured = {name: float(column[row]) for name, column in candidates.fields.items()}
        return wire.Trigger(
            trigger_id=next(self._ids),
            rule=rule.config.title,
            seq=result.seq,
            newest_seq=newest_seq,
            time_s=result.time_s,
            what=rule.when.subject,
            track_id=int(candidates.track_id[row]),
            x_nm=measured.pop("x_nm", None),
            y_nm=measured.pop("y_nm", None),
            measured={name: value for name, value in measured.items() if math.isfinite(value)},
        )


class _Watched:
    """One rule, and what it has fired on; `rested` counts what it did not, as it rested."""

    def __init__(self, config: RuleConfig, longest_frames: int, pixel_size_nm: float) -> None:
        self.config = config
        self.when = parse(config.when)
        self.rested = 0
        self._fired = FiredEvents(longest_frames)
        self._held = False
        self._n_triggers = 0
        self._last_s = -math.inf
        self._nm = pixel_size_nm

    def step(self, candidates: Candidates, result: FrameResult, now_s: float) -> Iterator[int]:
        """Rows of the candidates on which it fires now."""
        for row in self._new(candidates, result):
            spent = self.config.at_most is not None and self._n_triggers >= self.config.at_most
            if spent or now_s - self._last_s < self.config.pause_s:
                self.rested += 1
                continue
            self._n_triggers += 1
            self._last_s = now_s
            yield row

    def _new(self, candidates: Candidates, result: FrameResult) -> list[int]:
        """Rows that it waits for and has not seen yet."""
        rows: list[int] = np.flatnonzero(self._holds(candidates)).tolist() if len(candidates) else []
        if self.when.subject in EDGES:
            held, self._held = self._held, bool(rows)
            return [] if held else rows
        if self.when.subject != EVENT:
            return rows
        self._fired.forget(result.seq, result.tracks)
        x, y = (candidates.fields[name] / self._nm for name in ("x_nm", "y_nm"))
        return [
            row
            for row in rows
            if self._fired.is_new(
                int(candidates.track_id[row]), int(candidates.since[row]), float(x[row]), float(y[row])
            )
        ]

    def _holds(self, candidates: Candidates) -> NDArray[np.bool_]:
        """Which candidates fulfil all that is asked; what is not known (NaN) does not."""
        holds = np.ones(len(candidates), np.bool_)
        if self.when.confirmed:
            holds &= candidates.confirmed
        if self.when.in_wave is not None:
            holds &= candidates.in_wave == self.when.in_wave
        for condition in self.when.conditions:
            holds &= OPERATORS[condition.comparison](candidates.fields[condition.field], condition.number)
        return holds


def never_firing(rules: Sequence[RuleConfig], has_calcium: bool) -> Iterator[str]:
    """A sentence for each rule that waits for something that this run cannot see."""
    for rule in rules:
        subject = parse(rule.when).subject
        if not has_calcium and subject not in (FRAME, TRACK):
            yield f"rule {rule.title!r} can never fire: the calcium stage is off"

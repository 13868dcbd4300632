"""Reads the sentence of a rule: what it waits for, where, and under which conditions.

    SUBJECT [at a confirmed track] [outside a wave | in a wave] [with FIELD OP NUMBER [and FIELD OP NUMBER …]]

Subjects and fields are in `stream.rules.fields`; OP is one of < <= = >= >. Case and spaces do not matter.
"""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stream.rules.fields import CONFIRMED, FRAME, INSIDE, OUTSIDE, SUBJECTS

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
LONGEST = 500  # characters of a sentence
_TOKEN = re.compile(r"[<>=!]+|[^\s<>=!]+")


class RuleError(ValueError):
    """A sentence that is no rule; the message says what is wrong in it and what is known there."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A field compared with a number; `str` gives it as it is written."""

    field: str
    comparison: str
    number: float

    def __str__(self) -> str:
        return f"{self.field} {self.comparison} {repr(self.number).removesuffix('.0')}"


@dataclass(frozen=True, slots=True)
class When:
    """What a rule waits for; `str` gives its sentence.

    Attributes
    ----------
    subject
        A key of `SUBJECTS`.
    confirmed
        Only at confirmed tracks.
    in_wave
        Only in a wave (True), only outside (False), or wherever (None).
    conditions
        All of them must hold.
    """

    subject: str
    confirmed: bool = False
    in_wave: bool | None = None
    conditions: tuple[Condition, ...] = ()

    def __str__(self) -> str:
        parts = [self.subject]
        if self.confirmed:
            parts.append(CONFIRMED)
        if self.in_wave is not None:
            parts.append(INSIDE if self.in_wave else OUTSIDE)
        if self.conditions:
            parts.append("with " + " and ".join(map(str, self.conditions)))
        return " ".join(parts)


def parse(text: str) -> When:
    """Read a sentence.

    Raises
    ------
    RuleError
        If it is none; the message is one sentence.
    """
    if len(text) > LONGEST:
        raise RuleError(f"a rule's sentence has at most {LONGEST} characters, this one has {len(text)}")
    words = _TOKEN.findall(text.lower())
    subject = next((s for s in sorted(SUBJECTS, key=len, reverse=True) if _begins(words, s)), None)
    if subject is None:
        raise RuleError(
            f"nothing that can happen is called {' '.join(words[:3])!r}; known are: {', '.join(SUBJECTS)}"
        )
    rest = words[len(subject.split()) :]
    places: list[str] = []
    while found := next((p for p in SUBJECTS[subject].places if _begins(rest, p)), None):
        if found in places or {found, *places} >= {INSIDE, OUTSIDE}:
            raise RuleError(f"{found!r} does not go with {places[-1]!r} before it")
        places.append(found)
        rest = rest[len(found.split()) :]
    conditions = _conditions(subject, [subject, *places], rest)
    if subject == FRAME and not conditions:
        raise RuleError(f"{FRAME} needs a condition, e.g. {FRAME + ' with puncta > 500'!r}")
    in_wave = True if INSIDE in places else False if OUTSIDE in places else None
    return When(subject, CONFIRMED in places, in_wave, conditions)


def _begins(words: list[str], phrase: str) -> bool:
    parts = phrase.split()
    return words[: len(parts)] == parts


def _conditions(subject: str, before: list[str], words: list[str]) -> tuple[Condition, ...]:
    """The conditions in what follows subject and places, the phrases `before`."""
    conditions: list[Condition] = []
    joint = "with"
    while words:
        if words[0] != joint:
            places = () if conditions else SUBJECTS[subject].places
            known = ", ".join([*places, f"{joint} FIELD OP NUMBER"])
            raise RuleError(f"{' '.join(words[:3])!r} is not understood after {before[-1]!r}; known: {known}")
        conditions.append(_condition(subject, words[1:4]))
        before, words, joint = words[:4], words[4:], "and"
    return tuple(conditions)


def _condition(subject: str, words: list[str]) -> Condition:
    field, comparison, number = (*words, "", "", "")[:3]
    if field not in SUBJECTS[subject].fields:
        known = ", ".join(SUBJECTS[subject].fields)
        raise RuleError(f"{field or 'nothing'!r} is not a field of {subject!r}; its fields are: {known}")
    if comparison not in OPERATORS:
        raise RuleError(
            f"{comparison or 'nothing'!r} after {field!r} is no comparison; known are: {' '.join(OPERATORS)}"
        )
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RuleError(f"{number or 'nothing'!r} after '{field} {comparison}' is not a number")
    return Condition(field, comparison, value)

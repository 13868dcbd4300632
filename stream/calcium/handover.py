"""Hands events over: those of confirmed tracks only, and each only once, whoever saw it."""

import math
from dataclasses import replace

from stream.calcium.telling import Told
from stream.results import NO_IDS, CalciumEvent, Ids

SAME_EVENT_PX, SAME_EVENT_FRAMES = 1.5, 12  # centres and onsets of one event, told by two tracks


class HandOver:
    """Keeps the events of tentative tracks until these are confirmed, or dropped with their events.

    Parameters
    ----------
    longest_frames
        An event that ended so long before another one began, or longer ago, cannot be the same.
    """

    def __init__(self, longest_frames: int) -> None:
        self._longest = longest_frames
        self._waiting: list[Told] = []  # of tentative tracks
        self._recent: list[Told] = []  # what was handed over
        self._n_events = 0

    def step(
        self, told: list[Told], confirmed: Ids = NO_IDS, dropped: Ids = NO_IDS
    ) -> tuple[CalciumEvent, ...]:
        """Take in the events that ended and the tracks just `confirmed` and `dropped`; gives what is sure.

        Only what was handed over counts as known: an event that a tentative track saw too is not lost when
        that one is dropped.
        """
        known, gone = set(confirmed.tolist()), set(dropped.tolist())
        sure = [t for t in self._waiting if t.event.track_id in known] + [t for t in told if t.sure]
        waiting = [*self._waiting, *(t for t in told if not t.sure)]
        self._waiting = [t for t in waiting if t.event.track_id not in known and t.event.track_id not in gone]
        events = []
        for one in sure:
            if any(_same(one, other) for other in self._recent):
                continue
            events.append(replace(one.event, event_id=self._n_events))
            self._n_events += 1
            self._recent.append(one)
        if sure:
            oldest = min(t.event.onset_frame for t in [*sure, *self._waiting]) - self._longest
            self._recent = [t for t in self._recent if t.event.end_frame > oldest]
        return tuple(events)

    def forget(self) -> None:
        """Forget all tracks and their events, but not how many there were."""
        self._waiting, self._recent = [], []


def _same(one: Told, other: Told) -> bool:
    a, b = one.event, other.event
    if abs(a.onset_frame - b.onset_frame) >= SAME_EVENT_FRAMES:
        return False
    together = a.onset_frame <= b.end_frame + 1 and b.onset_frame <= a.end_frame + 1
    near = math.hypot(one.centre_x - other.centre_x, one.centre_y - other.centre_y) < SAME_EVENT_PX
    return together and near

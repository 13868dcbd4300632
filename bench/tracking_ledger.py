"""Bookkeeping of a tracker's updates: whether births, confirmations and ends add up in every frame."""

import numpy as np

from stream.results import NO_TRACK, Ids, TrackUpdate


class Ledger:
    """Follows the updates of one tracker and notes what does not add up.

    Attributes
    ----------
    problems
        What was wrong, one sentence each.
    n_born, n_ended
        Tracks so far.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.n_born = self.n_ended = 0
        self._living: set[int] = set()
        self._confirmed: set[int] = set()
        self._last_id = NO_TRACK

    @property
    def n_living(self) -> int:
        """Tracks that have begun and not ended."""
        return len(self._living)

    def add(self, seq: int, update: TrackUpdate, n_localizations: int) -> None:
        """Check one frame's update."""
        self._end_and_begin(seq, update)
        if len(update.track_id) != n_localizations:
            self._note(seq, f"{n_localizations} localizations, but {len(update.track_id)} track ids")
        seen, gap = _listed(update.track_id[update.track_id != NO_TRACK]), _listed(update.gap_track_id)
        for ids, words in ((seen, "seen"), (gap, "in a gap")):
            if len(set(ids)) < len(ids):
                self._note(seq, f"a track is {words} twice")
        here = {*seen, *gap}
        if len(here) < len(seen) + len(gap) and not set(seen).isdisjoint(gap):
            self._note(seq, "a track is seen and in a gap")
        if here != self._living:
            self._note(seq, f"{len(self._living)} tracks live, {len(here)} are seen or in a gap")
        if not (np.isfinite(update.gap_x_px).all() and np.isfinite(update.gap_y_px).all()):
            self._note(seq, "a predicted position is not finite")

    def finish(self, update: TrackUpdate) -> None:
        """Check the last update, which ends all tracks."""
        self._end_and_begin(-1, update)
        if self._living:
            self.problems.append(f"{len(self._living)} tracks never ended")

    def _end_and_begin(self, seq: int, update: TrackUpdate) -> None:
        born, confirmed = _listed(update.born), _listed(update.confirmed)
        died, dropped = set(_listed(update.died)), set(_listed(update.dropped))
        # Ids count up, so no id is ever given twice.
        if born and (min(born) <= self._last_id or sorted(set(born)) != sorted(born)):
            self._note(seq, "an id is given twice")
        self._last_id = max([self._last_id, *born])
        self._living |= set(born)
        if not set(confirmed) <= self._living - self._confirmed:
            self._note(seq, "a track is confirmed that does not live, or again")
        self._confirmed |= set(confirmed)
        if not died <= self._living & self._confirmed:
            self._note(seq, "a track died that was not alive and confirmed")
        if not dropped <= self._living - self._confirmed:
            self._note(seq, "a track was dropped that was not alive and tentative")
        self._living -= died | dropped
        self._confirmed -= died
        self.n_born += len(born)
        self.n_ended += len(died) + len(dropped)

    def _note(self, seq: int, what: str) -> None:
        self.problems.append(f"frame {seq}: {what}")


def _listed(ids: Ids) -> list[int]:
    listed: list[int] = ids.tolist()
    return listed

"""The calcium traces of all living tracks: their last frames, and what is known of the event under way."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stream.calcium.cloud import N_PARAMETERS, SIGMA, START_SIGMA_PX
from stream.calcium.sampling import SIDE, Image
from stream.calcium.survivors import survivors
from stream.results import Ids

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]
Records = NDArray[np.void]  # of STATE or of MOMENT

BEFORE = 10  # frames kept before an event opens: what leads up to it
OPEN_SHARE = 0.25  # of its height: below, the rest of an event is calcium that leaves, not an open channel

# One frame of a trace. `log_odds` are the network's, NaN where there are none.
MOMENT = np.dtype(
    [
        ("seq", np.int64),
        ("time_s", np.float64),
        ("dff", np.float32),
        ("sd", np.float32),
        ("log_odds", np.float32),
        ("x", np.float32),
        ("y", np.float32),
        ("in_wave", np.bool_),
    ]
)
STATE = np.dtype(
    [
        ("id", np.int64),
        ("confirmed", np.bool_),
        ("seen", np.int64),  # last frame in which its punctum was found
        ("owner", np.int64),  # track of the event under way, if an earlier one than this: a confirmed one
        ("owner_seen", np.int64),  # last frame in which the punctum of that one was found
        ("slot", np.int64),  # where its course and image are
        ("length", np.int64),  # moments in the course
        ("sum", np.float64),  # leaky sum of ΔF/F0 / variance …
        ("power", np.float64),  # … and its variance
        ("fast", np.float64),  # fast leaky sum of ΔF/F0, …
        ("fast_weight", np.float64),  # … of its weights …
        ("fast_variance", np.float64),  # … and its variance
        # The event under way:
        ("open", np.bool_),
        ("void", np.bool_),  # too long for an event
        ("opened", np.int64),  # length of the course when it opened
        ("low_frames", np.int64),  # successive ones below off_z
        ("peak_z", np.float64),
        ("top", np.float64),  # highest fast mean …
        ("bottom", np.float64),  # … and the lowest after the trace has lost some of it
        ("bottom_at", np.int64),  # place of that in the course
        # Its image, summed over frames:
        ("weight", np.float64),
        ("weight_variance", np.float64),  # sum of weight² · variance of a pixel
        ("offset", np.float64, 2),  # weighted sum of the track's place in the patch's middle pixel
        ("cloud", np.float64, N_PARAMETERS),
        ("centre_sd", np.float64),
        ("centred", np.bool_),
    ]
)


# Whole rows of it, without fields: these are copied many times faster.
STATE_ROW = np.dtype((np.void, STATE.itemsize))


@dataclass(slots=True)
class Traces:
    """Traces of n living tracks, and of ended ones whose event is not over.

    Attributes
    ----------
    state
        Rows of `STATE` by ascending id, (n,).
    course
        The last moments of each, from before its event, rows of `MOMENT`, (slots, longest). What is big
        stays in its slot for life.
    total
        Weighted sum of the patches of each event, float32 (slots, SIDE, SIDE).
    free
        Slots that nobody has.
    """

    state: Records
    course: Records
    total: Image
    free: list[int]

    @classmethod
    def begin(cls, max_duration_frames: int) -> Self:
        """No traces yet; what is on for longer than `max_duration_frames` is no event."""
        course = np.zeros((0, BEFORE + max_duration_frames), MOMENT)
        return cls(np.zeros(0, STATE), course, np.zeros((0, SIDE, SIDE), np.float32), [])

    def __len__(self) -> int:
        return len(self.state)

    def follow(self, ids: Ids) -> tuple[Rows, Rows]:
        """Bring the traces to the living tracks `ids`, ascending.

        Gives the rows, in `state` as it was, of those that ended in an event, and the rows, in `state` as it
        is now, of new tracks. The slots of the former are theirs until they are put into `free`.
        """
        old = self.state
        stays, rows = survivors(old["id"], ids)
        ended = np.ones(len(old), np.bool_)
        ended[rows] = False
        self.free.extend(old["slot"][ended & ~old["open"]].tolist())
        state = np.zeros(len(ids), STATE)
        state.view(STATE_ROW)[stays] = old.view(STATE_ROW)[rows]
        born = np.flatnonzero(~stays)
        state["id"][born], state["owner"][born], state["bottom"][born] = ids[born], ids[born], np.inf
        state["cloud"][born, SIGMA] = START_SIGMA_PX
        state["slot"][born] = self._take(len(born))
        self.state = state
        return np.flatnonzero(ended & old["open"]), born

    def _take(self, n: int) -> list[int]:
        """Free slots, emptied."""
        missing = n - len(self.free)
        if missing > 0:
            slots = len(self.course)
            more = max(missing, slots)  # doubled, so that growing costs little
            self.course = np.concatenate([self.course, np.zeros((more, self.course.shape[1]), MOMENT)])
            self.total = np.concatenate([self.total, np.zeros((more, SIDE, SIDE), np.float32)])
            self.free.extend(range(slots, slots + more))
        taken = [self.free.pop() for _ in range(n)]
        self.total[taken] = 0.0
        return taken


def is_centred_event(traces: Traces) -> Mask:
    """Traces with an event on that comes from the punctum itself, not from beside it."""
    state = traces.state
    mean = state["fast"] / np.maximum(state["fast_weight"], 1e-9)
    on: Mask = state["open"] & state["centred"] & (mean >= OPEN_SHARE * state["top"])
    return on

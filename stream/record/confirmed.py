"""The tracks of a run that were confirmed, and when each was seen first and last."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream.record.journal import Journal
from stream.results import Ids

NEVER = -1


@dataclass(frozen=True, slots=True)
class ConfirmedTracks:
    """Struct of arrays, one row a track, in order of `track_id`.

    `last_frame` is where the track was last observed, `lifetime_s` the time from its first observation
    to its last.
    """

    track_id: Ids
    last_frame: Ids
    lifetime_s: NDArray[np.float64]

    @classmethod
    def of(cls, journal: Journal) -> Self:
        """Find the tracks that were confirmed, and observed, in a journal."""
        confirmed: set[int] = set()
        for batch in journal.batches("track_log"):
            is_confirmed = pa.compute.equal(batch["what"], "confirmed")
            confirmed.update(batch.filter(is_confirmed)["track_id"].to_pylist())
        first_s: dict[int, float] = {}
        last: dict[int, tuple[int, float]] = {}
        for batch in journal.batches("trajectories"):
            seen = batch.filter(pa.array(batch["observed"].to_numpy() == 1))
            ids, times = seen["track_id"].to_pylist(), seen["time_s"].to_pylist()
            for track_id, time_s in zip(ids, times, strict=True):
                first_s.setdefault(track_id, time_s)
            last.update(zip(ids, zip(seen["frame"].to_pylist(), times, strict=True), strict=True))
        ids = sorted(confirmed & last.keys())
        return cls(
            np.array(ids, np.int64),
            np.array([last[i][0] for i in ids], np.int64),
            np.array([last[i][1] - first_s[i] for i in ids], np.float64),
        )

    def __len__(self) -> int:
        return len(self.track_id)

    def row_of(self, track_id: pa.Array) -> Ids:
        """Row of each id; only for ids that are `known`."""
        row: Ids = np.searchsorted(self.track_id, track_id.to_numpy())
        return row

    def known(self, track_id: pa.Array) -> NDArray[np.bool_]:
        """Which of these ids are confirmed tracks."""
        return np.isin(track_id.to_numpy(), self.track_id)

    def last_frame_of(self, track_id: pa.Array) -> Ids:
        """Frame where each was last observed; −1 for ids that are no confirmed track."""
        known = self.known(track_id)
        last_frame = np.full(len(known), NEVER, np.int64)
        last_frame[known] = self.last_frame[self.row_of(track_id)[known]]
        return last_frame

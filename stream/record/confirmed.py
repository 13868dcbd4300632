"""The tracks of a run that were confirmed, and when each was seen first and last."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream.record.journal import Journal
from stream.results import NO_IDS, Ids

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
        changes = journal.batches("track_log")
        confirmed = (b.filter(pa.compute.equal(b["what"], "confirmed"))["track_id"] for b in changes)
        ids = np.unique(np.concatenate([NO_IDS, *(column.to_numpy() for column in confirmed)]))
        last_frame = np.full(len(ids), NEVER, np.int64)
        first_s, last_s = np.zeros(len(ids)), np.zeros(len(ids))
        for batch in journal.batches("trajectories"):
            # Tentative tracks can outnumber the confirmed ones by far, so nothing of them is kept.
            seen = (batch["observed"].to_numpy() == 1) & np.isin(batch["track_id"].to_numpy(), ids)
            row = np.searchsorted(ids, batch["track_id"].to_numpy()[seen])
            frame, time_s = batch["frame"].to_numpy()[seen], batch["time_s"].to_numpy()[seen]
            new = last_frame[row] == NEVER
            # Frames increase; where a row comes twice, NumPy keeps what was assigned last.
            first_s[row[new][::-1]] = time_s[new][::-1]
            last_frame[row], last_s[row] = frame, time_s
        observed = last_frame != NEVER
        return cls(ids[observed], last_frame[observed], (last_s - first_s)[observed])

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

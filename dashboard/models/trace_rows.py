"""Which track has which row of the traces: rows are few, tracks come and go by the thousand."""

import numpy as np
from numpy.typing import NDArray

from stream.results import NO_IDS, Ids

Rows = NDArray[np.intp]
FREE = -1
FIRST_ROWS = 64


class TraceRows:
    """Gives rows to tracks, and takes them back from those that matter least.

    Parameters
    ----------
    most
        Rows that there may be.
    span
        Frames after which what a row held has left the window.

    Attributes
    ----------
    ids
        Track of each row, `FREE` where there is none, (rows,).
    last
        Number of the frame in which the track was measured last, (rows,).
    """

    def __init__(self, most: int, span: int) -> None:
        self._most, self._span = most, span
        n = min(FIRST_ROWS, most)
        self.ids: Ids = np.full(n, FREE, np.int64)
        self.last = np.full(n, -span, np.int64)
        self._sorted_ids: Ids = NO_IDS
        self._sorted_rows: Rows = np.empty(0, np.intp)

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, ids: Ids) -> Rows:
        """Row of each track (n,), −1 for those without one."""
        if not len(self._sorted_ids):
            return np.full(len(ids), -1, np.intp)
        at = np.minimum(np.searchsorted(self._sorted_ids, ids), len(self._sorted_ids) - 1)
        rows: Rows = np.where(self._sorted_ids[at] == ids, self._sorted_rows[at], -1)
        return rows

    def give_back(self, ids: Ids) -> None:
        """These tracks were none after all."""
        rows = self.find(ids)
        rows = rows[rows >= 0]
        if len(rows):
            self.ids[rows] = FREE
            self._index()

    def take(self, ids: list[int], n_urgent: int, now: int, value: NDArray[np.float32]) -> Rows:
        """Rows for new tracks, as many as can be had, the first of `ids` served first.

        Parameters
        ----------
        ids
            Tracks without a row.
        n_urgent
            So many of them, the first ones, may take the row of the least active living track; the others
            get one that is free, or that of the least active track that has ended.
        now
            Number of this frame.
        value
            How active the track of each row is, (rows,).
        """
        rows = np.flatnonzero((self.ids == FREE) | (self.last <= now - self._span))[: len(ids)]
        if len(rows) < len(ids) and len(self) < self._most:
            rows = np.concatenate([rows, self._grow(len(ids) - len(rows))])
            value = np.concatenate([value, np.zeros(len(self) - len(value), np.float32)])
        for lives in (False, True):
            left = (n_urgent if lives else len(ids)) - len(rows)
            if left > 0:
                others = np.flatnonzero((self.last >= now - 1) == lives)
                worth = value[others]
                worth[np.isin(others, rows)] = np.inf  # taken just now
                left = min(left, int(np.count_nonzero(worth < np.inf)))
                if left:
                    rows = np.concatenate([rows, others[np.argpartition(worth, left - 1)[:left]]])
        if len(rows):
            self.ids[rows], self.last[rows] = ids[: len(rows)], now
            self._index_anew(rows)
        return rows

    def _grow(self, n: int) -> Rows:
        """New rows, `n` or as many as are allowed; doubled, so that growing costs little."""
        old = len(self)
        more = min(max(n, old), self._most - old)
        self.ids = np.concatenate([self.ids, np.full(more, FREE, np.int64)])
        self.last = np.concatenate([self.last, np.full(more, -self._span, np.int64)])
        return np.arange(old, min(old + n, old + more))

    def _index_anew(self, rows: Rows) -> None:
        """These rows have other tracks, which are mostly the youngest: then nothing has to be sorted."""
        changed = np.zeros(len(self), np.bool_)
        changed[rows] = True
        kept = self._sorted_rows[~changed[self._sorted_rows]]
        rows = rows[np.argsort(self.ids[rows])]
        if len(kept) and self.ids[kept[-1]] > self.ids[rows[0]]:
            self._index()
            return
        self._sorted_rows = np.concatenate([kept, rows])
        self._sorted_ids = self.ids[self._sorted_rows]

    def _index(self) -> None:
        used = np.flatnonzero(self.ids != FREE)
        order = np.argsort(self.ids[used])
        self._sorted_rows = used[order]
        self._sorted_ids = self.ids[self._sorted_rows]

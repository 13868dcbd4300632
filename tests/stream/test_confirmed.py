import tracemalloc

import numpy as np
import pyarrow as pa

from stream.record.confirmed import ConfirmedTracks
from stream.record.journal import Journal, JournalWriter
from stream.record.tables import TRACK_LOG, TRAJECTORIES

TABLES = {"track_log": TRACK_LOG, "trajectories": TRAJECTORIES}
PER_WRITE = 5000


def write(folder, n_writes):
    """A journal in which track 0 is confirmed and seen once a write, among tracks seen only once at all."""
    with JournalWriter(folder, TABLES) as journal:
        for k in range(n_writes):
            ids = np.arange(PER_WRITE) + k * PER_WRITE
            ids[PER_WRITE // 2] = 0
            frame, nm = np.full(PER_WRITE, k), np.zeros(PER_WRITE)
            observed, dff = np.ones(PER_WRITE, np.int8), np.zeros(PER_WRITE, np.float32)
            state = np.zeros(PER_WRITE, np.int8)
            rows = [ids, frame, frame / 10, nm, nm, observed, dff, state]
            log = [np.array([0] if k == 2 else [], np.int64)] * 2 + [["confirmed"] if k == 2 else []]
            journal.write(
                {
                    "trajectories": pa.RecordBatch.from_arrays(
                        [pa.array(r) for r in rows], schema=TRAJECTORIES
                    ),
                    "track_log": pa.RecordBatch.from_arrays(
                        [pa.array(c, f.type) for c, f in zip(log, TRACK_LOG, strict=True)], schema=TRACK_LOG
                    ),
                }
            )


def test_memory_does_not_grow_with_tracks_that_were_never_confirmed(tmp_path):
    peaks = []
    for n_writes in (5, 5, 40):  # the first one warms up
        folder = tmp_path / str(len(peaks))
        write(folder, n_writes)
        journal = Journal.open(folder, TABLES)
        tracemalloc.start()
        tracks = ConfirmedTracks.of(journal)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert tracks.track_id.tolist() == [0]
        assert tracks.last_frame.tolist() == [n_writes - 1]
        np.testing.assert_allclose(tracks.lifetime_s, [(n_writes - 1) / 10])
    assert peaks[2] < 1.2 * peaks[1]

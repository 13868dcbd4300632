from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.record.journal import Journal, JournalWriter

SCHEMAS = {
    "numbers": pa.schema([("frame", pa.int64()), ("x_nm", pa.float64())]),
    "words": pa.schema([("frame", pa.int64()), ("what", pa.string())]),
}
N_WRITES = 6


def write(folder: Path, n_writes: int = N_WRITES) -> list[int]:
    """Write a journal; gives the sizes of the `numbers` file before and after each write."""
    sizes = []
    with JournalWriter(folder, SCHEMAS) as journal:
        sizes.append((folder / "numbers.arrow").stat().st_size)
        for k in range(n_writes):
            frame = np.arange(k)
            numbers = pa.RecordBatch.from_arrays(
                [pa.array(frame), pa.array(frame / 3)], schema=SCHEMAS["numbers"]
            )
            words = pa.RecordBatch.from_arrays(
                [pa.array(frame), pa.array(["µ"] * k, pa.string())], schema=SCHEMAS["words"]
            )
            journal.write({"numbers": numbers, "words": words})
            sizes.append((folder / "numbers.arrow").stat().st_size)
    return sizes


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int], bytes]:
    folder = tmp_path_factory.mktemp("run") / "journal"
    sizes = write(folder)
    return folder, sizes, (folder / "numbers.arrow").read_bytes()


def lengths(journal: Journal, table: str) -> list[int]:
    return [len(batch) for batch in journal.batches(table)]


def test_everything_written_comes_back(written):
    folder, _, content = written
    (folder / "numbers.arrow").write_bytes(content)
    journal = Journal.open(folder, SCHEMAS)
    assert journal == Journal(folder, N_WRITES, (), 0)
    assert lengths(journal, "numbers") == list(range(N_WRITES))
    last = list(journal.batches("words"))[-1]
    assert last["what"].to_pylist() == ["µ"] * (N_WRITES - 1)


def test_a_file_cut_at_any_byte_loses_only_the_writes_that_were_cut(written):
    folder, sizes, content = written
    head = SCHEMAS["numbers"].serialize().size
    for cut in range(len(content)):
        (folder / "numbers.arrow").write_bytes(content[:cut])
        journal = Journal.open(folder, SCHEMAS)
        whole = max(sum(size <= cut for size in sizes) - 1, 0)
        assert journal.n_writes == whole
        assert lengths(journal, "words") == lengths(journal, "numbers") == list(range(whole))
        # A file that ends behind its head or a write is whole in itself; then the other one has too many.
        assert ("numbers" in journal.torn) == (cut not in [*sizes, head])
        assert ("words" in journal.torn) == (whole < N_WRITES)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_garbage_behind_whole_writes_is_not_read(written, data):
    folder, sizes, content = written
    whole = data.draw(st.integers(0, N_WRITES))
    words = st.sampled_from(
        [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", content[sizes[1] : sizes[2]]]
    )
    tail = b"".join(data.draw(st.lists(words | st.binary(max_size=40), max_size=6)))
    if tail.startswith(content[sizes[whole] :][: len(tail)]):
        return
    (folder / "numbers.arrow").write_bytes(content[: sizes[whole]] + tail)
    journal = Journal.open(folder, SCHEMAS)
    assert lengths(journal, "numbers")[:whole] == list(range(whole))


def test_blocks_of_zeros_after_a_power_failure_are_no_rows(written):
    folder, sizes, content = written
    zeroed = bytearray(content)
    zeroed[sizes[5] - 40 :] = bytes(
        len(content) - sizes[5] + 40
    )  # the end of the body of write 5 and the rest
    (folder / "numbers.arrow").write_bytes(zeroed)
    journal = Journal.open(folder, SCHEMAS)
    assert journal.n_writes == 4
    assert journal.torn == ("numbers", "words")


def test_missing_files_hold_nothing(tmp_path):
    journal = Journal.open(tmp_path / "journal", SCHEMAS)
    assert journal.n_writes == 0
    assert journal.torn == ("numbers", "words")
    assert lengths(journal, "numbers") == []


def test_an_existing_journal_is_never_overwritten(tmp_path):
    write(tmp_path / "journal")
    with pytest.raises(FileExistsError):
        JournalWriter(tmp_path / "journal", SCHEMAS)

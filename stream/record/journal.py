"""The journal: what a running analysis writes down, readable whenever and however it stops.

One Arrow IPC stream a table. Every write appends one record batch to every file, so the k-th batches
of all files belong together, and the journal holds as many writes as its shortest file. A batch carries
a checksum: after a power failure, file systems leave blocks of zeros where the last writes should be.
"""

import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

CHECKSUM = b"crc32"


class JournalWriter:
    """Appends batches to new journal files `<folder>/<table>.arrow`.

    Each write is handed to the operating system before it returns, which survives a killed process.
    It is not forced to the disk: that would stall the analysis for tens of milliseconds.

    Raises
    ------
    OSError
        If the files cannot be made or written; what was written before stays readable.
    """

    def __init__(self, folder: Path, schemas: Mapping[str, pa.Schema]) -> None:
        folder.mkdir()
        with ExitStack() as stack:
            self._files = {
                name: stack.enter_context((folder / f"{name}.arrow").open("xb")) for name in schemas
            }
            self._writers = {
                name: stack.enter_context(pa.ipc.new_stream(self._files[name], schema))
                for name, schema in schemas.items()
            }
            self._flush()
            self._open = stack.pop_all()

    def write(self, batches: Mapping[str, pa.RecordBatch]) -> None:
        """Append one batch to every table."""
        for name, writer in self._writers.items():
            writer.write_batch(batches[name], custom_metadata={CHECKSUM: _checksum(batches[name])})
        self._flush()

    def close(self) -> None:
        """Close the files; safe to call twice."""
        self._open.close()

    def _flush(self) -> None:
        for file in self._files.values():
            file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal to read.

    Attributes
    ----------
    folder
        Where its files are.
    n_writes
        Writes that every file holds whole.
    torn
        Names of tables whose file ends in something that is not a whole write of all tables.
    unread
        Writes that the fullest file holds beyond those; a kill leaves one at most.
    """

    folder: Path
    n_writes: int
    torn: tuple[str, ...]
    unread: int

    @classmethod
    def open(cls, folder: Path, tables: Iterable[str]) -> Self:
        """Find out what the files of these tables hold; damaged or missing files raise nothing."""
        whole = {name: _count(folder / f"{name}.arrow") for name in tables}
        n_writes = min((count for count, _ in whole.values()), default=0)
        torn = tuple(name for name, (count, clean) in whole.items() if count > n_writes or not clean)
        most = max((count for count, _ in whole.values()), default=0)
        return cls(folder, n_writes, torn, most - n_writes)

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """Give the table's batches in the order they were written, one at a time."""
        batches = _whole_batches(self.folder / f"{table}.arrow")
        for _, batch in zip(range(self.n_writes), batches, strict=False):
            yield batch


def _checksum(batch: pa.RecordBatch) -> bytes:
    checksum = 0
    for column in batch.columns:
        for buffer in column.buffers():
            if buffer is not None:
                checksum = zlib.crc32(buffer, checksum)
    return b"%08x" % checksum


def _count(path: Path) -> tuple[int, bool]:
    """Whole batches in a file, and whether it ends right behind the last."""
    count = 0
    batches = _whole_batches(path)
    while True:
        try:
            next(batches)
        except StopIteration as end:
            return count, end.value
        count += 1


def _whole_batches(path: Path) -> Generator[pa.RecordBatch, None, bool]:
    """Give batches until the end or the first damage; returns whether it was the end."""
    try:
        # A Python file, not a memory map: Windows cannot remove a file that is mapped.
        with path.open("rb") as file:
            size = path.stat().st_size
            if size == 0:  # killed before its first write
                return True
            reader = pa.ipc.open_stream(file)
            while True:
                try:
                    batch, metadata = reader.read_next_batch_with_custom_metadata()
                except StopIteration:
                    return file.tell() == size
                if metadata is None or metadata.get(CHECKSUM) != _checksum(batch):
                    return False
                yield batch
    except (pa.ArrowException, OSError, ValueError, MemoryError):
        return False

"""Writing one table as Parquet and CSV, batch by batch."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

ROW_GROUP = 65_536  # rows; a few MB of memory, whatever the length of the table


class TableFiles:
    """`<folder>/<name>.parquet`, and `.csv` where it is wanted; `n_rows` counts what was written.

    Raises
    ------
    OSError
        If they cannot be written.
    """

    def __init__(self, folder: Path, name: str, schema: pa.Schema, csv: bool) -> None:
        self.n_rows = 0
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self._n_waiting = 0
        self._open = ExitStack()
        self._parquet = self._open.enter_context(
            pa.parquet.ParquetWriter(folder / f"{name}.parquet", schema, compression="zstd")
        )
        self._csv = None
        if csv:
            file = self._open.enter_context(pa.OSFile(str(folder / f"{name}.csv"), "wb"))
            # Arrow puts its header in quotes, which not every reader of CSV takes.
            file.write((",".join(schema.names) + "\n").encode())
            options = pa.csv.WriteOptions(include_header=False)
            self._csv = self._open.enter_context(pa.csv.CSVWriter(file, schema, write_options=options))

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows; they reach the files in row groups."""
        if not len(batch):  # Arrow's CSV writer puts old memory in the place of an empty batch
            return
        self.n_rows += len(batch)
        self._n_waiting += len(batch)
        self._waiting.append(batch)
        if self._n_waiting >= ROW_GROUP:
            self._write_waiting()

    def _write_waiting(self) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._waiting, self._n_waiting = [], 0
        self._parquet.write_table(table)
        if self._csv is not None:
            self._csv.write_table(table)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._open:
            if kind is None and self._waiting:
                self._write_waiting()

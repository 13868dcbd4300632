"""Reading tables of a run that need not fit into memory: some columns whole, all of them frame by frame."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from stream.refine.spots import Spots
from stream.results import Ids, StreamError

BLOCK_ROWS = 65_536


def read_column(folder: Path, table: str, name: str) -> NDArray[Any]:
    """One column of a table, whole.

    Raises
    ------
    StreamError
        If it cannot be read.
    """
    path = folder / f"{table}.parquet"
    try:
        column: NDArray[Any] = pa.parquet.read_table(path, columns=[name])[name].to_numpy()
    except (OSError, ValueError, KeyError) as error:
        raise StreamError(
            f"cannot read {name} in {path}: {error}; it belongs to the run and must not be moved"
        ) from error
    return column


def read_spots(folder: Path) -> Spots:
    """Frames and positions (nm) of all puncta.

    Raises
    ------
    StreamError
        If they cannot be read, or are not in order of frame.
    """
    frame = read_column(folder, "puncta", "frame")
    if (np.diff(frame) < 0).any():
        raise StreamError(
            f"{folder / 'puncta.parquet'} is not in order of frame; it is not the file of a run"
        )
    xy = np.empty((len(frame), 2))
    for k, name in enumerate(("x_nm", "y_nm")):
        xy[:, k] = read_column(folder, "puncta", name)
    return Spots(frame, xy)


def blocks(frame: Ids, rows: int = BLOCK_ROWS) -> Iterator[tuple[slice, int]]:
    """Cut rows in order of frame into blocks of whole frames of about `rows` rows.

    Gives the rows of each block and the frame before which the next one ends; at least one block.
    """
    cuts = frame[np.arange(rows, len(frame), rows)] if len(frame) > rows else frame[:0]
    first_frames = np.unique(cuts)
    starts = np.searchsorted(frame, first_frames)
    begins, ends = [0, *starts.tolist()], [*first_frames.tolist(), np.iinfo(np.int64).max]
    for (begin, stop), frame_stop in zip(pairwise([*begins, len(frame)]), ends, strict=True):
        yield slice(begin, stop), frame_stop


class FrameReader:
    """A table in order of frame, read a stretch at a time.

    Raises
    ------
    StreamError
        If it cannot be opened.
    """

    def __init__(self, folder: Path, table: str) -> None:
        path = folder / f"{table}.parquet"
        try:
            self._file = pa.parquet.ParquetFile(path)
        except (OSError, ValueError) as error:
            raise StreamError(
                f"cannot read {path}: {error}; it belongs to the run and must not be moved"
            ) from error
        self.schema: pa.Schema = self._file.schema_arrow
        self._batches = self._file.iter_batches(BLOCK_ROWS)
        self._waiting: pa.Table = self.schema.empty_table()

    def until(self, frame: int) -> pa.Table:
        """The rows that follow, up to those before `frame`."""
        parts = [self._waiting]
        while not len(parts[-1]) or parts[-1]["frame"][-1].as_py() < frame:
            batch = next(self._batches, None)
            if batch is None:
                break
            parts.append(pa.Table.from_batches([batch]))
        table = pa.concat_tables(parts).combine_chunks()
        stop = int(np.searchsorted(table["frame"].to_numpy(), frame))
        self._waiting = table.slice(stop)
        return table.slice(0, stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

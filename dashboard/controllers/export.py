"""The table as it is shown, as a CSV that spreadsheets open."""

import csv
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from stream.results import StreamError


def save_table(name: str, header: Sequence[str], rows: Sequence[Sequence[object]], folder: Path) -> Path:
    """Write a table into a new file; gives its path.

    Raises
    ------
    StreamError
        If the folder cannot be written.
    """
    stem = f"{name}_{datetime.now():%Y-%m-%dT%H-%M-%S}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path, n = folder / f"{stem}.csv", 2
        while path.exists():
            path, n = folder / f"{stem}_{n}.csv", n + 1
        # With a byte order mark: Excel reads ΔF/F0 wrongly without.
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
    except OSError as error:
        raise StreamError(f"cannot save the table into {folder}: {error.strerror or error}") from error
    return path

"""Micro-Manager image stack files: `*_MMStack_*.ome.tif`, split into several files at 4 GB.

Source: https://micro-manager.org/Micro-Manager_File_Formats
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from acquire.frame import SourceError
from acquire.pages import TiffPages
from acquire.recording import (
    CUT_OFF,
    NOT_WRITTEN,
    Planes,
    Recording,
    address,
    check_promise,
    lost_end,
    time_by_channel,
)
from acquire.units import nanometres, positive

# Columns of the index map, and what the same is called in the summary and in a page's metadata.
_COUNTS = ("Channels", "Slices", "Frames", "Positions")
_INDICES = ("ChannelIndex", "SliceIndex", "FrameIndex", "PositionIndex")


def is_mmstack(path: Path) -> bool:
    """Whether Micro-Manager wrote the TIFF `path` as an image stack file."""
    return "Summary" in _header(path)


def open_mmstack(path: Path) -> Recording:
    """Open the data set that `path` belongs to, with all its files.

    Raises
    ------
    SourceError
        If a file is missing or damaged, or the set holds several positions or z-stacks over time.
    """
    paths = stack_files(path)
    summary = _header(path)["Summary"]
    rows, offsets, lost = [], [], NOT_WRITTEN
    for number, file in enumerate(paths):
        index, file_lost = _index(file)
        lost = min(lost, file_lost)  # a cut or damaged file explains more than one never written
        rows.append(np.column_stack([index[:, :4], address(number) + np.arange(len(index))]))
        offsets.append(index[:, 4])
    table = np.concatenate(rows)
    positions = np.unique(table[:, 3])
    if len(positions) > 1:
        raise SourceError(
            f"{path} holds {len(positions)} positions; save each position as a movie of its own"
        )
    promised = [int(positive(summary.get(key)) or 1) for key in _COUNTS[:3]]
    shape = [int(n) for n in np.maximum(promised, table[:, :3].max(axis=0, initial=0) + 1)]
    for size in (*shape, int(np.prod(shape, dtype=float))):
        check_promise(size, str(path))
    planes = np.full(shape, lost, np.int64)
    planes[table[:, 0], table[:, 1], table[:, 2]] = table[:, 4]
    grid = time_by_channel(planes, "CZT", str(path))
    return _describe(path, summary, Planes(paths, offsets), grid)


def _describe(path: Path, summary: dict[str, Any], planes: Planes, grid: NDArray[np.int64]) -> Recording:
    first = planes.file(0).micro_manager(0)
    interval_s = positive(summary.get("Interval_ms"))
    interval_s = None if interval_s is None else interval_s / 1000
    # Sequences may carry no elapsed times but a constant 0: they must rise to be believed.
    written = np.flatnonzero(grid[:, 0] >= 0)
    timed = False
    if len(written) > 1:
        begin, end = (planes.elapsed_s(int(grid[t, 0])) for t in (written[0], written[-1]))
        if begin is not None and end is not None and end > begin:
            interval_s, timed = (end - begin) / float(written[-1] - written[0]), True
    pixel_um = positive(first.get("PixelSizeUm")) or positive(summary.get("PixelSize_um"))
    bits = positive(first.get("BitDepth")) or positive(summary.get("BitDepth"))
    return Recording(
        name=re.sub(r"_MMStack.*", "", path.name),
        kind="Micro-Manager stack" + (f" of {len(planes.paths)} files" if len(planes.paths) > 1 else ""),
        planes=planes,
        grid=grid,
        bit_depth=int(bits or planes.file(0).first.bitspersample),
        interval_s=interval_s,
        pixel_size_nm=nanometres(pixel_um, "µm"),
        timed=timed,
    )


def stack_files(path: Path) -> list[Path]:
    """Find all files of the data set, in order: `x.ome.tif`, `x_1.ome.tif`, `x_2.ome.tif` and so on.

    Raises
    ------
    SourceError
        If one between them is missing.
    """
    match = re.fullmatch(r"(.*?)((?:\.ome)?\.tiff?)", path.name, re.IGNORECASE)
    if match is None or "_MMStack" not in path.name:
        return [path]  # renamed: its companions can't be known
    stem, suffix = match.groups()
    base = re.fullmatch(r"(.+)_\d+", stem)
    if base is not None and (path.parent / f"{base[1]}{suffix}").exists():
        stem = base[1]
    parts = {0: path.parent / f"{stem}{suffix}"}
    for file in path.parent.iterdir():
        part = re.fullmatch(re.escape(stem) + r"_([1-9]\d*)" + re.escape(suffix), file.name)
        if part is not None:
            parts[int(part[1])] = file
    missing = sorted(set(range(max(parts) + 1)) - set(parts))
    if missing:
        raise SourceError(
            f"{path.parent / f'{stem}_{missing[0]}{suffix}'} is missing; copy it beside the others"
        )
    return [parts[number] for number in sorted(parts)]


def _header(path: Path) -> dict[str, Any]:
    """Summary and index map, which Micro-Manager keeps outside of the TIFF structure."""
    try:
        with path.open("rb") as file:
            header: dict[str, Any] = tifffile.read_micromanager_metadata(file, {"Summary", "IndexMap"})
    except Exception:  # no such header, or a damaged one; a missing file is reported where it is opened
        return {}
    if not isinstance(header.get("Summary"), dict):
        header.pop("Summary", None)
    return header


def _index(path: Path) -> tuple[NDArray[np.int64], int]:
    """Index map, int64 rows (channel, slice, frame, position, offset), and why planes are not in it.

    The map is written when the acquisition ends. Where it is missing, the acquisition crashed or the
    file was cut; then the pages themselves say what they are.
    """
    size = path.stat().st_size
    index = _header(path).get("IndexMap")
    if index is not None and len(index):
        rows = index.astype(np.int64)
        return rows[rows[:, 4] > 0], CUT_OFF if (rows[:, 4] >= size).any() else NOT_WRITTEN
    pages = TiffPages(path)
    try:
        found = []
        for number, offset in enumerate(pages.chain.offsets):
            metadata = pages.micro_manager(number)
            if all(isinstance(metadata.get(key), int) for key in _INDICES[:3]):
                found.append([*(metadata.get(key, 0) for key in _INDICES), offset])
        broke_off = pages.chain.broke_off
        return np.array(found, np.int64).reshape(-1, 5), lost_end(broke_off) if broke_off else NOT_WRITTEN
    finally:
        pages.close()

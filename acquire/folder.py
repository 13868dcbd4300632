"""A folder of single TIFFs: one image a file."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from acquire.container import check_name
from acquire.frame import SourceError
from acquire.mmstack import is_mmstack, open_mmstack, stack_files
from acquire.recording import NOT_WRITTEN, Planes, Recording, address, check_promise, time_by_channel
from acquire.units import nanometres, positive

# Micro-Manager 2 and 1.4.
_MM2 = re.compile(r"img_channel(?P<C>\d+)_position(?P<P>\d+)_time(?P<T>\d+)_z(?P<Z>\d+)\.tiff?", re.I)
_MM1 = re.compile(r"img_(?P<T>\d{9})_(?P<C>.*)_(?P<Z>\d{3})\.tiff?", re.I)


def open_folder(path: Path) -> Recording:
    """Open a folder: Micro-Manager's names tell channel and time, others are sorted by their numbers.

    A folder that holds one Micro-Manager stack is opened as that.

    Raises
    ------
    SourceError
        If there are no TIFFs, or more than one movie.
    """
    try:
        children = list(path.iterdir())
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    paths = sorted((child for child in children if _is_tiff(child)), key=_natural)
    if not paths:
        inside = sorted(child.name for child in children if child.is_dir())
        for name in inside[:4]:
            check_name(path / name)
        hint = f"; give one of its folders: {', '.join(inside[:4])}" if inside else ""
        raise SourceError(f"{path} holds no .tif files{hint}")
    for file in paths:
        check_name(file)
    check_name(Path(path.resolve().name))  # names the run, and may differ from what was given, e.g. "."
    if "_MMStack" in paths[0].name and is_mmstack(paths[0]):
        if len(stack_files(paths[0])) < len(paths):
            raise SourceError(f"{path} holds several movies; give one of its files, e.g. {paths[0].name}")
        return open_mmstack(paths[0])
    return _single_images(path, paths)


def _single_images(path: Path, paths: list[Path]) -> Recording:
    planes = Planes(paths)
    try:
        first = planes.file(0)
        if len(first.chain.offsets) > 1:
            raise SourceError(
                f"{paths[0]} holds {len(first.chain.offsets)} images; a folder must hold one image a file, "
                "so give the file itself"
            )
        places = [_MM2.fullmatch(file.name) or _MM1.fullmatch(file.name) for file in paths]
        if all(places):
            axes, grid = "CPTZ", _place([match.groupdict() for match in places if match], str(path))
        else:
            axes, grid = "T", np.array([address(number) for number in range(len(paths))])
        summary = _summary(path / "metadata.txt")
        bits = positive(first.micro_manager(0).get("BitDepth")) or positive(summary.get("BitDepth"))
        interval_ms = positive(summary.get("Interval_ms"))
        return Recording(
            name=path.resolve().name,
            kind=f"folder of {len(paths)} TIFFs",
            planes=planes,
            grid=time_by_channel(grid, axes, str(path)),
            bit_depth=int(bits or first.first.bitspersample),
            interval_s=None if interval_ms is None else interval_ms / 1000,
            pixel_size_nm=nanometres(positive(summary.get("PixelSize_um")), "µm"),
        )
    except SourceError:
        planes.close()
        raise


def _place(names: list[dict[str, str]], folder: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Addresses of the files as an array with the axes C, P, T, Z; gaps in time were never written."""
    columns = []
    for axis in "CPTZ":
        values = [name.get(axis) or "0" for name in names]
        if axis == "T":
            times = np.array([int(value) for value in values], np.int64)
            columns.append(times - times.min())
        else:  # channels have names in Micro-Manager 1.4, numbers in 2
            columns.append(np.unique(values, return_inverse=True)[1])
    shape = [int(column.max()) + 1 for column in columns]
    check_promise(int(np.prod(shape, dtype=float)), folder)
    grid = np.full(shape, NOT_WRITTEN, np.int64)
    grid[tuple(columns)] = [address(number) for number in range(len(names))]
    return grid


def _summary(path: Path) -> dict[str, Any]:
    """Summary at the top of Micro-Manager's metadata.txt, whose rest grows with the movie."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(1 << 18)
        summary, _ = json.JSONDecoder().raw_decode(text, re.search(r'"Summary"\s*:\s*', text).end())  # type: ignore[union-attr]
    except (OSError, ValueError, AttributeError):
        return {}
    return summary if isinstance(summary, dict) else {}


def _is_tiff(path: Path) -> bool:
    return path.suffix.lower() in (".tif", ".tiff") and not path.name.startswith(".") and path.is_file()


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key in which image10 comes after image9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]

"""Opens NDTiff data sets: a folder of stack files with their index.

They are read here and not through `ndstorage.Dataset`: that needs the axes of images to differ, so of two
cameras it loses one; it raises on an index that was cut; and it holds a dictionary of objects per image.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acquire.container import check_name
from acquire.frame import SourceError
from acquire.ndtiff.axes import GridRule, Placer, find_rule
from acquire.ndtiff.index import INDEX_NAME, DamagedIndex, StoredImage, parse_index
from acquire.ndtiff.planes import NDTiffPlanes
from acquire.ndtiff.stack import Stacks, is_stack, stack_names, stacks_of_one_set
from acquire.ndtiff.tags import bit_depth, camera_tag, elapsed_s, interval_s, pixel_size_nm, received_s
from acquire.pages import LostPlane
from acquire.recording import CUT_OFF, NOT_WRITTEN, Recording, check_promise


def data_set_folder(path: Path) -> Path | None:
    """Folder of the NDTiff data set that `path` names: the folder, its index, or one of its stack files.

    None where it names none.
    """
    if path.is_dir():
        named = (path / INDEX_NAME).is_file() or any(is_stack(path / name) for name in stack_names(path))
        return path if named else None
    if path.is_file() and (path.name == INDEX_NAME or is_stack(path)):
        return path.parent
    return None


def open_ndtiff(folder: Path, path: Path) -> Recording:
    """Open a data set, finished or not.

    Images that were written after the index broke off are found in the stack files themselves.

    Parameters
    ----------
    folder, path
        Its folder, and what the user named it by, for messages.

    Raises
    ------
    SourceError
        If it holds no images, several positions, or z-stacks over time, or if it is damaged.
    """
    check_name(Path(folder.resolve().name))  # names the run, and may differ from what was given
    name = str(path)
    stacks = Stacks(folder)
    try:
        indexed = _read_index(folder / INDEX_NAME)
        images, n_lost = _with_axes(stacks, indexed)
        if not images:
            raise SourceError(
                f"the NDTiff data set {name} holds no images: none was taken, or it was cut off before one"
            )
        planes = NDTiffPlanes(stacks, images)
        grid, rule, n_moved = _grid(planes, images, n_lost, name)
        return _describe(folder, planes, grid, rule, n_moved)
    except SourceError:
        stacks.close()
        raise


def _read_index(path: Path) -> list[StoredImage]:
    try:
        return parse_index(path.read_bytes())[0]
    except FileNotFoundError:
        return []
    except DamagedIndex as error:
        raise SourceError(f"{path} is damaged; rename it, and the stack files are read without it") from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error


def _with_axes(stacks: Stacks, indexed: list[StoredImage]) -> tuple[list[StoredImage], int]:
    """The indexed images and those behind them whose metadata tell their axes; and how many do not."""
    names = stacks_of_one_set(stacks.folder)
    images, n_lost = list(indexed), 0
    last = indexed[-1] if indexed else None
    begin = names.index(last.file) if last is not None and last.file in names else 0
    if last is not None and last.file not in names:
        return images, 0
    for name in names[begin:]:
        try:
            stack = stacks.file(name)
        except LostPlane:
            continue
        header = stack.header()
        following = None if header is None else header[1]
        if last is not None and name == last.file:
            following = last.metadata_offset + last.metadata_length
            following += following % 2
        while following is not None and (found := stack.image_at(following)) is not None:
            image, _, following = found
            if image.axes is None:
                n_lost += 1
            else:
                images.append(image)
    return images, n_lost


def _grid(
    planes: NDTiffPlanes, images: Sequence[StoredImage], n_lost: int, name: str
) -> tuple[NDArray[np.int64], GridRule, int]:
    """Numbers of the images by time and channel (T, C), how they were placed, and how many were moved."""
    axes = [image.axes or {} for image in images]
    rule = find_rule(axes, lambda number: camera_tag(planes.metadata(number)), name)
    placer = Placer(rule, name)
    placed, numbers = [], []
    for number, place in enumerate(axes):
        tag = camera_tag(planes.metadata(number)) if rule.by_camera else None
        if rule.by_camera and tag is None:  # its metadata were cut off, so its camera is unknown
            n_lost += 1
        else:
            placed.append(placer.place(place, tag))
            numbers.append(number)
    places = np.array(placed, np.int64)
    n_times, n_columns = int(places[:, 0].max()) + 1, len(rule.columns)
    check_promise(n_times * n_columns, name)
    grid = np.full((n_times, n_columns), NOT_WRITTEN, np.int64)
    grid[places[:, 0], places[:, 1]] = numbers
    return _with_lost_end(grid, n_lost), rule, placer.n_moved


def _with_lost_end(grid: NDArray[np.int64], n_lost: int) -> NDArray[np.int64]:
    """Add images that were cut off, of which nothing but their number is known: the last ones."""
    if not n_lost:
        return grid
    behind = np.logical_and.accumulate((grid < 0)[::-1])[::-1]
    grid = np.where(behind, CUT_OFF, grid)
    n_rows = -(-max(0, n_lost - int(behind.sum())) // grid.shape[1])
    return np.concatenate([grid, np.full((n_rows, grid.shape[1]), CUT_OFF, np.int64)])


def _describe(
    folder: Path, planes: NDTiffPlanes, grid: NDArray[np.int64], rule: GridRule, n_moved: int
) -> Recording:
    summary, first = planes.summary(), planes.metadata(0)
    interval, timed = interval_s(summary), False
    written = np.flatnonzero(grid[:, 0] >= 0)
    if len(written) > 1:
        ends = [int(grid[t, 0]) for t in (written[0], written[-1])]
        for clock in (received_s, elapsed_s):
            begin, end = (clock(planes.metadata(plane)) for plane in ends)
            # Sequences carry no elapsed times but a constant: they must rise to be believed.
            if begin is not None and end is not None and end > begin:
                interval, timed = (end - begin) / float(written[-1] - written[0]), True
                if clock is received_s:
                    planes.use_received()
                break
    kind = "NDTiff" + (f" of {planes.n_files} files" if planes.n_files > 1 else "")
    if rule.by_number:
        kind += " paired by camera and image number"
        kind += f" (its time axis is wrong in {n_moved} images)" if n_moved else ""
    return Recording(
        name=folder.resolve().name,
        kind=kind,
        planes=planes,
        grid=grid,
        bit_depth=bit_depth(planes.image(0).bit_depth, first),
        interval_s=interval,
        pixel_size_nm=pixel_size_nm(first, summary),
        timed=timed,
    )

"""The beginning of an NDTiff data set that is being written: waits until it tells what its frames will be."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from acquire.container import check_name
from acquire.frame import SourceError, SourceInfo
from acquire.layout import ChannelLayout, Layout, choose_layout
from acquire.ndtiff.assemble import FARTHEST
from acquire.ndtiff.axes import GridRule, Placer, find_rule
from acquire.ndtiff.index import INDEX_NAME, DamagedIndex, IndexTail
from acquire.ndtiff.planes import check_pixels
from acquire.ndtiff.stack import is_stack, stack_names
from acquire.ndtiff.tags import bit_depth, camera_tag, elapsed_s, interval_s, pixel_size_nm, received_s
from acquire.ndtiff.tail import DataSetTail, WrittenImage

POLL_S = 0.01
# The interval is measured on this many time points, or on fewer when the first is this old.
_TIMES, _TIMES_S = 5, 1.0
_LOOK_S = 1.0  # how often it is asked whether something else appears instead of the data set


@dataclass(frozen=True, slots=True)
class Start:
    """What the first images of a data set tell.

    Attributes
    ----------
    seen
        Those images.
    rule, layout
        Which image belongs where.
    info
        What is known of the frames.
    clock
        Which time of an image is a frame's: "received", "elapsed", or "counted" where neither rises.
    """

    seen: list[WrittenImage]
    rule: GridRule
    layout: ChannelLayout
    info: SourceInfo
    clock: str


def folder_to_follow(path: Path) -> Path:
    """Folder of the data set that `path` names, whether it exists yet or not.

    Raises
    ------
    SourceError
        If something else than an NDTiff data set is there.
    """
    check_name(path)
    try:
        if path.is_file() and path.name != INDEX_NAME and not is_stack(path):
            raise SourceError(
                f"{path} is no part of an NDTiff data set, and only those can be followed while they are "
                "written; replay it when it is complete"
            )
        if path.name == INDEX_NAME or path.is_file():
            return path.parent
        _check_folder(path)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    return path


def _check_folder(path: Path) -> None:
    """Refuse a folder that no data set will begin in; raises SourceError, or OSError."""
    if not path.is_dir() or stack_names(path) or (path / INDEX_NAME).exists():
        return
    if any(path.glob("*.tif")):
        raise SourceError(f"{path} holds TIFFs but no NDTiff data set, and only those can be followed")
    inside = sorted(folder.name for folder in path.iterdir() if folder.is_dir() and stack_names(folder))
    if inside:
        found = ", ".join(inside[:5]) + (" …" if len(inside) > 5 else "")
        raise SourceError(f"{path} is no NDTiff data set itself; follow one of its folders: {found}")


def wait_for_start(
    tail: DataSetTail,
    name: str,
    stop: Event,
    *,
    layout: Layout,
    swap: bool,
    interval_ms: float | None,
    patience_s: float,
) -> Start:
    """Wait until the data set exists and its channels and frame interval are known.

    There is no limit to the waiting for its first image. A data set that is finished, or silent for
    `patience_s`, is taken as it is.

    Raises
    ------
    SourceError
        If it cannot be followed, or `stop` was set before it began.
    """
    seen: list[WrittenImage] = []
    rule, look_again_s = None, 0.0
    while True:
        new = tail.poll()
        seen += new
        axes = [written.image.axes or {} for written in seen]
        if new:
            rule = find_rule(axes, [camera_tag(written.metadata) for written in seen].__getitem__, name)
        begun = bool(seen) or tail.n_nameless > 0
        over = not new and (tail.is_finished(patience_s) or (begun and tail.idle_s > patience_s))
        if rule is not None:
            n_times = len({image.get(rule.time_axis, 0) for image in axes})
            age_s = time.monotonic() - seen[0].seen_s
            if over or _is_settled(rule, layout, n_times, age_s, interval_known=interval_ms is not None):
                break
        elif over:
            raise SourceError(f"the index of {name} does not tell what its images are")
        elif time.monotonic() > look_again_s:
            look_again_s = time.monotonic() + _LOOK_S
            with suppress(OSError):  # a network drive may be gone for a moment
                _check_folder(tail.folder)
        if not new and stop.wait(POLL_S):
            raise SourceError(f"stopped before {name} had begun")
    return _start(tail, name, seen, rule, layout, swap, interval_ms)


def _is_settled(rule: GridRule, layout: Layout, n_times: int, age_s: float, *, interval_known: bool) -> bool:
    """Whether the channels are all known, and the interval; `age_s` is the time since the first image."""
    alone = rule.by_camera and len(rule.columns) < 2 and n_times < FARTHEST
    if layout in ("auto", "stack") and (n_times < 2 or alone):
        return False
    return interval_known or n_times >= _TIMES or (n_times >= 2 and age_s > _TIMES_S)


def _start(
    tail: DataSetTail,
    name: str,
    seen: list[WrittenImage],
    rule: GridRule,
    layout: Layout,
    swap: bool,
    interval_ms: float | None,
) -> Start:
    first = seen[0]
    check_pixels(first.image, name)
    height, width = first.image.height, first.image.width
    fitting = choose_layout(
        layout,
        swap=swap,
        grid_shape=(2, len(rule.columns)),  # how many there will be is not known
        image_shape=(height, width),
        name=name,
    )
    clock, interval = _clock(seen, rule, name)
    interval = interval_s(tail.summary) if interval is None else interval
    interval = None if interval is None else interval * fitting.n_times
    if interval_ms is not None:
        clock, interval = "counted", interval_ms / 1000
    n_channels = 1 if fitting.name == "single" else 2
    height //= 2 if fitting.name == "top-bottom" else 1
    width //= 2 if fitting.name == "side-by-side" else 1
    bits = _bit_depth(tail.folder, first)
    paired = " paired by camera and image number" if rule.by_number else ""
    info = SourceInfo(
        name=tail.folder.resolve().name,
        shape=(n_channels, height, width),
        n_frames=None,
        interval_s=interval,
        pixel_size_nm=pixel_size_nm(first.metadata, tail.summary),
        bit_depth=bits,
        description=(
            f"NDTiff that is being written{paired}, frames of {n_channels} × {height} × {width}, {bits} bit, "
            f"layout {fitting.name}{', swapped' if fitting.swap else ''}"
        ),
    )
    return Start(seen, rule, fitting, info, clock)


def _clock(seen: list[WrittenImage], rule: GridRule, name: str) -> tuple[str, float | None]:
    """The clock of the images that rises, and its time from one time point to the next, seconds."""
    placer = Placer(rule, name)
    places = [placer.place(image.image.axes or {}, camera_tag(image.metadata)) for image in seen]
    timed = [(time, image.metadata) for (time, column), image in zip(places, seen, strict=True) if not column]
    for clock, read in (("received", received_s), ("elapsed", elapsed_s)):
        begin, end = read(timed[0][1]) if timed else None, read(timed[-1][1]) if timed else None
        if begin is not None and end is not None and end > begin and timed[-1][0] > timed[0][0]:
            return clock, (end - begin) / (timed[-1][0] - timed[0][0])
    return "counted", None


def _bit_depth(folder: Path, first: WrittenImage) -> int:
    """Bits that the camera used per pixel; the index knows better than the stack files."""
    try:
        entries = IndexTail(folder / INDEX_NAME).new()
    except (OSError, DamagedIndex):
        entries = []
    indexed = entries[0].bit_depth if entries else 0
    return bit_depth(indexed or first.image.bit_depth, first.metadata)

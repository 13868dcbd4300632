"""How the axes of NDTiff images make a grid of time points and channels.

Two cameras through Multi Camera are a case of their own: the acquisition engine gives `time` in the order in
which images arrive, whichever camera they are from, and in Python no axis tells the cameras apart. Each
image's metadata tell its camera and the number in its sequence, which pair them truly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from acquire.frame import SourceError
from acquire.ndtiff.index import Axes, AxisValue
from acquire.ndtiff.tags import CameraTag
from acquire.recording import MAX_PLANES

_CHANNEL_AXES = ("channel", "camera")
_PLACE_AXES = ("position", "row", "column")

ColumnKey = tuple[AxisValue | tuple[int, str], ...]
TagOf = Callable[[int], CameraTag | None]


@dataclass(frozen=True, slots=True)
class GridRule:
    """Which image belongs where.

    Attributes
    ----------
    time_axis, start
        The axis that is time, and its first value.
    others
        The value of every other axis, which must not change.
    columns
        What tells the channels apart, in their order: values of the channel axes, or cameras.
    by_camera, by_number
        Whether cameras are the channels, and image numbers the time.
    """

    time_axis: str
    start: int
    others: dict[str, AxisValue]
    columns: tuple[ColumnKey, ...]
    by_camera: bool
    by_number: bool


def find_rule(axes: Sequence[Axes], tag: TagOf, name: str) -> GridRule:
    """Find how images become frames.

    Parameters
    ----------
    axes
        Axes of the images (at least one) in the order they were written. An axis that is not there is 0.
    tag
        Gives the camera of the image with this number. Asked for few images unless there are several cameras.
    name
        The data set, for messages.

    Raises
    ------
    SourceError
        If there are several positions, or two axes could be time.
    """
    names = dict.fromkeys(axis for image in axes for axis in image)
    values = {axis: {image.get(axis, 0) for image in axes} for axis in names}
    for axis in _PLACE_AXES:
        if len(values.get(axis, ())) > 1:
            tiled = "" if axis == "position" else " of tiles"
            raise SourceError(
                f"{name} holds {len(values[axis])} {axis}s{tiled}; record each position as a movie of its own"
            )
    # Their order is chance: Python's writer keeps the axes of an image in a set.
    long = sorted(axis for axis in values if axis not in _CHANNEL_AXES and len(values[axis]) > 1)
    if len(long) > 1:
        found = " × ".join(f"{len(values[axis])} ({axis})" for axis in long)
        raise SourceError(
            f"{name} has more than one axis besides channels: {found}; one movie over time is needed"
        )
    time_axis = long[0] if long else "time"
    rule = GridRule(
        time_axis,
        min((value for value in values.get(time_axis, ()) if isinstance(value, int)), default=0),
        {axis: next(iter(found)) for axis, found in values.items() if axis != time_axis},
        tuple(dict.fromkeys(_channel(image) for image in axes)),
        False,
        False,
    )
    return _by_cameras(rule, axes, tag) if _has_cameras(rule, axes, tag) else rule


def _channel(axes: Axes) -> ColumnKey:
    return tuple(axes.get(axis, 0) for axis in _CHANNEL_AXES)


def _has_cameras(rule: GridRule, axes: Sequence[Axes], tag: TagOf) -> bool:
    """Whether the images are from several cameras."""
    begin = tag(0)
    if begin is None:
        return False
    if begin.of_several:
        return True
    seen: dict[tuple[ColumnKey, AxisValue], int] = {}
    cameras = {column: number for number, column in reversed(list(enumerate(map(_channel, axes))))}
    if len({found.camera for number in cameras.values() if (found := tag(number)) is not None}) > 1:
        return True
    for number, image in enumerate(axes):
        place = (_channel(image), image.get(rule.time_axis, 0))
        if place in seen:  # two images in one place: from two cameras, or one was written again
            earlier, later = tag(seen[place]), tag(number)
            return earlier is not None and later is not None and earlier.camera != later.camera
        seen[place] = number
    return False


def _by_cameras(rule: GridRule, axes: Sequence[Axes], tag: TagOf) -> GridRule:
    channels: dict[tuple[int, str], set[ColumnKey]] = {}
    numbered = True
    for number, image in enumerate(axes):
        found = tag(number)
        if found is None:
            continue
        channels.setdefault(found.camera, set()).add(_channel(image))
        numbered &= found.number is not None
    if any(len(of_camera) > 1 for of_camera in channels.values()):  # each camera recorded several channels
        columns = tuple((camera, *key) for camera in sorted(channels) for key in channels[camera])
        return replace(rule, columns=columns, by_camera=True)
    return replace(
        rule, columns=tuple((camera,) for camera in sorted(channels)), by_camera=True, by_number=numbered
    )


class Placer:
    """Gives each image its place in the grid, in the order they were written.

    Parameters
    ----------
    rule
        From `find_rule`.
    name
        The data set, for messages.

    Attributes
    ----------
    n_moved
        Images whose time by image number is not that of their axes.
    """

    def __init__(self, rule: GridRule, name: str) -> None:
        self._rule = rule
        self._name = name
        self._columns = {key: number for number, key in enumerate(rule.columns)}
        self._single = len(rule.columns[0]) == 1
        self._named: dict[str, int] = {}
        self._base = self._end = 0  # time of this sequence's number 0, and behind the last one's
        self._last: dict[tuple[int, str], int] = {}
        self.n_moved = 0

    def place(self, axes: Axes, tag: CameraTag | None) -> tuple[int, int]:
        """Time point and channel of the next image.

        Raises
        ------
        SourceError
            If it fits nowhere: an axis or a channel that was not there before.
        """
        rule = self._rule
        for axis in axes:
            known = axis == rule.time_axis or axis in _CHANNEL_AXES
            if not known and axes[axis] != rule.others.get(axis, 0):
                raise SourceError(
                    f"{self._name} moves on along {axis} besides {rule.time_axis}; "
                    "one movie over time is needed"
                )
        column = self._columns.get(self._key(axes, tag))
        if column is None:
            raise SourceError(
                f"{self._name} turned out to hold more channels than the {len(self._columns)} that it began "
                "with; analyse it when it is complete"
            )
        value = axes.get(rule.time_axis, 0)
        if not isinstance(value, int):
            value = self._named.setdefault(value, len(self._named)) + rule.start
        time = value - rule.start
        if not 0 <= time < MAX_PLANES:
            raise SourceError(f"{self._name} has an impossible axis: {rule.time_axis} is {value}")
        if rule.by_number and tag is not None and tag.number is not None:
            counted = self._count(time, tag.camera, tag.number)
            if counted >= MAX_PLANES:
                raise SourceError(f"{self._name} has an impossible image number: {tag.number}")
            self.n_moved += counted != time
            time = counted
        return time, column

    def _key(self, axes: Axes, tag: CameraTag | None) -> ColumnKey:
        if not self._rule.by_camera:
            return _channel(axes)
        camera = (0, "") if tag is None else tag.camera
        return (camera,) if self._single else (camera, *_channel(axes))

    def _count(self, time: int, camera: tuple[int, str], number: int) -> int:
        """Time point by image number, which starts again with each sequence for all cameras.

        Where the axes are right, its begin is found from any of its images. Where they only count arrivals,
        the first image of a sequence has its first time point; then it must not reach into the one before.
        """
        if not self._last or number <= self._last.get(camera, -1):
            self._base = max(time - number, self._end)
            self._last.clear()
        self._last[camera] = number
        self._end = max(self._end, self._base + number + 1)
        return self._base + number

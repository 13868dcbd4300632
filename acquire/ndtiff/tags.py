"""What the metadata of an NDTiff data set say about an image and the acquisition.

The metadata are kilobytes of JSON; the few values that are needed of every image are picked from the text.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from acquire.units import nanometres, positive

# Micro-Manager wraps values of other programs: {"type": "STRING", "scalar": "0"}.
_VALUE = rb'"\s*:\s*(?:\{[^{}]*"scalar"\s*:\s*)?"?'
_INDEX = re.compile(rb"(-?)CameraChannelIndex" + _VALUE + rb"(\d+)")
_CAMERA = re.compile(rb'"Camera' + _VALUE + rb'((?:[^"\\]|\\.)*)"')
_NUMBER = re.compile(rb'"ImageNumber' + _VALUE + rb"(\d+)")
_ELAPSED = re.compile(rb'"ElapsedTime-ms' + _VALUE + rb"([-+.\deE]+)")
_RECEIVED = re.compile(rb'"TimeReceivedByCore' + _VALUE + rb'([^"]*)"')


@dataclass(frozen=True, slots=True)
class CameraTag:
    """Which camera took an image, and when.

    Attributes
    ----------
    camera
        Number among the cameras of Multi Camera (0 where it is not said), and label.
    of_several
        Whether the image came through Micro-Manager's Multi Camera as part of a sequence.
    number
        Image number of this camera, counted from the start of its sequence; None for snapped images.
    """

    camera: tuple[int, str]
    of_several: bool
    number: int | None


def camera_tag(metadata: bytes) -> CameraTag | None:
    """Read which camera took the image; None where the metadata do not say."""
    camera = _CAMERA.search(metadata)
    if camera is None:
        return None
    index, number = _INDEX.search(metadata), _NUMBER.search(metadata)
    return CameraTag(
        (0 if index is None else int(index[2]), camera[1].decode(errors="replace")),
        index is not None and index[1] == b"-",
        None if number is None else int(number[1]),
    )


def received_s(metadata: bytes) -> float | None:
    """When Micro-Manager's core received the image, seconds; None where it is not said."""
    match = _RECEIVED.search(metadata)
    if match is None:
        return None
    try:
        return datetime.fromisoformat(match[1].decode()).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def elapsed_s(metadata: bytes) -> float | None:
    """Time since the acquisition began in seconds, constant in sequences; None where it is not said."""
    match = _ELAPSED.search(metadata)
    try:
        return None if match is None else float(match[1]) / 1000
    except ValueError:
        return None


def bit_depth(stored: int, metadata: bytes) -> int:
    """Bits that the camera used per pixel, at most the `stored` ones."""
    return min(stored, int(positive(_json(metadata).get("BitDepth")) or stored))


def pixel_size_nm(metadata: bytes, summary: Mapping[str, Any]) -> float | None:
    """Pixel size that an image's metadata or the summary tell, nm; None where neither does."""
    first = _json(metadata)
    sizes = [tags.get(key) for tags in (first, summary) for key in ("PixelSizeUm", "PixelSize_um")]
    return nanometres(next((size for size in map(positive, sizes) if size), None), "µm")


def interval_s(summary: Mapping[str, Any]) -> float | None:
    """Frame interval that the summary tells, seconds; None where it does not."""
    interval_ms = positive(summary.get("Interval_ms"))
    return None if interval_ms is None else interval_ms / 1000


def _json(text: bytes) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}

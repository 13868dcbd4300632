"""What ImageJ and tifffile write into the description of a TIFF's first page."""

import json
import math
from dataclasses import dataclass

import tifffile

from acquire.frame import SourceError
from acquire.recording import check_promise
from acquire.units import nanometres, positive, seconds

# ImageJ's orders name the fastest axis first; array axes have it last.
_IMAGEJ_ORDERS = {order: order[::-1].upper() for order in ("czt", "ctz", "zct", "ztc", "tcz", "tzc")}

# What ImageJ can show; tifffile calls the pages of a movie channels unless it is told their axis.
_MAX_CHANNELS = 7


@dataclass(frozen=True, slots=True)
class Described:
    """What a description says.

    Attributes
    ----------
    kind
        The file format in words.
    axes, shape
        Order of the pages: one axis for each letter, without Y and X.
    interval_s, pixel_size_nm
        None where it does not say.
    contiguous
        Whether the pages' pixels follow each other even where the pages have no directories.
    """

    kind: str
    axes: str
    shape: tuple[int, ...]
    interval_s: float | None = None
    pixel_size_nm: float | None = None
    contiguous: bool = False

    @property
    def n_pages(self) -> int:
        """Pages the description promises."""
        return math.prod(self.shape)


def read_imagej(page: tifffile.TiffPage, name: str) -> Described:
    """Read the description of an ImageJ stack; raises SourceError where it is damaged.

    Source: ImageJ's FileInfo and TiffDecoder (`ImageJ=`, `images=`, `channels=`, `finterval=`, …).
    """
    try:
        values = dict(line.strip().partition("=")[::2] for line in page.description.splitlines())
        channels, slices, frames = (int(values.get(key, 1)) for key in ("channels", "slices", "frames"))
        images = int(values.get("images", 1))
        axes = _IMAGEJ_ORDERS.get(values.get("order", "czt").lower(), "TZC")
    except ValueError as error:
        raise SourceError(f"{name} has a damaged ImageJ description; save it with ImageJ again") from error
    for number in (channels, slices, frames, images):
        check_promise(number, name)
    if channels * slices * frames == 1:
        frames = images
    if slices * frames == 1 and channels > _MAX_CHANNELS:
        channels, frames = 1, channels
    sizes = {"C": channels, "Z": slices, "T": frames}
    check_promise(channels * slices * frames, name)
    return Described(
        "ImageJ hyperstack" if channels > 1 else "ImageJ stack",
        axes,
        tuple(sizes[axis] for axis in axes),
        seconds(positive(values.get("finterval")), values.get("tunit", "s")),
        nanometres(_pixel_width(page), values.get("unit", "")),
        contiguous=True,
    )


def read_shaped(page: tifffile.TiffPage, name: str) -> Described | None:
    """Read the JSON that tifffile writes; None where it does not describe such pages.

    Without names the axes of (T, 2, H, W) and (2, T, H, W) are taken as time and two channels.
    """
    try:
        values = json.loads(page.description)
        shape = tuple(int(size) for size in values["shape"])
        axes = str(values.get("axes", ""))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if shape[-2:] != (page.imagelength, page.imagewidth):
        return None
    shape = shape[:-2]
    check_promise(math.prod(shape), name)
    if len(axes) == len(shape) + 2 and axes.endswith("YX") and len(set(axes)) == len(axes):
        axes = axes[:-2]
    elif len(shape) == 2 and 2 in shape:
        axes = "TC" if shape[1] == 2 else "CT"
    elif len(shape) <= 1:
        axes = "T"[: len(shape)]
    else:
        return None
    return Described("TIFF", axes, shape, None, resolution_nm(page), contiguous=True)


def resolution_nm(page: tifffile.TiffPage) -> float | None:
    """Pixel size of the TIFF's own resolution tags, which know inches and centimetres."""
    unit = {2: "inch", 3: "cm"}.get(page.tags.valueof(296, 0), "")
    return nanometres(_pixel_width(page), unit)


def _pixel_width(page: tifffile.TiffPage) -> float | None:
    """Width of a pixel in whatever unit the resolution tag counts."""
    try:
        pixels, units = page.tags.valueof(282)
        return positive(units / pixels)
    except (TypeError, ValueError, ZeroDivisionError):
        return None

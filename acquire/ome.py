"""OME-XML: which page is which plane, and what the file says about the movie.

Source: OME model 2016-06, https://docs.openmicroscopy.org/ome-model/
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from acquire.frame import SourceError
from acquire.recording import NOT_WRITTEN, address, check_promise
from acquire.units import nanometres, positive, seconds


@dataclass(slots=True)
class OmeMovie:
    """What OME-XML says about its one image.

    Attributes
    ----------
    axes, planes
        Addresses of the planes, int64, with one array axis for each letter of `axes`.
    files
        Names of the files that addresses count; the first is the file that holds this XML.
    bit_depth, interval_s, pixel_size_nm
        None where the XML does not say.
    """

    axes: str = ""
    planes: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    files: list[str] = field(default_factory=list)
    bit_depth: int | None = None
    interval_s: float | None = None
    pixel_size_nm: float | None = None


def read_ome(xml: str, path: Path) -> OmeMovie:
    """Read the OME-XML of the file `path`.

    Elements are dropped as soon as they are read: Micro-Manager writes several for each plane.

    Raises
    ------
    SourceError
        If the XML is damaged, holds several images or belongs to another file.
    """
    try:
        return _Reader(path).read(xml)
    except (ElementTree.ParseError, KeyError, ValueError, OverflowError) as error:
        raise SourceError(f"{path} has damaged OME metadata ({error}); export the movie again") from error


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.movie = OmeMovie(files=[path.name])
        self.n_images = 0
        self.uuid = ""
        self.file_of: dict[str, int] = {}
        self.default_all = True  # no TiffData at all: pages are in order
        self.first_time: tuple[int, float] | None = None
        self.last_time: tuple[int, float] | None = None

    def read(self, xml: str) -> OmeMovie:
        parser: ElementTree.XMLPullParser[ElementTree.Element] = ElementTree.XMLPullParser(("start", "end"))
        ancestors: list[ElementTree.Element] = []
        # In pieces, so that the tree can be dropped while it grows.
        for start in range(0, len(xml), 65536):
            parser.feed(xml[start : start + 65536])
            for event, element in cast("Iterator[tuple[str, ElementTree.Element]]", parser.read_events()):
                tag = element.tag.rpartition("}")[2]
                if event == "start":
                    ancestors.append(element)
                    self._begin(tag, element)
                else:
                    ancestors.pop()
                    self._end(tag, element)
                    if ancestors and tag != "UUID":  # a TiffData is read with its UUID
                        ancestors[-1].remove(element)
        parser.close()
        return self._finish()

    def _begin(self, tag: str, element: ElementTree.Element) -> None:
        if tag == "OME":
            self.uuid = element.get("UUID", "")
        elif tag == "BinaryOnly":
            root = element.get("MetadataFile", "")
            raise SourceError(f"{self.path} is one file of several; open the one with their metadata: {root}")
        elif tag == "Image":
            self.n_images += 1
            if self.n_images > 1:
                raise SourceError(
                    f"{self.path} holds several images (positions or series); save each as a movie of its own"
                )
        elif tag == "Pixels":
            self._pixels(element)

    def _pixels(self, element: ElementTree.Element) -> None:
        movie = self.movie
        movie.axes = "".join(reversed(element.attrib["DimensionOrder"].replace("XY", "", 1)))
        shape = [int(element.attrib[f"Size{axis}"]) for axis in movie.axes]
        for size in shape:
            check_promise(size, str(self.path))
        check_promise(int(np.prod(shape)), str(self.path))
        movie.planes = np.full(shape, NOT_WRITTEN, np.int64)
        bits = positive(element.get("SignificantBits"))
        movie.bit_depth = None if bits is None else int(bits)
        movie.pixel_size_nm = nanometres(
            positive(element.get("PhysicalSizeX")), element.get("PhysicalSizeXUnit", "µm")
        )
        movie.interval_s = seconds(
            positive(element.get("TimeIncrement")), element.get("TimeIncrementUnit", "s")
        )

    def _end(self, tag: str, element: ElementTree.Element) -> None:
        if tag == "TiffData":
            self._tiff_data(element)
        elif tag == "Plane" and "DeltaT" in element.attrib:
            time = seconds(float(element.attrib["DeltaT"]), element.get("DeltaTUnit", "s"))
            if time is not None:
                self.last_time = (int(element.attrib["TheT"]), time)
                self.first_time = self.first_time or self.last_time

    def _tiff_data(self, element: ElementTree.Element) -> None:
        self.default_all = False
        planes = self.movie.planes.reshape(-1)
        first_page = int(element.get("IFD", 0))
        position = [int(element.get(f"First{axis}", 0)) for axis in self.movie.axes]
        start = int(np.ravel_multi_index(position, self.movie.planes.shape))
        count = int(element.get("PlaneCount", 1 if "IFD" in element.attrib else len(planes)))
        count = min(count, len(planes) - start)
        file = 0
        for child in element:
            if child.tag.endswith("UUID"):
                file = self._file(child.text or "", child.get("FileName", ""))
        pages = address(file, first_page) + np.arange(count)
        planes[start : start + count] = pages

    def _file(self, uuid: str, name: str) -> int:
        name = Path(name.replace("\\", "/")).name  # beside this file, never elsewhere
        if uuid == self.uuid or not name or name.lower() == self.path.name.lower():
            return 0
        if name not in self.file_of:
            self.file_of[name] = len(self.movie.files)
            self.movie.files.append(name)
        return self.file_of[name]

    def _finish(self) -> OmeMovie:
        movie = self.movie
        if not movie.axes:
            raise ValueError("no Pixels element")
        if self.default_all:
            movie.planes[...] = np.arange(movie.planes.size).reshape(movie.planes.shape)
        written = movie.planes[movie.planes >= 0]
        renamed = len(movie.files) == 2 and len(written) > 0 and written.min() >= address(1)
        if renamed and not (self.path.parent / movie.files[1]).exists():
            # All planes lie in one file that is not there: it is this one under an older name.
            movie.planes[movie.planes >= 0] -= address(1)
            del movie.files[1]
        if movie.interval_s is None and self.first_time and self.last_time:
            frames = self.last_time[0] - self.first_time[0]
            if frames > 0:
                movie.interval_s = positive((self.last_time[1] - self.first_time[1]) / frames)
        return movie

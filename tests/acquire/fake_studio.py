"""Micro-Manager's window for the stand-in: its scripting objects, and acquisitions that a user starts there.

The classes are those of org.micromanager.{Studio, display, data}, with the methods that a watcher needs.
"""

import threading
import time
from typing import Any

import numpy as np
from fake_bridge import Java, exposed


def picture(time_point: int, channel: int, size: tuple[int, int]) -> np.ndarray:
    """What is imaged at a time point in a channel: any test can tell which it is."""
    return np.random.default_rng([time_point, channel]).integers(0, 4096, size).astype(np.uint16)


class Coords(Java):
    """Where an image lies in its data set."""

    java = "org.micromanager.data.Coords"

    def __init__(self, axes: dict[str, int]) -> None:
        self.axes = axes

    @exposed()
    def getAxes(self):
        return list(self.axes)

    @exposed("java.lang.String")
    def getIndex(self, axis):
        return self.axes.get(axis, -1)

    @exposed()
    def getT(self):
        return self.getIndex("time")

    @exposed()
    def getC(self):
        return self.getIndex("channel")


class Metadata(Java):
    """What is known of an image."""

    java = "org.micromanager.data.Metadata"

    def __init__(self, elapsed_ms: float, camera: str) -> None:
        self._elapsed_ms, self._camera = elapsed_ms, camera

    @exposed("double")
    def getElapsedTimeMs(self, default):
        return self._elapsed_ms

    @exposed()
    def getBitDepth(self):
        return 12

    @exposed()
    def getPixelSizeUm(self):
        return 0.11

    @exposed()
    def getCamera(self):
        return self._camera


class Image(Java):
    """Pixels, place and metadata."""

    java = "org.micromanager.data.Image"

    def __init__(self, pixels: np.ndarray, coords: Coords, metadata: Metadata) -> None:
        self._pixels, self._coords, self._metadata = pixels, coords, metadata

    @exposed()
    def getWidth(self):
        return self._pixels.shape[1]

    @exposed()
    def getHeight(self):
        return self._pixels.shape[0]

    @exposed()
    def getBytesPerPixel(self):
        return self._pixels.itemsize

    @exposed()
    def getNumComponents(self):
        return 1

    @exposed()
    def getRawPixels(self):
        return self._pixels

    @exposed()
    def getCoords(self):
        return self._coords

    @exposed()
    def getMetadata(self):
        return self._metadata


class SummaryMetadata(Java):
    """What is known of a data set."""

    java = "org.micromanager.data.SummaryMetadata"

    def __init__(self, interval_ms: float, intended: dict[str, int]) -> None:
        self._interval_ms, self._intended = interval_ms, intended

    @exposed()
    def getWaitInterval(self):
        return self._interval_ms

    @exposed()
    def getIntendedDimensions(self):
        return Coords(self._intended)


class DataProvider(Java):
    """The images of an acquisition, also while it runs."""

    java = "org.micromanager.data.DataProvider"

    def __init__(self, summary: SummaryMetadata) -> None:
        self._summary = summary
        self.images: dict[frozenset[tuple[str, int]], Image] = {}
        self.frozen = False

    def add(self, image: Image) -> None:
        self.images[frozenset(image.getCoords().axes.items())] = image

    @exposed()
    def getNumImages(self):
        return len(self.images)

    @exposed()
    def getName(self):
        return "MDA_1"

    @exposed()
    def getAxes(self):
        return sorted({axis for place in list(self.images) for axis, _ in place})

    @exposed("java.lang.String")
    def getNextIndex(self, axis):
        places = [dict(place) for place in list(self.images)]
        return max((place[axis] + 1 for place in places if axis in place), default=0)

    @exposed()
    def getAnyImage(self):
        return next(iter(list(self.images.values())), None)

    @exposed("org.micromanager.data.Coords")
    def getImage(self, coords):
        return self.images.get(frozenset(coords.axes.items()))

    @exposed("org.micromanager.data.Coords")
    def hasImage(self, coords):
        return frozenset(coords.axes.items()) in self.images

    @exposed()
    def isFrozen(self):
        return self.frozen

    @exposed()
    def getSummaryMetadata(self):
        return self._summary


class DataViewer(Java):
    """A window that shows a data set."""

    java = "org.micromanager.display.DataViewer"

    def __init__(self, provider: DataProvider) -> None:
        self._provider = provider

    @exposed()
    def getDataProvider(self):
        return self._provider


class DisplayManager(Java):
    """The windows."""

    java = "org.micromanager.display.DisplayManager"

    def __init__(self) -> None:
        self.active: DataViewer | None = None

    @exposed()
    def getActiveDataViewer(self):
        return self.active


class DataManager(Java):
    """Makes coordinates."""

    java = "org.micromanager.data.DataManager"

    @exposed("java.lang.String")
    def createCoords(self, text):
        pairs = [part.split("=") for part in text.split(",")]
        return Coords({axis: int(index) for axis, index in pairs})


class AcquisitionManager(Java):
    """The user's acquisitions."""

    java = "org.micromanager.acquisition.AcquisitionManager"

    def __init__(self) -> None:
        self.running = self.halt = False

    @exposed()
    def isAcquisitionRunning(self):
        return self.running


class Studio(Java):
    """The root of the scripting interface."""

    java = "org.micromanager.Studio"

    def __init__(self) -> None:
        self._displays, self._data = DisplayManager(), DataManager()
        self._acquisitions = AcquisitionManager()

    @exposed()
    def displays(self):
        return self._displays

    @exposed()
    def data(self):
        return self._data

    @exposed()
    def acquisitions(self):
        return self._acquisitions


class Window:
    """What the user does in the window."""

    def __init__(self) -> None:
        self.studio = Studio()

    def tell(self, command: dict[str, Any]) -> dict[str, Any]:
        """Do one thing.

        {"do": "acquire", "frames", "channels", "interval_ms", "size": [H, W], "axes": {more, such as z},
        "skip": [[time point, channel], ...] images that never come, "wait": whether to wait for the end};
        {"do": "stop"}: the running acquisition ends at once.
        """
        manager = self.studio._acquisitions
        if command.pop("do") == "stop":
            manager.halt = True
            return {}
        manager.running, manager.halt = True, False
        wait = command.pop("wait", False)
        summary = SummaryMetadata(
            command["interval_ms"], {"time": command["frames"], "channel": command["channels"]}
        )
        provider = DataProvider(summary)
        self.studio._displays.active = DataViewer(provider)
        thread = threading.Thread(target=self._acquire, args=(provider,), kwargs=command, daemon=True)
        thread.start()
        if wait:
            thread.join()
        return {}

    def _acquire(
        self,
        provider: DataProvider,
        frames: int,
        channels: int,
        interval_ms: float,
        size: list[int],
        axes: dict[str, int] | None = None,
        skip: list[list[int]] | None = None,
    ) -> None:
        manager, start = self.studio._acquisitions, time.perf_counter()
        for time_point in range(frames):
            time.sleep(max(0.0, start + time_point * interval_ms / 1000 - time.perf_counter()))
            if manager.halt:
                break
            for channel in range(channels):
                if [time_point, channel] in (skip or []):
                    continue
                place = {"time": time_point, **({"channel": channel} if channels > 1 else {}), **(axes or {})}
                elapsed_ms = 1000 * (time.perf_counter() - start)
                metadata = Metadata(elapsed_ms, ("PIEZO1", "Calcium")[channel])
                pixels = picture(time_point, channel, (size[0], size[1]))
                provider.add(Image(pixels, Coords(place), metadata))
        provider.frozen, manager.running = True, False

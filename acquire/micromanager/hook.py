"""What runs for each image inside Micro-Manager's acquisition: read, pair, put, and nothing else."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from threading import Lock
from time import perf_counter_ns, time_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acquire.frame import MetadataValue, SourceError
from acquire.micromanager.frame_queue import FrameQueue
from acquire.micromanager.pairing import CameraImage, Pairer
from acquire.micromanager.scene import Scene

REMEMBERED_COSTS = 4096

Pixels = NDArray[np.uint16] | NDArray[np.uint8]
Tags = dict[str, Any]


def received_s(tags: Mapping[str, Any], arrived_ns: int) -> float:
    """Time when the core received an image, seconds since 1970: one clock for all cameras.

    TimeReceivedByCore is local time as text ("2026-11-23 09:42:44.542691"); where it is missing, the
    arrival here takes its place, which is the same clock, read a little later.
    """
    try:
        return datetime.fromisoformat(tags["TimeReceivedByCore"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return arrived_ns / 1e9


class Hook:
    """pycromanager's `image_process_fn`.

    Its cost is paid by the thread that empties the camera's buffer, so it does no more than read the
    metadata, take the time, pair and put. Whatever goes wrong in it ends the acquisition with one sentence.

    Parameters
    ----------
    queue, pairer
        Where images go. Both belong to this hook from now on.
    labels
        What tells the channels apart: labels of the cameras, or presets in mode channels. One where all
        images are of the same channel.
    shape
        (H, W) of each image.
    save
        Whether the acquisition saves the images: then they are returned, at the right place in time.
    scene
        What the demo cameras show instead of their own pixels.
    on_problem
        Called once when something went wrong.

    Attributes
    ----------
    n_images
        Images taken.
    """

    def __init__(
        self,
        queue: FrameQueue,
        pairer: Pairer,
        labels: Sequence[str],
        shape: tuple[int, int],
        *,
        save: bool = False,
        scene: Scene | None = None,
        on_problem: Callable[[], None] = lambda: None,
    ) -> None:
        self._queue = queue
        self._pairer = pairer
        self._channels = {label: i for i, label in enumerate(labels)}
        self._shape = shape
        self._save = save
        self._scene = scene
        self._on_problem = on_problem
        self._starts: list[int] = []
        self._snaps: list[bool] = []
        self._lock = Lock()
        self._closed = False
        self._costs: deque[int] = deque(maxlen=REMEMBERED_COSTS)
        self.n_images = 0

    def begin(self, start: int, *, snaps: bool) -> None:
        """Say that events from this time index on are one sequence of the camera, or snapped one by one."""
        self._starts.append(start)
        self._snaps.append(snaps)

    def __call__(self, pixels: Pixels, tags: Tags) -> tuple[Pixels, Tags] | None:
        """Take an image and its metadata; gives both where they are to be saved."""
        begun = perf_counter_ns()
        try:
            with self._lock:
                kept = None if self._closed else self._take(pixels, tags)
        except Exception as error:
            self.close(
                error if isinstance(error, SourceError) else SourceError(f"the hook failed: {error!r}")
            )
            self._on_problem()
            kept = None
        self._costs.append(perf_counter_ns() - begun)
        return kept

    def close(self, problem: Exception | None = None, *, cut: bool = False) -> None:
        """End the queue, with `problem` if there is one; images that still come are ignored. Safe to repeat.

        `cut` says that the acquisition was stopped, so the newest images may lack partners without a loss.
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                self._pairer.finish(cut=cut)
        self._queue.close(problem)

    @property
    def costs_ms(self) -> NDArray[np.float64]:
        """Time that each of the last images took in here, ms."""
        return np.array(list(self._costs), np.float64) / 1e6

    def _take(self, pixels: Pixels, tags: Tags) -> tuple[Pixels, Tags] | None:
        arrived_ns = int(tags.get("arrived_ns") or time_ns())
        axes = tags["Axes"]
        run = bisect_right(self._starts, axes["time"]) - 1
        start, snaps = self._starts[run], self._snaps[run]
        number = axes["time"] - start if snaps or "ImageNumber" not in tags else int(tags["ImageNumber"])
        channel = self._channel(tags)
        if self._scene is not None:
            pixels = self._scene.image(start + number, channel)
        elif pixels.shape != self._shape or pixels.dtype.char not in "HB":  # uint16, uint8
            raise SourceError(
                f"the camera's images changed while it imaged: {pixels.shape[::-1]} {pixels.dtype} pixels"
            )
        camera = str(tags.get("Camera", ""))
        metadata: dict[str, MetadataValue] = {"camera": camera, "image_number": number}
        if "Exposure" in tags:
            metadata["exposure_ms"] = float(tags["Exposure"])
        self.n_images += 1
        seq = self._pairer.put(
            CameraImage(channel, number, received_s(tags, arrived_ns), arrived_ns, pixels, metadata, run)
        )
        if not self._save or seq is None:
            return None
        # The engine gives out time points in the order of arrival, and with a Multi Camera no channel.
        label = axes.get("channel", camera) if len(self._channels) > 1 else None
        tags["Axes"] = {"time": seq} if label is None else {"time": seq, "channel": label}
        return pixels, tags

    def _channel(self, tags: Tags) -> int:
        if len(self._channels) == 1:
            return 0
        label = tags["Axes"].get("channel", tags.get("Camera"))
        try:
            return self._channels[label]
        except KeyError:
            known = ", ".join(self._channels)
            raise SourceError(f"an image came from {label}, which is none of {known}") from None

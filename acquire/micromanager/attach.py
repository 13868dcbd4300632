"""Watch an acquisition that the user started in Micro-Manager's own window (Multi-D Acq.).

How: through pycromanager's bridge it asks the data set of the active window for its newest time point
(org.micromanager.data.DataProvider.getNextIndex) and fetches each image by its coordinates (getImage,
getRawPixels). It ends when the data set is frozen, as Micro-Manager does at the end of an acquisition.

What it cannot do:

- Rate. Each image takes a dozen questions and answers over the bridge, besides its pixels: about 100 pairs of
  images a second at best (see the tests), 100–200 MB/s. Time points that come faster are skipped, the newest
  ones first served, and counted.
- Losses below the data set. What the camera or Micro-Manager's buffer lost has no time point here.
- Latency. `arrived_ns` is when the image was fetched; how long it lay in Micro-Manager before is not known.
- Act. The user's acquisition is the user's: triggers cannot change, burst or stop it.
- Z stacks and several positions are refused, and acquisitions that finish one channel before they begin the
  next give no pairs until then. Windows that hide the display cannot be found.

Where the acquisition saves its images as NDTiff, following the files (source.path) is the better way: it
misses nothing, asks Micro-Manager for nothing, and is as fast as the disk.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from acquire.frame import Frame, SourceError, SourceInfo
from acquire.layout import ChannelLayout
from acquire.live import CAMERA_BUFFER, HOOK_QUEUE, RECENT, Action
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.frame_queue import FrameQueue
from acquire.micromanager.pairing import CameraImage, Pairer, frame_shape
from acquire.micromanager.server import (
    CONNECT_S,
    PORT,
    Guard,
    bounded,
    connect,
    leave,
    not_running,
)
from acquire.units import nanometres, positive

SKIPPED = "not fetched from Micro-Manager in time"
WAIT_S = 60.0  # for the user to press "Acquire!"
POLL_S = 0.005  # a question takes about 1 ms; one every 5 ms adds little to the latency and leaves Java alone
QUIET_S = 5.0  # without images or a running acquisition: it ended, though its data set was not frozen
_OWN_SETTINGS = ("cameras", "exposure_ms", "roi", "save", "channel_group", "folder", "configuration")


class AttachedSource:
    """The user's own acquisition in Micro-Manager as a `LiveSource`.

    Parameters
    ----------
    config
        Of its entries only mode and queue_frames are used; others that the acquisition itself decides are
        refused.
    layout
        How the channels lie: "stack" takes channels 0 and 1 of each time point.
    port
        Where Micro-Manager's server listens.
    wait_s
        How long to wait for the user to start the acquisition.

    Raises
    ------
    SourceError
        If Micro-Manager or an acquisition is not there, or it does not fit.
    """

    def __init__(
        self, config: MicroscopeConfig, layout: ChannelLayout, *, port: int = PORT, wait_s: float = WAIT_S
    ) -> None:
        from pycromanager import Studio

        decided = [name for name in _OWN_SETTINGS if getattr(config, name) is not None]
        if decided and not (decided == ["channel_group"] and config.mode == "channels"):
            raise SourceError(
                f"microscope.{decided[0]} has no effect with attach: the acquisition in Micro-Manager's "
                "window decides it; set it there and take it out here"
            )
        self._layout, self._port = layout, port
        self._channels = 2 if layout.name == "stack" else 1
        self._queue = FrameQueue(config.queue_frames)
        self._backlog = config.queue_frames
        self._pairer = Pairer(self._queue, layout)
        self._coordinates = ""  # how an image's place is written, with {time} and {channel}
        self._shape = (0, 0)
        self._costs_ms: deque[float] = deque(maxlen=RECENT)
        self._stopped = threading.Event()
        self._guard: Guard | None = None
        self._thread: threading.Thread | None = None
        self._studio = connect(Studio, port)
        try:
            self._data = bounded(lambda: self._find(wait_s), wait_s + CONNECT_S, not_running(port))
            self._info = bounded(self._describe, CONNECT_S, not_running(port))
        except SourceError:
            leave(port)
            raise

    @property
    def info(self) -> SourceInfo:
        """What the first image says; `n_frames` is None, as the user may stop the acquisition at any time."""
        return self._info

    @property
    def losses(self) -> Mapping[str, int]:
        """Time points that were skipped or incomplete, and frames that the publisher did not take in time."""
        losses = dict(self._pairer.losses)
        if CAMERA_BUFFER in losses:  # what the data set has no image of, or what was skipped
            losses[SKIPPED] = losses.pop(CAMERA_BUFFER)
        if self._queue.lost:
            losses[HOOK_QUEUE] = self._queue.lost
        return losses

    @property
    def figures(self) -> Mapping[str, float]:
        """How long fetching a time point took."""
        costs_ms = list(self._costs_ms)
        return {"fetch_p99_ms": round(float(np.percentile(costs_ms, 99)), 2)} if costs_ms else {}

    def frames(self) -> Iterator[Frame]:
        """Yield time points as they are acquired; raises SourceError when Micro-Manager ends."""
        self._guard = Guard(self._port, self._queue.close)
        self._thread = threading.Thread(target=self._watch, name="watcher of Micro-Manager", daemon=True)
        self._thread.start()
        yield from self._queue

    def stop(self) -> None:
        """Stop watching; the acquisition itself goes on."""
        self._stopped.set()
        self._queue.close()

    def act(self, action: Action) -> str:
        """Stop watching; all else raises SourceError, because the acquisition is the user's."""
        if action.kind != "stop":
            raise SourceError(
                f"an acquisition in Micro-Manager's window cannot change its {action.kind} from here; "
                "run it from here instead: microscope.attach: false"
            )
        self.stop()
        return "stopped watching; the acquisition in Micro-Manager goes on"

    def arrived_ns(self, seq: int) -> int | None:
        """When a recent frame was fetched."""
        return self._queue.arrived_ns(seq)

    def close(self) -> None:
        """Leave Micro-Manager as it is; safe to call twice."""
        self.stop()
        if self._guard is not None:
            self._guard.end()
        if self._thread is not None:
            self._thread.join(CONNECT_S)
        leave(self._port)

    def _find(self, wait_s: float) -> Any:
        """The data set of the running acquisition's window, once it holds an image of each channel."""
        end = time.monotonic() + wait_s
        while time.monotonic() < end and not self._stopped.is_set():
            viewer = self._studio.displays().get_active_data_viewer()
            data = None if viewer is None else viewer.get_data_provider()
            # Only Micro-Manager's preview (Snap, Live) can be emptied.
            if data is not None and not data.is_frozen() and not hasattr(data, "delete_all_images"):
                for axis in ("z", "position"):
                    if data.get_next_index(axis) > 1:
                        raise SourceError(
                            f"the acquisition in Micro-Manager has several entries along {axis}; "
                            "only time points and channels can be followed"
                        )
                if data.get_num_images() and max(1, data.get_next_index("channel")) >= self._channels:
                    return data
            time.sleep(POLL_S * 10)
        channels = f"{self._channels} channel{'s' * (self._channels > 1)}"
        raise SourceError(
            f"no acquisition with {channels} ran in Micro-Manager's active window within {wait_s:.0f} s; "
            "start it there (Multi-D Acq.), and leave its window open in front"
        )

    def _describe(self) -> SourceInfo:
        """Look at any image; remembers the form of coordinates, which is not the same in all versions."""
        image = self._data.get_any_image()
        if image.get_num_components() != 1:
            raise SourceError(
                "the acquisition in Micro-Manager has colour images; a camera's counts are needed"
            )
        axes = set(image.get_coords().get_axes())
        others = sorted(axes - {"time", "channel"})
        channel = ",channel={channel}" if "channel" in axes or self._channels == 2 else ""
        self._coordinates = "time={time}" + channel + "".join(f",{axis}=0" for axis in others)
        self._shape = (image.get_height(), image.get_width())
        metadata, summary = image.get_metadata(), self._data.get_summary_metadata()
        interval_ms, size_um = positive(summary.get_wait_interval()), positive(metadata.get_pixel_size_um())
        bits = metadata.get_bit_depth() or 8 * image.get_bytes_per_pixel()
        shape = frame_shape(self._layout, self._shape)
        name = self._data.get_name() or "acquisition"
        return SourceInfo(
            name=name,
            shape=shape,
            n_frames=None,
            interval_s=None if interval_ms is None else interval_ms / 1000,
            pixel_size_nm=nanometres(size_um, "um"),
            bit_depth=bits,
            description=f"{name} in Micro-Manager's window, {shape[0]} × {shape[1]} × {shape[2]}, {bits} bit",
        )

    def _watch(self) -> None:
        """Fetch time points as they are complete, in a thread of its own."""
        try:
            self._follow()
            self._pairer.finish()
            self._queue.close()
        except SourceError as error:
            self._queue.close(error)
        except Exception as error:  # whatever Java throws, as text; its first line says what
            reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
            self._queue.close(SourceError(f"Micro-Manager no longer gives its images: {reason[0]}"))

    def _follow(self) -> None:
        following = max(0, self._data.get_next_index("time") - self._backlog)
        first, quiet_since = following, time.monotonic()
        while not self._stopped.is_set():
            frozen = self._data.is_frozen()  # asked first: what is there afterwards is all there will be
            end = self._data.get_next_index("time")
            if following < end:
                following = max(following, end - self._backlog)
                # All but the newest time point are complete.
                if self._fetch(following, following - first, wait=following == end - 1 and not frozen):
                    following += 1
                    quiet_since = time.monotonic()
                    continue
            elif frozen:
                return
            if (
                time.monotonic() - quiet_since > QUIET_S
                and not self._studio.acquisitions().is_acquisition_running()
            ):
                return
            time.sleep(POLL_S)

    def _fetch(self, time_point: int, number: int, *, wait: bool) -> bool:
        """Fetch a time point's images; gives False, having fetched none, to wait until all are there."""
        places = [
            self._studio.data().create_coords(self._coordinates.format(time=time_point, channel=channel))
            for channel in range(self._channels)
        ]
        if wait and not all(self._data.has_image(place) for place in reversed(places)):
            return False
        begun = time.perf_counter()
        for channel, place in enumerate(places):
            image = self._data.get_image(place)
            if image is None:
                continue
            pixels = np.asarray(image.get_raw_pixels())
            if pixels.size != self._shape[0] * self._shape[1]:
                raise SourceError("the acquisition in Micro-Manager changed its image size; start anew")
            elapsed_ms = image.get_metadata().get_elapsed_time_ms(-1.0)
            time_s = elapsed_ms / 1000 if elapsed_ms >= 0 else time.monotonic()
            metadata = {"time_point": time_point}
            arrived = time.time_ns()
            self._pairer.put(
                CameraImage(channel, number, time_s, arrived, pixels.reshape(self._shape), metadata)
            )
        self._costs_ms.append(1e3 * (time.perf_counter() - begun))
        return True

"""Takes images out of Micro-Manager's core as the camera gives them, in sequences and snaps."""

import contextlib
import ctypes
import time
from collections.abc import Callable
from typing import Any

from acquire.frame import SourceError
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.core import Core, check_silence, overflow, stop_cameras
from acquire.micromanager.devices import Devices
from acquire.micromanager.hook import Hook
from acquire.micromanager.saver import Saver

# "Until stopped", by the convention of the device adapters, whose long is this computer's.
ENDLESS = 2 ** (8 * ctypes.sizeof(ctypes.c_long) - 1) - 1
POLL_S = 0.001  # how often it asks for an image while there is none; half of it is the latency this adds
CHECK_S = 0.02  # how often it asks meanwhile whether the camera still runs, which disturbs the driver
PARTNER_S = 1.0  # how long the end of a sequence waits for the other camera's image


class Drain:
    """The camera side of a `SequenceSource`: runs in its one thread.

    Parameters
    ----------
    core, config, devices
        The microscope as it is set up.
    hook
        Takes each image.
    saver
        Takes each image that is to be saved; None where none is.
    changed
        Whether something else is to be done: ends a sequence behind the newest whole frame.
    """

    def __init__(
        self,
        core: Core,
        config: MicroscopeConfig,
        devices: Devices,
        hook: Hook,
        saver: Saver | None,
        changed: Callable[[], bool],
    ) -> None:
        from pymmcore import Metadata

        self._core, self._config, self._devices = core, config, devices
        self._hook, self._saver, self._changed = hook, saver, changed
        self._metadata: Any = Metadata()
        self._index = 0  # of the next frame, over all sequences and snaps
        self._snapping = False

    def sequence(self, n_frames: int | None, exposure_ms: float) -> int:
        """Run the camera by itself; gives the number of whole frames that came.

        Parameters
        ----------
        n_frames
            After these it ends; None until something changes.
        exposure_ms
            As it is set, which tells when a camera is silent.

        Raises
        ------
        SourceError
            If a camera failed or the buffer overflowed; all images that came were handed over.
        """
        core, start = self._core, self._index
        self._hook.begin(start, snaps=False)
        self._snapping = False
        newest = dict.fromkeys(self._devices.cameras, -1)  # the camera that gave the last image stands last
        core.start_sequence_acquisition(ENDLESS if n_frames is None else n_frames, 0.0, True)
        try:
            self._take(newest, start, n_frames, exposure_ms)
        except BaseException as error:
            if isinstance(error, SourceError):
                self._hook.close(error)  # told before the driver, which may hang, is asked again
            with contextlib.suppress(Exception):  # what went wrong first is told
                core.stop_sequence_acquisition()
            raise
        stop_cameras(core.stop_sequence_acquisition, list(newest))
        core.clear_circular_buffer()
        self._index += max(newest.values()) + 1
        return min(newest.values()) + 1

    def _take(self, newest: dict[str, int], start: int, n_frames: int | None, exposure_ms: float) -> None:
        core = self._core
        last_s = dict.fromkeys(newest, time.monotonic())
        check_s = 0.0
        last, end_s = ENDLESS, 0.0  # the last frame to take, and until when its images are waited for
        while True:
            if last == ENDLESS and self._changed():
                last, end_s = max(newest.values()), time.monotonic() + PARTNER_S
            if last != ENDLESS and (min(newest.values()) >= last or time.monotonic() > end_s):
                return
            if core.get_remaining_image_count():
                camera = self._pop(newest, start, last)
                last_s[camera] = time.monotonic()
                continue
            if time.monotonic() > check_s + CHECK_S:
                check_s = time.monotonic()
                if not core.is_sequence_running() and not core.get_remaining_image_count():
                    self._check_end(newest, n_frames)
                    return
                check_silence(last_s, exposure_ms)
            time.sleep(POLL_S)

    def _pop(self, newest: dict[str, int], start: int, last: int) -> str:
        """Hand the next image over, unless its frame is behind the last; gives its camera."""
        pixels = self._core.pop_next_image_md(self._metadata)
        arrived_ns = time.time_ns()
        tags: dict[str, Any] = {
            key: self._metadata.GetSingleTag(key).GetValue() for key in self._metadata.GetKeys()
        }
        cameras = self._devices.cameras
        camera = cameras[0] if len(cameras) == 1 else str(tags.get("Camera"))
        if camera not in newest:
            raise SourceError(f"an image came from {camera}, which is neither {' nor '.join(cameras)}")
        number = int(tags.get("ImageNumber", newest[camera] + 1))
        del newest[camera]
        newest[camera] = min(number, last)
        if number <= last:
            tags |= {"ImageNumber": number, "arrived_ns": arrived_ns, "Axes": {"time": start}}
            self._give(pixels, tags)
        return camera

    def _give(self, pixels: Any, tags: dict[str, Any]) -> None:
        kept = self._hook(pixels, tags)
        if kept is not None and self._saver is not None:
            image, metadata = kept
            self._saver.put(metadata["Axes"], image, metadata)

    def _check_end(self, newest: dict[str, int], n_frames: int | None) -> None:
        """Raise SourceError if the cameras were not to stop here."""
        if self._core.is_buffer_overflowed():
            raise overflow(self._config.buffer_mb)
        done = min(newest.values()) + 1
        if n_frames is None or done < n_frames:
            camera = min(newest, key=lambda label: newest[label])
            raise SourceError(f"{camera} stopped by itself after {done} images of this sequence; see its log")

    def snap(self) -> None:
        """Image one frame, channel after channel; the light is off before and after."""
        core, config = self._core, self._config
        if not self._snapping:
            self._hook.begin(self._index, snaps=True)
            self._snapping = True
        if config.mode == "channels" and config.channels is not None and config.channel_group is not None:
            for preset in config.channels:
                core.set_config(config.channel_group, preset)
                core.wait_for_config(config.channel_group, preset)
                core.snap_image()
                self._give_snapped(self._devices.cameras[0], 0, preset)
        else:
            core.snap_image()
            for camera in self._devices.cameras:
                self._give_snapped(camera, self._channel(camera), None)
        self._index += 1

    def _channel(self, camera: str) -> int:
        """Which image of the core's this camera's is: a Multi Camera's may be in another order."""
        names = [
            self._core.get_camera_channel_name(i) for i in range(self._core.get_number_of_camera_channels())
        ]
        return names.index(camera) if camera in names else 0

    def _give_snapped(self, camera: str, channel: int, preset: str | None) -> None:
        pixels = self._core.get_image(channel)
        axes: dict[str, Any] = {"time": self._index}
        if preset is not None:
            axes["channel"] = preset
        height, width = pixels.shape
        kind = "GRAY8" if pixels.itemsize == 1 else "GRAY16"
        tags = {"Camera": camera, "Axes": axes, "arrived_ns": time.time_ns()}
        self._give(pixels, tags | {"Height": height, "Width": width, "PixelType": kind})

"""Where pycromanager's engine in this program gets its images from."""

import sys
import time
from datetime import datetime
from typing import Any

from acquire.frame import SourceError
from acquire.micromanager.core import Core, check_silence, stop_cameras

POLL_S = 0.001  # how often the core is asked for the next image while there is none
PARTNER_S = 1.0  # how long the end of a block waits for the other camera's image


class EngineImages:
    """Gives images to the engine, in place of two methods of the core; `stop` stands in for a third.

    Parameters
    ----------
    core
        Whose images they are.

    Attributes
    ----------
    problem
        Why no more images come, None while they do.
    """

    def __init__(self, core: Core) -> None:
        from mmpycorex.launcher import TaggedImage, pop_next_tagged_image

        self._core, self._image, self._pop = core, TaggedImage, pop_next_tagged_image
        self._stop = core.raw.stop_sequence_acquisition
        self._newest: dict[str, int] = {}
        self._seen_s: dict[str, float] = {}  # when each camera gave its last image
        self._exposure_ms = 0.0
        self._cut_at: float | None = None
        self._last = sys.maxsize  # the last frame that is wanted
        self.problem: Exception | None = None

    def begin(self) -> None:
        """Another sequence begins."""
        self._newest, self._cut_at, self._last = {}, None, sys.maxsize
        core = self._core
        channels = range(int(core.get_number_of_camera_channels()))
        cameras = [core.get_camera_channel_name(i) for i in channels]
        if len(cameras) == 1:
            cameras = [core.get_camera_device()]
        self._seen_s = dict.fromkeys(cameras, time.monotonic())
        self._exposure_ms = max(float(core.get_exposure(camera)) for camera in cameras)

    def cut(self) -> None:
        """End the sequence behind the newest frame."""
        if self._cut_at is None:
            self._cut_at = time.monotonic()

    def n_frames(self) -> int:
        """Frames that came whole in this sequence."""
        complete = len(self._newest) == int(self._core.get_number_of_camera_channels())
        return min(self._last, *self._newest.values()) + 1 if complete else 0

    def pop(self) -> Any:
        """Wait for the next image; raises IndexError where the sequence shall end or ended."""
        while not self._shall_end():
            if int(self._core.get_remaining_image_count()):
                image = self._pop(self._core.raw)
                image.tags["arrived_ns"] = time.time_ns()
                camera = str(image.tags.get("Camera", ""))
                number = int(image.tags.get("ImageNumber", self._newest.get(camera, -1) + 1))
                self._newest.pop(camera, None)  # the camera that gave the last image stands last
                self._newest[camera] = number
                # A single camera's images may bear the label of a device behind it.
                seen = camera if camera in self._seen_s else next(iter(self._seen_s))
                self._seen_s[seen] = time.monotonic()
                # The engine takes this tag for a number, it is text.
                image.tags.pop("Multi Camera-CameraChannelIndex", None)
                if number <= self._last:
                    return image
            elif self._has_ended() or self._is_silent():
                break
            else:
                time.sleep(POLL_S)
        raise IndexError("no image")

    def _has_ended(self) -> bool:
        """Whether the sequence is over and all its images are taken; asked in this order."""
        return not self._core.is_sequence_running() and not int(self._core.get_remaining_image_count())

    def _is_silent(self) -> bool:
        """Whether a camera gives no images any more, for which the engine would wait for ever."""
        try:
            check_silence(self._seen_s, self._exposure_ms)
        except SourceError as error:
            self.problem = error
        return self.problem is not None

    def stop(self, *camera: str) -> None:
        """Stop one camera's sequence, or the running one."""
        if camera:
            self._stop(*camera)
        else:
            stop_cameras(self._stop, list(self._newest))

    def snapped(self, channel: int, camera: str, height: int, width: int) -> Any:
        """Image of one camera of the last snap."""
        label = self._core.get_camera_channel_name(channel) or camera
        tags = {
            "Camera": label,
            "Height": height,
            "Width": width,
            "TimeReceivedByCore": datetime.now().isoformat(" "),
            "arrived_ns": time.time_ns(),
        }
        try:
            return self._image(tags, self._core.raw.get_image(channel))
        except Exception as error:
            self.problem = error
            raise

    def _shall_end(self) -> bool:
        """Whether the sequence is cut and all cameras gave the last frame that is wanted."""
        if self._cut_at is None:
            return False
        if self._last == sys.maxsize:
            self._last = max(self._newest.values(), default=-1)
        n_cameras = int(self._core.get_number_of_camera_channels()) if self._newest else 0
        whole = len(self._newest) >= n_cameras and all(n >= self._last for n in self._newest.values())
        return whole or time.monotonic() > self._cut_at + PARTNER_S

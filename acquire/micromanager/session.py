"""What all ways of imaging have in common: devices as configured, and the path of an image to the queue."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acquire.frame import SourceInfo
from acquire.layout import ChannelLayout
from acquire.live import HOOK_QUEUE
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.core import Core
from acquire.micromanager.devices import Devices, default_interval_s, describe, set_up
from acquire.micromanager.frame_queue import FrameQueue
from acquire.micromanager.hook import Hook
from acquire.micromanager.pairing import Pairer, frame_shape
from acquire.micromanager.scene import Scene, scene_shape


@dataclass(frozen=True, slots=True)
class Session:
    """A microscope that is set up, and where its images go.

    Attributes
    ----------
    devices
        As they are set.
    info
        What is known of the frames.
    queue, pairer, hook
        The path of an image: the hook reads it, the pairer makes frames, the queue keeps the newest.
    """

    devices: Devices
    info: SourceInfo
    queue: FrameQueue
    pairer: Pairer
    hook: Hook

    @property
    def losses(self) -> dict[str, int]:
        """Frames lost on that path, by cause."""
        full = {HOOK_QUEUE: self.queue.lost} if self.queue.lost else {}
        return {**self.pairer.losses, **full}

    @property
    def figures(self) -> dict[str, float]:
        """What was measured on that path: cost of the hook a image, and how well pairs agreed."""
        figures: dict[str, float] = {"images": self.hook.n_images}
        costs_ms = self.hook.costs_ms
        if len(costs_ms):
            figures["hook_p99_ms"] = round(float(np.percentile(costs_ms, 99)), 4)
        if self.pairer.n_unexpected:
            figures["images_twice_or_too_late"] = self.pairer.n_unexpected
        if self.pairer.largest_skew_s:
            figures["skewed_pairs"] = self.pairer.n_skewed
            figures["largest_skew_ms"] = round(self.pairer.largest_skew_s * 1e3, 3)
        return figures


def open_session(
    core: Core,
    config: MicroscopeConfig,
    layout: ChannelLayout,
    max_frames: int | None,
    scene: Path | None,
    on_problem: Callable[[], None],
) -> Session:
    """Set the microscope up and lay the path of its images.

    Parameters
    ----------
    core
        Micro-Manager's core.
    config, layout
        What to set, and how the channels lie.
    max_frames
        Frames to image; None until stopped.
    scene
        With demo cameras: movie that they show.
    on_problem
        Called from the hook when it failed; the queue is closed then.

    Raises
    ------
    SourceError
        If something does not fit or refuses.
    """
    demo_shape = None if scene is None else scene_shape(scene, layout)
    devices = set_up(core, config, demo_shape)
    interval_s = default_interval_s(config, devices.exposure_ms)
    shown = "" if scene is None else f"; its cameras show {scene.name}, all else is theirs"
    info = SourceInfo(
        name=config.configuration.stem if config.configuration is not None else config.camera,
        shape=frame_shape(layout, devices.image_shape),
        n_frames=max_frames,
        interval_s=interval_s,
        pixel_size_nm=devices.pixel_size_nm,
        bit_depth=devices.bit_depth,
        description=describe(config, devices, layout) + shown,
    )
    queue = FrameQueue(config.queue_frames)
    skew_ms = config.max_skew_ms or interval_s * 1000 / 2
    pairer = Pairer(queue, layout, skew_ms / 1000 if config.mode == "two-cameras" else None)
    labels = config.channels if config.mode == "channels" and config.channels else devices.cameras
    hook = Hook(
        queue,
        pairer,
        labels,
        devices.image_shape,
        save=config.save is not None,
        scene=None if scene is None else Scene(scene, layout, devices.image_shape),
        on_problem=on_problem,
    )
    return Session(devices, info, queue, pairer, hook)

"""Feeds events to a running acquisition, as a plan says."""

import time
from collections.abc import Callable
from typing import Any, Protocol

from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.plan import Plan

# Frames in one sequence: the engine merges its events one by one, about 30 µs each, before it images.
MAX_BLOCK = 500
WAIT_S = 0.001  # how often it looks whether a snapped image has come


class Backend(Protocol):
    """What differs between pycromanager's backends, as far as feeding goes."""

    block_s: float
    can_cut: bool

    def events(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Prepare the events of one sequence."""
        ...

    def cut(self) -> None:
        """End the running sequence early, where `can_cut` says that this can be done."""
        ...

    def done(self, n_events: int) -> int:
        """Frames that the last sequence of `n_events` gave."""
        ...

    def problem(self) -> Exception | None:
        """What went wrong without the engine noticing it."""
        ...


class Feeder:
    """Feeds an acquisition in blocks, so that it can be changed and stopped, and memory stays flat.

    Where a frame is to come as soon as the camera can, a block is one sequence of the camera, which needs no
    word from the computer in between. Where frames are to come at longer intervals, or channels one after the
    other, it snaps each when it is due.

    Parameters
    ----------
    backend
        What runs the events.
    config
        Mode and channels.
    plan
        What to image; its changes are made between two blocks.
    begin
        Told of each block: its first time index, and whether its frames are snapped.
    n_images
        How many images have come.
    """

    def __init__(
        self,
        backend: Backend,
        config: MicroscopeConfig,
        plan: Plan,
        begin: Callable[[int, bool], None],
        n_images: Callable[[], int],
    ) -> None:
        self._backend, self._config, self._plan = backend, config, plan
        self._begin, self._n_images = begin, n_images
        self._images_per_frame = 2 if config.mode in ("two-cameras", "channels") else 1
        self._index = 0  # time index of the next event
        self._snapping = False  # whether the last frame was a snap
        self._sequences_ended = 0

    def run(self, acquire: Callable[[list[dict[str, Any]]], object]) -> None:
        """Feed until all frames are imaged, the plan ends, or something went wrong."""
        plan = self._plan
        try:
            while not plan.is_over and not self._failed():
                plan.change()
                if plan.is_fast and self._block_length() > 1:
                    self._image_sequence(acquire)
                else:
                    self._image_one(acquire)
        finally:
            plan.end()
            plan.change()

    def on_notice(self, notice: Any) -> None:
        """Take pycromanager's notifications."""
        from pycromanager import AcqNotification

        with self._plan.changed:
            if notice.milestone == AcqNotification.Camera.POST_SEQUENCE_STOPPED:
                self._sequences_ended += 1
            elif notice.is_acquisition_finished_notification():
                self._plan.ended = True
            self._plan.changed.notify_all()

    def _block_length(self) -> int:
        length = min(MAX_BLOCK, int(self._backend.block_s * 1000 / self._plan.exposure_ms) + 1)
        limit = self._plan.limit
        return length if limit is None else min(length, limit)

    def _image_sequence(self, acquire: Callable[[list[dict[str, Any]]], object]) -> None:
        n, plan = self._block_length(), self._plan
        self._begin(self._index, False)
        self._snapping = False
        ended = self._sequences_ended
        acquire(self._backend.events([{"axes": {"time": self._index + i}} for i in range(n)]))
        self._index += n
        cut = False
        with plan.changed:
            while self._sequences_ended == ended and not self._failed():
                if plan.is_asked and self._backend.can_cut and not cut:
                    self._backend.cut()
                    cut = True
                elif plan.ended:
                    return
                plan.changed.wait(0.05)
        plan.count(self._backend.done(n) if cut else n)

    def _failed(self) -> bool:
        return self._backend.problem() is not None

    def _image_one(self, acquire: Callable[[list[dict[str, Any]]], object]) -> None:
        plan = self._plan
        if not plan.is_due():
            return
        if not self._snapping:
            self._begin(self._index, True)
            self._snapping = True
        axes = {"time": self._index}
        events: list[dict[str, Any]] = [{"axes": axes}]
        if self._config.mode == "channels" and self._config.channels is not None:
            group = self._config.channel_group
            events = [
                {"axes": {**axes, "channel": preset}, "config_group": [group, preset]}
                for preset in self._config.channels
            ]
        expected = self._n_images() + self._images_per_frame
        for event in events:  # each by itself: the engine cannot switch channels within a sequence
            acquire([event])
        self._index += 1
        while self._n_images() < expected and not plan.ended and not self._failed():
            time.sleep(WAIT_S)
        plan.count(1)

"""The contract of every engine: frames in, localizations out, every `seq` answered exactly once."""

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from model.camera import Camera
from model.localizations import Localizations

SIGMA_LIMITS_PX = (0.3, 10.0)
"""Standard deviations of a PSF, in pixels, that an engine can be asked for."""


class ModelError(Exception):
    """An engine cannot be made or cannot take a frame; the message says what, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold that can be turned while frames come.

    Attributes
    ----------
    value
        In force.
    low, high
        Its limits, both allowed.
    unit
        What it counts in, a word or two for people.
    """

    value: float
    low: float
    high: float
    unit: str

    def turned(self, value: float) -> Self:
        """The same threshold at another value.

        Raises
        ------
        ModelError
            If the value is no number within the limits.
        """
        if not self.low <= value <= self.high:
            raise ModelError(
                f"a threshold of {value:g} is not possible: it must lie between {self.low:g} and "
                f"{self.high:g} ({self.unit})"
            )
        return replace(self, value=value)


class RawFrame(Protocol):
    """What an engine needs of a frame (`acquire.frame.Frame` fits)."""

    @property
    def seq(self) -> int:
        """Index of the frame; increasing, a skipped number is a missing frame."""
        ...

    @property
    def pixels(self) -> NDArray[np.uint16]:
        """Raw counts (C, H, W), PIEZO1 first."""
        ...


class Engine(Protocol):
    """Finds the puncta of every frame.

    The analysis loop calls `step` for each frame in order and `flush` once after the last. An engine
    whose window looks ahead answers a frame or two later; at both ends, after a gap in `seq` and after
    a change of shape it pads by repetition, so every `seq` gets exactly one result.
    """

    @property
    def description(self) -> str:
        """One line for people: method, device and why it was chosen; recorded with the run."""
        ...

    @property
    def window(self) -> int:
        """Frames that each answer is made from: 1, or 3 where the frames beside are looked at too."""
        ...

    @property
    def uses_gpu(self) -> bool:
        """Whether an NVIDIA GPU does the work now; an engine may go over to the CPU when that fails."""
        ...

    @property
    def threshold(self) -> Threshold:
        """Detection threshold in force, and how far it can be turned."""
        ...

    def use_threshold(self, value: float) -> None:
        """Take another detection threshold for the answers to come, those that are owed among them.

        Raises
        ------
        ModelError
            If it lies outside the limits; the threshold stays what it was.
        """
        ...

    def prepare(self, height: int, width: int) -> None:
        """Get ready for images of a size, so that the first frame takes no longer than the others.

        Raises
        ------
        ModelError
            If this engine cannot take them.
        """
        ...

    def use_camera(self, camera: Camera) -> None:
        """Take another camera for the frames to come; nothing may be owed an answer.

        Raises
        ------
        ModelError
            If its maps do not fit the images that this engine is prepared for.
        """
        ...

    def step(self, frame: RawFrame) -> list[tuple[int, Localizations]]:
        """Take a frame; give the results that are ready, usually one, in order of `seq`."""
        ...

    def flush(self) -> list[tuple[int, Localizations]]:
        """Give the results still owed; the engine is then as new."""
        ...

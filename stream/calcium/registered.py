"""The calcium stage of channels that lie apart: channel 2 is measured where channel 1's puncta lie in it.

Positions go to channel 2 and back, its pixels stay as the camera gave them. Interpolated pixels would share
their noise with their neighbours, which reads as calcium (docs/decisions/0017-registration.md).
"""

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.engines.base import Threshold
from model.localizations import Localizations
from stream.calcium.detector import CalciumDetector
from stream.results import CalciumEvent, CalciumTransient, CalciumUpdate, TrackUpdate

Placed = TypeVar("Placed", Localizations, CalciumEvent, CalciumTransient)
BORDER_PX = 0.5  # of the outermost pixels around their centres


class RegisteredCalcium:
    """As `CalciumDetector`, for puncta that are seen elsewhere than their calcium.

    What is handed over is where channel 1 has it. Of the transients anywhere in channel 2, those that lie
    outside channel 1's image are left out, since nothing is known of puncta there.

    Parameters
    ----------
    detector
        Works in channel 2.
    transform
        (2, 3): the pixel (x, y) of channel 1 lies at `transform @ (x, y, 1)` in channel 2.
    """

    def __init__(self, detector: CalciumDetector, transform: NDArray[np.float64]) -> None:
        self._detector = detector
        self._there = np.asarray(transform, np.float64)
        back = np.linalg.inv(self._there[:, :2])
        self._back = np.column_stack([back, -back @ self._there[:, 2]])
        self._shape = (0, 0)

    @property
    def on_z(self) -> Threshold:
        """As `CalciumDetector.on_z`."""
        return self._detector.on_z

    def use_on_z(self, z: float) -> None:
        """As `CalciumDetector.use_on_z`."""
        self._detector.use_on_z(z)

    def step(
        self,
        seq: int,
        time_s: float,
        image: NDArray[np.float32],
        localizations: Localizations,
        tracks: TrackUpdate,
    ) -> CalciumUpdate:
        """Measure one frame, see `CalciumDetector.step`."""
        self._shape = (image.shape[0], image.shape[1])
        x, y = _moved(self._there, tracks.gap_x_px, tracks.gap_y_px)
        gaps = replace(tracks, gap_x_px=x, gap_y_px=y)
        update = self._detector.step(seq, time_s, image, _placed(self._there, localizations), gaps)
        x, y = _moved(self._back, update.under_way.x_px, update.under_way.y_px)
        return replace(
            update,
            events=self._events(update.events),
            transients=self._transients(update.transients),
            under_way=replace(update.under_way, x_px=x, y_px=y),
        )

    def flush(self) -> tuple[CalciumEvent, ...]:
        """End the events that are still on, and forget all tracks."""
        return self._events(self._detector.flush())

    def flush_field(self) -> tuple[CalciumTransient, ...]:
        """End the transients that are still on anywhere in the field."""
        return self._transients(self._detector.flush_field())

    def _events(self, events: tuple[CalciumEvent, ...]) -> tuple[CalciumEvent, ...]:
        return tuple(_placed(self._back, event) for event in events)

    def _transients(self, transients: tuple[CalciumTransient, ...]) -> tuple[CalciumTransient, ...]:
        height, width = self._shape
        placed = (_placed(self._back, transient) for transient in transients)
        return tuple(
            t
            for t in placed
            if -BORDER_PX <= t.x_px <= width - 1 + BORDER_PX
            and -BORDER_PX <= t.y_px <= height - 1 + BORDER_PX
        )


def _placed(transform: NDArray[np.float64], what: Placed) -> Placed:
    x, y = _moved(transform, what.x_px, what.y_px)
    return replace(what, x_px=x, y_px=y)


def _moved(transform: NDArray[np.float64], x: Any, y: Any) -> tuple[Any, Any]:
    """Positions, numbers or float32 columns, at their other place."""
    (a, b, c), (d, e, f) = transform.tolist()
    return a * x + b * y + c, d * x + e * y + f

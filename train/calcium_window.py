"""The calcium channel of a batch of training windows, its baseline, and the truth of the middle frame."""

from dataclasses import replace

import torch
from torch import Tensor

from model.maps import BASELINE_RATE, normalize
from train.batch import Batch
from train.calcium_channel import CalciumChannel
from train.calcium_labels import calcium_labels
from train.calcium_past import live_through
from train.calcium_scenes import CalciumScenes
from train.population import Population, Snapshot
from train.random import Random
from train.scene import Scene
from train.sensor import Sensor

EARLIER_FRAMES = (3.0, 301.0)  # frames that the baseline has seen before a window; log-uniform


class CalciumWindow:
    """Calcium frames of windows, simulated beside the PIEZO1 frames, of sources in the midst of things.

    Parameters
    ----------
    ranges
        What the channel is drawn from.
    scene, population, background
        PIEZO1 channel: the puncta before their first step, and its light without them (B, H, W).
    sensor
        Cameras of the calcium channel.
    random
        A generator of its own.
    """

    def __init__(
        self,
        ranges: CalciumScenes,
        scene: Scene,
        population: Population,
        background: Tensor,
        sensor: Sensor,
        random: Random,
    ) -> None:
        self._sensor, self._random = sensor, random
        calcium = ranges.draw(scene, random)
        self._channel = CalciumChannel(scene, calcium, population, random)
        self._n = random.log_uniform((scene.n, 1), *EARLIER_FRAMES).floor()
        self._baseline = live_through(self._channel, population, background, sensor, self._n, random)
        self._photons: list[Tensor] = []

    def step(self, puncta: Snapshot, piezo1: Tensor, *, is_middle: bool) -> None:
        """Take a frame; the puncta and the expected photo-electrons (B, H, W) of the PIEZO1 channel in it."""
        frame = self._channel.step(puncta, piezo1)
        self._photons.append(
            self._sensor.to_scaled_photons(self._sensor.expose(frame.expected, self._random))
        )
        if is_middle:
            self._label, self._weight = calcium_labels(puncta, frame, self._sensor)

    def complete(self, batch: Batch) -> Batch:
        """Add calcium to a batch."""
        variance = self._sensor.read_variance
        frames = [batch.frames]
        baseline, n = self._baseline, self._n
        calcium, slow = [], []
        for photons, present in zip(self._photons, batch.present[..., None].unbind(1), strict=True):
            # As in `model.graph`; a frame that is missing leaves the mean as it is.
            n = n + present
            weight = present * torch.clamp(1 / n, min=BASELINE_RATE)
            baseline = baseline + weight[..., None] * (photons - baseline)
            calcium.append(normalize(photons, variance))
            slow.append(normalize(baseline, variance))
        frames += [torch.stack(images, 1)[:, :, None] for images in (calcium, slow)]
        return replace(
            batch,
            frames=torch.cat(frames, 2),
            calcium_label=self._label,
            calcium_weight=self._weight,
        )

"""What the calcium decoder is to say of every punctum: open or closed, where that can be known."""

import math

import torch
from torch import Tensor

from train.calcium_channel import CalciumFrame
from train.distractors import SPARK_DISTANCE_PX
from train.population import Snapshot
from train.sensor import Sensor

ELSEWHERE_WEIGHT = 0.02  # of pixels without a punctum, so that the map stays quiet there
# Of open ones: "open" is probability ½, and F1 is best at a posterior of half of the F1 that can be reached
# (Lipton et al., ECML 2014), which for tethered indicators is about ⅓.
OPEN_WEIGHT = 2.0
MIN_SNR = 2.0  # an open channel below this signal-to-noise ratio in its frame is not counted
CLOSED, OPEN, NOT_KNOWN = 0, 1, 2


def calcium_labels(puncta: Snapshot, frame: CalciumFrame, sensor: Sensor) -> tuple[Tensor, Tensor]:
    """Labels and weights of the pixels (B, H, W).

    The 3 × 3 pixels around every living punctum, bright or dark, are 1 where it is open and 0 where it is
    closed, with the weights OPEN_WEIGHT and 1; where puncta meet, the nearest decides. The weight is 0
    where it is not known: below half the peak of an event (which nobody could call open or closed), where the
    open channel is lost in the noise, and where a spark or a bleached punctum's event lies so close that
    it could be the punctum's own. All other pixels are 0 with a small weight.
    """
    return _paint(puncta, puncta_states(puncta, frame, sensor), frame.expected.shape)


def puncta_states(puncta: Snapshot, frame: CalciumFrame, sensor: Sensor) -> Tensor:
    """CLOSED, OPEN or NOT_KNOWN for every punctum (B, N), as `calcium_labels` says."""
    is_open = frame.is_open & (visibility(puncta, frame, sensor) >= MIN_SNR)
    distance = torch.cdist(puncta.xy, frame.foreign_xy)
    disturbed = ((distance < SPARK_DISTANCE_PX) & frame.is_foreign[:, None]).any(2)
    return torch.where(is_open, OPEN, torch.where(frame.is_on | disturbed, NOT_KNOWN, CLOSED))


def visibility(puncta: Snapshot, frame: CalciumFrame, sensor: Sensor) -> Tensor:
    """Signal-to-noise ratio (B, N) of a matched filter on a punctum's event in this frame alone."""
    height, width = frame.expected.shape[1:]
    variance = frame.expected * sensor.scale * sensor.told_gain + sensor.read_variance
    pixel = puncta.xy.round().long()
    index = pixel[..., 1].clamp(0, height - 1) * width + pixel[..., 0].clamp(0, width - 1)
    signal = frame.signal * sensor.scale[:, 0]
    return signal * frame.signal_sigma_px * (math.pi / variance.flatten(1).gather(1, index)).sqrt()


def _paint(puncta: Snapshot, state: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Paint the puncta's states onto the pixels around them, the nearest punctum's on top."""
    n_batch, height, width = shape
    around = torch.arange(-1, 2, device=state.device)
    centre = puncta.xy.round().long()
    column = (centre[..., 0, None, None] + around).expand(-1, -1, 3, 3)
    row = (centre[..., 1, None, None] + around[:, None]).expand(-1, -1, 3, 3)
    is_inside = (
        (column >= 0) & (column < width) & (row >= 0) & (row < height) & puncta.is_alive[..., None, None]
    )
    distance = torch.hypot(column - puncta.xy[..., 0, None, None], row - puncta.xy[..., 1, None, None])
    # Pixels outside the image share one more, which is cut off.
    index = torch.where(is_inside, row * width + column, height * width).flatten(1)
    distance = distance.flatten(1)
    nearest = torch.full((n_batch, height * width + 1), torch.inf, device=state.device)
    nearest.scatter_reduce_(1, index, distance, "amin")
    index = torch.where(distance <= nearest.gather(1, index), index, height * width)
    pixels = torch.full((n_batch, height * width + 1), -1, device=state.device)
    pixels.scatter_(1, index, state.repeat_interleave(9, 1))
    pixels = pixels[:, :-1].view(n_batch, height, width)
    is_open = pixels == OPEN
    weight = torch.where(pixels == -1, ELSEWHERE_WEIGHT, torch.where(pixels == NOT_KNOWN, 0.0, 1.0))
    return is_open.float(), torch.where(is_open, OPEN_WEIGHT, weight)

"""Everything between raw counts and a table of puncta as one module, which export turns into one ONNX graph.

Photo-electrons, the registration of channel 2, the calcium baseline, the network's input, the network and the
decoder: so every engine gives the same small table, and only raw counts travel to a GPU.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.decode import PROBABILITY, puncta_table
from model.maps import BASELINE_RATE, CELL, STRIPE, normalize
from model.network import Network
from model.puncta import Puncta
from model.registration import places

MULTIPLE = CELL * STRIPE  # pixels; images are mirrored at the right and the bottom up to multiples of it


class Graph(nn.Module):
    """One step of a movie: a frame in, the table of the frame `window // 2` before it out.

    Parameters
    ----------
    network
        In evaluation mode.
    precision
        Of the network and its state; everything around it is float32.

    Raises
    ------
    ValueError
        If the network's multiple does not fit the decoder's.
    """

    def __init__(self, network: Network, precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        if MULTIPLE % network.multiple:
            raise ValueError(f"the network needs multiples of {network.multiple} pixels, not of {MULTIPLE}")
        self.network = network.to(precision)
        self.puncta = Puncta()
        self.precision = precision

    def forward(
        self,
        counts: Tensor,
        present: Tensor,
        threshold: Tensor,
        room: Tensor,
        offset: Tensor,
        gain: Tensor,
        read_variance: Tensor,
        excess: Tensor,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        """Take the newest frame and answer for the middle of the window; see `model.graph_io` for the names.

        Parameters
        ----------
        counts
            Raw counts as pairs of bytes, the low one first (C, H, W, 2), uint8, as not every engine knows
            uint16. Channels are PIEZO1 and, where the network has a calcium decoder, calcium.
        present
            (1,): 0 where there is no such frame (after the last one, or lost), else 1.
        threshold
            (1,): detection threshold.
        room
            (R,): as long as cells are to be looked at in a stripe, see `model.puncta.Puncta`.
        offset, gain, read_variance
            (C, H, W): counts without light; photo-electrons a count, divided by the excess factor F²; and
            read variance on that scale (see `model.engines.scale`).
        excess
            (1,): F² of PIEZO1's camera.
        state
            Where there is a calcium decoder, first where pixels lie in channel 2, which stays (see
            `register`), then the calcium baseline (1, H, W) and the number of frames in it (1,). Then the
            network's state, for the padded size.

        Returns
        -------
        Table (rows, 9) with the columns of `Localizations`, the probability 0 where there is no punctum; the
        number of puncta (1,) and the room needed (1,), int32; then the next baseline, its number of frames,
        and the network's state.
        """
        camera = (offset, gain, read_variance, excess)
        return self.with_answers(counts, present, threshold, room, *camera, *state)[0]

    def with_answers(
        self,
        counts: Tensor,
        present: Tensor,
        threshold: Tensor,
        room: Tensor,
        offset: Tensor,
        gain: Tensor,
        read_variance: Tensor,
        excess: Tensor,
        *state: Tensor,
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """As `forward`, and beside it the network's raw answers, by which an exported graph is checked."""
        height, width = counts.shape[1:3]
        raw = counts.to(torch.float32)  # first of all, as TensorRT does nothing else with bytes
        photons = (raw[..., 0] + 256 * raw[..., 1] - offset) * gain
        seen, variances = photons, read_variance
        kept: tuple[Tensor, ...] = ()
        if self.network.has_calcium:
            where, baseline, n_frames = state[:3]
            state = state[3:]
            calcium = register(photons[1:], where)
            n_frames = n_frames + present
            weight = torch.maximum(1 / n_frames.clamp(min=1), torch.full_like(n_frames, BASELINE_RATE))
            baseline = baseline + present * weight * (calcium - baseline)
            seen = torch.cat([photons[:1], calcium, baseline])
            variances = torch.cat([read_variance, read_variance[1:]])
            kept = (baseline, n_frames)
        image = _mirrored(normalize(seen, variances))
        answers = self.network.step(image[None].to(self.precision), present.to(self.precision), *state)
        n_answers = 2 if kept else 1
        answers, features = answers[:n_answers], answers[n_answers:]
        log_odds = answers[1][0, 0].float() if kept else None
        cells = answers[0].permute(0, 2, 3, 1)[0].float()
        table, needed = puncta_table(self.puncta, cells, log_odds, threshold, room, height, width)
        table = torch.cat([table[:, :4], table[:, 4:6] * excess, table[:, 6:]], dim=1)
        count = (table[:, PROBABILITY] > 0).sum().reshape(1).to(torch.int32)
        return (table, count, needed, *kept, *features), answers

    def first_state(self, height: int, width: int) -> tuple[Tensor, ...]:
        """State before the first frame of a movie, with channel 2 where it is."""
        padded = (-(-side // MULTIPLE) * MULTIPLE for side in (height, width))
        features = tuple(s.to(self.precision) for s in self.network.first_state(*padded))
        if not self.network.has_calcium:
            return features
        same = torch.from_numpy(places(np.eye(2, 3), height, width))
        return (same, torch.zeros(1, height, width), torch.zeros(1), *features)


def register(image: Tensor, where: Tensor) -> Tensor:
    """Channel 2 (1, H, W) as channel 1's pixels see it.

    Parameters
    ----------
    where
        (H, W, 2): where each pixel of channel 1 lies in channel 2, see `model.registration.places`. Between
        pixels the image is interpolated linearly, outside it its border goes on.
    """
    grid = where[None]
    moved: Tensor = functional.grid_sample(image[None], grid, padding_mode="border", align_corners=False)[0]
    return moved


def _mirrored(image: Tensor) -> Tensor:
    """Image (C, H, W) continued by mirroring at the right and the bottom up to multiples of `MULTIPLE`.

    A repeated border would be stripes, which no camera gives.
    """
    for dimension in (1, 2):
        side = image.shape[dimension]
        missing = (side + MULTIPLE - 1) // MULTIPLE * MULTIPLE - side
        index = side + torch.arange(missing, device=image.device)
        index = index - index // (2 * side) * (2 * side)  # small images are mirrored several times
        border = image.index_select(dimension, torch.minimum(index, 2 * side - 1 - index))
        image = torch.cat([image, border], dimension)
    return image

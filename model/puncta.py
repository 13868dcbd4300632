"""From a network's answers to a table of puncta, in operations that every engine has.

Pixels that tell of the same punctum are merged into one. Answers come in cells of 2 × 2 pixels, as the
network's last layer gives them: only the cells that tell of anything are looked at, each with the eight
around it, and only they are turned into positions, photons and so on.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.engines.base import SIGMA_LIMITS_PX
from model.heads import bound
from model.maps import (
    BACKGROUND,
    CELL,
    DX,
    DY,
    LOG_PHOTONS,
    LOG_SD_X,
    LOG_SD_Y,
    LOG_SIGMA,
    LOGIT,
    MERGE_PX,
    MIN_PROBABILITY,
    MIN_SECOND,
    N_MAPS,
    REACH_PX,
    STRIPE,
    denormalize,
)

SILENT = -30.0  # log-odds outside the image
_MIN_LOGIT = math.log(MIN_PROBABILITY / (1 - MIN_PROBABILITY))
_ABOVE_ZERO = 40.0  # makes the log-odds of whatever tells of a punctum positive
_PIXELS = CELL**2
_MIDDLE = 4 * _PIXELS  # of the pixels of nine cells, the first of the middle cell
_NEAR = 9 * _PIXELS


class Puncta(nn.Module):
    """Table of the puncta of one frame.

    A pixel tells of a punctum if it is probable enough. Going down the pixels' probabilities, it starts a
    punctum if none that is stronger and near tells of the same place: at most `REACH_PX` pixels away in
    x and y, with a position less than `MERGE_PX` from its own. Pixels that a stronger one silenced which
    itself started nothing may start one in a second round. Then each pixel joins the strongest such start.

    A punctum has the sum of its pixels' probabilities (clipped to 1), and their means, weighted by
    probability, of everything else; photons are averaged as logarithms. Where more than `MIN_SECOND` is left
    over, the pixels tell of two puncta, one standard deviation of their positions to either side of the
    mean, along the axis of their largest spread; the one towards the strongest pixel has the probability 1,
    the other what is left over. Puncta outside the image, or not above the threshold, are left out.

    Of each stripe of `STRIPE` rows of cells, as many cells are looked at as there is room for, the most
    telling first, and half as many starts are kept. What is found does not depend on room that is not needed.
    """

    step_row: Tensor
    step_column: Tensor
    row: Tensor
    column: Tensor
    within: Tensor
    earlier: Tensor

    def __init__(self) -> None:
        super().__init__()
        cells = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
        pixels = [(i, j) for i in range(CELL) for j in range(CELL)]
        places = torch.tensor([(CELL * r + i, CELL * c + j) for r, c in cells for i, j in pixels])
        apart = (places[None] - torch.tensor(pixels)[:, None]).abs().amax(2)
        number = torch.arange(_NEAR)
        constants = {
            # Of the nine cells, and of the pixels in them from the first of the middle cell.
            "step_row": torch.tensor([row for row, _ in cells]),
            "step_column": torch.tensor([column for _, column in cells]),
            "row": places[:, 0].float(),
            "column": places[:, 1].float(),
            # Of each pixel of the middle cell (4, 1) and those near it (36).
            "within": apart <= REACH_PX,
            # Of equals, the earlier is stronger.
            "earlier": number < _MIDDLE + torch.arange(_PIXELS)[:, None],
        }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def forward(
        self, cells: Tensor, threshold: Tensor, room: Tensor, height: int, width: int
    ) -> tuple[Tensor, Tensor]:
        """Find the puncta.

        Parameters
        ----------
        cells
            Raw answers (rows, columns, 4 · N_MAPS), float32, rows and columns multiples of `STRIPE`.
        threshold
            Detection threshold, a number between `MIN_PROBABILITY` and 1.
        room
            As long as cells are to be looked at in a stripe (4 … STRIPE · columns,); values do not matter.
        height, width
            Of the image in pixels, without padding.

        Returns
        -------
        Table (rows, 8), float32, with the columns of `Localizations` but the last; zeros where there is no
        punctum. And the room needed (1,), int32: if it is above the room given, puncta may be missing.
        """
        n_room = room.shape[0]
        n_rows, n_columns = cells.shape[:2]
        answers = functional.pad(cells, (0, 0, 1, 1, 1, 1), value=SILENT).flatten(0, 1)
        here, n_telling = self._telling_cells(cells, n_room)
        near = here[:, None] + self.step_row * (n_columns + 2) + self.step_column
        start, best = self._starts(answers, here, near)

        n_stripes = n_rows // STRIPE
        n_starts = (start > 0).float().reshape(n_stripes, -1).sum(1).amax(0, keepdim=True)
        strength, index = start.reshape(n_stripes, -1).topk(n_room // 2)
        cell = index // _PIXELS + torch.arange(n_stripes, device=cells.device)[:, None] * n_room
        cell, strength = cell.flatten(), strength.reshape(-1, 1)
        pixel = (index - index // _PIXELS * _PIXELS).reshape(-1, 1)
        here, near = here.index_select(0, cell), near.index_select(0, cell)
        size = (height, width)
        table = self._measure(answers, best, here, near, pixel, strength, threshold, size, n_columns + 2)
        return table, torch.maximum(n_telling, 2 * n_starts).to(torch.int32)

    def _telling_cells(self, cells: Tensor, n_room: int) -> tuple[Tensor, Tensor]:
        """The most telling cells of each stripe.

        Returns
        -------
        Their places (K,) among the answers, which have a border of one cell; and how many cells of a stripe
        tell of anything at the most (1,).
        """
        n_rows, n_columns = cells.shape[:2]
        strongest = cells[:, :, LOGIT * _PIXELS : (LOGIT + 1) * _PIXELS].amax(2)
        stripes = strongest.reshape(n_rows // STRIPE, STRIPE * n_columns)
        index = stripes.topk(n_room, sorted=False)[1]
        row = index // n_columns
        column = index - row * n_columns
        row = row + STRIPE * torch.arange(n_rows // STRIPE, device=cells.device)[:, None]
        n_telling = (stripes > _MIN_LOGIT).float().sum(1).amax(0, keepdim=True)
        return ((row + 1) * (n_columns + 2) + column + 1).flatten(), n_telling

    def _starts(self, answers: Tensor, here: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
        """Strength of pixels (K, 4) that start a punctum, else 0, and everywhere that which each joins."""
        told = answers[:, : 3 * _PIXELS].index_select(0, near.flatten()).reshape(-1, 9, 3, _PIXELS)
        log_odds = told[:, :, LOGIT].reshape(-1, _NEAR)
        x, y = (self._positions(told, k) for k in (DX, DY))
        middle = slice(_MIDDLE, _MIDDLE + _PIXELS)
        dx, dy = (p[:, None] - p[:, middle, None] for p in (x, y))
        same = (dx * dx + dy * dy < MERGE_PX**2) & self.within & (log_odds > _MIN_LOGIT)[:, None]
        own, others = log_odds[:, middle, None], log_odds[:, None]
        is_stronger = (others > own) | (~(others < own) & self.earlier)  # on CPUs >= is slow
        silenced_by = (same & is_stronger).float()
        tells = (log_odds[:, middle] > _MIN_LOGIT).float()
        joins = same.float()

        nothing = torch.zeros_like(answers[:, :_PIXELS])
        index = here[:, None].expand(-1, _PIXELS)

        def around(values: Tensor) -> Tensor:
            """What the pixels near say (K, 1, 36), where each says a value (K, 4)."""
            spread = nothing.scatter(0, index, values)
            return spread.index_select(0, near.flatten()).reshape(-1, 1, _NEAR)

        start = tells * (1 - silenced_by.amax(2))
        left = tells * (1 - (joins * around(start)).amax(2)) * (1 - start)
        start = start + left * (1 - (silenced_by * around(left)).amax(2))
        strength = start * (log_odds[:, middle] + _ABOVE_ZERO)
        return strength, nothing.scatter(0, index, tells * (joins * around(strength)).amax(2))

    def _measure(
        self,
        answers: Tensor,
        best: Tensor,
        here: Tensor,
        near: Tensor,
        pixel: Tensor,
        strength: Tensor,
        threshold: Tensor,
        size: tuple[int, int],
        n_columns: int,
    ) -> Tensor:
        """Table of the puncta that pixels start: in cells `here` (P,), each the number `pixel` (P, 1)."""
        told = answers.index_select(0, near.flatten()).reshape(-1, 9, N_MAPS, _PIXELS)
        owner = best.index_select(0, near.flatten()).reshape(-1, _NEAR)
        x, y = (self._positions(told, k) for k in (DX, DY))
        x_start, y_start = (p.gather(1, pixel + _MIDDLE) for p in (x, y))
        is_same = (x - x_start) ** 2 + (y - y_start) ** 2 < MERGE_PX**2
        mine = (owner == strength) & (strength > 0) & is_same & self.within.index_select(0, pixel[:, 0])
        probability = torch.sigmoid(told[:, :, LOGIT].reshape(-1, _NEAR)) * mine.float()
        total = probability.sum(1)
        weight = probability / total.clamp(min=MIN_PROBABILITY)[:, None]

        def mean(row: int) -> Tensor:
            value = bound(row, told[:, :, row].reshape(-1, _NEAR))
            return (weight * (value.exp() if row in (LOG_SD_X, LOG_SD_Y) else value)).sum(1)

        mean_x, mean_y = (weight * x).sum(1), (weight * y).sum(1)
        to_x, to_y = x - mean_x[:, None], y - mean_y[:, None]
        are_two = (total > 1 + MIN_SECOND).float()
        apart_x, apart_y = _largest_spread(weight, to_x, to_y)
        towards = ((x_start[:, 0] - mean_x) * apart_x + (y_start[:, 0] - mean_y) * apart_y >= 0).float()
        side = are_two * (2 * towards - 1)
        row = here // n_columns
        left, top = CELL * (here - row * n_columns - 1).float(), CELL * (row - 1).float()
        low, high = SIGMA_LIMITS_PX
        rest = (
            mean(LOG_SD_X),
            mean(LOG_SD_Y),
            mean(LOG_PHOTONS).exp(),
            denormalize(mean(BACKGROUND).clamp(min=-1)).clamp(min=0),
            mean(LOG_SIGMA).clamp(math.log(low), math.log(high)).exp(),
        )

        def puncta(sign: float, left_over: Tensor) -> Tensor:
            found_x = left + mean_x + sign * side * apart_x
            found_y = top + mean_y + sign * side * apart_y
            inside = (
                (found_x >= -0.5)
                & (found_y >= -0.5)
                & (found_x <= size[1] - 0.5)
                & (found_y <= size[0] - 0.5)
            )
            kept = (inside & (left_over > threshold)).float()
            columns = [found_x, found_y, *rest, left_over.clamp(0, 1)]
            return torch.stack(columns, 1) * kept[:, None]

        return torch.stack([puncta(1.0, total), puncta(-1.0, are_two * (total - 1))], 1).flatten(0, 1)

    def _positions(self, told: Tensor, row: int) -> Tensor:
        """Positions (n, 36) along x or y from the first pixel of the middle cell, pixels."""
        from_pixel = self.column if row == DX else self.row
        return bound(row, told[:, :, row].reshape(-1, _NEAR)) + from_pixel


def _largest_spread(weight: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviation along the axis where it is largest, as a vector, of points about their mean."""
    xx, xy, yy = ((weight * a * b).sum(1) for a, b in ((x, x), (x, y), (y, y)))
    half = (xx - yy) / 2
    radius = torch.sqrt(half * half + xy * xy)
    sd = torch.sqrt((xx + yy) / 2 + radius)
    cosine_of_twice = half / radius.clamp(min=1e-12)
    cosine = torch.sqrt(((1 + cosine_of_twice) / 2).clamp(min=0))
    sine = torch.sqrt(((1 - cosine_of_twice) / 2).clamp(min=0))
    return sd * cosine, sd * sine * (1 - 2 * (xy < 0).float())

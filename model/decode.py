"""The table of a frame's puncta, calcium included."""

import torch
from torch import Tensor

from model.localizations import Localizations
from model.maps import CELL, FIRST_ROOM, more_room
from model.puncta import Puncta

PROBABILITY = 7  # column


def puncta_table(
    puncta: Puncta,
    cells: Tensor,
    log_odds: Tensor | None,
    threshold: Tensor,
    room: Tensor,
    height: int,
    width: int,
) -> tuple[Tensor, Tensor]:
    """Table (rows, 9) with the columns of `Localizations`, zeros where there is no punctum, and room needed.

    Parameters
    ----------
    puncta
        Finds them.
    cells
        Raw answers (rows, columns, 4 · N_MAPS), float32.
    log_odds
        Of calcium (2 · rows, 2 · columns), read at the punctum's pixel; None gives NaN.
    threshold
        Detection threshold, one number.
    room
        As long as cells are to be looked at in a stripe, see `Puncta`.
    height, width
        Of the image in pixels, without padding.
    """
    table, needed = puncta(cells, threshold, room, height, width)
    if log_odds is None:
        return torch.cat([table, torch.full_like(table[:, :1], torch.nan)], dim=1), needed
    # On the border between two pixels, the earlier one. Clamped as whole numbers, as NaN cannot be clamped.
    column = torch.ceil(table[:, 0] - 0.5).to(torch.int64).clamp(0, width - 1)
    row = torch.ceil(table[:, 1] - 0.5).to(torch.int64).clamp(0, height - 1)
    there = log_odds.flatten().index_select(0, row * log_odds.shape[1] + column)
    return torch.cat([table, torch.sigmoid(there)[:, None]], dim=1), needed


@torch.no_grad()
def decode(cells: Tensor, log_odds: Tensor | None, threshold: float) -> Localizations:
    """Puncta of one frame; photons and background are divided by the camera's excess factor F².

    Parameters
    ----------
    cells
        Raw answers (4 · N_MAPS, rows, columns) of an image that is as large as they are.
    log_odds
        As in `puncta_table`.
    threshold
        Detection threshold, between `model.maps.MIN_PROBABILITY` and 1.
    """
    height, width = (CELL * side for side in cells.shape[1:])
    number = torch.full((1,), threshold)
    puncta, room, larger = Puncta(), 0, FIRST_ROOM
    cells = cells.float().permute(1, 2, 0)
    while larger > room:
        room = larger
        table, needed = puncta_table(puncta, cells, log_odds, number, torch.zeros(room), height, width)
        larger = more_room(room, int(needed), width)
    return Localizations.from_table(table[table[:, PROBABILITY] > 0].numpy())

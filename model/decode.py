"""The table of a frame's puncta, calcium included."""

import torch
from torch import Tensor

from model.localizations import Localizations
from model.maps import CELL
from model.puncta import Puncta

PROBABILITY = 7  # column


def puncta_table(
    puncta: Puncta, cells: Tensor, log_odds: Tensor | None, threshold: Tensor, height: int, width: int
) -> Tensor:
    """Table (rows, 9) with the columns of `Localizations`, zeros where there is no punctum.

    Parameters
    ----------
    puncta
        Finds them.
    cells
        Raw answers (4 · N_MAPS, rows, columns), float32.
    log_odds
        Of calcium (2 · rows, 2 · columns), read at the punctum's pixel; None gives NaN.
    threshold
        Detection threshold, one number.
    height, width
        Of the image in pixels, without padding.
    """
    table = puncta(cells, threshold, height, width)
    if log_odds is None:
        return torch.cat([table, torch.full_like(table[:, :1], torch.nan)], dim=1)
    # On the border between two pixels, the earlier one. Clamped as whole numbers, as NaN cannot be clamped.
    column = torch.ceil(table[:, 0] - 0.5).to(torch.int64).clamp(0, width - 1)
    row = torch.ceil(table[:, 1] - 0.5).to(torch.int64).clamp(0, height - 1)
    there = log_odds.flatten().index_select(0, row * log_odds.shape[1] + column)
    return torch.cat([table, torch.sigmoid(there)[:, None]], dim=1)


@torch.no_grad()
def decode(cells: Tensor, log_odds: Tensor | None, threshold: float) -> Localizations:
    """Puncta of one frame; photons and background are divided by the camera's excess factor F².

    Parameters
    ----------
    cells, log_odds
        As in `puncta_table`; the image is as large as they are.
    threshold
        Detection threshold, between `model.maps.MIN_PROBABILITY` and 1.
    """
    height, width = (CELL * side for side in cells.shape[1:])
    number = torch.full((1,), threshold)
    table = puncta_table(Puncta(), cells.float(), log_odds, number, height, width)
    return Localizations.from_table(table[table[:, PROBABILITY] > 0].numpy())

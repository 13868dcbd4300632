"""Which of the tracks of one frame live on in the next."""

import numpy as np
from numpy.typing import NDArray

from stream.results import Ids


def survivors(before: Ids, now: Ids) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Compare the living tracks of two frames, ids ascending.

    Returns
    -------
    stays
        Which of those `now` lived `before`, (n,).
    rows
        Rows of these in `before`, ascending.
    """
    at = np.searchsorted(before, now)
    stays = at < len(before)
    stays[stays] = before[at[stays]] == now[stays]
    return stays, at[stays]

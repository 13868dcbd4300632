"""Calcium and puncta shifted against each other: what co-occurs when neither knows of the other.

The field is cut into square tiles, and all transients of a tile are shifted together, each tile by a random
shift of its own that wraps at the tile's borders:

- in space, by a vector within the tile. Times stay, and so does the density on the scale of tiles;
- in time, within a quarter of the recording. Places stay, and so do the trends over quarters.

What hangs together within a tile (several transients of one site, the order in which they come) is moved
as a whole, so it does not count as evidence many times. The shifts of a tile are a group and the observed
one is its identity, so under independence observed and shifted counts are exchangeable, and p-values are
uniform (Besag & Clifford, Biometrika 76, 633 (1989)). One toroidal shift of everything (Lotwick & Silverman,
J. R. Stat. Soc. B 44, 406 (1982)) takes a density that both share, such as the outline of a cell, for an
association; and one shift in time that must exceed a dwell time, as is common, is not exchangeable with
none and calls too much significant. With a shift for each tile no least shift is needed: that many of them
are small at once does not happen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Frames = NDArray[np.int64]
Index = NDArray[np.intp]
Random = np.random.Generator

# A few µm: much larger than the distances asked about, much smaller than a cell.
TILE_NM = 3000.0
PARTS = 4  # of the recording: what fades over it must not look like an association


@dataclass(frozen=True, slots=True)
class Field:
    """Where and when both were looked for.

    Attributes
    ----------
    x_nm, y_nm
        Lowest and highest coordinate.
    frames
        The recorded frames, rising; nothing can be found in missing ones, so nothing is shifted there.
    """

    x_nm: tuple[float, float]
    y_nm: tuple[float, float]
    frames: Frames


class Shifts:
    """Shifted copies of transients.

    Parameters
    ----------
    xy, frame
        Places in nm (n, 2) and frames (n,) of the transients; frames must be recorded ones.
    field
        Where and when they were looked for.
    """

    def __init__(self, xy: Array, frame: Frames, field: Field) -> None:
        self._xy, self._frame, self._frames = xy, frame, field.frames
        low, high = np.array([field.x_nm, field.y_nm]).T
        tiles = np.maximum(np.round((high - low) / TILE_NM), 1).astype(np.intp)
        self._side = (high - low) / tiles
        cell = np.clip((xy - low) // self._side, 0, tiles - 1).astype(np.intp)
        self._corner = low + cell * self._side
        self._n_tiles = int(tiles.prod())
        self._tile: Index = cell[:, 0] * tiles[1] + cell[:, 1]

        n = len(field.frames)
        at = np.searchsorted(field.frames, frame)
        start = np.unique(np.arange(PARTS) * n // PARTS)
        part = np.searchsorted(start, at, side="right") - 1
        self._start, self._length = start[part], np.diff(start, append=n)[part]
        self._since_start = at - self._start

    def in_space(self, random: Random) -> tuple[Array, Frames]:
        """Places and frames after a shift in space."""
        shift = random.random((self._n_tiles, 2))[self._tile] * self._side
        return self._corner + (self._xy - self._corner + shift) % self._side, self._frame

    def in_time(self, random: Random) -> tuple[Array, Frames]:
        """Places and frames after a shift in time."""
        shift = (random.random(self._n_tiles)[self._tile] * self._length).astype(np.int64)
        return self._xy, self._frames[self._start + (self._since_start + shift) % self._length]

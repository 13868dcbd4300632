"""Spots of one channel, which registration compares with those of the other."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from acquire.affine_fit import AffineMap, Array, Complex, Index

PLACE_PX = 4.0  # spots of several frames in one square of this side count as one


@dataclass(frozen=True, slots=True, eq=False)
class Spots:
    """Spots of one channel, in one image or in several frames.

    Attributes
    ----------
    x_px, y_px
        Positions (N,), the centre of pixel (0, 0) at (0, 0).
    sd_px
        Standard deviation of a coordinate (N,).
    photons
        Brightness (N,).
    frame
        Frame of each (N,); spots are compared within a frame only.
    """

    x_px: Array
    y_px: Array
    sd_px: Array
    photons: Array
    frame: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x_px)

    @property
    def z(self) -> Complex:
        """Positions as complex numbers (N,)."""
        return self.x_px + 1j * self.y_px

    @property
    def place(self) -> Index:
        """Number of the square of `PLACE_PX` that each is in (N,): one that rests is seen in many frames."""
        if not len(self) or not np.ptp(self.frame):
            return np.arange(len(self))
        squares = np.floor(np.stack([self.x_px, self.y_px]) / PLACE_PX)
        return np.asarray(np.unique(squares, axis=1, return_inverse=True)[1].reshape(-1), np.intp)


def joined(parts: Sequence[Spots]) -> Spots:
    """All of them as one."""
    return Spots(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Spots)))


def neighbours(one: Spots, two: Spots, transform: AffineMap, radius_px: float) -> tuple[Index, Index]:
    """Spots of the same frame that are each other's nearest under a map, and within a radius."""
    if not len(one) or not len(two):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    apart = 1e7  # frames are so far from each other in the third dimension that they never meet
    moved = transform(one.z)
    first = np.stack([moved.real, moved.imag, one.frame * apart], axis=1)
    second = np.stack([two.x_px, two.y_px, two.frame * apart], axis=1)
    distance, nearest = KDTree(second).query(first, distance_upper_bound=radius_px)
    i = np.flatnonzero(np.isfinite(distance))
    j = np.asarray(nearest, np.intp)[i]
    mutual = np.asarray(KDTree(first).query(second[j])[1]) == i
    return i[mutual], j[mutual]

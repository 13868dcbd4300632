"""All puncta of a run as refinement sees them: where, and in which frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.results import Ids

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Spots:
    """Struct of arrays, one row a punctum, by ascending frame: 24 bytes each, so 240 MB for ten million.

    Attributes
    ----------
    frame
        Index of the frame, int64 (N,), ascending.
    xy
        Position (N, 2); distances are in its unit.
    """

    frame: Ids
    xy: Array

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, slots=True)
class Edges:
    """Links between puncta: rows of the earlier and of the later one, (E,) each."""

    source: Index
    target: Index

    def __len__(self) -> int:
        return len(self.source)


def no_edges() -> Edges:
    """No link."""
    return Edges(np.empty(0, np.intp), np.empty(0, np.intp))

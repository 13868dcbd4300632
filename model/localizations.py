"""Localizations of one frame as a struct of arrays."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Column = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Localizations:
    """Puncta found in one frame, one row a punctum, all columns float32 of equal length.

    Attributes
    ----------
    x_px, y_px
        Position in pixels; the centre of pixel (0, 0) lies at (0, 0), images are indexed [y, x].
    x_sd_px, y_sd_px
        Standard deviation of the position in pixels (Cramér–Rao bound or the network's own).
    photons
        Photo-electrons collected from the punctum in this frame.
    background
        Photo-electrons per pixel under the punctum.
    psf_sigma_px
        Standard deviation of the PSF in pixels.
    probability
        Probability that the punctum is real, 1 where the method gives none.
    calcium_probability
        Probability that calcium flows at the punctum, NaN where the method gives none.
    """

    x_px: Column
    y_px: Column
    x_sd_px: Column
    y_sd_px: Column
    photons: Column
    background: Column
    psf_sigma_px: Column
    probability: Column
    calcium_probability: Column

    def __post_init__(self) -> None:
        n = len(self.x_px)
        for name in COLUMNS:
            column = getattr(self, name)
            if column.shape != (n,) or column.dtype != np.float32:
                raise ValueError(
                    f"Localizations.{name} must be float32 of shape ({n},), got {column.dtype} {column.shape}"
                )

    def __len__(self) -> int:
        return len(self.x_px)

    @classmethod
    def from_columns(cls, **columns: ArrayLike) -> Self:
        """Build from array-likes; `probability` defaults to 1, `calcium_probability` to NaN."""
        n = len(np.atleast_1d(np.asarray(columns["x_px"])))
        columns.setdefault("probability", np.ones(n))
        columns.setdefault("calcium_probability", np.full(n, np.nan))
        return cls(**{k: np.atleast_1d(np.asarray(v, dtype=np.float32)) for k, v in columns.items()})

    @classmethod
    def from_table(cls, table: NDArray[np.floating]) -> Self:
        """Build from an (N, 9) table whose columns are in the order of `COLUMNS`."""
        return cls(*np.ascontiguousarray(table.T, dtype=np.float32))

    @classmethod
    def empty(cls) -> Self:
        """No puncta."""
        return cls.from_table(np.empty((0, len(COLUMNS)), np.float32))

    def table(self) -> NDArray[np.float32]:
        """All columns as one (N, 9) array in the order of `COLUMNS`."""
        return np.stack([getattr(self, name) for name in COLUMNS], axis=1)


COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(Localizations))

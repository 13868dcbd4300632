"""Round numbers for axes."""

import math

import numpy as np
from numpy.typing import NDArray


def round_step(at_least: float) -> float:
    """Smallest of 1, 2, 5, 10, … (and 0.5, 0.2, …) that is not below `at_least` (> 0)."""
    power = 10.0 ** math.floor(math.log10(at_least))
    # 1e-9 so that 0.2 / 0.1 counts as 2.
    return next(step * power for step in (1, 2, 5, 10) if step * power >= at_least * (1 - 1e-9))


def ticks(low: float, high: float, n_most: int) -> NDArray[np.float64]:
    """Round numbers from `low` to `high` (above it), at most about `n_most`."""
    step = round_step((high - low) / max(n_most, 1))
    numbers = np.arange(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return numbers.astype(np.float64) * step


def log_ticks(low: float, high: float) -> NDArray[np.float64]:
    """Powers of ten from `low` to `high` (both above 0)."""
    powers = np.arange(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    return 10.0 ** powers.astype(np.float64)


def brief(value: float) -> str:
    """A number as it is written at an axis."""
    return f"{value:.6g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.0e}".replace("e-0", "e-")

"""Whether the same data came again, so that nothing need be painted."""

from dataclasses import fields
from typing import Any

import numpy as np


def same(one: Any, other: Any) -> bool:
    """Whether two frozen dataclasses, arrays, tuples of them or plain values are equal, NaN equal to NaN."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return bool(one == other or (one != one and other != other))

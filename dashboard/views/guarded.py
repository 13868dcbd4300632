"""Painting that fails alone."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

P = ParamSpec("P")


def guarded(paint: Callable[P, None]) -> Callable[P, None]:
    """Paint; a mistake is told at once.

    Otherwise PySide keeps it, and raises it again in whatever Python runs next.
    """

    @wraps(paint)
    def safely(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            paint(*args, **kwargs)
        except Exception as error:
            sys.excepthook(type(error), error, error.__traceback__)

    return safely

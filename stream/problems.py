"""Errors as sentences for people; what nobody expected also leaves a traceback in the log."""

import traceback

from acquire.frame import SourceError
from model.engines.base import ModelError
from stream.config import ConfigError
from stream.results import StreamError


def in_words(error: Exception, who: str) -> str:
    """The sentence of an expected error; of any other its name and who failed, e.g. "analysis"."""
    if isinstance(error, SourceError | StreamError | ConfigError | ModelError):
        return str(error)
    traceback.print_exc()
    return f"the {who} failed unexpectedly: {type(error).__name__}: {error}"

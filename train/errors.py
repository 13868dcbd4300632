"""Errors of a training, as sentences for people; this module needs no torch."""


class FitConfigError(Exception):
    """A training's configuration is wrong; the message names the key, the value and what is allowed."""


class CheckpointError(Exception):
    """A checkpoint cannot be read or does not fit; the message says what, where, and what to do."""


class TrainingError(Exception):
    """A training cannot start or go on; the message says what, where, and what to do."""

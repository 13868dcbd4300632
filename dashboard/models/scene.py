"""One moment as it is drawn over the images: positions in pixels of channel 1, colours by row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.results import Column, Ids

Segments = NDArray[np.float32]
Rgba = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Marks:
    """Puncta of one frame, and tracks that are in a gap there; one row each, (n,).

    Attributes
    ----------
    track_id
        −1 where a punctum belongs to no track.
    x_px, y_px, x_sd_px, y_sd_px, photons, probability
        Of the localization; all but the position NaN in a gap.
    dff, state, is_open
        ΔF/F0, state of the channel (0 closed, 1 open, −1 uncertain), and whether an event is on.
    in_gap
        Whether the track was not seen, so that its place is predicted.
    """

    track_id: Ids
    x_px: Column
    y_px: Column
    x_sd_px: Column
    y_sd_px: Column
    photons: Column
    probability: Column
    dff: Column
    state: NDArray[np.int8]
    is_open: NDArray[np.bool_]
    in_gap: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.track_id)


@dataclass(frozen=True, slots=True)
class Tails:
    """Where tracks came from: straight pieces x0, y0, x1, y1 in pixels (n, 4), and their colours (n, 4).

    `frames` is how many frames they reach back over: fewer than the user wants where it is crowded.
    """

    segments: Segments
    rgba: Rgba
    frames: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """What the image views draw.

    Attributes
    ----------
    seq, time_s
        The frame.
    picture, picture_seq
        Raw counts (C, H, W) of the newest picture up to that frame and which frame it is; None where there
        is none (any more).
    selected
        Ids of the selected tracks, the last one first.
    is_newest
        Whether it is the newest frame; else the view is frozen or looks back.
    """

    seq: int
    time_s: float
    picture: NDArray[np.uint16] | None
    picture_seq: int | None
    marks: Marks
    tails: Tails
    selected: tuple[int, ...]
    is_newest: bool

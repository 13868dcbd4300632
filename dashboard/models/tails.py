"""Where tracks came from: their last steps as straight pieces, coloured and fading."""

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dashboard.models.colours import MOBILITY_COLOURS, rgb, viridis
from dashboard.models.scene import Rgba, Tails
from dashboard.models.steps import MOBILITY
from dashboard.models.tracks import TrackBook
from stream.config import TrackerConfig
from stream.results import FrameResult, Ids

# In a crowd tails get shorter, as painting takes longer the more pieces there are, and one sees nothing
# any more: 200 puncta have tails of 200 frames, 5,000 of 8.
MAX_PIECES = 40_000
MIN_FRAMES = 2
LONGEST_GAP = TrackerConfig().max_gap_frames
FADED = 40  # opacity of the oldest piece, of 255
SELECTED_COLOUR = (255, 255, 255)
AGE_FULL = 1000  # frames, from which on tracks have the last colour
# Viridis begins with a violet that is hardly seen on a dark image.
AGES: Rgba = viridis(256)[40:]
MOBILITIES: Rgba = np.array([rgb(MOBILITY_COLOURS[name]) for name in MOBILITY], np.uint8)


def tail_frames(wanted: int, n_tracks: int) -> int:
    """How many frames tails reach back where there are `n_tracks`: as many as wanted, fewer in a crowd."""
    return max(MIN_FRAMES, min(wanted, MAX_PIECES // max(n_tracks, 1)))


def tails(
    results: Sequence[FrameResult],
    alive: Ids,
    book: TrackBook,
    colour: Literal["mobility", "age"],
    selected: Collection[int],
) -> Tails:
    """Tails of tracks over some frames.

    Parameters
    ----------
    results
        The frames, oldest first; the last one is the moment that is shown.
    alive
        Tracks that have tails, those of the last frame, ascending.
    book
        Knows their mobility and age, as it stands now.
    colour
        What they are coloured by: mobility, or age in frames on a logarithmic scale.
    selected
        Tracks whose tails are white, do not fade, and lie above the others.

    Returns
    -------
    Tails
        One piece from each sighting to the next one of the same track; it is left out where the track was
        away for longer than the tracker bridges (as the dashboard itself missed results).
    """
    if not len(alive) or not results:
        return Tails(np.empty((0, 4), np.float32), np.empty((0, 4), np.uint8), len(results))
    row, seq, position = _sightings(results, alive)
    order = np.argsort(row, kind="stable")  # by (track, frame), as frames come in order
    row, seq, position = row[order], seq[order], position[order]
    piece = np.flatnonzero((row[1:] == row[:-1]) & (np.diff(seq) <= LONGEST_GAP + 1))
    newest = results[-1].seq
    is_selected = np.isin(alive, list(selected))
    # Selected ones are painted last.
    piece = piece[np.argsort(is_selected[row[piece]], kind="stable")] if is_selected.any() else piece
    of_track = _colours(alive, book, colour, newest)
    of_track[is_selected] = SELECTED_COLOUR
    rgba = np.empty((len(piece), 4), np.uint8)
    rgba[:, :3] = of_track[row[piece]]
    reach = max(newest - results[0].seq, 1)
    faded = 255 - (255 - FADED) * (newest - seq[piece + 1]) / reach
    rgba[:, 3] = np.where(is_selected[row[piece]], 255, faded)
    return Tails(np.concatenate([position[piece], position[piece + 1]], axis=1), rgba, len(results))


def _sightings(
    results: Sequence[FrameResult], alive: Ids
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.int64], NDArray[np.float32]]:
    """Row in `alive`, frame and position (m, 2) of all sightings of tracks that are alive."""
    ids = np.concatenate([result.tracks.track_id for result in results])
    at = np.minimum(alive.searchsorted(ids), len(alive) - 1)
    here = alive[at] == ids
    # Up to 65,535 tracks, rows of two bytes are sorted several times as fast.
    row = at[here].astype(np.min_scalar_type(len(alive)))
    seq = np.repeat([result.seq for result in results], [len(result.localizations) for result in results])
    position = np.empty((len(ids), 2), np.float32)
    for axis, name in enumerate(("x_px", "y_px")):
        np.concatenate([getattr(result.localizations, name) for result in results], out=position[:, axis])
    return row, seq[here], position[here]


def _colours(alive: Ids, book: TrackBook, colour: Literal["mobility", "age"], seq: int) -> Rgba:
    if colour == "mobility":
        return MOBILITIES[book.mobility(alive)]
    age = np.log1p(np.clip(book.age(alive, seq), 0, AGE_FULL)) / np.log1p(AGE_FULL)
    shades: Rgba = AGES[(age * (len(AGES) - 1)).astype(np.intp)]
    return shades

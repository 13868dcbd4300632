"""One moment of a run as it is drawn, the present one or any that is still kept."""

import numpy as np

from dashboard.models.display import Display
from dashboard.models.history import History
from dashboard.models.scene import Marks, Scene, Tails
from dashboard.models.tails import tail_frames, tails
from dashboard.models.tracks import TrackBook
from stream.results import NO_TRACK, Column, FrameResult, Ids

NO_TAILS = Tails(np.empty((0, 4), np.float32), np.empty((0, 4), np.uint8))


def compose(
    history: History, tracks: TrackBook, seq: int, display: Display, selected: tuple[int, ...]
) -> Scene:
    """What the images show at frame `seq`.

    Everything is taken from `history`, so it is the same whether one looks back or it is happening; only
    mobility and age of the tracks are as `tracks` knows them now.

    Parameters
    ----------
    seq
        A missing frame stands for the last one before it, one that is gone for the oldest that is kept.
    selected
        Ids of the selected tracks, the last one first.

    Raises
    ------
    ValueError
        If the history is empty.
    """
    result = history.result(seq) or history.result(history.oldest or 0)
    if result is None:
        raise ValueError("nothing can be shown, as no result has come yet")
    picture = history.picture(result.seq)
    alive = _alive(result)
    shown = NO_TAILS
    if display.tails != "off":
        recent = history.recent(result.seq, tail_frames(display.tail_frames, len(alive)))
        shown = tails(recent, alive, tracks, display.tails, selected)
    return Scene(
        seq=result.seq,
        time_s=result.time_s,
        picture=picture.pixels if picture else None,
        picture_seq=picture.seq if picture else None,
        marks=marks(result),
        tails=shown,
        selected=selected,
        is_newest=result.seq == history.newest,
    )


def marks(result: FrameResult) -> Marks:
    """The puncta of a frame, and then its tracks in a gap."""
    found, update, calcium = result.localizations, result.tracks, result.calcium
    n, n_gap = len(found), len(update.gap_track_id)
    unseen = np.full(n_gap, np.nan, np.float32)

    def seen_only(column: Column) -> Column:
        return np.concatenate([column, unseen])

    return Marks(
        track_id=np.concatenate([update.track_id, update.gap_track_id]),
        x_px=np.concatenate([found.x_px, update.gap_x_px]),
        y_px=np.concatenate([found.y_px, update.gap_y_px]),
        x_sd_px=seen_only(found.x_sd_px),
        y_sd_px=seen_only(found.y_sd_px),
        photons=seen_only(found.photons),
        probability=seen_only(found.probability),
        dff=np.concatenate([calcium.dff, calcium.gap_dff]),
        state=np.concatenate([calcium.state, calcium.gap_state]),
        is_open=np.concatenate([calcium.is_open, calcium.gap_is_open]),
        in_gap=np.arange(n + n_gap) >= n,
    )


def _alive(result: FrameResult) -> Ids:
    """Tracks of a frame, seen or in a gap, ascending."""
    update = result.tracks
    named = np.unique(np.concatenate([update.track_id, update.gap_track_id]))
    alive: Ids = named[named != NO_TRACK]
    return alive

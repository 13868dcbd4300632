"""Scores of linked localizations against the truth, the same rules for every method."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.tracking_scene import TrackingFrame, TrackingScene, simulate_frames
from model.optics import Array
from stream.results import NO_TRACK, Ids
from train.track_scores import GATE_PX, pair_tracks, wholeness

MIN_LOCALIZATIONS = 3  # shorter tracks count for no method, and are no true links


@dataclass(frozen=True, slots=True)
class TrackingMovie:
    """A simulated movie.

    Attributes
    ----------
    frames
        What methods are shown.
    found
        The localizations one after the other: columns `frame, emitter` (`NO_TRACK`: false), `x_nm, y_nm`.
    truth
        Columns `frame, track_id, x_nm, y_nm` of every punctum that shines. One pixel is 1 nm in both.
    """

    frames: list[TrackingFrame]
    found: pd.DataFrame
    truth: pd.DataFrame

    @classmethod
    def simulate(cls, scene: TrackingScene, seed: int) -> "TrackingMovie":
        """Simulate one."""
        frames, truth = simulate_frames(scene, seed)
        return cls.of(frames, truth)

    @classmethod
    def of(cls, frames: list[TrackingFrame], truth: pd.DataFrame) -> "TrackingMovie":
        """Put the localizations of frames into one table."""
        columns = {
            "frame": np.repeat(np.arange(len(frames)), [len(f.found) for f in frames]),
            "emitter": np.concatenate([f.track_id for f in frames]),
            "x_nm": np.concatenate([f.found.x_px for f in frames]).astype(np.float64),
            "y_nm": np.concatenate([f.found.y_px for f in frames]).astype(np.float64),
        }
        return cls(frames, pd.DataFrame(columns), truth)

    def first(self, n_frames: int) -> "TrackingMovie":
        """Its first frames."""
        return self.of(self.frames[:n_frames], self.truth[self.truth["frame"] < n_frames])


@dataclass(frozen=True, slots=True)
class Linked:
    """What a method made of a movie.

    Attributes
    ----------
    track_id
        Of every localization, frame after frame (N,); `NO_TRACK` for none.
    cpu_ms, wall_ms
        Time of each frame (F,); of a method that takes whole movies only its mean (1,).
    learnt
        What it found out about the movie, in words.
    """

    track_id: Ids
    cpu_ms: Array
    wall_ms: Array
    learnt: str = ""


@dataclass(frozen=True, slots=True)
class TrackingScore:
    """Figures of one movie; see `train.track_scores` for those of the Particle Tracking Challenge.

    Attributes
    ----------
    link_f1
        F1 of links between successive localizations of one punctum, however many frames apart. Both true
        and found links are those within tracks of at least `MIN_LOCALIZATIONS`; links to false
        localizations are wrong ones.
    """

    alpha: float
    beta: float
    jsc: float
    jsc_theta: float
    rmse_px: float
    link_f1: float
    completeness: float
    switches: float


def score(movie: TrackingMovie, track_id: Ids) -> TrackingScore:
    """Score one movie's tracks (N,)."""
    found = movie.found.assign(track_id=_long_only(track_id))
    paired = pair_tracks(movie.truth, found, GATE_PX)
    emitter = movie.found["emitter"].to_numpy(np.int64)
    pieces = wholeness(emitter, found, movie.truth.groupby("track_id").size())
    true_links = _links(_long_only(emitter), found["frame"])
    found_links = _links(found["track_id"], found["frame"])
    n_right = len(true_links.intersection(found_links))
    return TrackingScore(
        alpha=paired.alpha,
        beta=paired.beta,
        jsc=paired.jsc,
        jsc_theta=paired.jsc_theta,
        rmse_px=paired.rmse_nm,
        link_f1=2 * n_right / max(len(true_links) + len(found_links), 1),
        completeness=pieces.completeness,
        switches=pieces.switches,
    )


def mean_score(scores: list[TrackingScore]) -> TrackingScore:
    """Mean of each figure over movies."""
    names = [f.name for f in fields(TrackingScore)]
    return TrackingScore(**{name: float(np.mean([getattr(s, name) for s in scores])) for name in names})


def _long_only(track_id: Ids) -> Ids:
    """The same ids, `NO_TRACK` in place of those of short tracks."""
    _, group, count = np.unique(track_id, return_inverse=True, return_counts=True)
    return np.where((track_id >= 0) & (count[group] >= MIN_LOCALIZATIONS), track_id, NO_TRACK)


def _links(track_id: Ids | pd.Series, frame: NDArray[np.int64] | pd.Series) -> pd.MultiIndex:
    """Pairs of rows that follow each other in a track."""
    tracks, frames = np.asarray(track_id), np.asarray(frame)
    rows = np.flatnonzero(tracks >= 0)
    rows = rows[np.lexsort((frames[rows], tracks[rows]))]
    follows = tracks[rows[1:]] == tracks[rows[:-1]]
    return pd.MultiIndex.from_arrays([rows[:-1][follows], rows[1:][follows]])

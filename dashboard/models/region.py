"""What there is inside a part of the image that the user marked: counts, puncta, calcium."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dashboard.models.scene import Marks, Scene
from stream.results import NO_TRACK, CalciumEvent
from stream.wire import Session

EVENTS_S = 60.0
CHANNELS = ("PIEZO1", "calcium")


@dataclass(frozen=True, slots=True)
class ChannelCounts:
    """Camera counts of the pixels in the region; SD as of a sample (n − 1); all NaN without a pixel."""

    name: str
    n_pixels: int
    mean: float
    sd: float
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RegionStatistics:
    """A part of the image at one moment.

    Attributes
    ----------
    seq, picture_seq
        The frame, and the one whose picture was counted, None where there is none.
    channels
        Of the picture; empty without one.
    area_um2
        Of the pixels of channel 1 whose centres lie inside.
    n_puncta, density_per_um2
        Puncta of the frame.
    mean_photons, mean_dff
        Of these puncta, those without a ΔF/F0 left out; NaN without any.
    n_tracks
        Tracks that are there in this frame, in a gap too.
    n_open
        Those of them at which an event is on.
    n_events, events_s
        Calcium events that ended there in the last `events_s` seconds, as far back as is known.
    """

    seq: int
    picture_seq: int | None
    channels: tuple[ChannelCounts, ...]
    area_um2: float
    n_puncta: int
    density_per_um2: float
    mean_photons: float
    mean_dff: float
    n_tracks: int
    n_open: int
    n_events: int
    events_s: float


def measure(
    vertices: NDArray[np.floating],
    scene: Scene,
    session: Session,
    events: Sequence[CalciumEvent],
    known_s: float,
) -> RegionStatistics:
    """Count what lies in a polygon.

    Counts are those of the camera, its offset included: what light that was is not known here.

    Parameters
    ----------
    vertices
        (k, 2) Corners x, y in pixels of channel 1. Where the outline crosses itself, what it goes around
        twice is outside (the even–odd rule).
    scene
        The moment.
    session
        Says where channel 2 has the same place.
    events
        Those of the last minute, see `History.events`.
    known_s
        Seconds that the history reaches back.
    """
    corners = np.asarray(vertices, np.float64).reshape(-1, 2)
    marks = scene.marks
    inside = is_inside(marks.x_px, marks.y_px, corners)
    seen = inside & ~marks.in_gap
    shape = session.shape if scene.picture is None else scene.picture.shape
    area_um2 = np.count_nonzero(pixels_inside(corners, shape[1:])) * (session.pixel_size_nm / 1000) ** 2
    n_puncta = int(np.count_nonzero(seen))
    at = np.array([(event.x_px, event.y_px) for event in events]).reshape(-1, 2)
    return RegionStatistics(
        seq=scene.seq,
        picture_seq=scene.picture_seq,
        channels=_channels(scene.picture, corners, session),
        area_um2=float(area_um2),
        n_puncta=n_puncta,
        density_per_um2=n_puncta / area_um2 if area_um2 else float("nan"),
        mean_photons=_mean(marks.photons[seen]),
        mean_dff=_mean(marks.dff[seen]),
        n_tracks=_n_tracks(marks, inside),
        n_open=_n_tracks(marks, inside & marks.is_open),
        n_events=int(np.count_nonzero(is_inside(at[:, 0], at[:, 1], corners))),
        events_s=min(known_s, EVENTS_S),
    )


def rows(statistics: RegionStatistics) -> list[tuple[str, str]]:
    """Names and values as text, for a table."""
    s = statistics
    table = []
    for c in s.channels:
        table.append((f"{c.name}, counts", f"{_text(c.mean)} ± {_text(c.sd)} SD"))
        table.append(
            (f"{c.name}, median (range)", f"{_text(c.median)} ({_text(c.low, 0)}–{_text(c.high, 0)})")
        )
        table.append((f"{c.name}, pixels", f"{c.n_pixels:,}"))
    if not s.channels:
        table.append(("counts", "no picture"))
    return [
        *table,
        ("area", f"{s.area_um2:.2f} µm²"),
        ("puncta", f"{s.n_puncta:,} ({_text(s.density_per_um2, 2)} per µm²)"),
        ("photons a punctum", _text(s.mean_photons, 0)),
        ("ΔF/F0 a punctum", _text(s.mean_dff, 3)),
        ("tracks", f"{s.n_tracks:,} ({s.n_open:,} with calcium)"),
        (f"events in {s.events_s:.0f} s", f"{s.n_events:,}"),
    ]


def pixels_inside(vertices: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mask (H, W) of the pixels whose centres lie in a polygon.

    By the even–odd rule, row by row: every edge that crosses a row turns inside and outside over from there
    on. Polygons that share an edge share no pixel.
    """
    height, width = shape
    turns = np.zeros((height, width + 1), np.uint8)
    y = np.arange(height)
    for (x0, y0), (x1, y1) in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        crossed = y[(y >= min(y0, y1)) & (y < max(y0, y1))]
        if len(crossed):
            x = x0 + (crossed - y0) * (x1 - x0) / (y1 - y0)
            turns[crossed, np.clip(np.ceil(x), 0, width).astype(np.intp)] ^= 1
    inside: NDArray[np.bool_] = np.bitwise_xor.accumulate(turns[:, :width], axis=1).astype(np.bool_)
    return inside


def is_inside(
    x: NDArray[np.floating], y: NDArray[np.floating], vertices: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether points (n,) lie in a polygon (k, 2), by the same rule as `pixels_inside`."""
    inside = np.zeros(len(x), np.bool_)
    for (x0, y0), (x1, y1) in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        if y0 != y1:
            crosses = (y >= min(y0, y1)) & (y < max(y0, y1))
            inside ^= crosses & (x >= x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def _channels(
    picture: NDArray[np.uint16] | None, corners: NDArray[np.float64], session: Session
) -> tuple[ChannelCounts, ...]:
    if picture is None:
        return ()
    found = []
    for channel, (name, image) in enumerate(zip(CHANNELS, picture, strict=False)):
        there = corners
        if channel == 1 and session.transform is not None:
            to_2 = np.array(session.transform)
            there = corners @ to_2[:, :2].T + to_2[:, 2]
        found.append(_counts(name, image[pixels_inside(there, image.shape)]))
    return tuple(found)


def _counts(name: str, counts: NDArray[np.uint16]) -> ChannelCounts:
    n, nan = len(counts), float("nan")
    if not n:
        return ChannelCounts(name, 0, nan, nan, nan, nan, nan)
    return ChannelCounts(
        name,
        n,
        mean=float(counts.mean(dtype=np.float64)),
        sd=float(counts.std(dtype=np.float64, ddof=1)) if n > 1 else nan,
        median=float(np.median(counts)),
        low=float(counts.min()),
        high=float(counts.max()),
    )


def _n_tracks(marks: Marks, rows: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(marks.track_id[rows] != NO_TRACK))


def _mean(values: NDArray[np.float32]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean(dtype=np.float64)) if len(known) else float("nan")


def _text(value: float, digits: int = 1) -> str:
    return "–" if np.isnan(value) else f"{value:,.{digits}f}"
